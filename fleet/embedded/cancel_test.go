package embedded_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"example.com/dispatch"
	"example.com/dispatch/fleet"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

var errWhy = errors.New("the user has gone")

func TestF8AJobThatWaitsIsDeletedWhenItsCallerGoes(t *testing.T) {
	_, nc := lazy(t, fleet.Settings{})
	c := client(t, nc)
	ctx, cancel := context.WithCancelCause(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := c.Call(ctx, task{})
		failed <- err
	}()
	requireSoon(t, func() bool { return stats(t, nc).Waiting == 1 }, "nothing is stored")
	cancel(errWhy)
	require.Equal(t, errWhy, <-failed)
	requireRest(t, nc)
}

func TestF8AJobThatRunsIsToldWhenItsCallerGoes(t *testing.T) {
	_, nc := lazy(t, fleet.Settings{})
	j := newJournal(t)
	serve(t, nc, j.handler("w"), dispatch.WithWorkers(1))
	c := client(t, nc)
	ctx, cancel := context.WithCancelCause(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := c.Call(ctx, task{Nap: time.Hour})
		failed <- err
	}()
	requireSoon(t, func() bool { return len(j.inFlight("w")) == 1 }, "nothing runs")
	cancel(errWhy)
	require.Equal(t, errWhy, <-failed)
	requireSoon(t, func() bool { return len(j.inFlight("w")) == 0 }, "the handler has not been told")
	requireRest(t, nc)
	require.Zero(t, stats(t, nc).Results)
	require.Empty(t, letters(t, nc))
}

// A cancel and its job reach the worker on different ways, so the cancel may arrive first.
func TestF8ACancelThatComesBeforeItsJobCounts(t *testing.T) {
	_, nc := lazy(t, fleet.Settings{})
	j := newJournal(t)
	serve(t, nc, j.handler("w"), dispatch.WithWorkers(1))
	requireFree(t, nc, 1)
	require.NoError(t, nc.Publish("fleet.tasks.cancel.x", nil))
	require.NoError(t, nc.FlushTimeout(patience))
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	_, err = js.PublishMsg(limited(t), &nats.Msg{Subject: "fleet.tasks.job.x", Data: []byte(`{}`), Header: nats.Header{
		"Fleet-Version": {"1"}, "Fleet-Id": {"x"}, "Content-Type": {"application/json"}, "Fleet-Reply": {"fleet.tasks.rep.C.x"},
	}})
	require.NoError(t, err)
	requireRest(t, nc)
	require.Empty(t, j.lines())
}

func TestF8TheDeadlineTravelsWithTheJob(t *testing.T) {
	t.Parallel()
	_, nc := lazy(t, fleet.Settings{})
	left := make(chan time.Duration, 1)
	serve(t, nc, func(ctx context.Context, in task) (string, error) {
		deadline, _ := ctx.Deadline()
		left <- time.Until(deadline)
		<-ctx.Done()
		return "", context.Cause(ctx)
	}, dispatch.WithWorkers(1))
	requireFree(t, nc, 1)
	c := client(t, nc)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err := c.Call(ctx, task{})
	require.Equal(t, context.DeadlineExceeded, err, "the caller's own context makes the answer")
	select {
	case d := <-left:
		require.Greater(t, d, time.Duration(0))
		require.LessOrEqual(t, d, 5100*time.Millisecond)
	default:
		require.Fail(t, "the job has not been begun")
	}
	requireRest(t, nc)
}

func TestF8AJobWhoseDeadlineHasPassedIsNotBegun(t *testing.T) {
	_, nc := lazy(t, fleet.Settings{})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := client(t, nc).Call(ctx, task{})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	j := newJournal(t)
	serve(t, nc, j.handler("w"))
	requireRest(t, nc)
	require.Empty(t, j.lines())
}

// The caller is disconnected before it can withdraw its job. The server drops the job at
// the deadline.
func TestF8TheServerDropsAJobWhoseDeadlineHasPassed(t *testing.T) {
	t.Parallel()
	server, nc := lazy(t, fleet.Settings{})
	line := newCable(t, address(server))
	c := client(t, connect(t, line.url()))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	failed := make(chan error, 1)
	go func() {
		_, err := c.Call(ctx, task{})
		failed <- err
	}()
	requireSoon(t, func() bool { return stats(t, nc).Waiting == 1 }, "nothing is stored")
	line.cut()
	require.Equal(t, context.DeadlineExceeded, <-failed)
	requireRest(t, nc)
}

func TestF8ACallReturnsAtOnceWithNoServer(t *testing.T) {
	m := newMachine(t)
	nc := connect(t, m.url())
	provision(t, nc, fleet.Settings{})
	c := client(t, nc)
	m.kill()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, errWhy)
	defer cancel()
	began := time.Now()
	_, err := c.Call(ctx, task{})
	require.Equal(t, errWhy, err)
	require.Less(t, time.Since(began), 10*time.Second)
	_, err = c.Send(ctx, task{})
	require.Equal(t, errWhy, err)
	_, err = c.Result(ctx, "x")
	require.Equal(t, errWhy, err)
}

// The caller of a call leaves while the job is on its way to the store.
func TestF8AJobThatIsStoredAfterItsCallerHasGoneIsDeleted(t *testing.T) {
	server, nc := lazy(t, fleet.Settings{})
	line := newCable(t, address(server))
	c := client(t, connect(t, line.url()))
	line.hush()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	stop, end := context.WithCancel(t.Context())
	context.AfterFunc(ctx, end)
	_, err := c.Call(stop, task{}) // no deadline travels with it
	require.Equal(t, context.Canceled, err)
	line.mend()
	// The job may be stored and deleted unseen. The job sent here is stored after it, so in
	// the end only this one waits.
	_, err = c.Send(limited(t), task{}, fleet.ID("after"))
	require.NoError(t, err)
	requireSoon(t, func() bool { return stats(t, nc).Waiting == 1 }, "the job is still there")
}

func TestF8CancelEndsAJobThatWaitsAndOneThatRuns(t *testing.T) {
	_, nc := lazy(t, fleet.Settings{})
	c := client(t, nc)
	_, err := c.Send(limited(t), task{N: 1, Nap: time.Hour}, fleet.ID("waits"))
	require.NoError(t, err)
	require.NoError(t, c.Cancel(limited(t), "waits"))
	require.Zero(t, stats(t, nc).Waiting)
	_, err = c.Result(limited(t), "waits")
	require.ErrorIs(t, err, context.Canceled)

	j := newJournal(t)
	serve(t, nc, j.handler("w"), dispatch.WithWorkers(1))
	_, err = c.Send(limited(t), task{N: 2, Nap: time.Hour}, fleet.ID("runs"))
	require.NoError(t, err)
	requireSoon(t, func() bool { return len(j.inFlight("w")) == 1 }, "nothing runs")
	require.NoError(t, c.Cancel(limited(t), "runs"))
	_, err = c.Result(limited(t), "runs")
	require.ErrorIs(t, err, context.Canceled)
	requireSoon(t, func() bool { return len(j.inFlight("w")) == 0 }, "the handler has not been told")
	requireRest(t, nc)

	_, err = c.Send(limited(t), task{N: 3}, fleet.ID("done"))
	require.NoError(t, err)
	out, err := c.Result(limited(t), "done")
	require.NoError(t, err)
	require.NoError(t, c.Cancel(limited(t), "done"))
	again, err := c.Result(limited(t), "done")
	require.NoError(t, err, "what had an outcome keeps it")
	require.Equal(t, out, again)
	require.Equal(t, map[int]int{2: 1, 3: 1}, j.begun())
}

func TestCloseEndsTheCallsThatWait(t *testing.T) {
	_, nc := lazy(t, fleet.Settings{})
	c := client(t, nc)
	failed := make(chan error, 8)
	for range cap(failed) {
		go func() {
			_, err := c.Call(t.Context(), task{})
			failed <- err
		}()
	}
	requireSoon(t, func() bool { return stats(t, nc).Waiting == cap(failed) }, "nothing is stored")
	require.NoError(t, c.Close())
	for range cap(failed) {
		require.Equal(t, dispatch.ErrClosed, <-failed)
	}
	requireRest(t, nc)
	_, err := c.Call(t.Context(), task{})
	require.Equal(t, dispatch.ErrClosed, err)
	_, err = c.Send(t.Context(), task{})
	require.Equal(t, dispatch.ErrClosed, err)
	require.NoError(t, c.Close())
}
