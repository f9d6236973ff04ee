package dispatch_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// A goroutine that outlives its handler and asked for Done between the last look
// for a context and the end of the job got one that nobody ended, and left a
// registration with the caller's. Here the caller's context asks, whenever the
// pool asks it for something: no moment is left out.
func TestG3TheContextIsDoneWheneverDoneIsAskedFor(t *testing.T) {
	for name, call := range calls {
		for _, method := range methods {
			t.Run(name+", in "+method, func(t *testing.T) {
				var kept atomic.Pointer[context.Context]
				var asking atomic.Bool
				var mu sync.Mutex
				var dones []<-chan struct{}
				ask := func() {
					done := (*kept.Load()).Done()
					mu.Lock()
					defer mu.Unlock()
					dones = append(dones, done)
				}
				ctx := newRegistrar(nil)
				ctx.odd = func(m string) {
					if m == method && kept.Load() != nil && asking.CompareAndSwap(false, true) {
						ask()
						asking.Store(false)
					}
				}
				p := dispatch.Must(dispatch.New(func(ctx context.Context, in int) (int, error) {
					if in > 0 {
						kept.Store(&ctx)
					}
					return in, nil
				}, dispatch.WithWorkers(1)))
				ctx.active.Store(true)
				within(t, name, func() { require.NoError(t, call(p, ctx, 1)) })
				requireSound(t, p)
				ask()
				for _, done := range dones {
					requireSoon(t, done, "the job's context")
				}
				require.Zero(t, ctx.registered.Load(), "registrations that are left")
				ctx.end()
			})
		}
	}
}

// The same where chance decides on the moment, for the race detector.
func TestG3TheContextIsDoneForAGoroutineThatOutlivesItsHandler(t *testing.T) {
	var all sync.WaitGroup
	var lost atomic.Int64
	late := make(chan struct{})
	p := dispatch.Must(dispatch.New(func(ctx context.Context, spin int) (int, error) {
		var returning atomic.Bool
		all.Go(func() {
			for !returning.Load() {
				runtime.Gosched()
			}
			for range spin {
			}
			select {
			case <-ctx.Done():
			case <-late:
				lost.Add(1)
			}
		})
		returning.Store(true)
		return 0, nil
	}, dispatch.WithWorkers(4)))
	var callers sync.WaitGroup
	for c := range 4 {
		callers.Go(func() {
			for i := range 2000 {
				_, _ = p.Process(context.Background(), (i*7+c*13)%600)
			}
		})
	}
	callers.Wait()
	timer := time.AfterFunc(patience, func() { close(late) })
	all.Wait()
	timer.Stop()
	require.NoError(t, p.Close())
	require.Zero(t, lost.Load())
}
