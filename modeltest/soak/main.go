// Command soak keeps pools of all kinds under full load, with everything that can
// happen to them at the same time: jobs that fail, panic, end their goroutines, time
// out, are canceled, or wait for jobs of their own pool; batches whose readers go away,
// or that have bounds; live streams; hooks that misbehave; callers that run their jobs
// inline; changing limits and pauses; pools that are made and closed.
//
//	go run ./modeltest/soak -for 30m
//
// It prints a line every 10 s and ends with a verdict: every outcome was possible for
// its job, no counter decreased, the counters balance, nothing stalled, and neither
// goroutines nor memory have grown. If one of these does not hold, the exit status is
// 1.
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
)

func main() {
	length := flag.Duration("for", 30*time.Minute, "how long to keep the load up")
	every := flag.Duration("every", 10*time.Second, "how often to print a line")
	callers := flag.Int("callers", 2, "goroutines for each kind of load on each pool")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if faults := soak(ctx, *length, *every, *callers); len(faults) > 0 {
		for _, f := range faults {
			fmt.Println("FAULT:", f)
		}
		fmt.Println("verdict: FAIL")
		os.Exit(1)
	}
	fmt.Println("verdict: ok")
}

// soak starts the loads, watches them, stops them, and returns the faults it found.
func soak(ctx context.Context, length, every time.Duration, callers int) []string {
	goroutines := runtime.NumGoroutine()
	m := newMonitor()
	rigs := newRigs(m)
	loading, stop := context.WithTimeout(ctx, length)
	defer stop()
	done := startLoads(loading, m, rigs, callers)
	m.watch(loading, rigs, every)

	within(m, "the loads end", done.Wait)
	for _, r := range rigs {
		within(m, r.name+" closes", func() {
			if err := r.pool.Close(); err != nil {
				m.fault("%s: Close: %v", r.name, err)
			}
		})
		m.checkEnded(r)
	}
	m.checkGoroutines(goroutines)
	m.checkHeap()
	return m.faults()
}

// within runs f. If f takes longer than five minutes, within prints all stacks and gives
// up.
func within(m *monitor, what string, f func()) {
	timer := time.AfterFunc(5*time.Minute, func() {
		buf := make([]byte, 4<<20)
		fmt.Printf("%s\nFAULT: it does not happen that %s\nverdict: FAIL\n", buf[:runtime.Stack(buf, true)], what)
		for _, f := range m.faults() {
			fmt.Println("FAULT:", f)
		}
		os.Exit(1)
	})
	defer timer.Stop()
	f()
}
