package dispatch

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAnOutcomeIsNamedInLowerCase(t *testing.T) {
	for outcome, name := range map[Outcome]string{
		Pending: "pending", Succeeded: "succeeded", Failed: "failed", Panicked: "panicked", Canceled: "canceled",
		TimedOut: "timed out", Dropped: "dropped", Outcome(7): "Outcome(7)",
	} {
		require.Equal(t, name, outcome.String())
	}
}

func TestAnOutcomeIsWrittenAndReadAsText(t *testing.T) {
	for outcome := Pending; outcome <= Dropped; outcome++ {
		text, err := json.Marshal(outcome)
		require.NoError(t, err)
		require.Equal(t, `"`+outcome.String()+`"`, string(text))
		var read Outcome
		require.NoError(t, json.Unmarshal(text, &read))
		require.Equal(t, outcome, read)
	}
	require.EqualError(t, new(Outcome).UnmarshalText([]byte("lost")), `dispatch: there is no Outcome "lost"`)
}

func TestAJobIsLoggedWithWhatThereIs(t *testing.T) {
	line := func(j Job) string {
		var out bytes.Buffer
		slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
			ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
				if len(groups) == 0 && a.Key != "job" {
					return slog.Attr{}
				}
				return a
			},
		})).Info("", "job", j)
		return out.String()
	}
	require.Equal(t, "job.outcome=pending job.wait=0s job.run=0s\n", line(Job{Index: -1}))
	require.Contains(t, line(Job{Index: 0}), "job.index=0")
	require.Equal(t,
		"job.outcome=\"timed out\" job.wait=1s job.run=2s job.pool=thumbs job.label=a.png job.index=3 job.error=late\n",
		line(Job{
			Pool: "thumbs", Label: "a.png", Index: 3, Wait: time.Second, Run: 2 * time.Second,
			Outcome: TimedOut, Err: errors.New("late"),
		}))
}
