//go:build unix

package embedded_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/dispatch"
	"example.com/dispatch/fleet"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

func TestF1WhatSendHasStoredIsBegunAlthoughTheServerIsKilled(t *testing.T) {
	m := newMachine(t)
	nc := connect(t, m.url())
	provision(t, nc, fleet.Settings{})
	c := client(t, nc)
	for _, in := range many(20, task{}) {
		_, err := c.Send(limited(t), in)
		require.NoError(t, err)
	}
	m.kill()
	m.boot()

	j := newJournal(t)
	w := worker(t, m.url(), j, "w", 4)
	requireRest(t, nc)
	begun := j.begun()
	require.Len(t, begun, 20)
	for n, times := range begun {
		require.Equal(t, 1, times, "task %d", n)
	}
	require.Equal(t, 20, stats(t, nc).Results)
	w.signal(syscall.SIGTERM)
	w.requireEnd()
}

// brokenCodec is a codec that cannot encode.
type brokenCodec struct{}

func (brokenCodec) Marshal(any) ([]byte, error) { return nil, errors.New("no letters left") }
func (brokenCodec) Unmarshal([]byte, any) error { return errors.New("no glasses") }
func (brokenCodec) ContentType() string         { return "text/plain" }

func TestF1NothingIsStoredOfWhatIsRefused(t *testing.T) {
	_, nc := lazy(t, fleet.Settings{MaxJobs: 2})
	c := client(t, nc)

	_, err := c.Send(limited(t), task{Do: strings.Repeat("x", 2<<20)})
	require.ErrorIs(t, err, fleet.ErrTooLarge)
	_, err = c.Call(limited(t), task{Do: strings.Repeat("x", 2<<20)})
	require.ErrorIs(t, err, fleet.ErrTooLarge)

	broken := tasks
	broken.Codec = brokenCodec{}
	bc, err := fleet.NewClient(limited(t), nc, broken)
	require.NoError(t, err)
	defer bc.Close()
	_, err = bc.Send(limited(t), task{})
	require.ErrorContains(t, err, "no letters left")
	require.Zero(t, stats(t, nc).Waiting)

	for _, in := range many(2, task{}) {
		_, err := c.Send(limited(t), in)
		require.NoError(t, err)
	}
	_, err = c.Send(limited(t), task{N: 3})
	require.ErrorIs(t, err, dispatch.ErrQueueFull)
	_, err = c.Call(limited(t), task{N: 4})
	require.ErrorIs(t, err, dispatch.ErrQueueFull)
	require.Equal(t, 2, stats(t, nc).Waiting)
}

func TestF1AJobSentAgainWithTheIDThatCameWithTheErrorIsOne(t *testing.T) {
	server, nc := lazy(t, fleet.Settings{})
	line := newCable(t, address(server))
	c := client(t, connect(t, line.url()))
	line.hush() // messages now wait in the cable
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	id, err := c.Send(short, task{N: 1})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotEmpty(t, id)
	line.mend()
	again, err := c.Send(limited(t), task{N: 1}, fleet.ID(id))
	require.NoError(t, err)
	require.Equal(t, id, again)
	require.Equal(t, 1, stats(t, nc).Waiting)
}

// A full stream refuses jobs, as a full disk does, until workers have made room.
func TestF1BeyondMaxBytesJobsAreRefusedAndTheRestIsWorkedOff(t *testing.T) {
	_, nc := lazy(t, fleet.Settings{MaxBytes: 64 << 10})
	c := client(t, nc)
	stored := 0
	for {
		_, err := c.Send(limited(t), task{N: stored, Nap: 0, Do: strings.Repeat("x", 4<<10)})
		if err != nil {
			require.ErrorIs(t, err, dispatch.ErrQueueFull)
			break
		}
		stored++
	}
	require.Greater(t, stored, 5)
	j := newJournal(t)
	serve(t, nc, j.handler("w"))
	requireRest(t, nc)
	require.Len(t, j.begun(), stored)
	_, err := c.Send(limited(t), task{N: stored})
	require.NoError(t, err, "there is room again")
}

func TestF5OneIDIsOneJobWhileItWaitsRunsAndIsKept(t *testing.T) {
	t.Parallel()
	_, nc := lazy(t, fleet.Settings{KeepFor: 6 * time.Second})
	c, other := client(t, nc), client(t, connectTo(t, nc))
	send := func(ids ...string) {
		t.Helper()
		for _, id := range ids {
			got, err := c.Send(limited(t), task{Nap: 50 * time.Millisecond}, fleet.ID(id))
			require.NoError(t, err)
			require.Equal(t, id, got)
		}
	}
	// The job waits. Similar ids are different ids.
	send("k", "k", "K", "k.", "k k", "k  k", "\u00e4")
	require.Equal(t, 6, stats(t, nc).Waiting)
	// The job is delayed.
	_, err := c.Send(limited(t), task{N: 1}, fleet.ID("later"), fleet.After(300*time.Millisecond))
	require.NoError(t, err)
	send("later")
	require.Equal(t, 7, stats(t, nc).Waiting)

	j := newJournal(t)
	serve(t, nc, j.handler("w"), dispatch.WithWorkers(8))
	requireSoon(t, func() bool { return len(j.lines()) > 0 }, "nothing runs")
	send("k", "K") // these jobs run, or have run
	for _, id := range []string{"k", "K", "k.", "k k", "k  k", "\u00e4", "later"} {
		_, err := other.Result(limited(t), id)
		require.NoError(t, err)
	}
	send("k", "later") // the results of these jobs are kept
	requireRest(t, nc)
	require.Len(t, j.lines(), 14)

	// The results have expired, although the server may still remember the ids.
	requireSoon(t, func() bool {
		_, err := c.Result(limited(t), "k")
		return errors.Is(err, fleet.ErrNotFound)
	}, "the result is kept for ever")
	send("k")
	_, err = c.Result(limited(t), "k")
	require.NoError(t, err)
	require.Len(t, j.lines(), 16)
}

func TestF5OfManySendersOfOneIDOneStoresIt(t *testing.T) {
	_, nc := lazy(t, fleet.Settings{})
	j := newJournal(t)
	serve(t, nc, j.handler("w"), dispatch.WithWorkers(8))
	clients := []*fleet.Client[task, string]{client(t, nc), client(t, connectTo(t, nc))}
	for round := range 10 {
		id := fleet.ID("round " + string(rune('a'+round)))
		var senders sync.WaitGroup
		for i := range 16 {
			senders.Go(func() {
				_, err := clients[i%2].Send(limited(t), task{N: round}, id)
				if err != nil {
					t.Error(err)
				}
			})
		}
		senders.Wait()
	}
	requireRest(t, nc)
	for round, times := range j.begun() {
		require.Equal(t, 1, times, "round %d", round)
	}
	require.Equal(t, 10, stats(t, nc).Results)
}

// The server remembers for two minutes which ids it has stored. Here it does not remember
// the id, as after that time.
func TestF5AnIDIsTakenThoughTheServerHasForgottenIt(t *testing.T) {
	_, nc := lazy(t, fleet.Settings{})
	c := client(t, nc)
	storeUnremembered(t, nc, "k", `{"N":1}`)
	_, err := c.Send(limited(t), task{N: 2}, fleet.ID("k"))
	require.NoError(t, err)
	require.Equal(t, 1, stats(t, nc).Waiting, "it waits")

	j := newJournal(t)
	w := serve(t, nc, j.handler("w"))
	requireRest(t, nc)
	require.NoError(t, w.end())
	_, err = c.Send(limited(t), task{N: 2}, fleet.ID("k"))
	require.NoError(t, err)
	require.Zero(t, stats(t, nc).Waiting, "its result is kept")
	require.Equal(t, map[int]int{1: 1}, j.begun())
}

// storeUnremembered stores a job whose id the server does not remember.
func storeUnremembered(t *testing.T, nc *nats.Conn, id, data string) {
	t.Helper()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	_, err = js.PublishMsg(limited(t), &nats.Msg{Subject: "fleet.tasks.job." + id, Data: []byte(data), Header: nats.Header{
		"Fleet-Version": {"1"}, "Fleet-Id": {id}, "Content-Type": {"application/json"}, "Nats-Expected-Last-Subject-Sequence": {"0"},
	}})
	require.NoError(t, err)
}

// The job with an id ends after another sender has looked for its result and before that
// sender stores its own job.
func TestF5AJobThatSlipsInAfterItsNamesakeHasEndedDoesNotRun(t *testing.T) {
	_, nc := lazy(t, fleet.Settings{})
	j := newJournal(t)
	serve(t, nc, j.handler("w"))
	c := client(t, nc)
	_, err := c.Send(limited(t), task{N: 1}, fleet.ID("k"))
	require.NoError(t, err)
	_, err = c.Result(limited(t), "k")
	require.NoError(t, err)
	requireRest(t, nc)
	storeUnremembered(t, nc, "k", `{"N":2}`)
	requireRest(t, nc)
	require.Equal(t, map[int]int{1: 1}, j.begun())
}

func TestWrongOptionsOfSendAreNamed(t *testing.T) {
	_, nc := lazy(t, fleet.Settings{})
	c := client(t, nc)
	_, err := c.Send(limited(t), task{}, fleet.ID("a "))
	require.ErrorContains(t, err, `ID "a "`)
	_, err = c.Send(limited(t), task{}, fleet.After(-time.Second))
	require.ErrorContains(t, err, "After(-1s)")
	_, err = c.Result(limited(t), "")
	require.ErrorContains(t, err, "ID of 0 bytes")
	require.ErrorContains(t, c.Cancel(limited(t), ""), "ID of 0 bytes")
	_, err = c.Result(limited(t), "nobody")
	require.ErrorIs(t, err, fleet.ErrNotFound)
	require.ErrorIs(t, c.Cancel(limited(t), "nobody"), fleet.ErrNotFound)
	require.ErrorIs(t, tasks.Requeue(limited(t), nc, "nobody"), fleet.ErrNotFound)
	require.Zero(t, stats(t, nc).Waiting)
}

func TestAfterBeginsNoSooner(t *testing.T) {
	_, nc := lazy(t, fleet.Settings{Attempts: 1})
	c := client(t, nc)
	const delay = 500 * time.Millisecond
	began := make(chan time.Duration, 2)
	run := func(ctx context.Context, in task) (string, error) {
		info, _ := fleet.Info(ctx)
		require.Equal(t, 1, info.Attempt)
		began <- time.Since(info.Stored)
		return "", nil
	}
	// A job whose delay is over before the first worker starts is started too.
	_, err := c.Send(limited(t), task{N: 1}, fleet.After(time.Millisecond))
	require.NoError(t, err)
	time.Sleep(5 * time.Millisecond)
	serve(t, nc, run)
	<-began
	_, err = c.Send(limited(t), task{N: 2}, fleet.After(delay))
	require.NoError(t, err)
	require.GreaterOrEqual(t, <-began, delay)
	requireRest(t, nc)
}

func TestProvisionChangesSettingsAndLosesNoJob(t *testing.T) {
	_, nc := lazy(t, fleet.Settings{})
	c := client(t, nc)
	for _, in := range many(5, task{}) {
		_, err := c.Send(limited(t), in)
		require.NoError(t, err)
	}
	provision(t, nc, fleet.Settings{MaxJobs: 2, KeepFor: time.Minute, Lease: time.Second, MaxBytes: 1 << 20})
	require.Equal(t, 5, stats(t, nc).Waiting)
	_, err := c.Send(limited(t), task{})
	require.ErrorIs(t, err, dispatch.ErrQueueFull)
	var provisions sync.WaitGroup
	for range 8 {
		provisions.Go(func() {
			if err := tasks.Provision(limited(t), nc, fleet.Settings{}); err != nil {
				t.Error(err)
			}
		})
	}
	provisions.Wait()
	require.Equal(t, 5, stats(t, nc).Waiting)
}

func TestWorkersFollowNewSettings(t *testing.T) {
	t.Parallel()
	server, nc := lazy(t, fleet.Settings{Attempts: 5})
	line := newCable(t, address(server))
	j := newJournal(t)
	serve(t, connect(t, line.url()), j.handler("w"))
	provision(t, nc, fleet.Settings{Attempts: 1})
	line.cut() // the worker reads the settings after a reconnect, and twice a minute anyway
	line.mend()
	n := 0
	requireSoon(t, func() bool {
		n++
		_, err := client(t, nc).Call(limited(t), task{N: n, Do: "retry once"})
		return errors.Is(err, fleet.ErrDead)
	}, "it goes by the old settings")
}

func TestAKindThatIsNotProvisionedIsAnErrorAtOnceThatSaysWhatToDo(t *testing.T) {
	_, nc := lazy(t, fleet.Settings{})
	other := fleet.Kind[int, int]{Name: "other"}
	_, err := fleet.NewClient(t.Context(), nc, other)
	require.ErrorContains(t, err, "kind other is not provisioned on this server: call Kind.Provision first")
	p := dispatch.Must(dispatch.New(func(_ context.Context, n int) (int, error) { return n, nil }))
	defer p.Close()
	require.ErrorContains(t, fleet.Serve(t.Context(), nc, other, p), "call Kind.Provision first")
	_, err = other.Stats(t.Context(), nc)
	require.ErrorContains(t, err, "call Kind.Provision first")
	for _, err := range other.Dead(t.Context(), nc) {
		require.ErrorContains(t, err, "call Kind.Provision first")
	}
	require.ErrorContains(t, other.Requeue(t.Context(), nc, "x"), "call Kind.Provision first")
}

func TestAKindThatIsDeletedEndsItsClientsAndWorkers(t *testing.T) {
	t.Parallel()
	_, nc := lazy(t, fleet.Settings{})
	c := client(t, nc)
	w := serve(t, nc, newJournal(t).handler("w"))
	requireFree(t, nc, w.pool.Stats().MaxRunning)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	require.NoError(t, js.DeleteStream(limited(t), "FLEET_tasks_JOBS"))
	_, err = c.Call(limited(t), task{})
	require.ErrorContains(t, err, "call Kind.Provision first")
	require.ErrorContains(t, w.wait(), "call Kind.Provision first")
}
