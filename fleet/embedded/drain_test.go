package embedded_test

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/dispatch"
	"example.com/dispatch/fleet"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

func TestF7SIGTERMUnderLoadRepeatsNothingWhateverTheLease(t *testing.T) {
	server, nc := lazy(t, fleet.Settings{Lease: time.Hour})
	j := newJournal(t)
	first := worker(t, server.URL(), j, "first", 8)
	p := callers(t, client(t, nc), 32)
	b := p.Batch(limited(t))
	require.NoError(t, b.Add(many(300, task{Nap: 30 * time.Millisecond})...))
	requireSoon(t, func() bool { return len(j.inFlight("first")) == 8 }, "nothing runs")
	worker(t, server.URL(), j, "second", 8)
	first.signal(syscall.SIGTERM)
	first.requireEnd()
	require.Empty(t, j.inFlight("first"), "what ran has ended")
	outs, err := b.Wait(limited(t))
	require.NoError(t, err)
	require.Len(t, outs, 300)
	for n, times := range j.begun() {
		require.Equal(t, 1, times, "task %d", n)
	}
	requireRest(t, nc)
}

// The connection is slow: at each moment some jobs are on their way to the worker.
func TestF7WhatIsOnItsWayAtADrainGoesBack(t *testing.T) {
	server, nc := lazy(t, fleet.Settings{Lease: time.Hour})
	slow := connect(t, slowCable(t, address(server), 20*time.Millisecond).url())
	j := newJournal(t)
	b := callers(t, client(t, nc), 64).Batch(limited(t))
	require.NoError(t, b.Add(many(500, task{})...))
	for i := range 5 {
		before := len(j.lines())
		w := serve(t, slow, j.handler(fmt.Sprint("slow", i)), dispatch.WithWorkers(8))
		requireSoon(t, func() bool { return len(j.lines()) > before+10 }, "nothing runs")
		require.NoError(t, w.end())
	}
	serve(t, connectTo(t, nc), j.handler("last"), dispatch.WithWorkers(8))
	outs, err := b.Wait(limited(t))
	require.NoError(t, err, "a job waits for its lease")
	require.Len(t, outs, 500)
	for n, times := range j.begun() {
		require.Equal(t, 1, times, "task %d", n)
	}
	requireRest(t, nc)
}

func TestF7ADrainWaitsForItsHandlersAndNoLonger(t *testing.T) {
	_, nc := lazy(t, fleet.Settings{})
	pass, entered := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(pass) })
	w := serve(t, nc, func(ctx context.Context, in task) (string, error) {
		close(entered)
		<-pass
		return "done", ctx.Err()
	}, dispatch.WithWorkers(2))
	t.Cleanup(release)
	c := client(t, nc)
	id, err := c.Send(limited(t), task{})
	require.NoError(t, err)
	<-entered
	w.stop()
	requireFree(t, nc, 0)
	select {
	case <-w.over:
		require.Fail(t, "Serve has left a handler behind")
	case <-time.After(50 * time.Millisecond):
	}
	release()
	require.NoError(t, w.wait())
	require.Equal(t, dispatch.Running, w.pool.Stats().State)
	requireRest(t, nc)
	out, err := c.Result(limited(t), id)
	require.NoError(t, err, "its context has not ended with Serve's")
	require.Equal(t, "done", out)
}

func TestF7StopOfThePoolHandsItsJobsToOthersAtOnceAndCostsNoAttempt(t *testing.T) {
	_, nc := lazy(t, fleet.Settings{Lease: time.Hour, Attempts: 1})
	j := newJournal(t)
	c := client(t, nc)
	for _, in := range many(4, task{Nap: 2 * time.Second}) {
		_, err := c.Send(limited(t), in, fleet.ID(fmt.Sprint("job ", in.N)))
		require.NoError(t, err)
	}
	// Three pools are stopped while they hold all jobs. Each job has one attempt.
	for i := range 3 {
		name := fmt.Sprint("stopped", i)
		w := serve(t, connectTo(t, nc), j.handler(name), dispatch.WithWorkers(4))
		requireSoon(t, func() bool { return len(j.inFlight(name)) == 4 }, "nothing runs")
		w.pool.Stop()
		require.ErrorIs(t, w.wait(), dispatch.ErrClosed)
	}
	serve(t, connectTo(t, nc), j.handler("last"), dispatch.WithWorkers(4))
	for n := range 4 {
		out, err := c.Result(limited(t), fmt.Sprint("job ", n))
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(n, " by last"), out)
	}
	for _, words := range j.lines() {
		if words[0] == "begin" {
			require.Equal(t, "1", words[3], "each is still the first attempt")
		}
	}
	requireRest(t, nc)
	require.Equal(t, 4, stats(t, nc).Results, "the notes are not results")
}

func TestF7ServeEndsWithItsPool(t *testing.T) {
	t.Parallel()
	_, nc := lazy(t, fleet.Settings{})
	j := newJournal(t)
	w := serve(t, nc, j.handler("w"), dispatch.WithWorkers(2))
	requireFree(t, nc, 2)
	require.NoError(t, w.pool.Close())
	require.ErrorIs(t, w.wait(), dispatch.ErrClosed)
	requireFree(t, nc, 0)
	require.ErrorIs(t, fleet.Serve(t.Context(), nc, tasks, w.pool), dispatch.ErrClosed)
}

func TestF7ADrainWhileTheServerIsAwayEnds(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	nc := connect(t, m.url())
	provision(t, nc, fleet.Settings{Lease: 500 * time.Millisecond})
	c := client(t, nc)
	entered, killed := make(chan struct{}, 1), make(chan struct{})
	w := serve(t, connect(t, m.url()), func(ctx context.Context, in task) (string, error) {
		entered <- struct{}{}
		<-killed
		return "first", nil
	}, dispatch.WithWorkers(1))
	id, err := c.Send(limited(t), task{})
	require.NoError(t, err)
	<-entered
	m.kill()
	close(killed)
	began := time.Now()
	require.NoError(t, w.end())
	require.Less(t, time.Since(began), 20*time.Second)
	m.boot()
	serve(t, connect(t, m.url()), newJournal(t).handler("second"))
	out, err := c.Result(limited(t), id)
	require.NoError(t, err)
	require.Equal(t, "0 by second", out)
	requireRest(t, nc)
}

func TestServeEndsWithItsConnection(t *testing.T) {
	server, nc := lazy(t, fleet.Settings{Lease: 500 * time.Millisecond})
	own, err := nats.Connect(server.URL())
	require.NoError(t, err)
	j := newJournal(t)
	w := serve(t, own, j.handler("w"), dispatch.WithWorkers(2))
	requireFree(t, nc, 2)
	id, err := client(t, nc).Send(limited(t), task{Nap: time.Hour})
	require.NoError(t, err)
	requireSoon(t, func() bool { return len(j.inFlight("w")) == 1 }, "nothing runs")
	own.Close()
	require.ErrorIs(t, w.wait(), nats.ErrConnectionClosed)
	require.NoError(t, client(t, nc).Cancel(limited(t), id))
	requireRest(t, nc)
	require.ErrorIs(t, fleet.Serve(t.Context(), own, tasks, w.pool), nats.ErrConnectionClosed)
}

func TestOtherSubmittersShareThePool(t *testing.T) {
	_, nc := lazy(t, fleet.Settings{Attempts: 1})
	j := newJournal(t)
	w := serve(t, nc, j.handler("w"), dispatch.WithWorkers(2), dispatch.WithQueue(1), dispatch.WithOverflow(dispatch.DropOldest))
	requireFree(t, nc, 2)
	ctx, cancel := context.WithCancel(limited(t))
	var local [3]*dispatch.Future[string]
	for i := range local {
		f, err := w.pool.Submit(ctx, task{N: 100 + i, Nap: time.Hour})
		require.NoError(t, err)
		local[i] = f
	}
	// The fleet's job takes the place of the one in the queue.
	_, err := local[0].Wait(canceled())
	require.ErrorIs(t, err, context.Canceled)
	f, err := callers(t, client(t, nc), 1).Submit(limited(t), task{N: 1})
	require.NoError(t, err)
	_, err = local[2].Wait(limited(t))
	require.ErrorIs(t, err, dispatch.ErrDropped)
	cancel()
	out, err := f.Wait(limited(t))
	require.NoError(t, err)
	require.Equal(t, "1 by w", out)
	requireRest(t, nc)
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
