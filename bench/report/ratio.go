package main

import (
	"fmt"

	"golang.org/x/perf/benchmath"
)

// A verdict is what the samples allow to be said about two rows.
type verdict string

const (
	even    verdict = "even" // no difference that the samples can tell from noise
	faster  verdict = "faster"
	slower  verdict = "slower"
	unclear verdict = "unclear" // the test and the intervals do not say the same
	unknown verdict = "unknown" // too few rounds to tell
)

// A ratio compares the median time of a row with that of another.
type ratio struct {
	Other        string // the other's pool
	Value        float64
	Lo, Hi       float64 // as wide as the two intervals allow
	Ours, Theirs benchmath.Summary
	Verdict      verdict
}

// compare returns the time of one sample over that of another. Faster and slower it
// calls what both the test and the intervals say.
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
// work; nil if there are not two to compare.
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

// formatRatio shows three decimals where two would hide a per cent, or hide on which
// side of 1 it is.
func formatRatio(x float64) string {
	if x < 0.1 || x > 0.95 && x < 1.05 {
		return fmt.Sprintf("%.3f", x)
	}
	return fmt.Sprintf("%.2f", x)
}
