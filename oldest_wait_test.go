package dispatch_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

func TestOldestWaitKnowsWhatCameInTheMomentInWhichThePoolWasMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithTelemetry(), dispatch.WithWorkers(1))
		dispatch.Must(p.Submit(t.Context(), 1))
		dispatch.Must(p.Submit(t.Context(), 2))
		time.Sleep(time.Second)
		require.Equal(t, time.Second, p.Stats().OldestWait)
		h.letAll()
	})
}

func TestOldestWaitKnowsTheInputsOfABatchWhileThePoolDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithTelemetry(), dispatch.WithWorkers(1))
		time.Sleep(time.Second)
		p.BatchOf(t.Context(), []int{1, 2})
		p.Drain()
		time.Sleep(time.Minute)
		require.Equal(t, time.Minute, p.Stats().OldestWait)
		h.letAll()
	})
}

func TestTheWaitOfAnInputBeginsWithTheCallOfAddThatWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told notes[dispatch.Job]
		p := openPool(t, nap, dispatch.WithHooks(dispatch.Hooks{Done: func(_ context.Context, j dispatch.Job) { told.add(j) }}))
		begin := time.Now()
		b := p.Batch(t.Context(), dispatch.MaxPending(1))
		require.NoError(t, b.Add(time.Minute, time.Minute))
		_, err := b.Wait(t.Context())
		require.NoError(t, err)
		require.Len(t, told.all(), 2)
		for i, j := range told.all() {
			require.Equal(t, begin, j.Submitted)
			require.Equal(t, time.Duration(i)*time.Minute, j.Wait)
		}
	})
}
