package embedded_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/dispatch/fleet"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// relayed returns a connection to a second server. A relay there answers each message to
// JetStream with the result of answer: for the n-th message on a subject, nil means that
// it sends no answer. ask forwards the message to the server of nc and returns its answer.
func relayed(t *testing.T, nc *nats.Conn, answer func(subject string, n int, ask func() []byte) *nats.Msg) *nats.Conn {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true})
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	require.True(t, s.ReadyForConnections(patience))
	relay := connect(t, s.ClientURL())
	var mu sync.Mutex
	seen := map[string]int{}
	take := func(m *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		seen[m.Subject]++
		ask := func() []byte {
			if a, err := nc.RequestMsg(&nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Data}, patience); err == nil {
				return a.Data
			}
			return nil
		}
		if a := answer(m.Subject, seen[m.Subject], ask); a != nil {
			_ = m.RespondMsg(a)
		}
	}
	for _, subjects := range []string{"$JS.API.>", "fleet.tasks.job.*", "fleet.tasks.res.*"} {
		_, err = relay.Subscribe(subjects, take)
		require.NoError(t, err)
	}
	require.NoError(t, relay.Flush())
	return connect(t, s.ClientURL())
}

// failing returns an error answer of JetStream.
func failing(status, code int, text string) *nats.Msg {
	return &nats.Msg{Data: fmt.Appendf(nil, `{"error":{"code":%d,"err_code":%d,"description":%q}}`, status, code, text)}
}

func TestF12AStreamThatHasNoLeaderIsAskedAgain(t *testing.T) {
	t.Parallel()
	_, nc := lazy(t, fleet.Settings{})
	serve(t, nc, newJournal(t).handler("w"))
	c := client(t, nc)
	_, err := c.Send(limited(t), task{N: 7}, fleet.ID("good"))
	require.NoError(t, err)
	_, err = c.Send(limited(t), task{Do: "give up"}, fleet.ID("bad"))
	require.NoError(t, err)
	_, err = c.Result(limited(t), "good")
	require.NoError(t, err)
	_, err = c.Result(limited(t), "bad")
	require.ErrorIs(t, err, fleet.ErrDead)
	requireRest(t, nc)

	unled := relayed(t, nc, func(_ string, n int, ask func() []byte) *nats.Msg {
		switch n {
		case 1:
			return nil
		case 2:
			return failing(503, 10008, "JetStream system temporarily unavailable")
		}
		return &nats.Msg{Data: ask()}
	})
	c = client(t, unled)
	out, err := c.Result(limited(t), "good")
	require.NoError(t, err)
	require.Equal(t, "7 by w", out)
	require.ErrorIs(t, c.Cancel(limited(t), "none"), fleet.ErrNotFound)
	require.Len(t, letters(t, unled), 1)
	s := stats(t, unled)
	require.Equal(t, 2, s.Results)
	require.Equal(t, 1, s.Dead)
}

// Servers with replicas answer "in process" for a message that they are about to store. If
// the leader dies the message may be lost. Here it is lost.
func TestF1WhatIsInProcessIsNotTakenForStored(t *testing.T) {
	t.Parallel()
	_, nc := lazy(t, fleet.Settings{})
	c := client(t, relayed(t, nc, func(subject string, n int, ask func() []byte) *nats.Msg {
		switch {
		case strings.HasPrefix(subject, "$JS.API."):
		case n == 1:
			return failing(409, 10158, "duplicate message id is in process")
		case n == 2:
			return failing(400, 10164, "wrong last sequence")
		}
		return &nats.Msg{Data: ask()}
	}))
	for _, id := range []string{"a", "b"} {
		_, err := c.Send(limited(t), task{}, fleet.ID(id))
		require.NoError(t, err)
	}
	require.Equal(t, 2, stats(t, nc).Waiting)
	require.NoError(t, c.Cancel(limited(t), "a"))
	require.Equal(t, 1, stats(t, nc).Results, "the outcome of a canceled job")
	require.Equal(t, 1, stats(t, nc).Waiting)
	_, err := c.Result(limited(t), "a")
	require.ErrorIs(t, err, context.Canceled)
}

// A cluster whose leader has died may keep acknowledged jobs forever. Here the relay
// pretends that two waiting jobs are such jobs.
func TestF5AJobThatIsDoneAndLeftBehindIsDropped(t *testing.T) {
	t.Parallel()
	_, nc := lazy(t, fleet.Settings{})
	c := client(t, nc)
	for _, id := range []string{"done", "done too", "waits", "waits too"} {
		_, err := c.Send(limited(t), task{}, fleet.ID(id))
		require.NoError(t, err)
	}
	cluster := relayed(t, nc, func(subject string, _ int, ask func() []byte) *nats.Msg {
		switch {
		case strings.HasPrefix(subject, "$JS.API.CONSUMER.MSG.NEXT."):
			return &nats.Msg{Header: nats.Header{"Status": {"409"}}} // no leader: it makes the workers read the settings
		case strings.HasPrefix(subject, "$JS.API.CONSUMER.INFO."):
			var info jetstream.ConsumerInfo
			if json.Unmarshal(ask(), &info) != nil {
				return nil
			}
			info.Config.Replicas, info.Delivered.Stream, info.AckFloor.Stream = 3, 2, 2
			data, _ := json.Marshal(info)
			return &nats.Msg{Data: data}
		}
		return &nats.Msg{Data: ask()}
	})
	require.Equal(t, 2, stats(t, cluster).Waiting)
	serve(t, cluster, newJournal(t).handler("w"))
	requireSoon(t, func() bool { return stats(t, nc).Waiting == 2 }, "they are still there")
	<-time.After(3 * time.Second) // here the worker sweeps every second
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	stream, err := js.Stream(limited(t), "FLEET_tasks_JOBS")
	require.NoError(t, err)
	for seq, id := range map[uint64]string{3: "waits", 4: "waits too"} {
		m, err := stream.GetMsg(limited(t), seq)
		require.NoError(t, err)
		require.Equal(t, id, m.Header.Get("Fleet-Id"))
	}
}
