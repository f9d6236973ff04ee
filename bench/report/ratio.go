package main

import (
	"fmt"

	"golang.org/x/perf/benchmath"
)

// A verdict is the result of the comparison of two rows.
type verdict string

const (
	even    verdict = "even" // the samples show no difference
	faster  verdict = "faster"
	slower  verdict = "slower"
	unclear verdict = "unclear" // the test and the intervals disagree
	unknown verdict = "unknown" // too few rounds to tell
)

// A ratio compares the median time of a row with that of another.
type ratio struct {
	Other        string // the other pool
	Value        float64
	Lo, Hi       float64 // the widest range that the two intervals allow
	Ours, Theirs benchmath.Summary
	Verdict      verdict
}

// compare returns the time of one sample divided by that of another. The verdict is
// faster or slower only if both the test and the intervals say so.
func compare(ours, theirs *benchmath.Sample) ratio {
	a := benchmath.AssumeNothing.Summary(ours, confidence)
	b := benchmath.AssumeNothing.Summary(theirs, confidence)
	r := ratio{Value: a.Center / b.Center, Lo: a.Lo / b.Hi, Hi: a.Hi / b.Lo, Ours: a, Theirs: b}
	c := benchmath.AssumeNothing.Compare(ours, theirs)
	switch different, apart := c.P < c.Alpha, a.Hi < b.Lo || a.Lo > b.Hi; {
	case len(c.Warnings)+len(a.Warnings)+len(b.Warnings) > 0:
		r.Verdict = unknown
	case different != apart:
		r.Verdict = unclear
	case !different:
		r.Verdict = even
	case r.Value < 1:
		r.Verdict = faster
	default:
		r.Verdict = slower
	}
	return r
}

// versusBest compares dispatch with the fastest of the other pools that qualify in a
// work. It returns nil if either is missing.
func (t *table) versusBest(work string, qualify func(pool string) bool) *ratio {
	ours := t.sample(row{work, us}, unitTime)
	for _, pool := range t.pools(work) {
		theirs := t.sample(row{work, pool}, unitTime)
		if pool != us && qualify(pool) && ours != nil && theirs != nil {
			r := compare(ours, theirs)
			r.Other = pool
			return &r
		}
	}
	return nil
}

// formatRatio formats a ratio with three decimals if two would hide a per cent, or on
// which side of 1 it is.
func formatRatio(x float64) string {
	if x < 0.1 || x > 0.95 && x < 1.05 {
		return fmt.Sprintf("%.3f", x)
	}
	return fmt.Sprintf("%.2f", x)
}
