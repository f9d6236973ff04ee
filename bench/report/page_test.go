package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func rendered(t *testing.T, r *fakeResults) string {
	t.Helper()
	var page bytes.Buffer
	require.NoError(t, templates.ExecuteTemplate(&page, benchmarksTemplate, newPage(r.table(t), true)))
	return page.String()
}

func TestThePageNamesTheMachineTheCommandAndTheCommit(t *testing.T) {
	page := rendered(t, newResults().add("process", us, 10, 500))
	for _, want := range []string{
		"A Processor, 2 processors, linux/amd64",
		"go1.26.8, GOMAXPROCS 2",
		"2026-01-31, commit 0123456789ab; rounds: 10, each row at least 50ms in each",
		"`go run ./bench/report`",
		"example.org/a@v1.0.0, example.org/b@v2.0.0",
	} {
		require.Contains(t, page, want)
	}
}

func TestThePageMarksALossAsPlainlyAsAWin(t *testing.T) {
	page := rendered(t, newResults().
		add("process", us, 10, 500).add("process", "tunny", 10, 1000).
		add("submit", us, 10, 300).add("submit", "mortar", 10, 250).add("submit", "go", 10, 200).
		add("map-1000", us, 10, 500_000).add("map-1000", "conc", 10, 500_001))
	require.Contains(t, page, "**faster in 1, slower in 1, even in 1**")
	require.Contains(t, page, "| [process](#process) | 500.0ns | tunny 1.000µs | 0.50 | **faster** | | |\n")
	require.Contains(t, page, "| [submit](#submit) | 300.0ns | mortar 250.0ns | 1.20 | **slower** | go 200.0ns | 1.50 |\n")
	require.Contains(t, page, "| [map-1000](#map-1000) | 500.0µs | conc 500.0µs | 1.000 | even | | |\n")
	require.Contains(t, page, "dispatch takes 1.20 × the time of mortar, the best peer: **slower**.")
	require.Contains(t, page, "| map-1000 | time, × conc | 1 | 1.000 | reached |\n")
	require.Contains(t, page, "| map-1000 | allocations per job | 0.1 | 1.50 | **missed** |\n")
}

func TestATableIsSortedByTimeAndSaysWhatDidNotEnd(t *testing.T) {
	page := rendered(t, newResults().
		add("process", "tunny", 10, 1000).giveUp("process", "tunny").
		add("process", us, 10, 500).
		giveUp("process", "ants").giveUp("process", "ants").
		add("process", "go", 10, 400))
	require.Contains(t, page, strings.Join([]string{
		"| *go* | 400.0ns | 0% | 48 | 1.50 |",
		"| **dispatch** | 500.0ns | 0% | 48 | 1.50 |",
		"| tunny (**1 did not end**) | 1.000µs | 0% | 48 | 1.50 |",
		"| ants (**2 did not end**) | | | | |",
	}, "\n"))
	require.Contains(t, page, "| process | time, × ants | 1.1 |  | not measured |\n", "a goal is not dropped for want of the other")
}

func TestOnlyWhatWasMeasuredHasASection(t *testing.T) {
	page := rendered(t, newResults().add("process", us, 10, 500))
	require.Contains(t, page, "\n## process\n")
	for _, absent := range []string{"## submit", "At a glance", "NaN", "Inf", "<no value>"} {
		require.NotContains(t, page, absent)
	}
}

func TestAReportIsWrittenWithItsChart(t *testing.T) {
	file := newResults().add("process", us, 10, 500).add("process", "tunny", 10, 1000).file(t)
	out := filepath.Join(t.TempDir(), "docs")
	require.NoError(t, run(t.Context(), []string{"-results", file, "-out", out}, io.Discard, io.Discard))
	page, err := os.ReadFile(filepath.Join(out, "BENCHMARKS.md"))
	require.NoError(t, err)
	require.Contains(t, string(page), "(bench-overview.svg)")
	require.FileExists(t, filepath.Join(out, "bench-overview.svg"))

	var stdout bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-results", file, "-works", "process"}, &stdout, io.Discard))
	require.Contains(t, stdout.String(), "## process")
	require.NotContains(t, stdout.String(), ".svg", "a part is printed, and has no chart beside it")
}

func TestWhereThereIsNothingToCompareThereIsNoChart(t *testing.T) {
	file, out := newResults().add("process", us, 10, 500).file(t), t.TempDir()
	require.NoError(t, run(t.Context(), []string{"-results", file, "-out", out}, io.Discard, io.Discard))
	page, err := os.ReadFile(filepath.Join(out, "BENCHMARKS.md"))
	require.NoError(t, err)
	require.NotContains(t, string(page), ".svg")
	require.NoFileExists(t, filepath.Join(out, "bench-overview.svg"))
}

func TestScalingShowsDispatchAndTheBestThreePeers(t *testing.T) {
	r := newResults()
	for i, pool := range []string{"go", "mortar", "pond", "ants", us, "tunny"} {
		r.add("submit-1", pool, 10, 100*float64(i+1))
		r.add("submit-1024", pool, 10, 900)
	}
	file, out := r.giveUp("submit-1024", "ants").file(t), t.TempDir()
	require.NoError(t, run(t.Context(), []string{"-scale", "-results", file, "-out", out}, io.Discard, io.Discard))
	page, err := os.ReadFile(filepath.Join(out, "SCALING.md"))
	require.NoError(t, err)
	require.Contains(t, string(page), strings.Join([]string{
		"| workers | dispatch | mortar | pond | ants |",
		"|--:|--:|--:|--:|--:|",
		"| **1** | 500.0ns ±0% | 200.0ns ±0% | 300.0ns ±0% | 400.0ns ±0% |",
		"| 1,024 | 900.0ns ±0% | 900.0ns ±0% | 900.0ns ±0% | 900.0ns ±0% **did not end** |",
	}, "\n"))
}
