package page

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
	"example.com/dispatch/internal/fakepool"
)

func TestHealthIsTheFirstWordThatHolds(t *testing.T) {
	now := time.Now()
	busy := dispatch.Stats{MaxRunning: 2, MaxQueued: 8, Workers: 2, Running: 2, Succeeded: 10, Telemetry: true, LongestRun: 10 * time.Second}
	with := func(s dispatch.Stats, change func(*dispatch.Stats)) dispatch.Stats { change(&s); return s }
	runs := func(durations ...time.Duration) (jobs []dispatch.Job) {
		for i, d := range durations {
			jobs = append(jobs, dispatch.Job{Worker: i + 1, Index: -1, Run: d})
		}
		return jobs
	}
	type row struct {
		stats   dispatch.Stats
		running []dispatch.Job
		before  func(*dispatch.Stats) // changes the Stats to those of 30 s ago; nil: this is the first look
		word    string
		reason  string
	}
	same := func(*dispatch.Stats) {}
	for name, r := range map[string]row{
		"nothing": {dispatch.Stats{MaxRunning: 2}, nil, nil, "idle", "No job is running or waiting."},
		"a little": {
			dispatch.Stats{MaxRunning: 2, Running: 1}, nil, nil,
			"working", "1 of 2 workers is busy.",
		},
		"no limit": {
			dispatch.Stats{MaxRunning: dispatch.Unlimited, Running: 1000, Queued: 1}, nil, nil,
			"working", "1,000 workers are busy and 1 job waits.",
		},
		"all workers": {
			dispatch.Stats{MaxRunning: 2, Running: 2, Queued: 3}, nil, same,
			"busy", "All 2 workers are busy and 3 jobs wait.",
		},
		"the only worker": {dispatch.Stats{MaxRunning: 1, Running: 1}, nil, nil, "busy", "The only worker is busy."},
		"1 in 50 fails": {
			dispatch.Stats{MaxRunning: 2, Failed: 1, Panicked: 1, TimedOut: 1, Succeeded: 147}, nil, func(s *dispatch.Stats) { *s = dispatch.Stats{} },
			"failing", "3 of 150 jobs that ended in the last 30 s failed, panicked or timed out (2 %).",
		},
		"less than 1 in 50 fails, and others are canceled": {
			dispatch.Stats{MaxRunning: 2, Failed: 2, Canceled: 90, Succeeded: 147}, nil, func(s *dispatch.Stats) { *s = dispatch.Stats{} },
			"idle", "No job is running or waiting.",
		},
		"failures of long ago": {dispatch.Stats{MaxRunning: 2, Failed: 9}, nil, same, "idle", "No job is running or waiting."},
		"submitters wait": {
			with(busy, func(s *dispatch.Stats) { s.Blocked, s.LongestRun = 3, time.Second }), nil, nil,
			"saturated", "All 2 workers are busy and 3 submitters wait for room in the queue.",
		},
		"jobs were refused": {
			dispatch.Stats{MaxRunning: 2, Rejected: 5, Dropped: 7, GaveUp: 1}, nil, func(s *dispatch.Stats) { s.Rejected, s.GaveUp = 3, 0 },
			"saturated", "The queue was full at times in the last 30 s: 2 refused, 1 gave up.",
		},
		"a long wait": {
			dispatch.Stats{MaxRunning: 2, Running: 1, OldestWait: 3 * time.Second, Run: fakepool.Histogram(100*time.Millisecond, time.Second/2, 2*time.Second)}, nil, nil,
			"saturated", "A job has waited for 3 s, and half of the runs take 459 ms or less.",
		},
		"a wait of the usual length": {
			dispatch.Stats{MaxRunning: 2, Running: 2, OldestWait: 3 * time.Second, Run: fakepool.Histogram(time.Second)}, nil, nil,
			"busy", "All 2 workers are busy.",
		},
		"paused":   {dispatch.Stats{MaxRunning: 2, Paused: true, Queued: 4}, nil, nil, "paused", "The pool accepts jobs but starts none; 0 are running, 4 are waiting."},
		"draining": {dispatch.Stats{MaxRunning: 2, State: dispatch.Draining, Running: 1, Queued: 4}, nil, nil, "draining", "The pool accepts no more jobs; 1 is running, 4 are waiting."},
		"stopping": {dispatch.Stats{MaxRunning: 2, State: dispatch.Stopping, Running: 1, Strays: 1}, nil, nil, "stopping", "The pool accepts no more jobs and starts none; 2 are still running."},
		"ended":    {dispatch.Stats{MaxRunning: 2, State: dispatch.Ended}, nil, nil, "ended", "The pool has been closed or stopped, and none of its jobs or goroutines is left."},
		"hung, as the last 30 s show": {
			with(busy, func(s *dispatch.Stats) { s.Queued = 1 }), nil, same,
			"stuck", "All 2 workers are busy, 1 job waits, no job has ended for 30 s, and the longest has run for 10 s.",
		},
		"hung, as is seen at the first look": {
			busy, runs(10*time.Second, 6*time.Second), nil,
			"stuck", "All 2 workers are busy, no job has ended for 6 s, and the longest has run for 10 s.",
		},
		"one worker is not shown": {busy, runs(10 * time.Second), nil, "busy", "All 2 workers are busy."},
		"a stray is no worker": {
			busy, []dispatch.Job{{Worker: 1, Run: 10 * time.Second}, {Worker: 2, Run: 8 * time.Second, Outcome: dispatch.Canceled, Stray: true}}, nil,
			"stuck", "1 handler is still running although its job has ended; the longest (worker 2) has run for 8 s.",
		},
		"one worker has just begun":  {busy, runs(10*time.Second, time.Second), nil, "busy", "All 2 workers are busy."},
		"something has ended":        {busy, nil, func(s *dispatch.Stats) { s.Succeeded-- }, "busy", "All 2 workers are busy."},
		"runs are as long as always": {with(busy, func(s *dispatch.Stats) { s.Run = fakepool.Histogram(8 * time.Second) }), nil, same, "busy", "All 2 workers are busy."},
		"hung, and closing": {
			with(busy, func(s *dispatch.Stats) { s.State = dispatch.Draining }), nil, same,
			"stuck", "All 2 workers are busy, no job has ended for 30 s, and the longest has run for 10 s.",
		},
		"a handler runs on": {
			dispatch.Stats{MaxRunning: 2, Running: 1}, []dispatch.Job{{Worker: 2, Label: "a.png", Run: 90 * time.Second, Outcome: dispatch.TimedOut}}, nil,
			"stuck", "1 handler is still running although its job has ended; the longest (worker 2, a.png) has run for 90 s.",
		},
		"handlers run on": {
			dispatch.Stats{MaxRunning: 2, Running: 1, Strays: 1}, []dispatch.Job{
				{Worker: 2, Run: 90 * time.Second, Outcome: dispatch.TimedOut, Stray: true}, {Worker: 3, Run: 2 * time.Second, Outcome: dispatch.Canceled},
			}, nil,
			"stuck", "2 handlers are still running although their jobs have ended; the longest (worker 2) has run for 90 s.",
		},
		"a handler is about to return": {
			dispatch.Stats{MaxRunning: 2, Running: 1}, []dispatch.Job{{Worker: 2, Run: time.Second - 1, Outcome: dispatch.TimedOut}}, nil,
			"working", "1 of 2 workers is busy.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var h history
			if r.before != nil {
				then := r.stats
				r.before(&then)
				h.add(now.Add(-30*time.Second), then)
			}
			got := judge(sight{stats: r.stats, running: r.running, recent: h.add(now, r.stats)})
			require.Equal(t, r.word+": "+r.reason, got.Word+": "+got.Reason)
		})
	}
}
