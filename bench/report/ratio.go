package main

import (
	"fmt"
	"math"

	"golang.org/x/perf/benchmath"

	"example.com/dispatch/bench"
)

// A verdict is what the samples allow to be said about two rows.
type verdict int

const (
	even   verdict = iota // no difference that the samples can tell from noise
	faster                // the first needs less time
	slower
	unclear // too few rounds to tell
)

func (v verdict) String() string {
	return [...]string{"even", "faster", "slower", "too few rounds"}[v]
}

// A ratio compares the medians of dispatch and of another row of the same work.
type ratio struct {
	other        string // the other's name
	value        float64
	lo, hi       float64 // as wide as the two intervals allow; NaN if unknown
	ours, theirs benchmath.Summary
	verdict      verdict
}

// compare returns dispatch's time in the work over that of the other pool.
func (t *table) compare(work, other string) (ratio, bool) {
	ours, ok1 := t.summary(poolRow(work, us), unitTime)
	theirs, ok2 := t.summary(poolRow(work, other), unitTime)
	if !ok1 || !ok2 {
		return ratio{}, false
	}
	r := ratio{
		other:  other,
		value:  ours.Center / theirs.Center,
		lo:     finite(ours.Lo / theirs.Hi),
		hi:     finite(ours.Hi / theirs.Lo),
		ours:   ours,
		theirs: theirs,
	}
	c := benchmath.AssumeNothing.Compare(t.rows[poolRow(work, us)][unitTime], t.rows[poolRow(work, other)][unitTime])
	switch {
	case len(c.Warnings) > 0:
		r.verdict = unclear
	case c.P >= c.Alpha || r.value == 1:
		r.verdict = even
	case r.value < 1:
		r.verdict = faster
	default:
		r.verdict = slower
	}
	return r, true
}

// finite turns what an unbounded interval leads to into NaN.
func finite(x float64) float64 {
	if math.IsInf(x, 0) || x <= 0 {
		return math.NaN()
	}
	return x
}

// best returns the fastest of the pools in the work that qualify. dispatch is
// never among them.
func (t *table) best(work string, qualify func(pool string) bool) (string, bool) {
	name, least := "", math.Inf(1)
	for _, w := range bench.Works() {
		if w.Name != work {
			continue
		}
		for _, pool := range w.Pools() {
			if pool == us || !qualify(pool) {
				continue
			}
			if s, ok := t.summary(poolRow(work, pool), unitTime); ok && s.Center < least {
				name, least = pool, s.Center
			}
		}
	}
	return name, name != ""
}

func isPeer(pool string) bool { return !bench.IsFloor(pool) }

// isFloor leaves out the direct call: nothing that crosses to another goroutine
// comes near it.
func isFloor(pool string) bool { return bench.IsFloor(pool) && pool != "direct" }

// isPeerPool leaves out errgroup too: a Group is a go statement with a limit, and
// the goal that asks for this speaks of pools. The tables have it all the same.
func isPeerPool(pool string) bool { return isPeer(pool) && pool != "errgroup" }

func isAny(string) bool { return true }

func (t *table) versusBestPeer(work string) (ratio, bool) {
	return t.versusBest(work, isPeer)
}

func (t *table) versusFloor(work string) (ratio, bool) {
	return t.versusBest(work, isFloor)
}

func (t *table) versusBest(work string, qualify func(pool string) bool) (ratio, bool) {
	other, ok := t.best(work, qualify)
	if !ok {
		return ratio{}, false
	}
	return t.compare(work, other)
}

// formatRatio shows three decimals where two would hide a per cent.
func formatRatio(x float64) string {
	switch {
	case math.IsNaN(x):
		return "?"
	case x >= 0.95 && x < 1.05:
		return fmt.Sprintf("%.3f", x)
	case x < 0.1:
		return fmt.Sprintf("%.3f", x)
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	default:
		return fmt.Sprintf("%.2f", x)
	}
}

// formatTime shows three significant digits of a time in seconds.
func formatTime(seconds float64) string {
	for _, u := range []struct {
		name  string
		scale float64
	}{{"ns", 1e9}, {"µs", 1e6}, {"ms", 1e3}, {"s", 1}} {
		if v := seconds * u.scale; v < 999.5 || u.name == "s" {
			return significant(v) + " " + u.name
		}
	}
	return "" // not reached: the last unit takes everything
}

func significant(v float64) string {
	switch {
	case v < 9.995:
		return fmt.Sprintf("%.2f", v)
	case v < 99.95:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.0f", v)
	}
}

// formatBytes shows a size in binary units.
func formatBytes(b float64) string {
	switch {
	case b < 10<<10:
		return fmt.Sprintf("%.0f B", b)
	case b < 1<<20:
		return fmt.Sprintf("%.1f KiB", b/(1<<10))
	default:
		return fmt.Sprintf("%.0f MiB", b/(1<<20))
	}
}
