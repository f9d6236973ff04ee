package embedded_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"example.com/dispatch"
	"example.com/dispatch/fleet"
	"github.com/stretchr/testify/require"
)

func TestF14NothingIsLeftAfterCloseAndServe(t *testing.T) {
	_, nc := lazy(t, fleet.Settings{})
	own := connectTo(t, nc)
	require.NoError(t, own.Flush())
	_, err := own.Request("$JS.API.INFO", nil, patience) // nats.go's own subscription for answers
	require.NoError(t, err)
	subscriptions := own.NumSubscriptions()
	goroutines := runtime.NumGoroutine()

	for range 3 {
		c, err := fleet.NewClient(limited(t), own, tasks)
		require.NoError(t, err)
		p := dispatch.Must(dispatch.New(newJournal(t).handler("w"), dispatch.WithWorkers(8)))
		ctx, stop := context.WithCancel(t.Context())
		over := make(chan error, 1)
		go func() { over <- fleet.Serve(ctx, own, tasks, p) }()
		for _, in := range many(10, task{}) {
			_, err := c.Call(limited(t), in)
			require.NoError(t, err)
		}
		id, err := c.Send(limited(t), task{N: 1})
		require.NoError(t, err)
		_, err = c.Result(limited(t), id)
		require.NoError(t, err)
		short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err = c.Call(short, task{Nap: time.Hour})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		cancel()
		stop()
		require.NoError(t, <-over)
		require.NoError(t, c.Close())
		require.NoError(t, p.Close())
		requireSoon(t, func() bool { return own.NumSubscriptions() == subscriptions }, "a subscription is left")
	}
	requireSoon(t, func() bool { return runtime.NumGoroutine() <= goroutines }, "a goroutine is left")
	require.True(t, own.IsConnected(), "the connection is the caller's")
	requireRest(t, nc)
}

// A publish under way is followed for 10 s at most.
func TestF14ACloseInTheMiddleLeavesNothing(t *testing.T) {
	server, nc := lazy(t, fleet.Settings{})
	line := newCable(t, address(server))
	own := connect(t, line.url())
	_, err := own.Request("$JS.API.INFO", nil, patience)
	require.NoError(t, err)
	subscriptions := own.NumSubscriptions()
	c, err := fleet.NewClient(limited(t), own, tasks)
	require.NoError(t, err)
	line.hush()
	failed := make(chan error, 1)
	go func() {
		_, err := c.Call(t.Context(), task{})
		failed <- err
	}()
	<-time.After(50 * time.Millisecond)
	require.NoError(t, c.Close())
	require.Equal(t, dispatch.ErrClosed, <-failed)
	line.mend()
	requireSoon(t, func() bool { return own.NumSubscriptions() == subscriptions }, "a subscription is left")
	requireRest(t, nc)
}
