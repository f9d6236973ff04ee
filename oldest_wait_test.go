package dispatch_test

import (
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
