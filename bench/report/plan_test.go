package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRoundsBeginWithAnotherRowEachTime(t *testing.T) {
	g := newGroup("process", "a", "b", "c")
	require.Equal(t, newGroup("process", "a", "b", "c"), g.order(0))
	require.Equal(t, newGroup("process", "b", "c", "a"), g.order(1))
	require.Equal(t, newGroup("process", "c", "a", "b"), g.order(2))
	require.Equal(t, newGroup("process", "a", "b", "c"), g.order(3))
}

func TestTheReportHasEveryRowOfEveryWorkAndNoPointOfAnAxis(t *testing.T) {
	require.Equal(t, []group{
		newGroup("process", us, "tunny", "ants", "go", "chan"),
		newGroup("process-64", us, "tunny", "errgroup", "go"),
		newGroup("submit", us, "mortar", "pond", "go"),
		newGroup("map-1000", us, "conc"),
		newGroup(memoryWork, us),
	}, benchmarkPlan(known, options{}))
	require.Equal(t, []group{newGroup("submit", us, "mortar", "pond", "go")}, benchmarkPlan(known, options{works: []string{"submit"}}))
}

func TestTheScalingHasAllPoolsAtAllPoints(t *testing.T) {
	require.Equal(t, []group{
		newGroup("submit-1", us, "mortar", "pond", "ants", "tunny"),
		newGroup("submit-1024", us, "mortar", "pond", "ants", "tunny"),
	}, scalingPlan(known, options{}))
}
