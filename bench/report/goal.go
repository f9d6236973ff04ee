package main

import (
	"fmt"
	"math"

	"golang.org/x/perf/benchmath"

	"example.com/dispatch/bench"
)

// Whom a goal compares with, where it is not one pool.
const (
	bestPeer  = "the best peer"
	bestPool  = "the best peer pool" // without errgroup, which has no workers
	bestOfAll = "the best of all"
)

// A goal is a limit on dispatch in one work.
type goal struct {
	work    string
	against string  // a pool, or one of the above; "" for a limit in the unit itself
	unit    string  // what is limited
	use     string  // for memory: which row
	limit   float64 // at most
}

var goals = []goal{
	{work: "process", against: "tunny", unit: unitTime, limit: 0.60},
	{work: "process", against: "ants", unit: unitTime, limit: 1.0},
	{work: "process", against: "go", unit: unitTime, limit: 1.15},
	{work: "process-ctx", against: "tunny", unit: unitTime, limit: 0.60},
	{work: "process-64", against: bestPool, unit: unitTime, limit: 0.80},
	{work: "process-timed", against: "tunny", unit: unitTime, limit: 0.58},
	{work: "submit", against: "mortar", unit: unitTime, limit: 0.80},
	{work: "submit", against: "pond", unit: unitTime, limit: 0.58},
	{work: "futures-1000", against: "pond", unit: unitTime, limit: 0.28},
	{work: "batch-1000", against: bestPeer, unit: unitTime, limit: 0.35},
	{work: "map-1000", against: "conc", unit: unitTime, limit: 1.0},
	{work: "map-1000", against: "chan", unit: unitTime, limit: 0.40},
	{work: "cpu-100us", against: bestOfAll, unit: unitTime, limit: 1.02},
	{work: "cpu-1ms", against: bestOfAll, unit: unitTime, limit: 1.02},
	{work: "process", unit: unitAllocs, limit: 1},
	{work: "process-timed", unit: unitAllocs, limit: 1},
	{work: "submit", unit: unitAllocs, limit: 1},
	{work: "batch-1000", unit: unitAllocs, limit: 0.1},
	{work: "map-1000", unit: unitAllocs, limit: 0.1},
	{work: memoryWork, use: idleWorkerUse, unit: "B/worker", limit: 3 << 10},
	{work: memoryWork, use: queuedJobUse, unit: "B/job", limit: 256},
	{work: memoryWork, use: hugePoolUse, unit: "B/pool", limit: 300 << 20},
}

// needs reports whether the goal cannot be evaluated without that row.
func (g goal) needs(work, pool string) bool {
	if g.work != work {
		return false
	}
	switch {
	case pool == us:
		return true
	case g.against == bestPeer:
		return isPeer(pool)
	case g.against == bestPool:
		return isPeerPool(pool)
	case g.against == bestOfAll:
		return true
	default:
		return pool == g.against
	}
}

type state int

const (
	reached state = iota
	missed
	unmeasured
	unended // a row that it needs was given up
)

func (s state) String() string {
	return [...]string{"ok", "MISS", "NOT MEASURED", "DID NOT END"}[s]
}

// An outcome is a goal with what was measured.
type outcome struct {
	goal  goal
	state state
	got   string // the value that is compared with the limit
	by    string // where it comes from
}

func (g goal) evaluate(t *table) outcome {
	// Nor is there a best of those that are left.
	if row, ok := g.unended(t); ok {
		return outcome{goal: g, state: unended, by: row}
	}
	switch {
	case g.work == memoryWork:
		return g.absolute(t, memoryRow(g.use, us))
	case g.against == "":
		return g.absolute(t, poolRow(g.work, us))
	case g.against == bestPeer:
		r, ok := t.versusBest(g.work, isPeer)
		return g.relative(r, ok)
	case g.against == bestPool:
		r, ok := t.versusBest(g.work, isPeerPool)
		return g.relative(r, ok)
	case g.against == bestOfAll:
		r, ok := t.versusBest(g.work, isAny)
		return g.relative(r, ok)
	default:
		r, ok := t.compare(g.work, g.against)
		return g.relative(r, ok)
	}
}

// unended returns a row that the goal needs and that was given up, if there is one.
func (g goal) unended(t *table) (row string, ok bool) {
	if g.work == memoryWork {
		row = memoryRow(g.use, us)
		return row, t.unended(row)
	}
	for _, w := range bench.Works() {
		for _, pool := range w.Pools() {
			if row := poolRow(w.Name, pool); g.needs(w.Name, pool) && t.unended(row) {
				return row, true
			}
		}
	}
	return "", false
}

func (g goal) relative(r ratio, ok bool) outcome {
	o := outcome{goal: g, state: unmeasured}
	if !ok {
		return o
	}
	o.state = within(r.value, g.limit)
	o.got = formatRatio(r.value)
	o.by = fmt.Sprintf("%s ±%s against %s %s ±%s",
		formatTime(r.ours.Center), spread(r.ours), r.other, formatTime(r.theirs.Center), spread(r.theirs))
	return o
}

func (g goal) absolute(t *table, row string) outcome {
	o := outcome{goal: g, state: unmeasured}
	s, ok := t.summary(row, g.unit)
	if !ok {
		return o
	}
	// A thousandth of an allocation is the runtime's own, not a job's.
	got := s.Center
	o.got = formatBytes(got)
	if g.unit == unitAllocs {
		got = math.Round(got*100) / 100
		o.got = fmt.Sprintf("%.2f", got)
	}
	o.state = within(got, g.limit)
	return o
}

func within(got, limit float64) state {
	if got <= limit {
		return reached
	}
	return missed
}

// limitText shows the limit in the unit of the goal.
func (g goal) limitText() string {
	if g.work == memoryWork {
		return formatBytes(g.limit)
	}
	return fmt.Sprintf("%.2f", g.limit)
}

// subject says what is limited, for a table or a line of text.
func (g goal) subject() string {
	switch {
	case g.use == idleWorkerUse:
		return "an idle worker"
	case g.use == queuedJobUse:
		return "a queued job with its future"
	case g.use == hugePoolUse:
		return "100,000 idle workers"
	case g.unit == unitAllocs:
		return "allocations a job"
	default:
		return "time, × " + g.against
	}
}

// line is the outcome as -check prints it.
func (o outcome) line() string {
	s := fmt.Sprintf("%-12s  %-13s  %-28s  %8s  at most %s", o.state, o.goal.work, o.goal.subject(), o.got, o.goal.limitText())
	if o.by != "" {
		s += "  (" + o.by + ")"
	}
	return s
}

// spread is half the width of the interval, in per cent of the median.
func spread(s benchmath.Summary) string {
	half := max(s.Hi-s.Center, s.Center-s.Lo) / s.Center
	if math.IsInf(half, 0) || math.IsNaN(half) {
		return "∞"
	}
	return fmt.Sprintf("%.0f%%", half*100)
}
