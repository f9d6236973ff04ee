package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"example.com/dispatch"
	"example.com/dispatch/fleet"
	"example.com/dispatch/fleet/embedded"
	"github.com/nats-io/nats.go"
)

const (
	roleVar = "FLEET_SPEED_ROLE"
	urlVar  = "FLEET_SPEED_URL"
	dirVar  = "FLEET_SPEED_DIR"
	lazyVar = "FLEET_SPEED_LAZY"
)

// play runs this process as a server or a worker.
func play(role string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if role == "server" {
		s, err := embedded.Start(embedded.Options{Dir: os.Getenv(dirVar), Listen: "127.0.0.1:0", LazySync: os.Getenv(lazyVar) != ""})
		if err != nil {
			return err
		}
		fmt.Println("ready", s.URL())
		<-ctx.Done()
		return s.Close()
	}
	nc, err := nats.Connect(os.Getenv(urlVar))
	if err != nil {
		return err
	}
	defer nc.Close()
	if _, err := nc.QueueSubscribe(bareRequest, "workers", func(m *nats.Msg) { _ = m.Respond(m.Data) }); err != nil {
		return err
	}
	pool, err := dispatch.New(func(_ context.Context, n note) (note, error) { return n, nil }, dispatch.WithWorkers(64))
	if err != nil {
		return err
	}
	fmt.Println("ready")
	return fleet.Serve(ctx, nc, kind, pool)
}

// stage holds the server and the workers, each another process of this program.
type stage struct {
	dir, url string
	lazy     bool
	server   *exec.Cmd
	workers  []*exec.Cmd
}

func newStage(lazy bool) (*stage, error) {
	dir, err := os.MkdirTemp("", "fleet-speed")
	if err != nil {
		return nil, err
	}
	s := &stage{dir: dir, lazy: lazy}
	s.server, s.url, err = s.cast("server")
	return s, err
}

func (s *stage) hire() error {
	w, _, err := s.cast("worker")
	if err == nil {
		s.workers = append(s.workers, w)
	}
	return err
}

func (s *stage) cast(role string) (*exec.Cmd, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	cmd := exec.CommandContext(context.Background(), self)
	cmd.Env = append(os.Environ(), roleVar+"="+role, urlVar+"="+s.url, dirVar+"="+s.dir)
	if s.lazy {
		cmd.Env = append(cmd.Env, lazyVar+"=1")
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	said, ready := strings.CutPrefix(strings.TrimSpace(line), "ready")
	if err != nil || !ready {
		return nil, "", fmt.Errorf("the %s is not ready: %q", role, line)
	}
	return cmd, strings.TrimSpace(said), nil
}

func (s *stage) close() {
	for _, cmd := range append(s.workers, s.server) {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}
	_ = os.RemoveAll(s.dir)
}

// cpu returns the processor time that caller, server and workers have used so far.
func (s *stage) cpu() [3]time.Duration {
	var workers time.Duration
	for _, w := range s.workers {
		workers += cpuOf(w.Process.Pid)
	}
	return [3]time.Duration{cpuOf(os.Getpid()), cpuOf(s.server.Process.Pid), workers}
}

// cpuOf reads the processor time of a process on Linux. On other systems it returns 0.
func cpuOf(pid int) time.Duration {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond // of USER_HZ
}

func perJob(before, after [3]time.Duration, jobs float64) (all [3]time.Duration) {
	for i := range all {
		all[i] = time.Duration(float64(after[i]-before[i]) / jobs)
	}
	return all
}

// idle returns the fraction of a core that the workers use while they have no jobs.
func (s *stage) idle() float64 {
	const length = 10 * time.Second
	before := s.cpu()
	<-time.After(length)
	after := s.cpu()
	return (after[2] - before[2]).Seconds() / length.Seconds()
}
