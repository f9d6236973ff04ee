package bench

import (
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"example.com/dispatch"
)

// errKeepsNone says that a pool lets go of its workers as soon as they have
// nothing to do, so that there is no idle one to weigh.
var errKeepsNone = errors.New("keeps no idle workers")

// settle is how long workers get to go from done to idle. No pool tells when they
// have; they need no time for it but their turn on a processor.
const settle = 50 * time.Millisecond

// idleWorkerBytes returns how many bytes an idle worker of p holds, heap and
// stack, measured on n of them.
func idleWorkerBytes(p peer, n int) (float64, error) {
	goroutines := runtime.NumGoroutine()
	before := inUse()
	stop := startIdle(p, n)
	defer stop()
	if runtime.NumGoroutine()-goroutines < n {
		return 0, errKeepsNone
	}
	return float64(inUse()-before) / float64(n), nil
}

// idlePoolBytes returns how much more memory the process holds from the
// operating system when p has n idle workers.
func idlePoolBytes(p peer, n int) (float64, error) {
	goroutines := runtime.NumGoroutine()
	before := held()
	stop := startIdle(p, n)
	defer stop()
	if runtime.NumGoroutine()-goroutines < n {
		return 0, errKeepsNone
	}
	return float64(held() - before), nil
}

// startIdle lets n jobs meet on n workers of p, and the workers become idle. A
// peer that has no submit starts all its workers when it is opened, or keeps none.
func startIdle(p peer, n int) (stop func()) {
	if p.submit == nil {
		_, stop := p.process(config{workers: n, job: addOne()})
		time.Sleep(settle)
		return stop
	}
	var meeting sync.WaitGroup
	meeting.Add(n)
	submit, stop := p.submit(config{workers: n, job: func(in int) int {
		meeting.Done()
		meeting.Wait()
		return in + 1
	}})
	submit(n, func() {})

	time.Sleep(settle)
	return stop
}

// queuedJobBytes returns how many bytes a queued job of dispatch holds together
// with its future and its place in the queue, measured on n of them. The slice in
// which the caller keeps the futures is not counted.
func queuedJobBytes(n int) float64 {
	ctx := context.Background()
	gate := make(chan struct{})
	running := make(chan struct{}, n+1)
	futures := make([]*dispatch.Future[int], n)

	before := inUse()
	p := must(dispatch.New(func(_ context.Context, in int) (int, error) {
		running <- struct{}{}
		<-gate
		return in + 1, nil
	}, dispatch.WithWorkers(1), dispatch.WithQueue(n)))
	first := must(p.Submit(ctx, 0))
	<-running // it has left the queue
	for i := range futures {
		futures[i] = must(p.Submit(ctx, i))
	}
	bytes := float64(inUse()-before) / float64(n)

	close(gate)
	must(first.Wait(ctx))
	for i, f := range futures {
		if must(f.Wait(ctx)) != i+1 {
			panic("bench: dispatch: a future has another job's result")
		}
	}
	check(p.Close())
	return bytes
}

// inUse returns the bytes of live objects and of stacks.
func inUse() int64 {
	// The second collection frees what finalizers and sync.Pools kept in the first.
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// held returns the bytes that the process has from the operating system and
// cannot give back.
func held() int64 {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.Sys - m.HeapReleased)
}
