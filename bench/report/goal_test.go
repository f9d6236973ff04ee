package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/dispatch/bench"
)

func TestAGoalIsReachedAtItsLimit(t *testing.T) {
	g := goal{work: "process", against: "tunny", unit: unitTime, limit: 0.5}
	for _, tt := range []struct {
		ours float64
		want state
	}{{499, reached}, {500, reached}, {501, missed}} {
		tab := newResults().
			add(poolRow("process", us), 1, tt.ours).
			add(poolRow("process", "tunny"), 1, 1000).
			table(t)
		require.Equal(t, tt.want, g.evaluate(tab).state, "%v ns", tt.ours)
	}
}

func TestAGoalWithoutItsRowsIsUnmeasuredAndNotReached(t *testing.T) {
	tab := newResults().add(poolRow("process", us), 1, 1).table(t)
	for _, g := range []goal{
		{work: "process", against: "tunny", unit: unitTime, limit: 1},
		{work: "process", against: bestPeer, unit: unitTime, limit: 1},
		{work: "submit", unit: unitAllocs, limit: 1},
		{work: memoryWork, use: idleWorkerUse, unit: "B/worker", limit: 1},
	} {
		require.Equal(t, unmeasured, g.evaluate(tab).state)
	}
}

func TestAGoalIsNotReachedIfARowItNeedsDidNotEnd(t *testing.T) {
	tab := newResults().
		add(poolRow("batch-1000", us), 10, 100).
		add(poolRow("batch-1000", "conc"), 10, 1000).
		giveUp(poolRow("batch-1000", "mortar")).
		giveUp(memoryRow(queuedJobUse, us)).
		table(t)
	for _, tt := range []struct {
		goal goal
		want state
	}{
		{goal{work: "batch-1000", against: "conc", unit: unitTime, limit: 1}, reached},
		{goal{work: "batch-1000", against: bestPeer, unit: unitTime, limit: 1}, unended}, // mortar might be it
		{goal{work: memoryWork, use: queuedJobUse, unit: "B/job", limit: 1}, unended},
		{goal{work: memoryWork, use: idleWorkerUse, unit: "B/worker", limit: 1}, unmeasured},
	} {
		o := tt.goal.evaluate(tab)
		require.Equal(t, tt.want.String(), o.state.String())
	}
}

func TestAllocationsAreComparedToAHundredth(t *testing.T) {
	tab := newResults().add(poolRow("submit", us), 1, 1).table(t) // 1.5 allocations
	require.Equal(t, missed, goal{work: "submit", unit: unitAllocs, limit: 1.49}.evaluate(tab).state)
	require.Equal(t, reached, goal{work: "submit", unit: unitAllocs, limit: 1.5}.evaluate(tab).state)
}

func TestEveryGoalNamesWhatThereIs(t *testing.T) {
	for _, g := range goals {
		if g.work == memoryWork {
			require.NotEmpty(t, g.use)
			continue
		}
		i := slices.IndexFunc(bench.Works(), func(w bench.Work) bool { return w.Name == g.work })
		require.GreaterOrEqual(t, i, 0, "no work %s", g.work)
		pools := bench.Works()[i].Pools()
		switch g.against {
		case "", bestPeer, bestPool, bestOfAll:
		default:
			require.Contains(t, pools, g.against, "%s has no row in %s", g.against, g.work)
		}
	}
}

func TestCheckMeasuresJustWhatTheGoalsNeed(t *testing.T) {
	var rows []string
	for _, g := range checkPlan(options{rounds: 10}).groups {
		rows = append(rows, g.rows...)
	}
	require.Contains(t, rows, poolRow("process", us))
	require.Contains(t, rows, poolRow("process", "tunny"))
	require.Contains(t, rows, poolRow("cpu-1ms", "direct"), "the best of all may be anyone")
	require.NotContains(t, rows, poolRow("process", "pond"))
	require.NotContains(t, rows, poolRow("process-64", "go"), "no peer")
	require.NotContains(t, rows, poolRow("startstop", us), "no goal")
}

func TestCheckListsTheMisses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "results.txt")
	raw := newResults().
		add(poolRow("map-1000", us), 10, 20).
		add(poolRow("map-1000", "conc"), 10, 25).
		add(poolRow("map-1000", "chan"), 10, 40)
	require.NoError(t, os.WriteFile(file, []byte(raw.String()), 0o600))

	var stdout, stderr bytes.Buffer
	err := run(t.Context(), []string{"-check", "-work", "map-1000", "-from", file}, &stdout, &stderr)
	require.ErrorIs(t, err, errMissed)
	require.EqualError(t, err, "2 goals missed")
	require.Regexp(t, `(?m)^ok +map-1000 +time, × conc +0\.80 +at most 1\.00 `, stdout.String())
	require.Regexp(t, `(?m)^MISS +map-1000 +time, × chan +0\.50 +at most 0\.40 `, stdout.String())
	require.Regexp(t, `(?m)^MISS +map-1000 +allocations a job +1\.50 +at most 0\.10$`, stdout.String())

	raw = newResults().
		add(poolRow("cpu-1ms", us), 10, 500_500).
		add(poolRow("cpu-1ms", "go"), 10, 500_000)
	require.NoError(t, os.WriteFile(file, []byte(raw.String()), 0o600))
	require.NoError(t, run(t.Context(), []string{"-check", "-work", "cpu-1ms", "-from", file}, &stdout, &stderr))
}
