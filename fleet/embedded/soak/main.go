//go:build unix

// Command soak keeps a fleet under load for a given time. Meanwhile it kills, stops and
// freezes workers, and kills the server, at a bounded rate. It checks that every job
// gets its outcome, that no job is left, and that no more runs are repeated than were
// in flight at a kill or a freeze.
//
//	go run ./soak -for 20m
//	go run -race ./soak -for 5m
//
// Everything runs on this machine: the server and the workers are more processes of
// this program, connected over loopback.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"example.com/dispatch/fleet"
	"github.com/nats-io/nats.go"
)

// soakJob is an input: it says what the handler does.
type soakJob struct {
	N     int
	Nap   time.Duration
	Fails bool // without a retry
	Again bool // asks for a retry at the first attempt
}

var kind = fleet.Kind[soakJob, int]{Name: "soak", Errors: []error{errFails}}

var errFails = fmt.Errorf("the job fails")

// result is the output of a job that does not fail.
func (j soakJob) result() int { return 3*j.N + 1 }

func main() {
	length := flag.Duration("for", 20*time.Minute, "how long the load lasts")
	every := flag.Duration("trouble", 4*time.Second, "mean time between kills, stops and freezes")
	crew := flag.Int("workers", 4, "worker processes")
	places := flag.Int("places", 8, "places of each worker")
	callers := flag.Int("callers", 32, "goroutines that make calls")
	senders := flag.Int("senders", 4, "goroutines that send jobs")
	lazy := flag.Bool("lazy", false, "run the server with LazySync")
	flag.Parse()
	if role := os.Getenv(roleVar); role != "" {
		if err := play(role); err != nil {
			fmt.Fprintln(os.Stderr, role, err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	faults, err := soak(ctx, plan{*length, *every, *crew, *places, *callers, *senders, *lazy})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if faults > 0 {
		fmt.Println("verdict:", faults, "faults")
		os.Exit(1)
	}
	fmt.Println("verdict: clean")
}

type plan struct {
	length, every                     time.Duration
	workers, places, callers, senders int
	lazy                              bool
}

func soak(ctx context.Context, p plan) (faults int, err error) {
	dir, err := os.MkdirTemp("", "fleet-soak")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	before := runtime.NumGoroutine()
	s, err := newStage(dir, p)
	if err != nil {
		return 0, err
	}
	defer s.close()
	nc, err := nats.Connect(s.url, nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
	if err != nil {
		return 0, err
	}
	settings := fleet.Settings{Lease: 2 * time.Second, Attempts: 100, KeepFor: 10 * time.Minute}
	if err := kind.Provision(ctx, nc, settings); err != nil {
		return 0, err
	}
	if err := s.hire(p.workers); err != nil {
		return 0, err
	}
	client, err := fleet.NewClient(ctx, nc, kind)
	if err != nil {
		return 0, err
	}

	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, p.length)
	defer cancel()
	l := newLoad(client)
	l.start(limited, p)
	troubled := make(chan struct{})
	go func() {
		defer close(troubled)
		s.trouble(limited, p.every)
	}()
	ticks := time.NewTicker(max(p.length/20, 10*time.Second))
	defer ticks.Stop()
	for limited.Err() == nil {
		select {
		case <-ticks.C:
			fmt.Printf("%6.0f s  %s; %s\n", time.Since(began).Seconds(), l.tally(), s.tally())
		case <-limited.Done():
		}
	}
	<-troubled
	l.wait()
	fmt.Printf("%6.0f s  %s; %s\n", time.Since(began).Seconds(), l.tally(), s.tally())
	faults = l.faults() + s.faults()
	faults += checkRest(nc)
	if err := client.Close(); err != nil {
		return faults, err
	}
	nc.Close()
	s.close()
	faults += s.checkRuns(l) + checkGoroutines(before)
	return faults, nil
}

// checkRest checks that no job is left on the server.
func checkRest(nc *nats.Conn) (faults int) {
	var last fleet.Stats
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); <-time.After(100 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		s, err := kind.Stats(ctx, nc)
		cancel()
		if last = s; err == nil && s.Waiting+s.Taken == 0 {
			return 0
		}
	}
	fmt.Printf("fault: jobs are left: %+v\n", last)
	return 1
}

// checkGoroutines checks that no more goroutines are left than there were before.
func checkGoroutines(before int) (faults int) {
	for range 3000 {
		if runtime.NumGoroutine() <= before+1 { // os/signal keeps one
			return 0
		}
		<-time.After(10 * time.Millisecond)
	}
	buf := make([]byte, 1<<20)
	fmt.Printf("fault: %d goroutines are left, %d were there before:\n%s\n", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
	return 1
}
