package bench

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"example.com/dispatch"
)

// idleWorkerBytes returns how many bytes an idle worker of dispatch holds, heap and
// stack, measured on n of them.
func idleWorkerBytes(n int) (float64, error) {
	var meeting sync.WaitGroup
	meeting.Add(n)
	before := inUse()
	submit, stop := dispatchPeer.submit(config{workers: n, job: func(in int) int {
		meeting.Done()
		meeting.Wait()
		return in + 1
	}})
	submit(n, func() {})
	// There is no signal when a worker goes from done to idle. It only needs its turn
	// on a processor to do so.
	time.Sleep(50 * time.Millisecond)
	bytes := float64(inUse()-before) / float64(n)
	stop()
	return bytes, nil
}

// queuedJobBytes returns how many bytes a queued job of dispatch holds together
// with its future and its place in the queue, measured on n of them. The slice in
// which the caller keeps the futures is not counted.
func queuedJobBytes(n int) (float64, error) {
	ctx := context.Background()
	gate := make(chan struct{})
	running := make(chan struct{}, n+1)
	futures := make([]*dispatch.Future[int], n)

	before := inUse()
	p, stop := openDispatch(config{workers: 1, queue: n, job: func(in int) int {
		running <- struct{}{}
		<-gate
		return in + 1
	}})
	first := must(p.Submit(ctx, 0))
	<-running // the job has left the queue
	for i := range futures {
		futures[i] = must(p.Submit(ctx, i))
	}
	bytes := float64(inUse()-before) / float64(n)

	close(gate)
	must(first.Wait(ctx))
	for i, f := range futures {
		out, err := f.Wait(ctx)
		if err := checkResult(i, out, err); err != nil {
			return 0, err
		}
	}
	stop()
	return bytes, nil
}

// newCloseAllocs returns how many objects it takes to make and close a dispatch pool
// with the default options.
func newCloseAllocs() float64 {
	handler := func(_ context.Context, in int) (int, error) { return in + 1, nil }
	return testing.AllocsPerRun(100, func() { check(must(dispatch.New(handler)).Close()) })
}

// inUse returns the bytes of live objects and of stacks.
func inUse() int64 {
	// The second collection frees what finalizers and sync.Pools kept alive in the first.
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
