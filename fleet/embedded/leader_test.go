package embedded_test

import (
	"testing"

	"example.com/dispatch/fleet"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// unled returns a connection to a server that hands on what JetStream is asked to
// the server of nc, as if its streams lost their leaders now and then: the first
// request of each subject has no answer, and the second one that says so.
func unled(t *testing.T, nc *nats.Conn) *nats.Conn {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true})
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	require.True(t, s.ReadyForConnections(patience))
	relay := connect(t, s.ClientURL())
	asked := map[string]int{}
	_, err = relay.Subscribe("$JS.API.>", func(m *nats.Msg) { // one call at a time
		asked[m.Subject]++
		switch asked[m.Subject] {
		case 1:
		case 2:
			_ = m.Respond([]byte(`{"error":{"code":503,"err_code":10008,"description":"JetStream system temporarily unavailable"}}`))
		default:
			if answer, err := nc.Request(m.Subject, m.Data, patience); err == nil {
				_ = m.Respond(answer.Data)
			}
		}
	})
	require.NoError(t, err)
	require.NoError(t, relay.Flush())
	return connect(t, s.ClientURL())
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

	away := unled(t, nc)
	c = client(t, away)
	out, err := c.Result(limited(t), "good")
	require.NoError(t, err)
	require.Equal(t, "7 by w", out)
	require.ErrorIs(t, c.Cancel(limited(t), "none"), fleet.ErrNotFound)
	require.Len(t, letters(t, away), 1)
	s := stats(t, away)
	require.Equal(t, 2, s.Results)
	require.Equal(t, 1, s.Dead)
}
