package embedded_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"example.com/dispatch"
	"example.com/dispatch/fleet"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

func TestF9AFailureOfACallIsItsAnswer(t *testing.T) {
	t.Parallel()
	_, nc := lazy(t, fleet.Settings{})
	j := newJournal(t)
	serve(t, connectNamed(t, nc, "the worker"), j.handler("w"), dispatch.WithJobTimeout(2*time.Second), dispatch.WithPanicHandler(func(*dispatch.PanicError) {}))
	c := client(t, nc)
	call := func(do string) error {
		_, err := c.Call(limited(t), task{Do: do})
		require.Error(t, err)
		return err
	}
	err := call("fail")
	var remote *fleet.RemoteError
	require.ErrorAs(t, err, &remote)
	require.Equal(t, "the worker", remote.Worker)
	require.Equal(t, 1, remote.Attempt)
	require.Equal(t, "it failed", remote.Message)
	require.NotErrorIs(t, err, errBusy)

	require.ErrorIs(t, call("busy"), errBusy)
	require.ErrorIs(t, call("give up"), errBusy)
	require.ErrorIs(t, call("goexit"), dispatch.ErrGoexit)
	require.ErrorIs(t, call("grow"), fleet.ErrTooLarge)

	var p *dispatch.PanicError
	require.ErrorAs(t, call("panic"), &p)
	require.Equal(t, "a bad day", p.Value)
	require.Contains(t, string(p.Stack), "journal.handler", "the worker's stack")

	_, err = c.Call(limited(t), task{Nap: time.Hour})
	var timeout *dispatch.TimeoutError
	require.ErrorAs(t, err, &timeout)
	require.Equal(t, dispatch.TimeoutError{Limit: 2 * time.Second, Ran: true}, *timeout)

	require.Len(t, j.begun(), 1)
	require.Equal(t, 7, j.begun()[0], "none was tried again")
	requireRest(t, nc)
	require.Empty(t, letters(t, nc))
}

func connectNamed(t *testing.T, nc *nats.Conn, name string) *nats.Conn {
	t.Helper()
	o := nc.Opts
	o.Name = name
	second, err := o.Connect()
	require.NoError(t, err)
	t.Cleanup(second.Close)
	return second
}

func TestF10RetryTriesAgainWhetherCalledOrSent(t *testing.T) {
	_, nc := lazy(t, fleet.Settings{Attempts: 3})
	j := newJournal(t)
	serve(t, nc, j.handler("w"))
	c := client(t, nc)
	out, err := c.Call(limited(t), task{N: 1, Do: "retry once"})
	require.NoError(t, err)
	require.Equal(t, "1 by w", out)

	_, err = c.Call(limited(t), task{N: 2, Do: "retry"})
	require.ErrorIs(t, err, fleet.ErrDead)
	require.ErrorIs(t, err, errBusy)

	_, err = c.Send(limited(t), task{N: 3, Do: "retry"}, fleet.ID("sent 3"))
	require.NoError(t, err)
	_, err = c.Result(limited(t), "sent 3")
	require.ErrorIs(t, err, fleet.ErrDead)
	require.ErrorIs(t, err, errBusy)
	require.Equal(t, map[int]int{1: 2, 2: 3, 3: 3}, j.begun())
	requireRest(t, nc)
	dead := letters(t, nc)
	require.Len(t, dead, 2)
	require.Equal(t, "sent 3", dead[1].ID)
	require.Equal(t, 3, dead[1].Attempts)
	require.Equal(t, errBusy.Error(), dead[1].Reason)
	require.JSONEq(t, `{"N":3,"Nap":0,"Do":"retry"}`, string(dead[1].Data))
	require.WithinDuration(t, time.Now(), dead[1].At, time.Minute)
}

func TestF10ASentJobThatFailsIsTriedAgainAfterAPause(t *testing.T) {
	t.Parallel()
	_, nc := lazy(t, fleet.Settings{Attempts: 2})
	j := newJournal(t)
	serve(t, nc, j.handler("w"))
	began := time.Now()
	id, err := client(t, nc).Send(limited(t), task{Do: "busy"})
	require.NoError(t, err)
	_, err = client(t, nc).Result(limited(t), id)
	require.ErrorIs(t, err, fleet.ErrDead)
	require.ErrorIs(t, err, errBusy)
	require.GreaterOrEqual(t, time.Since(began), 990*time.Millisecond, "the pause after the first attempt is a second")
	require.Equal(t, map[int]int{0: 2}, j.begun())
	requireRest(t, nc)
}

// A caller of Result learns of a dead letter before the worker has acknowledged the job.
// If Requeue stored the job again too early, the server would take it for the old one, and
// it would be lost.
func TestF10ADeadLetterIsQueuedAgainWhenItsOutcomeIsKnown(t *testing.T) {
	_, nc := lazy(t, fleet.Settings{})
	c := client(t, nc)
	serve(t, nc, func(_ context.Context, in task) (string, error) {
		if in.Do == "give up" {
			return "", fleet.NoRetry(errBusy)
		}
		return "", nil
	})
	for n := range 50 {
		id, err := c.Send(limited(t), task{N: n, Do: "give up"})
		require.NoError(t, err)
		for range 3 {
			_, err = c.Result(limited(t), id)
			require.ErrorIs(t, err, fleet.ErrDead)
			require.NoError(t, tasks.Requeue(limited(t), nc, id))
		}
		_, err = c.Result(limited(t), id)
		require.ErrorIs(t, err, fleet.ErrDead)
	}
	requireRest(t, nc)
}

func TestF10ADeadLetterIsQueuedAgainWithAllItsAttempts(t *testing.T) {
	_, nc := lazy(t, fleet.Settings{Attempts: 2})
	j := newJournal(t)
	w := serve(t, nc, j.handler("w"))
	c := client(t, nc)
	_, err := c.Send(limited(t), task{N: 1, Do: "give up"}, fleet.ID("order 17"))
	require.NoError(t, err)
	_, err = c.Result(limited(t), "order 17")
	require.ErrorIs(t, err, fleet.ErrDead)
	require.Equal(t, 1, j.begun()[1], "NoRetry is final")
	requireRest(t, nc)
	require.NoError(t, w.end())

	require.NoError(t, tasks.Requeue(limited(t), nc, "order 17"))
	require.Empty(t, letters(t, nc))
	again := stats(t, nc) // the server may still hold a request of the ended worker, which takes the job for a moment
	require.Equal(t, 1, again.Waiting+again.Taken)
	require.ErrorIs(t, tasks.Requeue(limited(t), nc, "order 17"), fleet.ErrNotFound)
	serve(t, connectTo(t, nc), func(ctx context.Context, in task) (string, error) {
		info, _ := fleet.Info(ctx)
		if info.Attempt == 1 {
			return "", fleet.Retry(errBusy, 0)
		}
		return fmt.Sprint(info.ID, " ", info.Attempt), nil
	})
	out, err := c.Result(limited(t), "order 17")
	require.NoError(t, err)
	require.Equal(t, "order 17 2", out)
	requireRest(t, nc)
}

// A poison job kills each process that takes it.
func TestF10AJobThatKillsItsProcessIsADeadLetterAlsoACalledOne(t *testing.T) {
	t.Parallel()
	server, nc := lazy(t, fleet.Settings{Attempts: 2, Lease: time.Second})
	j := newJournal(t)
	c := client(t, nc)
	_, err := c.Send(limited(t), task{N: 1, Do: "die"}, fleet.ID("poison"))
	require.NoError(t, err)
	p := callers(t, c, 1)
	f, err := p.Submit(limited(t), task{N: 2, Do: "die"})
	require.NoError(t, err)
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, err = f.Wait(limited(t))
	}()
	for i := 0; ; i++ { // as a supervisor would restart them
		w := worker(t, server.URL(), j, fmt.Sprint("w", i), 1)
		select {
		case <-w.over:
			require.Less(t, i, 10)
			continue
		case <-over:
		case <-time.After(patience):
			require.Fail(t, "the poison has had no outcome")
		}
		break
	}
	require.ErrorIs(t, err, fleet.ErrDead)
	_, err = c.Result(limited(t), "poison")
	require.ErrorIs(t, err, fleet.ErrDead)
	require.Equal(t, map[int]int{1: 2, 2: 2}, j.begun())
	requireRest(t, nc)
	require.Len(t, letters(t, nc), 2)
}

func TestF11WhateverComesOverTheWireHarmsNoWorker(t *testing.T) {
	t.Parallel()
	_, nc := lazy(t, fleet.Settings{Attempts: 2})
	j := newJournal(t)
	serve(t, nc, j.handler("w"), dispatch.WithWorkers(2))
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	good := func(id string) nats.Header {
		return nats.Header{"Fleet-Version": {"1"}, "Fleet-Id": {id}, "Content-Type": {"application/json"}}
	}
	publish := func(id string, h nats.Header, data string) {
		t.Helper()
		_, err := js.PublishMsg(limited(t), &nats.Msg{Subject: "fleet.tasks.job." + id, Header: h, Data: []byte(data)})
		require.NoError(t, err)
	}
	want := map[string]string{}
	wrong := func(id, reason string, change func(nats.Header), data string) {
		t.Helper()
		h := good(id)
		change(h)
		want[id] = reason
		publish(id, h, data)
	}
	nothing := func(nats.Header) {}
	wrong("a", "the input: ", nothing, "{")
	wrong("b", "the input: ", nothing, "")
	wrong("c", "Fleet-Id", func(h nats.Header) { h.Del("Fleet-Id") }, "{}")
	wrong("d", "Fleet-Id", func(h nats.Header) { h.Set("Fleet-Id", "e") }, "{}")
	wrong("f", "Fleet-Budget-Ms", func(h nats.Header) { h.Set("Fleet-Budget-Ms", "-1") }, "{}")
	wrong("g", "Fleet-After-Ms", func(h nats.Header) { h.Set("Fleet-After-Ms", "soon") }, "{}")
	wrong("h", "Fleet-Reply", func(h nats.Header) { h.Set("Fleet-Reply", "fleet.tasks.dead.h") }, "{}")
	wrong("i", "Fleet-Reply", func(h nats.Header) { h.Set("Fleet-Reply", "$JS.API.STREAM.DELETE.FLEET_tasks_JOBS") }, "{}")
	wrong("k", `the data is "application/xml"`, func(h nats.Header) { h.Set("Content-Type", "application/xml") }, "{}")
	wrong("l", "Fleet-Version", func(h nats.Header) { h.Set("Fleet-Version", "2") }, "{}")
	wrong("m", "Fleet-Version", func(h nats.Header) { clear(h) }, "{}")
	publish("n", good("n"), `{"N":1}`)
	requireRest(t, nc)
	for _, d := range letters(t, nc) {
		require.Contains(t, d.Reason, want[d.ID], d.ID)
		delete(want, d.ID)
	}
	require.Empty(t, want)
	require.Equal(t, map[int]int{1: 1}, j.begun())
	out, err := client(t, nc).Result(limited(t), "n")
	require.NoError(t, err)
	require.Equal(t, "1 by w", out)
	_, err = client(t, nc).Result(limited(t), "a")
	require.ErrorIs(t, err, fleet.ErrDead)
}

func TestF11AMalformedResultIsAnError(t *testing.T) {
	_, nc := lazy(t, fleet.Settings{})
	c := client(t, nc)
	for name, h := range map[string]nats.Header{
		"nothing":           {},
		"another job":       {"Fleet-Id": {"x"}, "Fleet-Status": {"ok"}, "Fleet-Attempt": {"1"}},
		"an unknown status": {"Fleet-Status": {"fine"}, "Fleet-Attempt": {"1"}},
		"no failure":        {"Fleet-Status": {"error"}, "Fleet-Attempt": {"1"}},
		"another codec":     {"Fleet-Status": {"ok"}, "Fleet-Attempt": {"1"}, "Content-Type": {"text/plain"}},
	} {
		t.Run(name, func(t *testing.T) {
			jobs, err := nc.SubscribeSync("fleet.tasks.job.*")
			require.NoError(t, err)
			defer func() { _ = jobs.Unsubscribe() }()
			failed := make(chan error, 1)
			go func() {
				_, err := c.Call(limited(t), task{})
				failed <- err
			}()
			m, err := jobs.NextMsgWithContext(limited(t))
			require.NoError(t, err)
			if h.Get("Fleet-Id") == "" && len(h) > 0 {
				h.Set("Fleet-Id", m.Header.Get("Fleet-Id"))
			}
			_, err = nc.RequestMsg(&nats.Msg{Subject: m.Header.Get("Fleet-Reply"), Header: h, Data: []byte(`[`)}, patience)
			require.NoError(t, err, "the client confirms whatever comes")
			err = <-failed
			require.ErrorContains(t, err, "fleet: job "+m.Header.Get("Fleet-Id"))
			_, err = nc.RequestMsg(&nats.Msg{Subject: m.Header.Get("Fleet-Reply"), Header: h}, patience)
			require.NoError(t, err, "and also what comes too late")
		})
	}
}

// The worker has one codec, the caller another. The JSON codec could decode some foreign
// inputs, so the content type must tell them apart.
func TestCodecsThatDifferAreSaidSo(t *testing.T) {
	_, nc := lazy(t, fleet.Settings{})
	serve(t, nc, newJournal(t).handler("w"))
	text := tasks
	text.Codec = textCodec{}
	c, err := fleet.NewClient(limited(t), nc, text)
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Call(limited(t), task{})
	require.ErrorContains(t, err, `the data is "text/plain", but the codec reads "application/json"`)
	requireRest(t, nc)
}

type textCodec struct{}

func (textCodec) Marshal(v any) ([]byte, error) { return []byte("{}"), nil }
func (textCodec) Unmarshal([]byte, any) error   { return nil }
func (textCodec) ContentType() string           { return "text/plain" }
