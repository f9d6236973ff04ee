package dispatch_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

func canceledContext(t *testing.T, cause error) context.Context {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	return ctx
}

var errCause = errors.New("the cause")

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
