package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/dispatch/bench"
)

// texts parses an SVG and returns the text in it.
func texts(t *testing.T, svg []byte) (all []string) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		if data, ok := token.(xml.CharData); ok {
			all = append(all, string(bytes.TrimSpace(data)))
		}
	}
}

func TestAWorkChartNamesAllPoolsAndTheirTimes(t *testing.T) {
	charts, err := benchmarkCharts(newResults().
		add(poolRow("process", us), 10, 500).
		add(poolRow("process", "tunny"), 10, 1000).
		add(poolRow("process", "direct"), 10, 1.5).
		table(t))
	require.NoError(t, err)
	require.Len(t, charts, 2)
	require.Subset(t, texts(t, charts[workChart("process")]),
		[]string{"dispatch", "tunny", "direct", "500 ns", "1.00 µs", "1.50 ns"})
	require.Subset(t, texts(t, charts[overviewChart]), []string{"process", "0.50 × tunny"})
}

func TestChartsStandOnAPanelOfTheirOwn(t *testing.T) {
	charts, err := benchmarkCharts(newResults().add(poolRow("process", us), 10, 500).table(t))
	require.NoError(t, err)
	chart := string(charts[workChart("process")])
	require.Contains(t, chart, `width="622.5pt" height="105pt"`, "830 by 140 pixels")
	require.Contains(t, chart, "fill:#FAFAF8")
	require.Contains(t, chart, "Arial,Helvetica,sans-serif")
	require.NotContains(t, charts, overviewChart, "there is nothing to compare")
}

func TestAChartOfOneRoundHasNoIntervals(t *testing.T) {
	charts, err := benchmarkCharts(newResults().
		add(poolRow("process", us), 1, 500).
		add(poolRow("process", "tunny"), 1, 1000).
		table(t))
	require.NoError(t, err)
	for name, chart := range charts {
		require.NotContains(t, string(chart), "Inf", name)
		require.NotContains(t, string(chart), "NaN", name)
		require.NotContains(t, string(chart), "with 95 % intervals", name)
	}
	require.Contains(t, string(charts[workChart("process")]), "too few rounds for intervals")

	charts, err = benchmarkCharts(newResults().add(poolRow("process", us), 10, 500).table(t))
	require.NoError(t, err)
	require.Contains(t, string(charts[workChart("process")]), "with 95 % intervals")
}

func TestAScaleChartHasACurveAPool(t *testing.T) {
	r := newResults()
	for _, a := range bench.Axes() {
		for _, size := range a.Sizes {
			r.add(scaleRow(a.Name, size, us), 10, 500)
			r.add(scaleRow(a.Name, size, "pond"), 10, 700*float64(size))
		}
	}
	charts, err := scalingCharts(r.table(t))
	require.NoError(t, err)
	for _, a := range bench.Axes() {
		require.Subset(t, texts(t, charts[axisChart(a.Name)]), []string{"dispatch", "pond", formatCount(a.Sizes[len(a.Sizes)-1])})
	}
}

func TestTicks(t *testing.T) {
	labels := func(low, high float64) (all []string) {
		for _, tick := range logTicks(low, high, tickTime) {
			all = append(all, tick.Label)
		}
		return all
	}
	require.Equal(t, []string{"200 ns", "500 ns", "1 µs", "2 µs"}, labels(150, 2500))
	require.Equal(t, []string{"100 ns", "1 µs", "10 µs", "100 µs", "1 ms"}, labels(90, 2e6))

	for _, longest := range []float64{0.7, 1, 1.9, 5.2, 57, 107, 999, 5010} {
		n := len(evenTicks(longest))
		require.True(t, n >= 4 && n <= 10, "%d ticks up to %v", n, longest)
	}
}
