package dispatch_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

func TestAResolvedFutureAnswersWhateverTheContextSays(t *testing.T) {
	p := openPool(t, failOdd)
	ctx := canceledContext(t, errCause)
	f := dispatch.Must(p.Submit(t.Context(), 4))
	<-f.Done()
	for range 100 {
		out, err := f.Wait(ctx)
		require.NoError(t, err)
		require.Equal(t, 4, out)
	}
	f = dispatch.Must(p.Submit(t.Context(), 3))
	<-f.Done()
	_, err := f.Wait(ctx)
	require.Equal(t, errOdd, err)
}

func TestAWaitWhoseContextEndsGivesTheCauseAndTheJobGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, nap)
		f := dispatch.Must(p.Submit(t.Context(), time.Hour))
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errCause)
		defer cancel()
		c := calling(func() (time.Duration, error) { return f.Wait(ctx) })
		require.Equal(t, errCause, c.requireReturnAfter(t, time.Second))
		d, err := f.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, time.Hour, d)
	})
}

func TestAllThatWaitForAFutureGetTheSameOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle)
		f := dispatch.Must(p.Submit(t.Context(), 7))
		ctx, cancel := context.WithCancelCause(t.Context())
		first := calling(func() (int, error) { return f.Wait(ctx) })
		others := make([]*call[int], 5)
		for i := range others {
			others[i] = calling(func() (int, error) { return f.Wait(t.Context()) })
		}
		last := calling(func() (int, error) { return f.Wait(ctx) })
		done := f.Done()
		cancel(errCause) // neither the first nor the last takes the others along
		require.Equal(t, errCause, first.requireReturn(t))
		require.Equal(t, errCause, last.requireReturn(t))
		for _, c := range others {
			require.False(t, c.returned())
		}
		h.letAll()
		for _, c := range others {
			require.NoError(t, c.requireReturn(t))
			require.Equal(t, 7, c.out)
		}
		<-done
	})
}

func TestDoneIsClosedWithTheOutcomeWheneverItWasAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle)
		f := dispatch.Must(p.Submit(t.Context(), 7))
		before := f.Done()
		require.Equal(t, before, f.Done())
		synctest.Wait()
		select {
		case <-before:
			require.Fail(t, "the job is running")
		default:
		}
		h.letAll()
		<-before
		<-f.Done()

		f = dispatch.Must(p.Submit(t.Context(), 8))
		require.NoError(t, p.Wait(t.Context()))
		select {
		case <-f.Done(): // asked for afterwards
		default:
			require.Fail(t, "the job is over")
		}
	})
}

func TestCancelIsTrueForTheCallThatDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1))
		running, queued := dispatch.Must(p.Submit(t.Context(), 1)), dispatch.Must(p.Submit(t.Context(), 2))
		require.Equal(t, []int{1}, h.entered())
		for _, f := range []*dispatch.Future[int]{queued, running} {
			require.True(t, f.Cancel())
			require.False(t, f.Cancel())
			_, err := f.Wait(t.Context())
			require.Equal(t, context.Canceled, err)
		}
		h.letAll()
		done := dispatch.Must(p.Submit(t.Context(), 3))
		out, err := done.Wait(t.Context())
		require.NoError(t, err)
		require.False(t, done.Cancel())
		again, err := done.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, out, again)
		_, err = running.Wait(t.Context())
		require.Equal(t, context.Canceled, err, "what its handler returned later is dropped")
		require.Equal(t, []int{1, 3}, h.entered(), "what was canceled in the queue never runs")
	})
}

func TestOfManyCancelsOneDecides(t *testing.T) {
	p := openPool(t, heedfulNap)
	for range 100 {
		f := dispatch.Must(p.Submit(t.Context(), time.Hour))
		trues := make(chan bool, 8)
		for range cap(trues) {
			go func() { trues <- f.Cancel() }()
		}
		n := 0
		for range cap(trues) {
			if <-trues {
				n++
			}
		}
		require.Equal(t, 1, n)
	}
}

func TestACancelOfARunningJobAnswersAtOnceAndKeepsTheWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, nap, dispatch.WithWorkers(1))
		f := dispatch.Must(p.Submit(t.Context(), time.Hour))
		next := dispatch.Must(p.Submit(t.Context(), time.Minute))
		waits := calling(func() (time.Duration, error) { return f.Wait(t.Context()) })
		require.True(t, f.Cancel())
		require.Equal(t, context.Canceled, waits.requireReturn(t))
		c := calling(func() (time.Duration, error) { return next.Wait(t.Context()) })
		require.NoError(t, c.requireReturnAfter(t, time.Hour+time.Minute))
	})
}

func TestTheContextOfASubmitEndsTheJobLater(t *testing.T) {
	inBubbles(t, map[string]int{"running": 1, "queued": 2}, func(t *testing.T, n int) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1))
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errCause)
		defer cancel()
		var f *dispatch.Future[int]
		for i := range n {
			f = dispatch.Must(p.Submit(ctx, i))
		}
		c := calling(func() (int, error) { return f.Wait(t.Context()) })
		require.Equal(t, errCause, c.requireReturnAfter(t, time.Second))
		require.Equal(t, []int{0}, h.entered())
		h.letAll()
	})
}

func TestANilContextPanicsWithTheNameOfTheMethod(t *testing.T) {
	p := openPool(t, double)
	f := dispatch.Must(p.Submit(t.Context(), 1))
	for method, use := range map[string]func(ctx context.Context){
		"Pool.Process":      func(ctx context.Context) { _, _ = p.Process(ctx, 1) },
		"Pool.ProcessTimed": func(ctx context.Context) { _, _ = p.ProcessTimed(ctx, 1, -1) },
		"Pool.Submit":       func(ctx context.Context) { _, _ = p.Submit(ctx, 1) },
		"Pool.TrySubmit":    func(ctx context.Context) { _, _ = p.TrySubmit(ctx, 1) },
		"Pool.Map":          func(ctx context.Context) { _, _ = p.Map(ctx, nil) },
		"Pool.Stream":       func(ctx context.Context) { _ = p.Stream(ctx, slices.Values([]int{})) },
		"Pool.Batch":        func(ctx context.Context) { p.Batch(ctx) },
		"Pool.Wait":         func(ctx context.Context) { _ = p.Wait(ctx) },
		"Pool.Shutdown":     func(ctx context.Context) { _ = p.Shutdown(ctx) },
		"Future.Wait":       func(ctx context.Context) { _, _ = f.Wait(ctx) },
		"Batch.Wait":        func(ctx context.Context) { _, _ = p.Batch(t.Context()).Wait(ctx) },
	} {
		t.Run(method, func(t *testing.T) {
			require.PanicsWithValue(t, "dispatch: nil context given to "+method, func() { use(nil) })
		})
	}
	require.Equal(t, dispatch.Running, p.Stats().State, "a wrong call has no effect")
}

func TestAFutureThatNobodyReadsBlocksNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, double, dispatch.WithWorkers(1), dispatch.WithQueue(1))
		for i := range 100 {
			dispatch.Must(p.Submit(t.Context(), i))
		}
		require.NoError(t, p.Close())
		require.Equal(t, uint64(100), p.Stats().Succeeded)
	})
}

// Regression: a worker that reached the job before the context's callback did ran the job.
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

// An error that is the cause of the handler's context says that it was canceled,
// not that it failed.
func TestAHandlerThatReturnsTheCauseOfItsContextHasNotFailed(t *testing.T) {
	inBubbles(t, map[string]func(p *dispatch.Pool[int, int], ctx context.Context) error{
		"Batch":  func(p *dispatch.Pool[int, int], ctx context.Context) error { return calls["Batch"](p, ctx, 1) },
		"Submit": func(p *dispatch.Pool[int, int], ctx context.Context) error { return calls["Submit"](p, ctx, 1) },
		"Map":    func(p *dispatch.Pool[int, int], ctx context.Context) error { return calls["Map"](p, ctx, 1) },
		"a wrapped cause": func(p *dispatch.Pool[int, int], ctx context.Context) error {
			return calls["Batch"](p, ctx, 2)
		},
	}, func(t *testing.T, call func(p *dispatch.Pool[int, int], ctx context.Context) error) {
		ctx, cancel := context.WithCancelCause(t.Context())
		p := dispatch.Must(dispatch.New(func(ctx context.Context, in int) (int, error) {
			<-ctx.Done()
			if in == 2 {
				return 0, fmt.Errorf("gave up: %w", context.Cause(ctx))
			}
			return 0, context.Cause(ctx)
		}, dispatch.WithWorkers(1)))
		time.AfterFunc(time.Second, func() { cancel(errUser) })
		err := call(p, ctx)
		require.ErrorIs(t, err, errUser)
		require.NoError(t, p.Close())
		s := p.Stats()
		require.Equal(t, [2]uint64{s.Submitted, 0}, [2]uint64{s.Canceled, s.Failed})
	})
}
