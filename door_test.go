package dispatch

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// withOpenDoor runs f in a bubble, with a pool of one worker and a queue of
// three, whose worker has job 0 and whose door has jobs 1 and 2.
func withOpenDoor(t *testing.T, f func(t *testing.T, p *Pool[int, int], h *held, futures []*Future[int])) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, WithWorkers(1), WithQueue(3), WithOverflow(Reject))
		var futures []*Future[int]
		for i := range 3 {
			futures = append(futures, Must(p.Submit(context.Background(), i)))
			require.Equal(t, []int{0}, h.entered()[:1])
		}
		require.Equal(t, 1, p.door.came) // the second job went to the queue, and opened it
		require.Equal(t, 1, p.queued)
		f(t, p, h, futures)
	})
}

func TestAJobLeftAtTheDoorTakesAPlaceInTheQueue(t *testing.T) {
	withOpenDoor(t, func(t *testing.T, p *Pool[int, int], h *held, _ []*Future[int]) {
		Must(p.Submit(context.Background(), 3))
		_, err := p.Submit(context.Background(), 4)
		require.ErrorIs(t, err, ErrQueueFull)
		h.letAll()
		require.NoError(t, p.Wait(context.Background()))
		require.Equal(t, []int{0, 1, 2, 3}, h.entered())
	})
}

func TestAJobLeftAtTheDoorIsCountedAsQueued(t *testing.T) {
	withOpenDoor(t, func(t *testing.T, p *Pool[int, int], h *held, _ []*Future[int]) {
		s := p.Stats()
		require.Equal(t, 2, s.Queued)
		require.Equal(t, uint64(3), s.Submitted)
		h.letAll()
	})
}

func TestAJobLeftAtTheDoorCanBeCanceled(t *testing.T) {
	withOpenDoor(t, func(t *testing.T, p *Pool[int, int], h *held, futures []*Future[int]) {
		require.True(t, futures[2].Cancel())
		_, err := futures[2].Wait(context.Background())
		require.ErrorIs(t, err, context.Canceled)
		Must(p.Submit(context.Background(), 3)) // in its room
		h.letAll()
		require.NoError(t, p.Wait(context.Background()))
		require.Equal(t, []int{0, 1, 3}, h.entered())
	})
}

func TestStopGivesBackWhatWasLeftAtTheDoor(t *testing.T) {
	withOpenDoor(t, func(t *testing.T, p *Pool[int, int], h *held, futures []*Future[int]) {
		require.Equal(t, []int{1, 2}, p.Stop())
		_, err := futures[2].Wait(context.Background())
		require.ErrorIs(t, err, ErrStopped)
		h.letAll()
	})
}

func TestCloseRunsWhatWasLeftAtTheDoor(t *testing.T) {
	withOpenDoor(t, func(t *testing.T, p *Pool[int, int], h *held, _ []*Future[int]) {
		closed := callingErr(p.Close)
		_, err := p.Submit(context.Background(), 3)
		require.ErrorIs(t, err, ErrClosed)
		h.letAll()
		require.True(t, closed.returned())
		require.Equal(t, []int{0, 1, 2}, h.entered())
	})
}

func TestResizeStartsWhatWasLeftAtTheDoor(t *testing.T) {
	withOpenDoor(t, func(t *testing.T, p *Pool[int, int], h *held, _ []*Future[int]) {
		require.NoError(t, p.Resize(3))
		require.ElementsMatch(t, []int{0, 1, 2}, h.entered())
		h.letAll()
	})
}

func TestABatchTakesTurnsWithWhatWasLeftAtTheDoor(t *testing.T) {
	withOpenDoor(t, func(t *testing.T, p *Pool[int, int], h *held, _ []*Future[int]) {
		b := p.Batch(context.Background())
		require.NoError(t, b.Add(10, 11))
		for range 5 {
			h.let(1)
		}
		require.Equal(t, []int{0, 10, 1, 11, 2}, h.entered())
		b.Close()
	})
}

func TestTheDoorIsShutWhenAPlaceIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, WithWorkers(2))
		for i := range 4 {
			Must(p.Submit(context.Background(), i))
			synctest.Wait()
		}
		require.True(t, p.door.open.Load())
		h.let(2)
		require.ElementsMatch(t, []int{0, 1, 2, 3}, h.entered())
		h.let(1) // nothing is queued: one of the two places stays free
		require.False(t, p.door.open.Load())
		Must(p.Submit(context.Background(), 4))
		require.Len(t, h.entered(), 5)
		h.letAll()
	})
}

func TestWaitWaitsForWhatWasLeftAtTheDoorBehindAStray(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		h := newHeld()
		p := openPool(t, h.handle, WithWorkers(1), WithGrace(time.Second, 1))
		futures := make([]*Future[int], 3)
		for i := range futures {
			futures[i] = Must(p.Submit(ctx, i))
			synctest.Wait()
		}
		h.let(1) // 1 runs, nothing is in the queue, 2 is at the door
		require.Equal(t, 1, p.door.came)
		waiting := callingErr(func() error { return p.Wait(ctx) })
		require.True(t, futures[1].Cancel())
		time.Sleep(time.Second)
		require.Equal(t, []int{0, 1, 2}, h.entered(), "1 is a stray")
		require.False(t, waiting.returned(), "2 runs")
		h.letAll()
		require.NoError(t, waiting.requireReturn(t))
	})
}
