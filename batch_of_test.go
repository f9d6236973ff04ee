package dispatch_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// BatchOf, and Done of a batch.

func TestBatchOfCopiesItsInputsAndIsSealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1), dispatch.WithQueue(0))
		ins := upTo(5)
		b := p.BatchOf(t.Context(), ins)
		clear(ins)
		require.Equal(t, dispatch.ErrSealed, b.Add(9))
		require.Equal(t, dispatch.Progress{Total: 5}, b.Progress())
		require.Equal(t, []int{0}, h.entered(), "it starts at once")
		h.letAll()
		outs, err := b.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, upTo(5), outs)
		require.Equal(t, uint64(5), p.Stats().Submitted)
	})
}

func TestABatchOfNothingIsOver(t *testing.T) {
	p := openPool(t, double)
	for _, ins := range [][]int{nil, {}} {
		b := p.BatchOf(t.Context(), ins)
		requireSoon(t, b.Done(), "an empty batch")
		outs, err := b.Wait(t.Context())
		require.NoError(t, err)
		require.Empty(t, outs)
	}
}

func TestABatchOfThatIsNotAcceptedHasThatAsItsOutcomes(t *testing.T) {
	inBubbles(t, map[string]struct {
		refuse func(p *dispatch.Pool[int, int], cancel context.CancelCauseFunc)
		want   error
	}{
		"a closed pool":         {func(p *dispatch.Pool[int, int], _ context.CancelCauseFunc) { _ = p.Close() }, dispatch.ErrClosed},
		"a stopped pool":        {func(p *dispatch.Pool[int, int], _ context.CancelCauseFunc) { p.Stop() }, dispatch.ErrClosed},
		"a pool that drains":    {func(p *dispatch.Pool[int, int], _ context.CancelCauseFunc) { p.Drain() }, dispatch.ErrClosed},
		"a context that's done": {func(_ *dispatch.Pool[int, int], cancel context.CancelCauseFunc) { cancel(errCause) }, errCause},
	}, func(t *testing.T, r struct {
		refuse func(p *dispatch.Pool[int, int], cancel context.CancelCauseFunc)
		want   error
	}) {
		var entered notes[int]
		p := openPool(t, func(_ context.Context, in int) (int, error) { entered.add(in); return in, nil })
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		r.refuse(p, cancel)
		for _, n := range []int{3, 500} {
			var told notes[dispatch.Progress]
			b := p.BatchOf(ctx, upTo(n), dispatch.OnProgress(told.add))
			<-b.Done()
			require.Equal(t, dispatch.Progress{Total: n, Done: n, Failed: n}, b.Progress())
			all := told.all()
			require.NotEmpty(t, all, "OnProgress is told")
			require.Equal(t, b.Progress(), all[len(all)-1])
			for range 2 {
				outs, err := b.Wait(context.Background())
				require.Equal(t, make([]int, n), outs)
				joined, ok := err.(interface{ Unwrap() []error })
				require.True(t, ok, "%v", err)
				require.Equal(t, []error{r.want}, joined.Unwrap(), "once")
			}
			for _, results := range []func() []dispatch.Result[int, int]{
				func() []dispatch.Result[int, int] { return slices.Collect(b.All()) },
				func() (all []dispatch.Result[int, int]) {
					for r := range b.Results() {
						all = append(all, r)
					}
					return all
				},
			} {
				all := results()
				require.Len(t, all, n)
				for i, res := range all {
					require.Equal(t, dispatch.Result[int, int]{Index: i, In: i, Err: r.want}, res)
				}
			}
		}
		require.Zero(t, p.Stats().Submitted)
		require.Empty(t, entered.all())
	})
}

func TestBatchOfRefusesWhatIsWrong(t *testing.T) {
	p := openPool(t, double)
	var none context.Context
	require.PanicsWithValue(t, "dispatch: nil context given to Pool.BatchOf", func() { p.BatchOf(none, nil) })
	require.PanicsWithValue(t, "dispatch: BatchOf: option 1 is nil", func() { p.BatchOf(t.Context(), nil, dispatch.StopOnError(), nil) })
	for _, n := range []int{0, -2} {
		require.PanicsWithValue(t, fmt.Sprintf("dispatch: MaxRunning(%d): must be at least 1", n), func() { dispatch.MaxRunning(n) })
		require.PanicsWithValue(t, fmt.Sprintf("dispatch: MaxPending(%d): must be at least 1", n), func() { dispatch.MaxPending(n) })
	}
}

func TestBatchOfTakesNoNoticeOfMaxPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1))
		b := p.BatchOf(t.Context(), upTo(10), dispatch.MaxPending(1))
		require.Equal(t, 10, b.Progress().Total)
		h.letAll()
	})
}

func TestDoneIsClosedWhenTheBatchIsOverAndDoesNotSealIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(2))
		b := batchOf(t, p, upTo(2))
		done := b.Done()
		require.Equal(t, done, b.Done(), "it is one channel")
		h.let(2)
		require.False(t, isClosed(done), "nobody has sealed it")
		require.NoError(t, b.Add(2))
		b.Close()
		synctest.Wait()
		require.False(t, isClosed(done), "one input has no outcome")
		h.let(1)
		require.True(t, isClosed(done))
		h.letAll()
	})
}

func TestDoneIsClosedAfterTheLastCallOfOnProgressHasReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, double)
		var returned atomic.Int64
		b := p.BatchOf(t.Context(), upTo(3), dispatch.OnProgress(func(now dispatch.Progress) {
			time.Sleep(time.Minute)
			if now.Done == 3 {
				returned.Add(1)
			}
		}))
		<-b.Done()
		require.Equal(t, int64(1), returned.Load())
	})
}

func TestTheEndOfThePoolOrTheContextSealsABatchWhoseDoneIsAwaited(t *testing.T) {
	for _, n := range []int{0, 3} {
		inBubbles(t, map[string]func(p *dispatch.Pool[int, int], cancel context.CancelCauseFunc){
			"the context": func(_ *dispatch.Pool[int, int], cancel context.CancelCauseFunc) { cancel(errCause) },
			"Close":       func(p *dispatch.Pool[int, int], _ context.CancelCauseFunc) { _ = p.Close() },
			"Drain":       func(p *dispatch.Pool[int, int], _ context.CancelCauseFunc) { p.Drain() },
			"Stop":        func(p *dispatch.Pool[int, int], _ context.CancelCauseFunc) { p.Stop() },
		}, func(t *testing.T, end func(p *dispatch.Pool[int, int], cancel context.CancelCauseFunc)) {
			p := openPool(t, double)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			b := p.Batch(ctx)
			require.NoError(t, b.Add(upTo(n)...))
			done := b.Done()
			time.Sleep(time.Hour)
			require.False(t, isClosed(done))
			end(p, cancel)
			synctest.Wait()
			require.True(t, isClosed(done))
			require.Error(t, b.Add(1))
		})
	}
}

func TestDoneOfABatchOnAPoolThatHasEndedIsClosed(t *testing.T) {
	p := openPool(t, double)
	before := p.Batch(t.Context())
	require.NoError(t, p.Close())
	requireSoon(t, before.Done(), "Done of a batch made before")
	requireSoon(t, p.Batch(t.Context()).Done(), "Done of one made after")
}
