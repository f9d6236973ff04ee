package dispatch_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

func TestUnlimitedWorkersStartEveryJobAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(dispatch.Unlimited), dispatch.WithQueue(0))
		for i := range 3000 {
			_, err := p.TrySubmit(t.Context(), i)
			require.NoError(t, err)
		}
		synctest.Wait()
		require.Equal(t, 3000, p.Stats().Running)
		h.letAll()
		synctest.Wait()
		require.Equal(t, 3000, p.Stats().Idle)
		_, err := p.Process(t.Context(), 1)
		require.NoError(t, err)
		require.Equal(t, 3000, p.Stats().Workers, "an idle one is used again")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.LessOrEqual(t, p.Stats().Workers, 1)
	})
}

func TestResizeToUnlimitedTakesAllThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1), dispatch.WithQueue(1))
		for i := range 50 {
			calling(func() (int, error) { return p.Process(t.Context(), i) })
		}
		require.NoError(t, p.Resize(dispatch.Unlimited))
		require.Len(t, h.entered(), 50)
		require.Error(t, p.Resize(0))
		require.ErrorContains(t, p.Resize(-4), "-4")
		require.Equal(t, 50, p.Stats().Running)
		h.letAll()
	})
}

// Regression: handlers beyond a lowered limit counted against the queue.
func TestAnEmptyQueueHasRoomAfterAResizeDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(4), dispatch.WithQueue(2))
		for i := range 4 {
			dispatch.Must(p.Submit(t.Context(), i))
		}
		require.Len(t, h.entered(), 4)
		require.NoError(t, p.Resize(1))
		for range 2 {
			_, err := p.TrySubmit(t.Context(), 5)
			require.NoError(t, err)
		}
		_, err := p.TrySubmit(t.Context(), 5)
		require.Equal(t, dispatch.ErrQueueFull, err)
		h.letAll()
	})
}

// Regression: the queue only ever had room according to the limit that New was given.
func TestJobsThatResizeUpAndDownDoNotHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *dispatch.Pool[int, int]
		pass := make(chan struct{})
		p = openPool(t, func(_ context.Context, in int) (int, error) {
			if in == 0 {
				<-pass
				return in, p.Resize(100)
			}
			return in, p.Resize(1)
		}, dispatch.WithWorkers(1), dispatch.WithQueue(0))
		var calls []*call[int]
		for i := range 60 {
			calls = append(calls, calling(func() (int, error) { return p.Process(t.Context(), i) }))
		}
		close(pass)
		for i, c := range calls {
			require.NoError(t, c.requireReturn(t), "job %d", i)
		}
	})
}

func TestShrinkingByResizeClosesTheWorkersTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log notes[string]
		h := newHeld()
		p := openWorkers(t, toolbox(&log, workerOf{process: h.handle}), dispatch.WithWorkers(4))
		closed := func() (n int) {
			synctest.Wait()
			for _, note := range log.all() {
				if strings.HasPrefix(note, "close ") {
					n++
				}
			}
			return n
		}
		for i := range 4 {
			dispatch.Must(p.Submit(t.Context(), i))
		}
		require.Len(t, h.entered(), 4)
		require.NoError(t, p.Resize(2))
		require.Zero(t, closed(), "Resize disturbs no job")
		h.let(1)
		require.Equal(t, 1, closed())
		h.let(1)
		require.Equal(t, 2, closed())
		h.letAll()
		require.Equal(t, 2, closed())
		require.NoError(t, p.Resize(1))
		require.Equal(t, 3, closed(), "an idle one goes at once")
		require.NoError(t, p.Close())
		require.Equal(t, 4, closed())
	})
}
