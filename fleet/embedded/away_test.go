//go:build unix

package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/dispatch"
	"example.com/dispatch/fleet"
	"example.com/dispatch/fleet/embedded"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

func TestF4AResultWaitsInTheStoreWhileItsCallerIsAway(t *testing.T) {
	t.Parallel()
	server, nc := lazy(t, fleet.Settings{})
	line := newCable(t, address(server))
	j := newJournal(t)
	serve(t, nc, j.handler("w"), dispatch.WithWorkers(4))
	p := callers(t, client(t, connect(t, line.url())), 4)
	b := p.Batch(limited(t))
	require.NoError(t, b.Add(many(4, task{Nap: 2 * time.Second})...))
	requireSoon(t, func() bool { return len(j.inFlight("w")) == 4 }, "nothing runs")
	line.cut()
	requireRest(t, nc)
	require.Equal(t, 4, stats(t, nc).Results)
	line.mend()
	outs, err := b.Wait(limited(t))
	require.NoError(t, err)
	require.Equal(t, []string{"0 by w", "1 by w", "2 by w", "3 by w"}, outs)
	require.Equal(t, map[int]int{0: 1, 1: 1, 2: 1, 3: 1}, j.begun())
}

// A call that has waited for a long time rarely looks for its result, but does so as
// soon as its connection is back.
func TestF12AResultIsLookedForWhenTheLineIsWholeAgain(t *testing.T) {
	t.Parallel()
	server, nc := lazy(t, fleet.Settings{})
	line := newCable(t, address(server))
	j := newJournal(t)
	serve(t, nc, j.handler("w"), dispatch.WithWorkers(1))
	f, err := callers(t, client(t, connect(t, line.url())), 1).Submit(limited(t), task{Nap: 6 * time.Second})
	require.NoError(t, err)
	requireSoon(t, func() bool { return len(j.inFlight("w")) == 1 }, "nothing runs")
	<-time.After(5500 * time.Millisecond)
	line.cut()
	requireRest(t, nc)
	line.mend()
	soon, cancel := context.WithTimeout(t.Context(), 25*time.Second) // less than the 30 s between two looks
	defer cancel()
	out, err := f.Wait(soon)
	require.NoError(t, err)
	require.Equal(t, "0 by w", out)
}

// A silently disconnected caller costs its worker one wait, not one for each result.
func TestF4AResultOfACallerThatIsHalfGoneIsStored(t *testing.T) {
	server, nc := lazy(t, fleet.Settings{})
	line := newCable(t, address(server))
	j := newJournal(t)
	hushed := make(chan struct{})
	release := sync.OnceFunc(func() { close(hushed) })
	serve(t, nc, func(ctx context.Context, in task) (string, error) {
		<-hushed
		return j.handler("w")(ctx, in)
	}, dispatch.WithWorkers(1))
	t.Cleanup(release)
	const calls = 60
	p := callers(t, client(t, connect(t, line.url())), calls)
	b := p.Batch(limited(t))
	require.NoError(t, b.Add(many(calls, task{})...))
	requireSoon(t, func() bool { return stats(t, nc).Waiting == calls-1 }, "not all is stored")
	line.hush()
	release()
	began := time.Now()
	requireRest(t, nc)
	require.Less(t, time.Since(began), calls*time.Second*3/4, "a wait for each would be a second")
	line.mend()
	outs, err := b.Wait(limited(t))
	require.NoError(t, err)
	require.Len(t, outs, calls)
	for n, times := range j.begun() {
		require.Equal(t, 1, times, "task %d", n)
	}
}

func TestF4TheResultsOfACallerThatWasKilledAreNoJobsLeft(t *testing.T) {
	t.Parallel()
	server, nc := lazy(t, fleet.Settings{})
	j := newJournal(t)
	serve(t, nc, j.handler("w"), dispatch.WithWorkers(4))
	caller := start(t, "caller", urlVar+"="+server.URL())
	requireSoon(t, func() bool { return len(j.inFlight("w")) == 4 }, "nothing runs")
	caller.kill()
	requireRest(t, nc)
	require.Len(t, j.begun(), 8)
}

// The store is down for a long time, with -long for more than a minute. The worker keeps
// its results.
func TestF4AWorkerKeepsItsResultsHoweverLongTheStoreIsDown(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	nc := connect(t, m.url())
	provision(t, nc, fleet.Settings{Lease: 500 * time.Millisecond})
	j := newJournal(t)
	serve(t, connect(t, m.url()), j.handler("w"), dispatch.WithWorkers(4))
	c := client(t, nc)
	p := callers(t, c, 2)
	b := p.Batch(t.Context())
	require.NoError(t, b.Add(many(2, task{Nap: 2 * time.Second})...))
	for n := range 2 {
		_, err := c.Send(limited(t), task{N: 10 + n, Nap: 2 * time.Second}, fleet.ID(fmt.Sprint("sent ", n)))
		require.NoError(t, err)
	}
	requireSoon(t, func() bool { return len(j.inFlight("w")) == 4 }, "nothing runs")
	m.kill()
	requireSoon(t, func() bool { return len(j.inFlight("w")) == 0 }, "they have not ended")
	down := 2 * time.Second
	if *long {
		down = 75 * time.Second
	}
	<-time.After(down)
	m.boot()
	outs, err := b.Wait(limited(t))
	require.NoError(t, err)
	require.Equal(t, []string{"0 by w", "1 by w"}, outs)
	for n := range 2 {
		_, err := c.Result(limited(t), fmt.Sprint("sent ", n))
		require.NoError(t, err)
	}
	requireRest(t, nc)
	require.Equal(t, map[int]int{0: 1, 1: 1, 10: 1, 11: 1}, j.begun())
}

// The server has forgotten that it delivered the job, or has not heard of the job for a
// lease. The worker still holds the job, and ignores the second delivery.
func TestF2AJobThatRunsOnWhileTheServerIsStartedAgainIsNotBegunASecondTimeThere(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	nc := connect(t, m.url())
	provision(t, nc, fleet.Settings{Lease: 500 * time.Millisecond})
	j := newJournal(t)
	serve(t, connect(t, m.url()), j.handler("w"), dispatch.WithWorkers(4))
	c := client(t, nc)
	_, err := c.Send(limited(t), task{Nap: 4 * time.Second}, fleet.ID("long"))
	require.NoError(t, err)
	requireSoon(t, func() bool { return len(j.inFlight("w")) == 1 }, "nothing runs")
	m.kill()
	m.boot()
	out, err := c.Result(limited(t), "long")
	require.NoError(t, err)
	require.Equal(t, "0 by w", out)
	require.Equal(t, map[int]int{0: 1}, j.begun())
	requireRest(t, nc)
}

// A server that was killed forgets its last deliveries, and then does not understand
// their acknowledgments: it delivers the job again as if for the first time.
func TestF2AJobWithAResultThatAKilledServerDeliversAnewIsNotBegun(t *testing.T) {
	server, nc := lazy(t, fleet.Settings{})
	line := newCable(t, address(server))
	j := newJournal(t)
	serve(t, connect(t, line.url()), j.handler("w"), dispatch.WithWorkers(1))
	requireFree(t, nc, 1)
	line.cut()
	requireFree(t, nc, 0)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	for subject, h := range map[string]nats.Header{
		"fleet.tasks.job.x": {"Fleet-Version": {"1"}, "Fleet-Id": {"x"}, "Content-Type": {"application/json"}},
		"fleet.tasks.res.x": {"Fleet-Id": {"x"}, "Fleet-Status": {"ok"}, "Fleet-Attempt": {"1"}, "Content-Type": {"application/json"}},
	} {
		_, err = js.PublishMsg(limited(t), &nats.Msg{Subject: subject, Header: h, Data: []byte(`{}`)})
		require.NoError(t, err)
	}
	line.mend()
	requireRest(t, nc)
	require.Empty(t, j.lines())
}

// The disk is full: jobs are refused, and workers keep their results. When there is room
// again everything goes on, and nothing is lost.
func TestF4AFullDiskStopsTheWorkAndLosesNothing(t *testing.T) {
	dir, addr := t.TempDir(), freeAddress(t)
	boot := func(disk int64) *embedded.Server {
		s, err := embedded.Start(embedded.Options{Dir: dir, Listen: addr, LazySync: true, MaxDisk: disk})
		require.NoError(t, err)
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	s := boot(256 << 10)
	nc := connect(t, "nats://"+addr)
	provision(t, nc, fleet.Settings{Lease: time.Second})
	c := client(t, nc)
	stored := 0
	for ; ; stored++ {
		if _, err := c.Send(limited(t), task{N: stored, Do: strings.Repeat("x", 8<<10)}); err != nil {
			require.ErrorIs(t, err, dispatch.ErrQueueFull)
			break
		}
	}
	require.Greater(t, stored, 10)
	_, err := c.Call(limited(t), task{N: -1})
	require.ErrorIs(t, err, dispatch.ErrQueueFull)

	j := newJournal(t)
	w := serve(t, connect(t, "nats://"+addr), j.handler("w"), dispatch.WithWorkers(4))
	requireSoon(t, func() bool { return len(j.begun()) == 4 && len(j.inFlight("w")) == 0 }, "nothing runs")
	<-time.After(500 * time.Millisecond)
	require.Len(t, j.begun(), 4, "no job is run whose result has nowhere to go")
	require.Equal(t, 4, stats(t, nc).Taken)

	require.NoError(t, s.Close())
	boot(64 << 20)
	requireRest(t, nc)
	require.NoError(t, w.end())
	require.Equal(t, stored, stats(t, nc).Results)
	for n, times := range j.begun() {
		require.Equal(t, 1, times, "task %d", n)
	}
}

// The stream of results has reached its limit: workers wait until older results expire.
func TestF4AFullStreamOfResultsHoldsTheWorkersUp(t *testing.T) {
	t.Parallel()
	_, nc := lazy(t, fleet.Settings{MaxBytes: 4 << 10, KeepFor: 2 * time.Second})
	j := newJournal(t)
	serve(t, nc, j.handler("w"), dispatch.WithWorkers(2))
	c := client(t, nc)
	const jobs = 40
	for _, in := range many(jobs, task{}) {
		for {
			_, err := c.Send(limited(t), in)
			if err == nil {
				break
			}
			require.ErrorIs(t, err, dispatch.ErrQueueFull)
			<-time.After(20 * time.Millisecond)
		}
	}
	requireRest(t, nc)
	begun := j.begun()
	require.Len(t, begun, jobs)
	for n, times := range begun {
		require.Equal(t, 1, times, "task %d", n)
	}
}

// underLoad calls and sends jobs, calls trouble meanwhile, and asserts that all jobs have
// their outcomes, and that no job has run twice unless mayRepeat allows it.
func underLoad(t *testing.T, nc *nats.Conn, j journal, mayRepeat bool, trouble func()) {
	t.Helper()
	const calls, sends = 400, 100
	c := client(t, nc)
	p := callers(t, c, 32)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	b := p.Batch(ctx)
	require.NoError(t, b.Add(many(calls, task{Nap: 10 * time.Millisecond})...))
	sent := make(chan error, 1)
	go func() {
		for n := range sends {
			if _, err := c.Send(ctx, task{N: 1000 + n}, fleet.ID(fmt.Sprint("sent ", n))); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	requireSoon(t, func() bool { return len(j.begun()) > 30 }, "nothing runs")
	trouble()
	outs, err := b.Wait(ctx)
	require.NoError(t, err)
	for n, out := range outs {
		require.True(t, strings.HasPrefix(out, fmt.Sprint(n, " by ")), out)
	}
	require.NoError(t, <-sent)
	for n := range sends {
		out, err := c.Result(ctx, fmt.Sprint("sent ", n))
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(out, fmt.Sprint(1000+n, " by ")), out)
	}
	requireRest(t, nc)
	begun, repeats := j.begun(), 0
	require.Len(t, begun, calls+sends)
	for n, times := range begun {
		require.True(t, times == 1 || mayRepeat, "task %d has run %d times", n, times)
		repeats += times - 1
	}
	require.LessOrEqual(t, repeats, 2*16, "more than was in flight has run again")
	require.Empty(t, letters(t, nc))
}

func TestF12AServerThatIsKilledUnderLoadComesBackAndNothingIsLost(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	nc := connect(t, m.url())
	provision(t, nc, fleet.Settings{Lease: time.Second})
	j := newJournal(t)
	for i := range 2 {
		serve(t, connect(t, m.url()), j.handler(fmt.Sprint("w", i)), dispatch.WithWorkers(4))
	}
	underLoad(t, nc, j, true, func() {
		m.kill()
		<-time.After(300 * time.Millisecond)
		m.boot()
	})
}

func TestF12TheLineOfTheCallerIsCut(t *testing.T) {
	t.Parallel()
	server, nc := lazy(t, fleet.Settings{})
	line := newCable(t, address(server))
	j := newJournal(t)
	serve(t, nc, j.handler("w"), dispatch.WithWorkers(8))
	underLoad(t, connect(t, line.url()), j, false, func() {
		for range 3 {
			line.cut()
			<-time.After(200 * time.Millisecond)
			line.mend()
			<-time.After(200 * time.Millisecond)
		}
	})
}

func TestF12TheLineOfAWorkerIsCut(t *testing.T) {
	t.Parallel()
	server, nc := lazy(t, fleet.Settings{Lease: time.Second})
	line := newCable(t, address(server))
	j := newJournal(t)
	serve(t, connect(t, line.url()), j.handler("cut"), dispatch.WithWorkers(8))
	serve(t, connectTo(t, nc), j.handler("whole"), dispatch.WithWorkers(2))
	underLoad(t, nc, j, true, func() {
		for range 2 {
			line.cut()
			<-time.After(200 * time.Millisecond)
			line.mend()
			<-time.After(200 * time.Millisecond)
		}
	})
	requireFree(t, nc, 10)
}

// members are the servers of a cluster, each in its own process.
func members(t *testing.T, n int) (all map[string]*process, urls []string) {
	t.Helper()
	var clients, routes []string
	for range n {
		clients, routes = append(clients, freeAddress(t)), append(routes, freeAddress(t))
	}
	all = map[string]*process{}
	for i := range n {
		name := fmt.Sprint("member", i)
		all[name] = start(t, "member", nameVar+"="+name, urlVar+"="+clients[i], placesVar+"="+routes[i],
			routesVar+"=nats://"+strings.Join(routes, ",nats://"), dirVar+"="+t.TempDir())
		urls = append(urls, "nats://"+clients[i])
	}
	return all, urls
}

func TestF12ALeaderOfAClusterIsKilledUnderLoad(t *testing.T) {
	t.Parallel()
	all, urls := members(t, 3)
	nc := connect(t, strings.Join(urls, ","))
	requireSoon(t, func() bool { // the cluster leaves requests unanswered until it has a leader and all its members
		try, cancel := context.WithTimeout(t.Context(), patience/10)
		defer cancel()
		return tasks.Provision(try, nc, fleet.Settings{Lease: 2 * time.Second, Replicas: 3}) == nil
	}, "the cluster is not ready")
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	stream, err := js.Stream(limited(t), "FLEET_tasks_JOBS")
	require.NoError(t, err)
	consumer, err := stream.Consumer(limited(t), "workers")
	require.NoError(t, err)
	leader := consumer.CachedInfo().Cluster.Leader

	// Concurrent sends with one id conflict on the servers.
	c := client(t, nc)
	var alike sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		alike.Go(func() { _, errs[i] = c.Send(limited(t), task{}, fleet.ID("alike")) })
	}
	alike.Wait()
	require.NoError(t, errors.Join(errs...))
	require.Equal(t, 1, stats(t, nc).Waiting)
	require.NoError(t, c.Cancel(limited(t), "alike"))
	requireRest(t, nc)

	// The workers stay connected. Their requests are lost with the leader, and no server
	// tells them.
	j := newJournal(t)
	places := 0
	for i, url := range urls {
		if fmt.Sprint("member", i) != leader {
			serve(t, connect(t, url), j.handler(fmt.Sprint("w", i)), dispatch.WithWorkers(8))
			places += 8
		}
	}
	require.Equal(t, 16, places)
	requireFree(t, nc, places)
	underLoad(t, nc, j, true, func() { all[leader].kill() })
	requireFree(t, nc, places)
}

// The server holds more requests than nats-server allows by default.
func TestSixHundredPlacesAreAllServed(t *testing.T) {
	_, nc := lazy(t, fleet.Settings{})
	j := newJournal(t)
	for i := range 3 {
		serve(t, connectTo(t, nc), j.handler(fmt.Sprint("w", i)), dispatch.WithWorkers(200))
	}
	requireFree(t, nc, 600)
}

func TestF12AServerThatIsAwayAtTheStartIsWaitedFor(t *testing.T) {
	m := newMachine(t)
	nc := connect(t, m.url())
	provision(t, nc, fleet.Settings{})
	own := connectNamed(t, nc, "w")
	m.signal(syscall.SIGSTOP)
	made := make(chan error, 1)
	go func() {
		c, err := fleet.NewClient(context.Background(), nc, tasks)
		if err == nil {
			err = c.Close()
		}
		made <- err
	}()
	w := serve(t, own, newJournal(t).handler("w"))
	<-time.After(100 * time.Millisecond)
	m.signal(syscall.SIGCONT)
	require.NoError(t, <-made)
	requireFree(t, nc, w.pool.Stats().MaxRunning)
}
