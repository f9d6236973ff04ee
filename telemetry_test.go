package dispatch_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

func TestAnOutcomeIsNamedInLowerCase(t *testing.T) {
	for outcome, name := range map[dispatch.Outcome]string{
		dispatch.Pending: "pending", dispatch.Succeeded: "succeeded", dispatch.Failed: "failed", dispatch.Panicked: "panicked", dispatch.Canceled: "canceled",
		dispatch.TimedOut: "timed out", dispatch.Dropped: "dropped", dispatch.Outcome(7): "Outcome(7)",
	} {
		require.Equal(t, name, outcome.String())
	}
}

func TestAnOutcomeIsWrittenAndReadAsText(t *testing.T) {
	for outcome := dispatch.Pending; outcome <= dispatch.Dropped; outcome++ {
		text, err := json.Marshal(outcome)
		require.NoError(t, err)
		require.Equal(t, `"`+outcome.String()+`"`, string(text))
		var read dispatch.Outcome
		require.NoError(t, json.Unmarshal(text, &read))
		require.Equal(t, outcome, read)
	}
	require.EqualError(t, new(dispatch.Outcome).UnmarshalText([]byte("lost")), `dispatch: there is no Outcome "lost"`)
}

func TestAJobIsLoggedWithWhatThereIs(t *testing.T) {
	line := func(j dispatch.Job) string {
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
	require.Equal(t, "job.outcome=pending job.wait=0s job.run=0s\n", line(dispatch.Job{Index: -1}))
	require.Contains(t, line(dispatch.Job{Index: 0}), "job.index=0")
	require.Equal(t,
		"job.outcome=\"timed out\" job.wait=1s job.run=2s job.pool=thumbs job.label=a.png job.index=3 job.error=late\n",
		line(dispatch.Job{
			Pool: "thumbs", Label: "a.png", Index: 3, Wait: time.Second, Run: 2 * time.Second,
			Outcome: dispatch.TimedOut, Err: errors.New("late"),
		}))
}
