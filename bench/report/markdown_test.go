package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/dispatch/bench"
)

func TestReportShowsTheMachineAndTheCommand(t *testing.T) {
	page := renderBenchmarks(newResults().add(poolRow("process", us), 10, 500).table(t), withCharts)
	for _, want := range []string{
		"A Processor, 2 processors, linux/amd64",
		"go1.26.8, GOMAXPROCS 2",
		"2026-01-31; rounds: 10, each row at least 200ms in each",
		"`go run ./bench/report`",
		"example.org/a@v1.0.0, example.org/b@v2.0.0",
	} {
		require.Contains(t, page, want)
	}
}

func TestReportMarksALossAsPlainlyAsAWin(t *testing.T) {
	page := renderBenchmarks(newResults().
		add(poolRow("process", us), 10, 500).
		add(poolRow("process", "tunny"), 10, 1000).
		add(poolRow("submit", us), 10, 300).
		add(poolRow("submit", "mortar"), 10, 250).
		add(poolRow("submit", "go"), 10, 200).
		add(poolRow("cpu-1ms", us), 10, 500_000).
		add(poolRow("cpu-1ms", "ants"), 10, 500_001).
		table(t), withCharts)

	require.Contains(t, page, "**faster in 1, slower in 1, even in 1**")
	require.Contains(t, page, "| [process](#process) | 500 ns | tunny 1.00 µs | 0.50 | **faster** | | |")
	require.Contains(t, page, "| [submit](#submit) | 300 ns | mortar 250 ns | 1.20 | **slower** | go 200 ns | 1.50 |")
	require.Contains(t, page, "| [cpu-1ms](#cpu-1ms) | 500 µs | ants 500 µs | 1.000 | even | | |")
	require.Contains(t, page, "dispatch takes 1.20 × the time of mortar, the best peer (between 1.19 and 1.21): **slower**.")
}

func TestWorkTableIsSortedByTime(t *testing.T) {
	page := renderBenchmarks(newResults().
		add(poolRow("process", "tunny"), 10, 1000).
		add(poolRow("process", us), 10, 500).
		add(poolRow("process", "go"), 10, 400).
		table(t), withCharts)
	want := strings.Join([]string{
		"| *go* | 400 ns | 0% | 0.40 | 1.000 | 48 | 1.50 |",
		"| **dispatch** | 500 ns | 0% | 0.50 | 1.25 | 48 | 1.50 |",
		"| tunny | 1.00 µs | 0% | 1.000 | 2.50 | 48 | 1.50 |",
	}, "\n")
	require.Contains(t, page, want)
}

func TestReportListsTheGoals(t *testing.T) {
	page := renderBenchmarks(newResults().
		add(poolRow("map-1000", us), 10, 20).
		add(poolRow("map-1000", "conc"), 10, 25).
		add(poolRow("map-1000", "chan"), 10, 40).
		table(t), withCharts)
	require.Contains(t, page, "1 of 3 reached.")
	require.Contains(t, page, "| map-1000 | time, × conc | 1.00 | 0.80 | reached |")
	require.Contains(t, page, "| map-1000 | time, × chan | 0.40 | 0.50 | **missed** |")
}

func TestReportHasAMemoryTable(t *testing.T) {
	r := newResults()
	r.WriteString("BenchmarkMemory/use=idle-worker/pool=dispatch-2 1 5 ns/op 2659 B/worker\n")
	r.WriteString("BenchmarkMemory/use=100k-workers/pool=dispatch-2 1 5 ns/op 272031808 B/pool\n")
	r.WriteString("BenchmarkMemory/use=queued-job/pool=dispatch-2 1 5 ns/op 176 B/job\n")
	page := renderBenchmarks(r.table(t), withCharts)
	require.Contains(t, page, "| **dispatch** | 2659 B | 259 MiB |")
	require.Contains(t, page, "its place in the queue: 176 B.")
	require.NotContains(t, page, "At a glance", "nothing to compare")
}

func TestOnlyWhatWasMeasuredHasASection(t *testing.T) {
	page := renderBenchmarks(newResults().add(poolRow("process", us), 10, 500).table(t), withCharts)
	require.Contains(t, page, "\n## process\n")
	for _, absent := range []string{"## submit", "## Memory", "NaN", "Inf"} {
		require.NotContains(t, page, absent)
	}
}

func TestScalingHasATableAnAxis(t *testing.T) {
	r := newResults()
	for _, a := range bench.Axes() {
		for _, size := range a.Sizes {
			r.add(scaleRow(a.Name, size, us), 10, 500)
			r.add(scaleRow(a.Name, size, "pond"), 10, 700)
		}
	}
	page := renderScaling(r.table(t))
	for _, want := range []string{
		"| workers | dispatch | pond |\n|--:|--:|--:|\n| 1 | 500 ns ±0% | 700 ns ±0% |",
		"| **64** | 500 ns",
		"| 1,000,000 | 500 ns",
		"](scale-queued.svg)",
	} {
		require.Contains(t, page, want)
	}
}

func TestReportSaysWhatDidNotEnd(t *testing.T) {
	r := newResults().
		add(poolRow("process", us), 10, 500).
		add(poolRow("process", "tunny"), 10, 1000).
		add(poolRow("process", "go"), 10, 800).
		giveUp(poolRow("process", "ants")).
		giveUp(poolRow("submit", us)).
		add(poolRow("submit", "mortar"), 10, 250).
		giveUp(memoryRow(idleWorkerUse, us))
	r.WriteString("BenchmarkMemory/use=100k-workers/pool=dispatch-2 1 5 ns/op 272031808 B/pool\n")
	page := renderBenchmarks(r.table(t), withCharts)
	for _, want := range []string{
		"| ants | **did not end** | | | | | |",
		"| [submit](#submit) | **did not end** | | | | | |",
		"In 1 it did not end.",
		"| process | time, × ants | 1.00 |  | **BenchmarkPool/work=process/pool=ants did not end** |",
		"| **dispatch** | **did not end** | 259 MiB |",
	} {
		require.Contains(t, page, want)
	}
	require.Contains(t, page, "**faster in 1, slower in 0, even in 0**")
}

func TestScalingSaysWhatDidNotEnd(t *testing.T) {
	r := newResults()
	for _, a := range bench.Axes() {
		for _, size := range a.Sizes {
			r.add(scaleRow(a.Name, size, us), 10, 500)
			r.giveUp(scaleRow(a.Name, size, "pond"))
		}
	}
	tab := r.table(t)
	require.Contains(t, renderScaling(tab), "| 1,000,000 | 500 ns ±0% | **did not end** |")
	charts, err := scalingCharts(tab)
	require.NoError(t, err)
	require.Len(t, charts, len(bench.Axes()))
}
