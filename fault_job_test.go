package dispatch_test

import (
	"context"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// A caller had its answer before the handler's context was done.
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

// The cancel of a caller that had its answer came before the cause of it.
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

// A context made late had a deadline that was over, and blamed that.
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

// A worker that came before the callback on the context ran the job.
func TestAJobWhoseContextIsDoneBeforeItsTurnNeverRuns(t *testing.T) {
	for name, submit := range map[string]func(ctx context.Context, p *dispatch.Pool[int, int]){
		"Submit": func(ctx context.Context, p *dispatch.Pool[int, int]) { dispatch.Must(p.Submit(ctx, 1)) },
		"Batch":  func(ctx context.Context, p *dispatch.Pool[int, int]) { _ = p.Batch(ctx).Add(1, 1, 1) },
		"Map": func(ctx context.Context, p *dispatch.Pool[int, int]) {
			calling(func() ([]int, error) { return p.Map(ctx, []int{1, 1, 1}) })
		},
		"Process": func(ctx context.Context, p *dispatch.Pool[int, int]) {
			calling(func() (int, error) { return p.Process(ctx, 1) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range 200 { // two goroutines race
				synctest.Test(t, func(t *testing.T) {
					h := newHeld()
					p := openPool(t, h.handle, dispatch.WithWorkers(1))
					dispatch.Must(p.Submit(t.Context(), 0))
					require.Equal(t, []int{0}, h.entered())
					ctx, cancel := context.WithCancel(t.Context())
					submit(ctx, p)
					cancel()
					h.letAll()
					require.Equal(t, []int{0}, h.entered())
				})
			}
		})
	}
}

// The sum of now and a limit near the end of time was before now.
func TestTheLongestLimitsAreNeverExceeded(t *testing.T) {
	inBubbles(t, map[string]struct {
		opt dispatch.Option
		run func(p *dispatch.Pool[time.Duration, time.Duration]) error
	}{
		"ProcessTimed": {dispatch.WithJobTimeout(0), func(p *dispatch.Pool[time.Duration, time.Duration]) error {
			_, err := p.ProcessTimed(context.Background(), time.Second, math.MaxInt64)
			return err
		}},
		"WithJobTimeout": {dispatch.WithJobTimeout(math.MaxInt64), func(p *dispatch.Pool[time.Duration, time.Duration]) error {
			_, err := p.Process(context.Background(), time.Second)
			return err
		}},
		"WithIdleTimeout": {dispatch.WithIdleTimeout(math.MaxInt64), func(p *dispatch.Pool[time.Duration, time.Duration]) error {
			_, err := p.Process(context.Background(), time.Second)
			return err
		}},
	}, func(t *testing.T, r struct {
		opt dispatch.Option
		run func(p *dispatch.Pool[time.Duration, time.Duration]) error
	}) {
		p := openPool(t, heedfulNap, r.opt)
		time.Sleep(time.Second) // a pool has an age
		require.NoError(t, r.run(p))
		time.Sleep(time.Second)
		require.Equal(t, 1, p.Stats().Workers)
	})
}

// The watch was written down while it could already run.
func TestASubmitMayMeetTheEndOfItsContext(t *testing.T) {
	p := openPool(t, double, dispatch.WithWorkers(2))
	for range 2000 { // under the race detector
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		for range 3 {
			if _, err := p.Submit(ctx, 1); err != nil {
				require.Equal(t, context.Canceled, err)
			}
		}
		cancel()
	}
}

// watchedContext is a context of the user's own that counts what watches it,
// and calls unwatch when a watch ends.
type watchedContext struct {
	context.Context
	done    chan struct{}
	watches atomic.Int64
	unwatch func()
}

func (c *watchedContext) Done() <-chan struct{} { return c.done }

func (c *watchedContext) AfterFunc(func()) func() bool {
	c.watches.Add(1)
	return sync.OnceValue(func() bool {
		c.unwatch()
		c.watches.Add(-1)
		return true
	})
}

// The pool ended while the one that had stopped a job was about to end its watch.
func TestNoWatchOfAContextIsLeftOnceDoneIsClosed(t *testing.T) {
	for range 200 { // Stop and the end of the pool race
		synctest.Test(t, func(t *testing.T) {
			p := openPool(t, double, dispatch.WithWorkers(1))
			ctx := &watchedContext{Context: context.Background(), done: make(chan struct{}), unwatch: func() {}}
			for range 20 {
				dispatch.Must(p.Submit(ctx, 1))
			}
			go p.Stop()
			<-p.Done()
			require.Zero(t, ctx.watches.Load())
		})
	}
}

// A worker that ended a watch counted as idle.
func TestAContextThatIsSlowToEndItsWatchHoldsUpNoOtherJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, double, dispatch.WithWorkers(2))
		ctx := &watchedContext{Context: context.Background(), done: make(chan struct{}), unwatch: func() { time.Sleep(time.Hour) }}
		dispatch.Must(p.Submit(ctx, 1))
		synctest.Wait()
		c := callingErr(func() error { _, err := p.TrySubmit(t.Context(), 1); return err })
		require.NoError(t, c.requireReturn(t))
		next := calling(func() (int, error) { return p.Process(t.Context(), 1) })
		require.NoError(t, next.requireReturn(t))
	})
}

// badContext is a context of the user's own that panics when it is asked.
type badContext struct{ context.Context }

func (badContext) Deadline() (time.Time, bool) { panic(errOdd) }

// The panic came on the worker's goroutine, where nothing contained it.
func TestAContextThatPanicsFailsItsJobAlone(t *testing.T) {
	for name, opts := range map[string][]dispatch.Option{
		"a job limit": {dispatch.WithJobTimeout(time.Hour)}, "a grace": {dispatch.WithJobTimeout(time.Hour), dispatch.WithGrace(time.Hour, 1)},
	} {
		t.Run(name, func(t *testing.T) {
			p := openPool(t, double, append(opts, dispatch.WithWorkers(1), dispatch.WithLogger(discard()))...)
			_, err := p.Process(badContext{t.Context()}, 1)
			var perr *dispatch.PanicError
			require.ErrorAs(t, err, &perr)
			require.ErrorIs(t, err, errOdd)
			out, err := p.Process(t.Context(), 1)
			require.NoError(t, err)
			require.Equal(t, 2, out)
		})
	}
}

// Handlers beyond a limit that had been lowered were charged to the queue.
func TestAnEmptyQueueHasRoomAfterAResizeDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(4), dispatch.WithQueue(2))
		for i := range 4 {
			dispatch.Must(p.Submit(t.Context(), i))
		}
		require.Len(t, h.entered(), 4)
		require.NoError(t, p.Resize(1))
		for range 2 {
			_, err := p.TrySubmit(t.Context(), 5)
			require.NoError(t, err)
		}
		_, err := p.TrySubmit(t.Context(), 5)
		require.Equal(t, dispatch.ErrQueueFull, err)
		h.letAll()
	})
}

// The queue had room for the limit that New was given, and no more.
func TestJobsThatResizeUpAndDownDoNotHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *dispatch.Pool[int, int]
		pass := make(chan struct{})
		p = openPool(t, func(_ context.Context, in int) (int, error) {
			if in == 0 {
				<-pass
				return in, p.Resize(100)
			}
			return in, p.Resize(1)
		}, dispatch.WithWorkers(1), dispatch.WithQueue(0))
		var calls []*call[int]
		for i := range 60 {
			calls = append(calls, calling(func() (int, error) { return p.Process(t.Context(), i) }))
		}
		close(pass)
		for i, c := range calls {
			require.NoError(t, c.requireReturn(t), "job %d", i)
		}
	})
}

// A job that the dispatcher had not brought to its worker yet was dropped.
func TestDropOldestDropsNoJobThatHasAPlace(t *testing.T) {
	for range 300 { // the second Submit and the dispatcher race
		synctest.Test(t, func(t *testing.T) {
			p := openPool(t, heedfulNap, dispatch.WithWorkers(1), dispatch.WithQueue(0), dispatch.WithOverflow(dispatch.DropOldest))
			first := dispatch.Must(p.Submit(t.Context(), time.Second))
			_, err := p.Submit(t.Context(), time.Second)
			require.Equal(t, dispatch.ErrQueueFull, err)
			_, err = first.Wait(t.Context())
			require.NoError(t, err)
		})
	}
}

// ErrClosed came in the place of outcomes, and canceled what they were of.
func TestAStreamYieldsWhatAClosingPoolHasAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(2), dispatch.WithQueue(0))
		c := calling(func() ([]yielded[int], error) { return collect(p.Stream(t.Context(), slices.Values(upTo(4)))), nil })
		closed := callingErr(p.Close)
		h.letAll()
		require.NoError(t, closed.requireReturn(t))
		require.NoError(t, c.requireReturn(t))
		require.Equal(t, []yielded[int]{{0, nil}, {1, nil}, {2, nil}, {3, nil}}, c.out)
	})
}

// What was canceled while it waited was kept until a worker came by.
func TestNothingIsKeptOfWhatWasCanceledWhileItWaited(t *testing.T) {
	type big [1 << 16]byte
	ctx := context.Background()
	inBubbles(t, map[string]func(p *dispatch.Pool[*big, int], in *big){
		"a job":   func(p *dispatch.Pool[*big, int], in *big) { dispatch.Must(p.Submit(ctx, in)).Cancel() },
		"a batch": func(p *dispatch.Pool[*big, int], in *big) { b := p.Batch(ctx); _ = b.Add(in); b.Cancel() },
	}, func(t *testing.T, run func(p *dispatch.Pool[*big, int], in *big)) {
		pass := make(chan struct{})
		p := openPool(t, func(context.Context, *big) (int, error) { <-pass; return 0, nil }, dispatch.WithWorkers(1))
		defer close(pass)
		dispatch.Must(p.Submit(ctx, nil))
		synctest.Wait()
		kept := func() weak.Pointer[big] {
			in := new(big)
			run(p, in)
			return weak.Make(in)
		}()
		synctest.Wait()
		runtime.GC()
		require.Nil(t, kept.Value())
	})
}

// A handler that asked for Done only after its job had been settled, and its
// caller's context ended since, was told the caller's reason.
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
