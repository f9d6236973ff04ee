package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/dispatch/bench"
)

func TestRoundsBeginWithAnotherRowEachTime(t *testing.T) {
	g := group{rows: []string{"a", "b", "c"}}
	require.Equal(t, []string{"a", "b", "c"}, g.order(0))
	require.Equal(t, []string{"b", "c", "a"}, g.order(1))
	require.Equal(t, []string{"c", "a", "b"}, g.order(2))
	require.Equal(t, []string{"a", "b", "c"}, g.order(3))
	require.Equal(t, []string{"a", "b", "c"}, g.rows)
}

func TestThePlanHasEveryRowOfEveryWork(t *testing.T) {
	p := benchmarkPlan(options{rounds: 7})
	require.Equal(t, 7, p.rounds)
	require.Len(t, p.groups, len(bench.Works()))
	for i, w := range bench.Works() {
		require.Len(t, p.groups[i].rows, len(w.Pools()), w.Name)
	}

	p = benchmarkPlan(options{rounds: 1, works: []string{"submit"}})
	require.Len(t, p.groups, 1)
	require.Contains(t, p.groups[0].rows, poolRow("submit", us))
}

func TestAPatternMatchesOneRowOnly(t *testing.T) {
	row := poolRow("process", "pool.v3")
	require.Equal(t, `^BenchmarkPool$/^work=process$/^pool=pool\.v3$`, pattern(row))

	matches := func(pattern, name string) bool {
		elements := strings.Split(name, "/")
		for i, p := range strings.Split(pattern, "/") {
			if !regexp.MustCompile(p).MatchString(elements[i]) {
				return false
			}
		}
		return true
	}
	for _, w := range bench.Works() {
		for _, pool := range w.Pools() {
			name := poolRow(w.Name, pool)
			require.Equal(t, name == row, matches(pattern(row), name), name)
		}
	}
}

func TestMemoryRows(t *testing.T) {
	require.Equal(t, []string{
		memoryRow(idleWorkerUse, us), memoryRow(hugePoolUse, us), memoryRow(queuedJobUse, us),
	}, memoryRows(dispatchOnly))
	require.Len(t, memoryRows(everyPool), 2*len(bench.Peers())+1)
	require.NotContains(t, memoryRows(everyPool), memoryRow(idleWorkerUse, "go"))
}
