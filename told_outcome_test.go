package dispatch_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

func TestTheOutcomeOfAnInputStandsThatAHookWasToldWhichEndsItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told notes[dispatch.Job]
		var b *dispatch.Batch[int, int]
		p := openPool(t, func(context.Context, int) (int, error) { return 0, errUser }, dispatch.WithJobTimeout(time.Second),
			dispatch.WithHooks(dispatch.Hooks{Done: func(_ context.Context, j dispatch.Job) {
				told.add(j)
				time.Sleep(time.Minute) // past the limit of the job
				b.Cancel()
				runtime.Goexit()
			}}))
		b = p.Batch(t.Context())
		require.NoError(t, b.Add(1))
		_, err := b.Wait(t.Context())
		require.ErrorIs(t, err, errUser)
		require.NoError(t, p.Close())
		require.Len(t, told.all(), 1)
		require.Equal(t, dispatch.Failed, told.all()[0].Outcome)
		require.EqualValues(t, 1, p.Stats().Failed)
	})
}
