//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"example.com/dispatch"
	"example.com/dispatch/fleet"
	"example.com/dispatch/fleet/embedded"
	"github.com/nats-io/nats.go"
)

const (
	roleVar   = "FLEET_SOAK_ROLE"
	addrVar   = "FLEET_SOAK_ADDRESS"
	dirVar    = "FLEET_SOAK_DIR"
	placesVar = "FLEET_SOAK_PLACES"
	lazyVar   = "FLEET_SOAK_LAZY"
)

// play runs this process as a server or a worker.
func play(role string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	addr, dir := os.Getenv(addrVar), os.Getenv(dirVar)
	if role == "server" {
		s, err := embedded.Start(embedded.Options{Dir: filepath.Join(dir, "server"), Listen: addr, LazySync: os.Getenv(lazyVar) != ""})
		if err != nil {
			return err
		}
		fmt.Println("ready")
		<-ctx.Done()
		return s.Close()
	}
	places, err := strconv.Atoi(os.Getenv(placesVar))
	if err != nil {
		return err
	}
	runs, err := os.OpenFile(filepath.Join(dir, "runs"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer runs.Close()
	nc, err := nats.Connect("nats://"+addr, nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond), nats.RetryOnFailedConnect(true))
	if err != nil {
		return err
	}
	defer nc.Close()
	pool, err := dispatch.New(func(ctx context.Context, j soakJob) (int, error) {
		info, _ := fleet.Info(ctx)
		if _, err := fmt.Fprintln(runs, j.N, info.Attempt); err != nil { // one write
			return 0, err
		}
		select {
		case <-time.After(j.Nap):
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
		switch {
		case j.Fails:
			return 0, fleet.NoRetry(errFails)
		case j.Again && info.Attempt == 1:
			return 0, fleet.Retry(errFails, 10*time.Millisecond)
		}
		return j.result(), nil
	}, dispatch.WithWorkers(places))
	if err != nil {
		return err
	}
	fmt.Println("ready")
	return fleet.Serve(ctx, nc, kind, pool)
}

// actor is another process of this program, in a role.
type actor struct {
	cmd  *exec.Cmd
	over chan struct{}
}

func (s *stage) cast(role string) (*actor, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	a := &actor{cmd: exec.CommandContext(context.Background(), self), over: make(chan struct{})}
	a.cmd.Env = append(os.Environ(), roleVar+"="+role, addrVar+"="+s.addr, dirVar+"="+s.dir, placesVar+"="+strconv.Itoa(s.places))
	if s.lazy {
		a.cmd.Env = append(a.cmd.Env, lazyVar+"=1")
	}
	a.cmd.Stderr = os.Stderr
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := a.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	go func() {
		defer close(a.over)
		_ = a.cmd.Wait()
	}()
	if err != nil || strings.TrimSpace(line) != "ready" {
		a.kill()
		return nil, fmt.Errorf("the %s is not ready: %q", role, line)
	}
	return a, nil
}

// kill ends exactly this process.
func (a *actor) kill() {
	_ = a.cmd.Process.Kill()
	<-a.over
}

// stage holds the server and the workers.
type stage struct {
	dir, addr, url string
	places         int
	lazy           bool
	server         *actor
	workers        []*actor
	closed         sync.Once

	kills, terms, freezes, crashes atomic.Int64
	broken                         atomic.Int64 // faults of processes
}

func newStage(dir string, p plan) (*stage, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &stage{dir: dir, addr: l.Addr().String(), places: p.places, lazy: p.lazy}
	s.url = "nats://" + s.addr
	if err := l.Close(); err != nil {
		return nil, err
	}
	s.server, err = s.cast("server")
	return s, err
}

func (s *stage) hire(n int) error {
	for range n {
		w, err := s.cast("worker")
		if err != nil {
			return err
		}
		s.workers = append(s.workers, w)
	}
	return nil
}

// close ends all processes.
func (s *stage) close() {
	s.closed.Do(func() {
		for _, w := range s.workers {
			_ = w.cmd.Process.Signal(syscall.SIGTERM)
		}
		for _, w := range s.workers {
			select {
			case <-w.over:
			case <-time.After(30 * time.Second):
				s.fault("a worker has not drained")
				w.kill()
			}
		}
		s.server.kill()
	})
}

func (s *stage) fault(format string, args ...any) {
	s.broken.Add(1)
	fmt.Printf("fault: "+format+"\n", args...)
}

func (s *stage) faults() int { return int(s.broken.Load()) }

func (s *stage) tally() string {
	return fmt.Sprintf("workers killed %d, drained %d, frozen %d; server killed %d", s.kills.Load(), s.terms.Load(), s.freezes.Load(), s.crashes.Load())
}

// trouble kills, stops and freezes workers and kills the server, one at a time, until
// ctx ends.
func (s *stage) trouble(ctx context.Context, every time.Duration) {
	for {
		select {
		case <-time.After(every/2 + rand.N(every)):
		case <-ctx.Done():
			return
		}
		i := rand.N(len(s.workers))
		w := s.workers[i]
		var err error
		switch n := rand.N(10); {
		case n < 4:
			s.kills.Add(1)
			w.kill()
			s.workers[i], err = s.cast("worker")
		case n < 6:
			s.terms.Add(1)
			_ = w.cmd.Process.Signal(syscall.SIGTERM)
			select {
			case <-w.over:
			case <-time.After(60 * time.Second):
				err = errors.New("a worker has not drained")
				w.kill()
			}
			if err == nil {
				s.workers[i], err = s.cast("worker")
			}
		case n < 8:
			s.freezes.Add(1)
			_ = w.cmd.Process.Signal(syscall.SIGSTOP)
			<-time.After(rand.N(5 * time.Second))
			_ = w.cmd.Process.Signal(syscall.SIGCONT)
		default:
			s.crashes.Add(1)
			s.server.kill()
			<-time.After(rand.N(2 * time.Second))
			s.server, err = s.cast("server")
		}
		if err != nil {
			s.fault("%v", err)
			return
		}
	}
}

// checkRuns checks the number of repeated runs: only runs in flight at a kill or a
// freeze may be repeated, and those whose jobs asked for another attempt.
func (s *stage) checkRuns(l *load) (faults int) {
	data, err := os.ReadFile(filepath.Join(s.dir, "runs"))
	if err != nil {
		fmt.Println("fault:", err)
		return 1
	}
	runs := map[string]int{}
	all := 0
	for line := range strings.Lines(string(data)) {
		n, _, _ := strings.Cut(line, " ")
		runs[n]++
		all++
	}
	repeats := all - len(runs)
	asked := int(l.again.Load())
	flight := s.places*int(s.kills.Load()+s.freezes.Load()) + s.places*len(s.workers)*int(s.crashes.Load())
	// A server that is killed forgets its last acknowledgments, so it delivers some more
	// jobs again.
	allowed := asked + 2*flight
	fmt.Printf("%d runs of %d jobs: %d repeated, %d of these as the jobs asked; at most %d were in flight at a trouble\n",
		all, len(runs), repeats, asked, flight)
	if repeats > allowed {
		fmt.Printf("fault: at most %d runs may be repeated\n", allowed)
		faults++
	}
	return faults
}
