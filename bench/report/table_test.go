package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// results builds a file as the machine writes it: its head, and for each row one
// line a round.
type fakeResults struct{ strings.Builder }

func newResults() *fakeResults {
	r := new(fakeResults)
	r.WriteString(`command: go run ./bench/report
date: 2026-01-31
go: go1.26.8
cpus: 2
gomaxprocs: 2
rounds: 10
benchtime: 200ms
peers: example.org/a@v1.0.0 example.org/b@v2.0.0
goos: linux
goarch: amd64
cpu: A Processor
`)
	return r
}

// add writes rounds lines of a row around ns, which stays the median.
func (r *fakeResults) add(row string, rounds int, ns float64) *fakeResults {
	for i := range rounds {
		spread := 1 + 0.001*(float64(i)-float64(rounds-1)/2)
		fmt.Fprintf(r, "%s-2\t1000\t%v ns/op\t48.50 B/job\t1.500 allocs/job\n", row, ns*spread)
	}
	return r
}

// giveUp writes the line of a row that did not end.
func (r *fakeResults) giveUp(row string) *fakeResults {
	fmt.Fprintf(r, "%s\t1\t64 %s\n", row, unitNoEnd)
	return r
}

func (r *fakeResults) table(t *testing.T) *table {
	t.Helper()
	tab, err := parseTable(strings.NewReader(r.String()))
	require.NoError(t, err)
	return tab
}

func TestParseKeepsEveryRoundOfARow(t *testing.T) {
	tab := newResults().
		add(poolRow("process", us), 10, 500).
		add(poolRow("process", "ants-generic"), 10, 1000).
		table(t)

	require.Len(t, tab.rows, 2)
	require.Len(t, tab.rows[poolRow("process", us)][unitTime].Values, 10)

	s, ok := tab.summary(poolRow("process", "ants-generic"), unitTime)
	require.True(t, ok)
	require.InDelta(t, 1000e-9, s.Center, 1e-12)
	require.Less(t, s.Lo, s.Center)
	require.Greater(t, s.Hi, s.Center)

	s, ok = tab.summary(poolRow("process", us), unitAllocs)
	require.True(t, ok)
	require.InDelta(t, 1.5, s.Center, 0)
	require.Equal(t, "go1.26.8", tab.config["go"])
	require.Equal(t, "A Processor", tab.config["cpu"])
}

func TestParseDropsTheGOMAXPROCSSuffixAndNothingElse(t *testing.T) {
	for _, suffix := range []string{"", "-2", "-128"} {
		raw := "BenchmarkPool/work=process-64/pool=pool.v3" + suffix + " 1 5 ns/op\n"
		tab, err := parseTable(strings.NewReader(raw))
		require.NoError(t, err)
		require.True(t, tab.has(poolRow("process-64", "pool.v3")), "suffix %q", suffix)
	}
}

func TestParseRefusesResultsWithoutABenchmark(t *testing.T) {
	_, err := parseTable(strings.NewReader("goos: linux\nPASS\n"))
	require.ErrorContains(t, err, "not one benchmark")
}

func TestParseRefusesABrokenLine(t *testing.T) {
	_, err := parseTable(strings.NewReader("BenchmarkPool/work=process/pool=go many 5 ns/op\n"))
	require.ErrorContains(t, err, "iteration count")
}

func TestARowThatWasNotMeasuredHasNoSummary(t *testing.T) {
	tab := newResults().add(poolRow("process", us), 1, 500).table(t)
	_, ok := tab.summary(poolRow("process", "tunny"), unitTime)
	require.False(t, ok)
}

func TestARowThatDidNotEndOnceHasNoSummary(t *testing.T) {
	tab := newResults().
		add(poolRow("submit", us), 10, 500).
		add(poolRow("submit", "mortar"), 3, 400).
		giveUp(poolRow("submit", "mortar")).
		table(t)
	require.True(t, tab.unended(poolRow("submit", "mortar")))
	require.False(t, tab.unended(poolRow("submit", us)))
	_, ok := tab.summary(poolRow("submit", "mortar"), unitTime)
	require.False(t, ok, "the rounds before it would be those that went well")
	require.True(t, tab.has(poolRow("submit", "mortar")))
}
