package main

import (
	"bytes"
	"context"
	"flag"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// spinFlag is set when a machine runs this test binary in place of the benchmarks'.
var spinFlag = flag.Int("spin", 0, "given by a machine")

func BenchmarkThatEnds(b *testing.B) {
	skipUnlessMeasured(b)
	for b.Loop() {
	}
}

func BenchmarkThatNeverEnds(b *testing.B) {
	skipUnlessMeasured(b)
	select {}
}

func skipUnlessMeasured(b *testing.B) {
	if *spinFlag == 0 {
		b.Skip("for the tests of the machine")
	}
}

func TestAMeasurementThatDoesNotEndIsGivenUpAndTheOthersGoOn(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for seconds")
	}
	self, err := os.Executable()
	require.NoError(t, err)
	var raw, progress bytes.Buffer
	m := &machine{
		bin: self, dir: t.TempDir(), spin: 1, benchtime: time.Millisecond, patience: 3 * time.Second,
		raw: &raw, progress: &progress, givenUp: make(map[string]bool),
	}

	const never, ends = "BenchmarkThatNeverEnds", "BenchmarkThatEnds"
	require.NoError(t, m.measure(t.Context(), plan{rounds: 3, groups: []group{{title: "both", rows: []string{never, ends}}}}))
	require.Equal(t, 1, strings.Count(progress.String(), never+" did not end within 3.02s and is given up\n"),
		"it is tried once, not in every round")

	tab, err := parseTable(&raw)
	require.NoError(t, err)
	require.True(t, tab.unended(never))
	require.False(t, tab.unended(ends))
	require.Len(t, tab.rows[ends][unitTime].Values, 3)

	require.NoError(t, m.weigh(t.Context(), []string{never}))
	require.Equal(t, 1, strings.Count(progress.String(), "given up"))
}

func TestAnInterruptIsNoMeasurementThatDoesNotEnd(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	m := &machine{bin: self, dir: t.TempDir(), spin: 1, benchtime: time.Millisecond, patience: time.Minute, raw: io.Discard, progress: io.Discard}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = m.attempt(ctx, "BenchmarkThatNeverEnds", "1x")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorIs(t, err, errNoEnd)
}

func TestMachineMeasuresRoundAfterRound(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a test binary")
	}
	var raw bytes.Buffer
	m, err := newMachine(t.Context(), options{rounds: 2, benchtime: time.Millisecond, command: "a command"}, &raw, io.Discard)
	require.NoError(t, err)
	defer m.close()

	rows := []string{poolRow("process", us), poolRow("process", "direct")}
	require.NoError(t, m.measure(t.Context(), plan{rounds: 2, groups: []group{{title: "process", rows: rows}}}))

	var order []string
	for line := range strings.Lines(raw.String()) {
		for _, row := range rows {
			if strings.HasPrefix(line, row) {
				order = append(order, row)
			}
		}
	}
	require.Equal(t, []string{rows[0], rows[1], rows[1], rows[0]}, order)

	tab, err := parseTable(&raw)
	require.NoError(t, err)
	require.Equal(t, "a command", tab.config["command"])
	require.Contains(t, tab.config["peers"], "github.com/Jeffail/tunny@v0.1.4")
	for _, row := range rows {
		for _, unit := range []string{unitTime, unitBytes, unitAllocs} {
			require.Len(t, tab.rows[row][unit].Values, 2, "%s %s", row, unit)
		}
	}

	missing := plan{rounds: 1, groups: []group{{title: "none", rows: []string{poolRow("process", "none")}}}}
	require.ErrorContains(t, m.measure(t.Context(), missing), "no result")
}
