package main

import (
	"fmt"
	"slices"

	"example.com/dispatch/bench"
)

// us is the name of our own pool in the rows.
const us = "dispatch"

// memoryWork stands for the memory rows wherever a work is named.
const memoryWork = "memory"

// A plan says what is measured in one go. Rows are full names of benchmarks.
type plan struct {
	rounds int
	groups []group
}

// A group is rows that will be compared with one another.
type group struct {
	title string
	rows  []string
}

// order is the order of the rows in a round. Each round begins with another row, so
// that none always has the first place.
func (g group) order(round int) []string {
	first := round % len(g.rows)
	return slices.Concat(g.rows[first:], g.rows[:first])
}

func poolRow(work, pool string) string {
	return fmt.Sprintf("BenchmarkPool/work=%s/pool=%s", work, pool)
}

func scaleRow(axis string, n int, pool string) string {
	return fmt.Sprintf("BenchmarkScale/axis=%s/n=%d/pool=%s", axis, n, pool)
}

func memoryRow(use, pool string) string {
	return fmt.Sprintf("BenchmarkMemory/use=%s/pool=%s", use, pool)
}

func benchmarkPlan(o options) plan {
	p := plan{rounds: o.rounds}
	for _, w := range bench.Works() {
		if !o.wants(w.Name) {
			continue
		}
		g := group{title: w.Name}
		for _, pool := range w.Pools() {
			g.rows = append(g.rows, poolRow(w.Name, pool))
		}
		p.groups = append(p.groups, g)
	}
	return p
}

// checkPlan has only the rows that a goal asks for.
func checkPlan(o options) plan {
	p := plan{rounds: o.rounds}
	for _, w := range bench.Works() {
		if !o.wants(w.Name) {
			continue
		}
		g := group{title: w.Name}
		for _, pool := range w.Pools() {
			if slices.ContainsFunc(goals, func(goal goal) bool { return goal.needs(w.Name, pool) }) {
				g.rows = append(g.rows, poolRow(w.Name, pool))
			}
		}
		if g.rows != nil {
			p.groups = append(p.groups, g)
		}
	}
	return p
}

// The uses of memory that are weighed.
const (
	idleWorkerUse = "idle-worker"
	hugePoolUse   = "100k-workers"
	queuedJobUse  = "queued-job"
)

func everyPool(string) bool         { return true }
func dispatchOnly(pool string) bool { return pool == us }

func memoryRows(wanted func(pool string) bool) []string {
	var rows []string
	for _, use := range []string{idleWorkerUse, hugePoolUse} {
		for _, pool := range bench.Peers() {
			if wanted(pool) {
				rows = append(rows, memoryRow(use, pool))
			}
		}
	}
	return append(rows, memoryRow(queuedJobUse, us))
}
