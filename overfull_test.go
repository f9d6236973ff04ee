package dispatch_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

func TestAQueueThatHoldsMoreThanItsRoomTakesNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(4), dispatch.WithQueue(0))
		dispatch.Must(p.Submit(t.Context(), 0))
		synctest.Wait()
		p.Pause()
		for i := range 3 { // in the places of the workers that a pause keeps free
			dispatch.Must(p.TrySubmit(t.Context(), 1+i))
		}
		require.NoError(t, p.Resize(1))
		p.Resume()
		for range 3 {
			_, err := p.TrySubmit(t.Context(), 9)
			require.ErrorIs(t, err, dispatch.ErrQueueFull)
		}
		require.Equal(t, 3, p.Stats().Queued)
		h.letAll()
		require.NoError(t, p.Close())
		require.Equal(t, []int{0, 1, 2, 3}, h.entered())
	})
}
