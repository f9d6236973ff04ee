package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseKeepsEveryRoundOfARow(t *testing.T) {
	tab := newResults().add("process", us, 10, 500).add("process", "ants-generic", 10, 1000).table(t)

	s, ok := tab.summary(row{"process", "ants-generic"}, unitTime)
	require.True(t, ok)
	require.InDelta(t, 1000e-9, s.Center, 1e-12)
	require.Less(t, s.Lo, s.Center)
	require.Greater(t, s.Hi, s.Center)
	require.Len(t, tab.sample(row{"process", us}, unitTime).Values, 10)

	s, ok = tab.summary(row{"process", us}, unitAllocs)
	require.True(t, ok)
	require.InDelta(t, 1.5, s.Center, 0)
	require.Equal(t, "A Processor", tab.config["cpu"])
	require.Equal(t, known, tab.catalog)

	_, ok = tab.summary(row{"process", "tunny"}, unitTime)
	require.False(t, ok, "it was not measured")
}

func TestParseDropsTheGOMAXPROCSSuffixAndNothingElse(t *testing.T) {
	for _, suffix := range []string{"", "-2", "-128"} {
		tab, err := parseTable(strings.NewReader("BenchmarkPool/work=process-64/pool=pool.v3" + suffix + " 1 5 ns/op\n"))
		require.NoError(t, err)
		require.NotNil(t, tab.sample(row{"process-64", "pool.v3"}, unitTime), "suffix %q", suffix)
	}
}

func TestParseRefusesWhatAreNoResults(t *testing.T) {
	_, err := parseTable(strings.NewReader("goos: linux\nPASS\n"))
	require.ErrorContains(t, err, "not one benchmark")
	_, err = parseTable(strings.NewReader("BenchmarkPool/work=process/pool=go many 5 ns/op\n"))
	require.ErrorContains(t, err, "iteration count")
	_, err = parseTable(strings.NewReader("catalog: ?\nBenchmarkPool/work=process/pool=go 1 5 ns/op\n"))
	require.ErrorContains(t, err, "invalid character")
}

func TestPoolsAreSortedByTimeAndThoseThatNeverEndedComeLast(t *testing.T) {
	tab := newResults().
		giveUp("process", "ants").
		add("process", us, 3, 500).
		add("process", "tunny", 3, 400).giveUp("process", "tunny").
		table(t)
	require.Equal(t, []string{"tunny", us, "ants"}, tab.pools("process"))
	require.Equal(t, 1, tab.unended(row{"process", "tunny"}))
	require.Zero(t, tab.unended(row{"process", us}))
}
