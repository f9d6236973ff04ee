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

func TestABatchStartsAtOnceAndAddNeverBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1), dispatch.WithQueue(0))
		b := batchOf(t, p, upTo(10_000))
		require.Equal(t, []int{0}, h.entered())
		require.Equal(t, dispatch.Progress{Total: 10_000}, b.Progress())
		require.NoError(t, b.Add())
		h.let(1)
		require.Equal(t, dispatch.Progress{Total: 10_000, Done: 1}, b.Progress())
		b.Cancel()
		h.letAll()
	})
}

func TestABatchThatIsSealedTakesNoMore(t *testing.T) {
	for name, seal := range map[string]func(b *dispatch.Batch[int, int]) []error{
		"Close": func(b *dispatch.Batch[int, int]) []error { b.Close(); b.Close(); return []error{dispatch.ErrSealed} },
		"Wait": func(b *dispatch.Batch[int, int]) []error {
			_, _ = b.Wait(context.Background())
			return []error{dispatch.ErrSealed}
		},
		"All": func(b *dispatch.Batch[int, int]) []error {
			_ = slices.Collect(b.All())
			return []error{dispatch.ErrSealed}
		},
		"Cancel": func(b *dispatch.Batch[int, int]) []error {
			b.Cancel()
			return []error{dispatch.ErrSealed, context.Canceled}
		},
		"the end of the pool": func(b *dispatch.Batch[int, int]) []error {
			_ = dispatch.PoolOf(b).Close()
			return []error{dispatch.ErrClosed}
		},
		"Stop": func(b *dispatch.Batch[int, int]) []error {
			dispatch.PoolOf(b).Stop()
			return []error{dispatch.ErrClosed}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var entered notes[int]
			p := openPool(t, func(_ context.Context, in int) (int, error) { entered.add(in); return in, nil })
			b := batchOf(t, p, []int{1})
			require.NoError(t, p.Wait(t.Context()))
			wants := seal(b)
			for _, ins := range [][]int{{2, 3}, nil} {
				err := b.Add(ins...)
				for _, want := range wants {
					require.ErrorIs(t, err, want)
				}
			}
			require.NoError(t, p.Close())
			require.Equal(t, []int{1}, entered.all())
			require.Equal(t, 1, b.Progress().Total)
		})
	}
}

func TestAnAddAfterTheContextsEndNamesItsCause(t *testing.T) {
	p := openPool(t, double)
	b := p.Batch(canceledContext(t, errCause))
	err := b.Add(1)
	require.ErrorIs(t, err, dispatch.ErrSealed)
	require.ErrorIs(t, err, errCause)
	require.Zero(t, p.Stats().Submitted)
}

func TestABatchOnAnEndedPoolIsEmptyAndOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, double)
		require.NoError(t, p.Close())
		b := p.Batch(t.Context())
		require.Equal(t, dispatch.ErrClosed, b.Add(1))
		_, open := <-b.Results()
		require.False(t, open)
		outs, err := b.Wait(t.Context())
		require.NoError(t, err)
		require.Empty(t, outs)
		require.Empty(t, slices.Collect(b.All()))
	})
}

func TestWaitGivesOutputsInOrderAndJoinsTheErrors(t *testing.T) {
	p := openPool(t, failOdd)
	b := batchOf(t, p, []int{4, 1, 6, 3})
	for range 2 { // as often as it is asked
		outs, err := b.Wait(t.Context())
		require.Equal(t, []int{4, 0, 6, 0}, outs)
		joined, ok := err.(interface{ Unwrap() []error })
		require.True(t, ok)
		require.Equal(t, []error{&dispatch.ItemError{1, errOdd}, &dispatch.ItemError{3, errOdd}}, joined.Unwrap())
		require.ErrorIs(t, err, errOdd)
	}
	require.Equal(t, dispatch.Progress{Total: 4, Done: 4, Failed: 2}, b.Progress())
	_, err := batchOf(t, p, []int{2}).Wait(t.Context())
	require.NoError(t, err)
}

func TestAWaitThatGivesUpLeavesTheBatchGoing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, nap)
		b := batchOf(t, p, []time.Duration{time.Minute})
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errCause)
		defer cancel()
		c := calling(func() ([]time.Duration, error) { return b.Wait(ctx) })
		require.Equal(t, errCause, c.requireReturnAfter(t, time.Second))
		require.Nil(t, c.out)
		c = calling(func() ([]time.Duration, error) { return b.Wait(t.Context()) })
		require.NoError(t, c.requireReturnAfter(t, time.Minute-time.Second))
		for range 50 {
			outs, err := b.Wait(ctx)
			require.NoError(t, err, "a batch that is over answers whatever ctx says")
			require.Len(t, outs, 1)
		}
	})
}

func TestAllGivesEachAsSoonAsItsTurnAndItsOutcomeHaveCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, nap, dispatch.WithWorkers(3))
		ins := []time.Duration{3 * time.Second, time.Second, 2 * time.Second, 4 * time.Second}
		b := batchOf(t, p, ins)
		start := time.Now()
		wants := []time.Duration{3, 3, 3, 5} // the last begins when the second is done
		i := 0
		for r := range b.All() {
			require.Equal(t, dispatch.Result[time.Duration, time.Duration]{Index: i, In: ins[i], Out: ins[i]}, r)
			require.Equal(t, wants[i]*time.Second, time.Since(start))
			i++
		}
		require.Equal(t, 4, i)
		require.Len(t, slices.Collect(b.All()), 4, "a second loop has them all at once")
	})
}

func TestABreakOutOfAllCancelsTheRest(t *testing.T) {
	inBubbles(t, map[string]func(b *dispatch.Batch[int, int]){
		"break": func(b *dispatch.Batch[int, int]) {
			for range b.All() {
				break
			}
		},
		"panic": func(b *dispatch.Batch[int, int]) {
			defer func() { _ = recover() }()
			for range b.All() {
				panic("boo")
			}
		},
	}, func(t *testing.T, leave func(b *dispatch.Batch[int, int])) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(2))
		b := batchOf(t, p, upTo(10))
		c := callingErr(func() error { leave(b); return nil })
		h.let(1)
		if !c.returned() {
			h.let(1) // the first was that of item 1
		}
		require.NoError(t, c.requireReturn(t))
		n := len(h.entered())
		h.letAll()
		require.Len(t, h.entered(), n, "nothing more starts")
		require.Equal(t, 10, b.Progress().Done)
		_, err := b.Wait(t.Context())
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestCancelEndsWhatHasNotStartedAndTellsWhatRuns(t *testing.T) {
	type end struct {
		cancel func(b *dispatch.Batch[int, error], ctx context.CancelCauseFunc)
		cause  error
	}
	inBubbles(t, map[string]end{
		"Cancel":              {func(b *dispatch.Batch[int, error], _ context.CancelCauseFunc) { b.Cancel(); b.Cancel() }, context.Canceled},
		"the context":         {func(_ *dispatch.Batch[int, error], cancel context.CancelCauseFunc) { cancel(errCause) }, errCause},
		"the end of the pool": {func(b *dispatch.Batch[int, error], _ context.CancelCauseFunc) { dispatch.PoolOf(b).Stop() }, dispatch.ErrStopped},
	}, func(t *testing.T, r end) {
		p := openPool(t, func(ctx context.Context, in int) (error, error) {
			<-ctx.Done()
			time.Sleep(time.Second)
			if in == 0 {
				return context.Cause(ctx), nil // it has done its work after all
			}
			return nil, ctx.Err()
		}, dispatch.WithWorkers(2))
		ctx, cancel := context.WithCancelCause(t.Context())
		b := p.Batch(ctx)
		require.NoError(t, b.Add(upTo(5)...))
		results := b.Results()
		synctest.Wait()
		r.cancel(b, cancel)
		synctest.Wait()
		require.Equal(t, 3, b.Progress().Done, "at once")
		outs, err := b.Wait(t.Context())
		require.Equal(t, r.cause, outs[0])
		require.Equal(t, []error{r.cause}, err.(interface{ Unwrap() []error }).Unwrap(), "once for all")
		n := 0
		for result := range results {
			n++
			require.Equal(t, result.Index > 0, result.Err == r.cause, "for each") //nolint:errorlint // the cause as it is
		}
		require.Equal(t, 5, n)
		cancel(nil)
	})
}

func TestOnceABatchIsOverItsCancelChangesNothing(t *testing.T) {
	p := openPool(t, double)
	ctx, cancel := context.WithCancel(t.Context())
	b := p.Batch(ctx)
	require.NoError(t, b.Add(1, 2))
	_, err := b.Wait(t.Context())
	require.NoError(t, err)
	cancel()
	b.Cancel()
	outs, err := b.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, []int{2, 4}, outs)
	require.ErrorIs(t, b.Add(3), dispatch.ErrSealed)
}

func TestTheFirstFailureStopsABatchThatIsToStopOnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var entered notes[int]
		p := openPool(t, func(ctx context.Context, in int) (int, error) {
			entered.add(in)
			return failOdd(ctx, in)
		}, dispatch.WithWorkers(1))
		b := batchOf(t, p, []int{2, 4, 5, 6, 7}, dispatch.StopOnError())
		outs, err := b.Wait(t.Context())
		require.Equal(t, []int{2, 4, 0, 0, 0}, outs)
		require.Equal(t, []error{&dispatch.ItemError{2, errOdd}}, err.(interface{ Unwrap() []error }).Unwrap())
		for r := range b.All() {
			require.Equal(t, r.Index > 2, errors.Is(r.Err, dispatch.ErrHalted))
		}
		require.Equal(t, []int{2, 4, 5}, entered.all())
	})
}

func TestTheFirstSuccessStopsABatchThatIsToStopOnSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, func(ctx context.Context, in time.Duration) (time.Duration, error) {
			d, err := heedfulNap(ctx, in)
			if d == time.Second {
				return 0, errOdd
			}
			return d, err
		}, dispatch.WithWorkers(3))
		b := batchOf(t, p, []time.Duration{time.Second, 2 * time.Second, time.Hour, time.Hour}, dispatch.StopOnSuccess())
		c := calling(func() ([]time.Duration, error) { return b.Wait(t.Context()) })
		err := c.requireReturnAfter(t, 2*time.Second)
		require.Equal(t, []time.Duration{0, 2 * time.Second, 0, 0}, c.out)
		require.Equal(t, []error{&dispatch.ItemError{0, errOdd}}, err.(interface{ Unwrap() []error }).Unwrap())
		for r := range b.All() {
			require.Equal(t, r.Index > 1, errors.Is(r.Err, dispatch.ErrHalted))
		}
	})
}

func TestABatchTakesTurnsItemByItem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1))
		batchOf(t, p, []int{10, 11, 12, 13, 14, 15})
		synctest.Wait()
		batchOf(t, p, []int{20, 21})
		for i := range 3 {
			dispatch.Must(p.Submit(t.Context(), i))
		}
		h.letAll()
		require.Equal(t, []int{10, 0, 20, 1, 11, 2, 21, 12, 13, 14, 15}, h.entered())
	})
}

func TestTheItemsOfABatchDoNotStandInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1), dispatch.WithQueue(2))
		b := batchOf(t, p, upTo(100))
		synctest.Wait()
		for i := range 2 {
			_, err := p.TrySubmit(t.Context(), i)
			require.NoError(t, err)
		}
		_, err := p.TrySubmit(t.Context(), 0)
		require.Equal(t, dispatch.ErrQueueFull, err)
		b.Cancel()
		h.letAll()
	})
}

// A worker that found a chunk empty looked next whether there is another, and went on to
// that: what had been added to the first in between was claimed by nobody, and the batch
// never ended. It takes two calls of Add between two loads of one worker's, so the test
// is of the claims alone.
func TestWhatIsAddedWhileAWorkerLooksForMoreIsNotPassedOver(t *testing.T) {
	for range 50_000 / slow {
		require.Equal(t, 2, dispatch.ClaimsAsChunksCome())
	}
}
