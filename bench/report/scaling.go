package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"example.com/dispatch/bench"
)

// probeRounds is how often the candidates are measured to find the best three.
const probeRounds = 3

// measureScaling measures dispatch and the best three peers along every axis.
// Who these are is measured first, at the axis's reference size; the probe is not
// part of the results.
func measureScaling(ctx context.Context, m *machine, rounds int) error {
	p := plan{rounds: rounds}
	for _, a := range bench.Axes() {
		pools, err := bestThree(ctx, m, a)
		if err != nil {
			return err
		}
		for _, size := range a.Sizes {
			g := group{title: fmt.Sprintf("%s: %d", a.Name, size)}
			for _, pool := range append([]string{us}, pools...) {
				g.rows = append(g.rows, scaleRow(a.Name, size, pool))
			}
			p.groups = append(p.groups, g)
		}
	}
	return m.measure(ctx, p)
}

func bestThree(ctx context.Context, m *machine, a bench.Axis) ([]string, error) {
	g := group{title: a.Name + ": looking for the best three peers"}
	for _, pool := range a.Pools() {
		if pool != us {
			g.rows = append(g.rows, scaleRow(a.Name, a.Reference, pool))
		}
	}
	var raw bytes.Buffer
	probe := *m
	probe.raw = &raw
	if err := probe.measure(ctx, plan{rounds: probeRounds, groups: []group{g}}); err != nil {
		return nil, err
	}
	t, err := parseTable(&raw)
	if err != nil {
		return nil, err
	}
	pools := slices.DeleteFunc(a.Pools(), func(pool string) bool {
		_, ok := t.summary(scaleRow(a.Name, a.Reference, pool), unitTime)
		return !ok
	})
	slices.SortStableFunc(pools, func(x, y string) int {
		sx, _ := t.summary(scaleRow(a.Name, a.Reference, x), unitTime)
		sy, _ := t.summary(scaleRow(a.Name, a.Reference, y), unitTime)
		return cmp.Compare(sx.Center, sy.Center)
	})
	return pools[:min(3, len(pools))], nil
}

// scaled are the pools that have been measured along an axis, dispatch first.
func scaled(t *table, a bench.Axis) []string {
	var pools []string
	for _, pool := range a.Pools() {
		if t.has(scaleRow(a.Name, a.Reference, pool)) {
			pools = append(pools, pool)
		}
	}
	return pools
}

// renderScaling is docs/SCALING.md.
func renderScaling(t *table) string {
	d := doc{charts: withCharts}
	d.line("# How cost grows")
	d.line("")
	d.line("The time of one job as there are more workers, more callers, more jobs in the queue: for dispatch, and for the three")
	d.line("peers that were best at the size in bold. It should be flat. This page is written by the program;")
	d.line("[%s](%s) has the raw results.", scalingRawFile, scalingRawFile)
	d.line("")
	d.setup(t)
	for _, a := range bench.Axes() {
		d.axis(t, a)
	}
	return d.String()
}

func (d *doc) axis(t *table, a bench.Axis) {
	pools := scaled(t, a)
	if pools == nil {
		return
	}
	d.line("## %s", a.Name)
	d.line("")
	d.line("%s", a.What)
	d.line("")
	d.image("Time a job against the number of "+a.Count, axisChart(a.Name))
	d.line("| %s | %s |", a.Count, strings.Join(pools, " | "))
	d.line("|--:|%s", strings.Repeat("--:|", len(pools)))
	for _, size := range a.Sizes {
		cells := []string{formatCount(size)}
		if size == a.Reference {
			cells[0] = "**" + cells[0] + "**"
		}
		for _, pool := range pools {
			cell, row := "", scaleRow(a.Name, size, pool)
			if s, ok := t.summary(row, unitTime); ok {
				cell = formatTime(s.Center) + " ±" + spread(s)
			} else if t.unended(row) {
				cell = "**" + noEnd + "**"
			}
			cells = append(cells, cell)
		}
		d.line("| %s |", strings.Join(cells, " | "))
	}
	d.line("")
}

// formatCount groups digits by three.
func formatCount(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
