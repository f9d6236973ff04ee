//go:build unix

package embedded_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"example.com/dispatch"
	"example.com/dispatch/fleet"
	"github.com/stretchr/testify/require"
)

func TestF2AKillRepeatsOnlyWhatWasInFlightThere(t *testing.T) {
	t.Parallel()
	server, nc := lazy(t, fleet.Settings{Lease: 2 * time.Second})
	j := newJournal(t)
	victim := worker(t, server.URL(), j, "victim", 4)
	worker(t, server.URL(), j, "other", 4)
	p := callers(t, client(t, nc), 16)
	b := p.Batch(limited(t))
	require.NoError(t, b.Add(many(150, task{Nap: 60 * time.Millisecond})...))
	requireSoon(t, func() bool { return len(j.inFlight("victim")) == 4 && len(j.lines()) > 40 }, "the victim is idle")
	victim.kill()
	caught := j.inFlight("victim")
	outs, err := b.Wait(limited(t))
	require.NoError(t, err)
	require.Len(t, outs, 150)
	// At most one run for each place is repeated. A kill between the end of a handler and
	// the acknowledgment of its job repeats a run, too.
	repeated := 0
	for n, times := range j.begun() {
		repeated += times - 1
		require.True(t, times == 1 || j.beganAt(n, "victim"), "task %d ran twice", n)
		require.True(t, times == 2 || !caught[n], "task %d was in flight", n)
	}
	require.LessOrEqual(t, repeated, 4)
	requireRest(t, nc)
}

func TestF2AWorkerThatFreezesLosesItsJobsAndTakesNoMoreThanItsPlacesAfterwards(t *testing.T) {
	t.Parallel()
	server, nc := lazy(t, fleet.Settings{Lease: time.Second})
	j := newJournal(t)
	frozen := worker(t, server.URL(), j, "frozen", 2)
	requireFree(t, nc, 2)
	c := client(t, nc)
	for _, in := range many(2, task{Nap: 2 * time.Second}) {
		_, err := c.Send(limited(t), in, fleet.ID(fmt.Sprint("job ", in.N)))
		require.NoError(t, err)
	}
	requireSoon(t, func() bool { return len(j.inFlight("frozen")) == 2 }, "nothing runs")
	frozen.signal(syscall.SIGSTOP)
	worker(t, server.URL(), j, "other", 2)
	for n := range 2 {
		out, err := c.Result(limited(t), fmt.Sprint("job ", n))
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(n, " by other"), out)
	}
	frozen.signal(syscall.SIGCONT)
	requireSoon(t, func() bool { return len(j.inFlight("frozen")) == 0 }, "the frozen one has not gone on")
	// F3: the results of the frozen worker come too late.
	for n := range 2 {
		out, err := c.Result(limited(t), fmt.Sprint("job ", n))
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(n, " by other"), out)
	}
	requireRest(t, nc)
	requireFree(t, nc, 4)

	// The worker is frozen while idle, for longer than a request may be silent. It still
	// takes no more than two jobs at once.
	frozen.signal(syscall.SIGSTOP)
	<-time.After(3500 * time.Millisecond)
	frozen.signal(syscall.SIGCONT)
	_, err := callers(t, c, 32).Map(limited(t), many(60, task{Nap: 20 * time.Millisecond}))
	require.NoError(t, err)
	require.LessOrEqual(t, mostAtOnce(j, "frozen"), 2)
	requireRest(t, nc)
	requireFree(t, nc, 4)
}

// mostAtOnce returns the largest number of tasks that a worker ran at once.
func mostAtOnce(j journal, name string) int {
	now, most := 0, 0
	for _, words := range j.lines() {
		switch {
		case words[2] != name:
		case words[0] == "begin":
			now++
			most = max(most, now)
		case words[0] == "end":
			now--
		}
	}
	return most
}

func TestF3TheFirstOutcomeCountsForACallToo(t *testing.T) {
	t.Parallel()
	server, nc := lazy(t, fleet.Settings{Lease: 500 * time.Millisecond})
	j := newJournal(t)
	frozen := worker(t, server.URL(), j, "frozen", 1)
	requireFree(t, nc, 1)
	f, err := callers(t, client(t, nc), 1).Submit(limited(t), task{Nap: 2 * time.Second})
	require.NoError(t, err)
	requireSoon(t, func() bool { return len(j.inFlight("frozen")) == 1 }, "nothing runs")
	frozen.signal(syscall.SIGSTOP)
	worker(t, server.URL(), j, "other", 1)
	out, err := f.Wait(limited(t))
	require.NoError(t, err)
	require.Equal(t, "0 by other", out)
	frozen.signal(syscall.SIGCONT)
	requireRest(t, nc)
}

// A job keeps its lease for as long as it runs.
func TestF2AJobThatTakesLongerThanItsLeaseRunsOnce(t *testing.T) {
	t.Parallel()
	_, nc := lazy(t, fleet.Settings{Lease: time.Second})
	j := newJournal(t)
	serve(t, nc, j.handler("a"), dispatch.WithWorkers(4))
	serve(t, connectTo(t, nc), j.handler("b"), dispatch.WithWorkers(4))
	_, err := callers(t, client(t, nc), 4).Map(limited(t), many(4, task{Nap: 4 * time.Second}))
	require.NoError(t, err)
	require.Equal(t, map[int]int{0: 1, 1: 1, 2: 1, 3: 1}, j.begun())
	requireRest(t, nc)
}

func TestF6NoJobWaitsInOneProcessWhileAnotherIsFree(t *testing.T) {
	_, nc := lazy(t, fleet.Settings{})
	j := newJournal(t)
	slow := serve(t, nc, j.handler("slow"), dispatch.WithWorkers(1))
	requireFree(t, nc, 1)
	c := client(t, nc)
	long, cancel := context.WithCancel(limited(t))
	f, err := callers(t, c, 1).Submit(long, task{N: 1000, Nap: time.Hour})
	require.NoError(t, err)
	requireSoon(t, func() bool { return len(j.inFlight("slow")) == 1 }, "nothing runs")
	serve(t, connectTo(t, nc), j.handler("quick"), dispatch.WithWorkers(1))
	_, err = callers(t, c, 8).Map(limited(t), many(50, task{}))
	require.NoError(t, err)
	require.Zero(t, slow.pool.Stats().Queued)
	cancel()
	_, err = f.Wait(t.Context())
	require.ErrorIs(t, err, context.Canceled)
	requireRest(t, nc)
}

func TestF6AResizeIsFollowedBothWays(t *testing.T) {
	t.Parallel()
	_, nc := lazy(t, fleet.Settings{})
	j := newJournal(t)
	w := serve(t, nc, j.handler("w"), dispatch.WithWorkers(2))
	requireFree(t, nc, 2)
	require.NoError(t, w.pool.Resize(6))
	requireFree(t, nc, 6)
	require.NoError(t, w.pool.Resize(1))
	requireFree(t, nc, 1)
	_, err := callers(t, client(t, nc), 16).Map(limited(t), many(40, task{Nap: time.Millisecond}))
	require.NoError(t, err)
	require.Equal(t, 1, mostAtOnce(j, "w"))
	require.NoError(t, w.pool.Resize(dispatch.Unlimited))
	requireFree(t, nc, 256)
}

func TestF6NothingIsTakenForAWorkerWhoseHandlerOutlivesItsJob(t *testing.T) {
	_, nc := lazy(t, fleet.Settings{})
	j := newJournal(t)
	pass := make(chan struct{})
	release := sync.OnceFunc(func() { close(pass) })
	var stuck atomic.Int32
	w := serve(t, nc, func(ctx context.Context, in task) (string, error) {
		if in.Do == "stick" {
			stuck.Add(1)
			<-pass
			return "", nil
		}
		return j.handler("w")(ctx, in)
	}, dispatch.WithWorkers(2), dispatch.WithJobTimeout(100*time.Millisecond))
	t.Cleanup(release)
	requireFree(t, nc, 2)
	c := client(t, nc)
	_, err := c.Call(limited(t), task{Do: "stick"})
	require.ErrorIs(t, err, dispatch.ErrTimeout)
	requireFree(t, nc, 1)

	// When the other place is taken too, all jobs go to the other worker.
	_, err = c.Call(limited(t), task{Do: "stick"})
	require.ErrorIs(t, err, dispatch.ErrTimeout)
	requireFree(t, nc, 0)
	serve(t, connectTo(t, nc), j.handler("other"), dispatch.WithWorkers(1))
	_, err = callers(t, c, 8).Map(limited(t), many(30, task{}))
	require.NoError(t, err)
	require.Zero(t, mostAtOnce(j, "w"))
	require.Zero(t, w.pool.Stats().Queued)

	release()
	requireFree(t, nc, 3)
	require.Equal(t, int32(2), stuck.Load())
}

// Forty workers start and drain under load. Each drain returns the jobs that are on their
// way, so no job waits for a lease, and no job runs twice.
func TestF7FortyWorkersComeAndGoUnderLoad(t *testing.T) {
	_, nc := lazy(t, fleet.Settings{Lease: time.Hour})
	j := newJournal(t)
	p := callers(t, client(t, nc), 64)
	ctx := limited(t)
	over := make(chan struct{})
	var outs []string
	var err error
	const jobs = 3000
	go func() {
		defer close(over)
		outs, err = p.Map(ctx, many(jobs, task{Nap: time.Millisecond}))
	}()
	serve(t, connectTo(t, nc), j.handler("stays"), dispatch.WithWorkers(1))
	for i := range 40 {
		w := serve(t, connectTo(t, nc), j.handler(fmt.Sprint("w", i)), dispatch.WithWorkers(4))
		<-time.After(25 * time.Millisecond)
		require.NoError(t, w.end())
	}
	serve(t, connectTo(t, nc), j.handler("last"), dispatch.WithWorkers(8))
	select {
	case <-over:
	case <-time.After(patience):
		require.Fail(t, "a job waits for its lease", "%+v", stats(t, nc))
	}
	require.NoError(t, err)
	require.Len(t, outs, jobs)
	for n, times := range j.begun() {
		require.Equal(t, 1, times, "task %d", n)
	}
	requireRest(t, nc)
}
