package main

import (
	"fmt"
	"math"
)

// Names for the peers that a goal compares with, if it is not one fixed pool.
const (
	bestPeer  = "the best peer"
	bestPool  = "the best peer pool" // without errgroup, which has no workers
	bestOfAll = "the best of all"
)

// A goal is a limit on dispatch in one work: on its time divided by that of others, or
// on a value in some unit.
type goal struct {
	work    string
	against string  // a pool, or one of the above; "" for a limit on a value
	unit    string  // of the value, if against is empty
	limit   float64 // at most
}

var goals = []goal{
	{work: "process", against: "tunny", limit: 0.68},
	{work: "process", against: "ants", limit: 1.10},
	{work: "process", against: "go", limit: 1.25},
	{work: "process-ctx", against: "tunny", limit: 0.68},
	{work: "process-timed", against: "tunny", limit: 0.55},
	{work: "process-64", against: bestPool, limit: 0.85},
	{work: "inline", against: "go", limit: 0.40},
	{work: "inline-64", against: "go", limit: 0.50},
	{work: "submit", against: "mortar", limit: 0.56},
	{work: "submit", against: "pond", limit: 0.43},
	{work: "submit-1024", against: bestPeer, limit: 1.0},
	{work: "submit-16384", against: bestPeer, limit: 1.0},
	{work: "futures-1000", against: "pond", limit: 0.27},
	{work: "batch-1000", against: bestPeer, limit: 0.28},
	{work: "map-1000", against: "conc", limit: 1.0},
	{work: "cpu-100us", against: bestOfAll, limit: 1.02},
	{work: "cpu-1ms", against: bestOfAll, limit: 1.02},
	{work: "sleep-10ms", against: "ants", limit: 1.0},
	{work: "startstop", against: "errgroup", limit: 2.5},
	{work: "startstop", against: "conc", limit: 1.5},
	{work: "process", unit: unitAllocs, limit: 1},
	{work: "process-timed", unit: unitAllocs, limit: 1},
	{work: "submit", unit: unitAllocs, limit: 1},
	{work: "batch-1000", unit: unitAllocs, limit: 0.1},
	{work: "map-1000", unit: unitAllocs, limit: 0.1},
	{work: memoryWork, unit: unitPool, limit: 8},
	{work: memoryWork, unit: unitWorker, limit: 3 << 10},
	{work: memoryWork, unit: unitQueued, limit: 256},
}

// qualifies reports whether the goal may compare dispatch with that pool. It compares
// with the best pool that qualifies.
func (g goal) qualifies(c catalog, pool string) bool {
	switch g.against {
	case bestPeer:
		return c.isPeer(pool)
	case bestPool:
		return c.isPeerPool(pool)
	case bestOfAll:
		return true
	default:
		return pool == g.against
	}
}

// needs reports whether the goal cannot be evaluated without that pool.
func (g goal) needs(c catalog, pool string) bool {
	return pool == us || g.qualifies(c, pool)
}

type state string

const (
	reached    state = "reached"
	missed     state = "missed"
	unmeasured state = "not measured"
	unended    state = "did not end"
)

// An outcome is a goal with the measured value.
type outcome struct {
	goal
	state state
	got   float64 // NaN if it was not measured
	by    string  // the two times that got comes from
}

func (g goal) evaluate(t *table) outcome {
	o := outcome{goal: g, state: unmeasured, got: math.NaN()}
	if t.unended(row{g.work, us}) > 0 {
		o.state = unended
		return o
	}
	if g.against == "" {
		if s, ok := t.summary(row{g.work, us}, g.unit); ok {
			// Rounding removes the runtime's own allocations, which are below a
			// hundredth per job.
			o.got = math.Round(s.Center*100) / 100
			o.state = g.judge(o.got)
		}
		return o
	}
	qualify := func(pool string) bool { return g.qualifies(t.catalog, pool) }
	if r := t.versusBest(g.work, qualify); r != nil {
		o.got, o.state = r.Value, g.judge(r.Value)
		o.by = fmt.Sprintf("%s ±%s against %s %s ±%s", formatTime(r.Ours.Center), r.Ours.PctRangeString(),
			r.Other, formatTime(r.Theirs.Center), r.Theirs.PctRangeString())
	}
	return o
}

func (g goal) judge(got float64) state {
	if got <= g.limit {
		return reached
	}
	return missed
}

// What describes the limited value.
func (o outcome) What() string {
	if o.against != "" {
		return "time, × " + o.against
	}
	return map[string]string{
		unitAllocs: "allocations per job",
		unitPool:   "allocations of New and Close",
		unitWorker: "bytes of an idle worker",
		unitQueued: "bytes of a queued job",
	}[o.unit]
}

func (o outcome) Work() string  { return o.work }
func (o outcome) State() state  { return o.state }
func (o outcome) Limit() string { return fmt.Sprint(o.limit) }

func (o outcome) Got() string {
	if math.IsNaN(o.got) {
		return ""
	}
	return o.number(o.got)
}

func (o outcome) number(x float64) string {
	if o.work == memoryWork {
		return fmt.Sprintf("%.0f", x)
	}
	return formatRatio(x)
}

// String returns the outcome as -check prints it.
func (o outcome) String() string {
	s := fmt.Sprintf("%-12s  %-13s  %-28s  %6s  at most %s", o.state, o.work, o.What(), o.Got(), o.Limit())
	if o.by != "" {
		s += "  (" + o.by + ")"
	}
	return s
}
