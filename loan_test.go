package dispatch_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

func TestABoundedBatchGoesOnOnTheSlotOfTheJobThatWaitsForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		var p *dispatch.Pool[int, int]
		p = openPool(t, func(ctx context.Context, in int) (int, error) {
			if in == 0 {
				_, err := p.BatchOf(ctx, []int{1, 2}, dispatch.MaxRunning(1)).Wait(ctx)
				return 0, err
			}
			return h.handle(ctx, in)
		}, dispatch.WithWorkers(2))
		dispatch.Must(p.Submit(t.Context(), 0))
		synctest.Wait()
		dispatch.Must(p.Submit(t.Context(), 3)) // has the slot of the first item next
		synctest.Wait()
		require.Equal(t, []int{1}, h.entered())
		h.let(1)
		synctest.Wait()
		require.ElementsMatch(t, []int{1, 2, 3}, h.entered())
		h.letAll()
	})
}

func TestACallThatFindsTheSlotOfItsJobInUseIsNotTurnedAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		var p *dispatch.Pool[int, int]
		p = openPool(t, func(ctx context.Context, in int) (int, error) {
			if in > 0 {
				return h.handle(ctx, in)
			}
			var errs [2]error
			var inner sync.WaitGroup
			for i := range errs {
				inner.Go(func() { _, errs[i] = p.Process(ctx, 1+i) })
			}
			inner.Wait()
			return 0, errors.Join(errs[:]...)
		}, dispatch.WithWorkers(1), dispatch.WithQueue(0), dispatch.WithMaxBlocked(0))
		outer := calling(func() (int, error) { return p.Process(t.Context(), 0) })
		synctest.Wait()
		require.Equal(t, 1, p.Stats().Blocked)
		h.letAll()
		require.NoError(t, outer.requireReturn(t))
	})
}
