package main

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAGoalIsReachedAtItsLimit(t *testing.T) {
	g := goal{work: "process", against: "tunny", limit: 0.5}
	for _, tt := range []struct {
		ours float64
		want state
	}{{499, reached}, {500, reached}, {501, missed}} {
		tab := newResults().add("process", us, 1, tt.ours).add("process", "tunny", 1, 1000).table(t)
		require.Equal(t, tt.want, g.evaluate(tab).state, "%v ns", tt.ours)
	}
}

func TestAGoalWithoutItsRowsIsNotMeasured(t *testing.T) {
	tab := newResults().add("process", us, 1, 1).giveUp("process", "ants").table(t)
	for _, g := range []goal{
		{work: "process", against: "tunny", limit: 1},
		{work: "process", against: "ants", limit: 1},
		{work: "process", against: bestPeer, limit: 1},
		{work: "submit", unit: unitAllocs, limit: 1},
		{work: memoryWork, unit: unitWorker, limit: 1},
	} {
		require.Equal(t, unmeasured, g.evaluate(tab).state, "%v", g)
	}
}

func TestAGoalIsNotReachedIfDispatchDidNotEndOnce(t *testing.T) {
	tab := newResults().add("process", us, 9, 1).giveUp("process", us).add("process", "tunny", 10, 1000).table(t)
	require.Equal(t, unended, goal{work: "process", against: "tunny", limit: 1}.evaluate(tab).state)
}

func TestAllocationsAreComparedToAHundredth(t *testing.T) {
	tab := newResults().add("submit", us, 1, 1).table(t) // 1.5 allocations
	require.Equal(t, missed, goal{work: "submit", unit: unitAllocs, limit: 1.49}.evaluate(tab).state)
	require.Equal(t, reached, goal{work: "submit", unit: unitAllocs, limit: 1.5}.evaluate(tab).state)
}

func TestCheckMeasuresJustWhatTheGoalsNeed(t *testing.T) {
	var rows []row
	for _, g := range checkPlan(known, options{}) {
		rows = append(rows, g...)
	}
	require.Contains(t, rows, row{"process", us})
	require.Contains(t, rows, row{"process", "tunny"})
	require.NotContains(t, rows, row{"process", "chan"})
	require.NotContains(t, rows, row{"process-64", "errgroup"}, "no pool")
	require.Contains(t, rows, row{memoryWork, us})
}

func TestCheckListsTheGoalsAndFailsIfOneIsMissed(t *testing.T) {
	file := newResults().add("map-1000", us, 10, 20).add("map-1000", "conc", 10, 25).file(t)
	var stdout bytes.Buffer
	err := run(t.Context(), []string{"-check", "-works", "map-1000", "-results", file}, &stdout, io.Discard)
	require.ErrorIs(t, err, errMissed)
	require.EqualError(t, err, "1 goals missed")
	require.Regexp(t, `(?m)^reached +map-1000 +time, × conc +0\.80 +at most 1 `, stdout.String())
	require.Regexp(t, `(?m)^missed +map-1000 +allocations per job +1\.50 +at most 0\.1$`, stdout.String())

	file = newResults().add("process-64", us, 10, 20).add("process-64", "tunny", 10, 25).file(t)
	require.NoError(t, run(t.Context(), []string{"-check", "-works", "process-64", "-results", file}, io.Discard, io.Discard))
}
