package main

import (
	"fmt"
	"slices"
)

// us is the name of dispatch in the rows.
const us = "dispatch"

// memoryWork is the name of the work that measures the memory use of dispatch only.
const memoryWork = "memory"

// A row is one benchmark: a pool doing a work.
type row struct{ work, pool string }

func (r row) String() string { return fmt.Sprintf("BenchmarkPool/work=%s/pool=%s", r.work, r.pool) }

// A group is the rows of a work. They are measured directly one after another, because
// they will be compared.
type group []row

func newGroup(work string, pools ...string) (g group) {
	for _, pool := range pools {
		g = append(g, row{work, pool})
	}
	return g
}

// order returns the rows in the order of a round. Each round begins with a different
// row, so that no row is always first.
func (g group) order(round int) group {
	first := round % len(g)
	return slices.Concat(g[first:], g[:first])
}

func benchmarkPlan(c catalog, o options) []group {
	return worksPlan(c, o, func(work, string) bool { return true })
}

// checkPlan returns only the rows that the goals need.
func checkPlan(c catalog, o options) []group {
	return worksPlan(c, o, func(w work, pool string) bool {
		return slices.ContainsFunc(goals, func(g goal) bool { return g.work == w.Name && g.needs(c, pool) })
	})
}

func worksPlan(c catalog, o options, wanted func(w work, pool string) bool) (groups []group) {
	for _, w := range c.Works {
		pools := slices.DeleteFunc(slices.Clone(w.Pools), func(pool string) bool { return !wanted(w, pool) })
		if len(pools) > 0 && !w.OfAxis && o.wants(w.Name) {
			groups = append(groups, newGroup(w.Name, pools...))
		}
	}
	if o.wants(memoryWork) {
		groups = append(groups, newGroup(memoryWork, us))
	}
	return groups
}

// scalingPlan returns all peers at all points of all axes.
func scalingPlan(c catalog, _ options) (groups []group) {
	for _, a := range c.Axes {
		for _, name := range a.Works {
			pools := slices.DeleteFunc(slices.Clone(c.work(name).Pools), c.isFloor)
			groups = append(groups, newGroup(name, pools...))
		}
	}
	return groups
}
