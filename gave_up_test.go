package dispatch_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// tardy is a context that calls its registered functions first, and closes its channel
// later.
type tardy struct {
	context.Context
	done   chan struct{}
	ended  atomic.Bool
	notify func()
}

func (c *tardy) Done() <-chan struct{} { return c.done }

func (c *tardy) Err() error {
	if c.ended.Load() {
		return context.Canceled
	}
	return nil
}

func (c *tardy) AfterFunc(f func()) (stop func() bool) {
	c.notify = f
	return func() bool { return !c.ended.Load() }
}

func TestASubmitterWhoseContextEndsAsRoomIsMadeHasGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1), dispatch.WithQueue(0))
		dispatch.Must(p.Submit(t.Context(), 1))
		c := &tardy{Context: context.Background(), done: make(chan struct{})}
		blocked := calling(func() (*dispatch.Future[int], error) { return p.Submit(c, 2) })
		synctest.Wait()
		c.ended.Store(true)
		c.notify()
		synctest.Wait()
		h.letAll() // which makes room
		require.ErrorIs(t, blocked.requireReturn(t), context.Canceled)
		require.Equal(t, []int{1}, h.entered())
		require.EqualValues(t, 1, p.Stats().GaveUp)
	})
}
