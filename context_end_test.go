package dispatch_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// The end of a handler's context.

func TestTheContextIsDoneOnceTheHandlerHasReturned(t *testing.T) {
	inBubbles(t, map[string]func(p *dispatch.Pool[int, int]) error{
		"Process": func(p *dispatch.Pool[int, int]) error { _, err := p.Process(context.Background(), 1); return err },
		"Map":     func(p *dispatch.Pool[int, int]) error { _, err := p.Map(context.Background(), []int{1}); return err },
		"Batch": func(p *dispatch.Pool[int, int]) error {
			b := p.Batch(context.Background())
			_ = b.Add(1)
			_, err := b.Wait(context.Background())
			return err
		},
	}, func(t *testing.T, run func(p *dispatch.Pool[int, int]) error) {
		for _, asked := range []bool{false, true} {
			var kept, derived context.Context
			p := openPool(t, func(ctx context.Context, in int) (int, error) {
				kept = ctx
				if asked {
					var cancel func()
					derived, cancel = context.WithCancel(ctx)
					context.AfterFunc(ctx, cancel)
				}
				return in, ctx.Err()
			})
			require.NoError(t, run(p))
			synctest.Wait()
			<-kept.Done()
			require.Equal(t, context.Canceled, kept.Err())
			require.Equal(t, context.Canceled, context.Cause(kept))
			if asked {
				<-derived.Done()
				require.Equal(t, context.Canceled, derived.Err())
			}
			child, cancel := context.WithCancel(kept) // a late one
			<-child.Done()
			cancel()
		}
	})
}

// Regression: a goroutine that outlived its handler could ask for Done between the pool's
// last look for a context and the end of the job. It then got a context that nobody ended,
// and left a registration with the caller's. Here the caller's context asks for Done
// whenever the pool calls one of its methods, so that no moment is left out.
func TestG03TheContextIsDoneWheneverDoneIsAskedFor(t *testing.T) {
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

// The same with moments that chance picks, for the race detector.
func TestG03TheContextIsDoneForAGoroutineThatOutlivesItsHandler(t *testing.T) {
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

// Regression: a caller had its answer before the handler's context was done.
func TestTheContextIsDoneOnceProcessTimedHasReturned(t *testing.T) {
	for range 500 { // two goroutines race
		synctest.Test(t, func(t *testing.T) {
			ctxs := make(chan context.Context, 1)
			pass := make(chan struct{})
			p := openPool(t, func(ctx context.Context, in int) (int, error) {
				_ = ctx.Done()
				ctxs <- ctx
				<-pass
				return in, nil
			})
			defer close(pass)
			_, err := p.ProcessTimed(t.Context(), 1, time.Second)
			require.ErrorIs(t, err, dispatch.ErrTimeout)
			require.Error(t, (<-ctxs).Err())
		})
	}
}

// Regression: a caller that had its answer canceled its context, and that reached the
// handler's context before the cause of the answer did.
func TestAHandlerThatIsStoppedSeesThatWhateverItsCallerDoesNext(t *testing.T) {
	for range 1000 { // two goroutines race
		synctest.Test(t, func(t *testing.T) {
			var causes notes[error]
			p := openPool(t, func(ctx context.Context, in int) (int, error) {
				<-ctx.Done()
				causes.add(context.Cause(ctx))
				return in, nil
			})
			ctx, cancel := context.WithCancel(t.Context())
			calling(func() (int, error) {
				defer cancel()
				return p.Process(ctx, 1)
			})
			p.Stop()
			require.NoError(t, p.Close())
			require.Equal(t, []error{dispatch.ErrStopped}, causes.all())
		})
	}
}

// Regression: a context that was made late had a deadline that had passed, and gave that as
// its cause.
func TestAContextFirstAskedAfterTheEndNamesWhatEndedIt(t *testing.T) {
	t.Run("its job was done in time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var kept context.Context
			p := openPool(t, func(ctx context.Context, in int) (int, error) { kept = ctx; return in, nil })
			_, err := p.ProcessTimed(t.Context(), 1, time.Second)
			require.NoError(t, err)
			time.Sleep(time.Minute)
			require.Equal(t, fate{context.Canceled, context.Canceled}, fate{kept.Err(), context.Cause(kept)})
		})
	})
	t.Run("its job was stopped in time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			fates := make(chan fate, 1)
			p := openPool(t, func(ctx context.Context, in int) (int, error) {
				time.Sleep(time.Minute)
				fates <- fate{ctx.Err(), context.Cause(ctx)}
				return in, nil
			})
			c := calling(func() (int, error) { return p.ProcessTimed(t.Context(), 1, time.Second) })
			p.Stop()
			require.ErrorIs(t, c.requireReturn(t), dispatch.ErrStopped)
			require.Equal(t, fate{context.Canceled, dispatch.ErrStopped}, <-fates)
		})
	})
}

// Regression: a handler asked for Done after its job had been settled and its caller's
// context had ended since. Its context then gave the caller's reason.
func TestAHandlerThatAsksLateIsToldTheReasonThatCameFirst(t *testing.T) {
	inBubbles(t, map[string]func(p *dispatch.Pool[int, int], f *dispatch.Future[int]) error{
		"Stop":   func(p *dispatch.Pool[int, int], _ *dispatch.Future[int]) error { p.Stop(); return dispatch.ErrStopped },
		"Cancel": func(_ *dispatch.Pool[int, int], f *dispatch.Future[int]) error { f.Cancel(); return context.Canceled },
	}, func(t *testing.T, end func(p *dispatch.Pool[int, int], f *dispatch.Future[int]) error) {
		gate := make(chan struct{})
		var cause error
		p := openPool(t, func(ctx context.Context, _ int) (int, error) {
			<-gate
			<-ctx.Done()
			cause = context.Cause(ctx)
			return 0, nil
		}, dispatch.WithWorkers(1))
		ctx, cancel := context.WithCancelCause(t.Context())
		f := dispatch.Must(p.Submit(ctx, 1))
		synctest.Wait()
		want := end(p, f)
		_, err := f.Wait(t.Context())
		require.ErrorIs(t, err, want)
		cancel(errTool)
		close(gate)
		require.NoError(t, p.Close())
		require.ErrorIs(t, cause, want)
	})
}
