package fleet

import (
	"math"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

func TestHeadersOfTheWireFormatAreNoPassengers(t *testing.T) {
	all := nats.Header{
		"traceparent": {"a"}, "Baggage": {"b", "c"}, "Fleetfoot": {"d"},
		headID: {"x"}, "fleet-id": {"x"}, headMsgID: {"x"}, "NATS-TTL": {"x"}, headContentType: {"x"}, "content-type": {"x"},
	}
	require.Equal(t, nats.Header{"traceparent": {"a"}, "Baggage": {"b", "c"}, "Fleetfoot": {"d"}}, passengers(all))
}

func TestHeadersTakeWhatTheyTakeInAMessage(t *testing.T) {
	h := nats.Header{"traceparent": {"00-1-2-01"}, "Baggage": {"b", "cc"}}
	wire := (&nats.Msg{Subject: "s", Header: h}).Size() - (&nats.Msg{Subject: "s", Header: nats.Header{}}).Size()
	empty := (&nats.Msg{Subject: "s", Header: nats.Header{"a": {"b"}}}).Size() - (&nats.Msg{Subject: "s"}).Size() - int(sizeOf(nats.Header{"a": {"b"}}))
	require.Equal(t, int64(wire), sizeOf(h)+int64(empty))
}

func TestTheTimesOfAnOutcomeSurviveTheWay(t *testing.T) {
	for _, times := range [][2]time.Duration{{0, 0}, {0, time.Microsecond}, {time.Hour, 3 * time.Second}, {math.MaxInt64 / 1000 * 1000, time.Millisecond}} {
		sent := outcome{id: "T", status: statusOK, attempt: 1, worker: "w", wait: times[0], run: times[1], contentType: "x"}
		got, err := parseOutcome(sent.header(), nil)
		require.NoError(t, err)
		require.Equal(t, sent, got)
	}
	for _, bad := range []string{"-1", "soon", "1.5", "9223372036854776", "99999999999999999999"} {
		for _, header := range []string{headWait, headRun} {
			h := outcome{id: "T", status: statusOK, attempt: 1, run: 1}.header()
			h.Set(header, bad)
			_, err := parseOutcome(h, nil)
			require.ErrorContains(t, err, header+` "`+bad[:min(len(bad), 64)]+`" is not a number of microseconds`)
		}
	}
}
