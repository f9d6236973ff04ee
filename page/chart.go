package page

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"

	"example.com/dispatch"
)

// The line of a dial shows the last minute from left to right. Sizes are in units of
// the SVG.
const (
	lineWidth  = 240
	lineHeight = 40
	lineTop    = 3               // space above the greatest value
	lineGap    = 5 * time.Second // two snapshots further apart are not connected
)

// line returns the SVG path of values over the last minute. The scale goes from 0 to
// top or to the greatest value, whichever is greater.
func line(r recent, top float64, value func(before *snapshot, s snapshot) (float64, bool)) (path string) {
	type point struct {
		at time.Time
		v  float64
	}
	points := make([]point, 0, len(r.past)+1)
	note := func(before *snapshot, s snapshot) {
		if v, ok := value(before, s); ok {
			points = append(points, point{s.at, v})
			top = max(top, v)
		}
	}
	for i := range r.past {
		var before *snapshot
		if i > 0 {
			before = &r.past[i-1]
		}
		note(before, r.past[i])
	}
	if n := len(r.past); n == 0 {
		note(nil, r.now)
	} else if over := r.now.at.Sub(r.past[n-1].at); over > 0 {
		before := &r.past[n-1]
		if over < spacing && n > 1 {
			before = &r.past[n-2] // a rate needs some time
		}
		note(before, r.now)
	}

	x := func(p point) int {
		return int(math.Round(lineWidth * (1 - float64(r.now.at.Sub(p.at))/float64(window))))
	}
	y := func(p point) int {
		if top <= 0 {
			return lineHeight
		}
		return int(math.Round(lineHeight - (lineHeight-lineTop)*p.v/top))
	}
	var d []byte
	for i, p := range points {
		begins := i == 0 || p.at.Sub(points[i-1].at) > lineGap
		ends := i == len(points)-1 || points[i+1].at.Sub(p.at) > lineGap
		switch {
		case begins:
			d = appendPoint(d, 'M', x(p), y(p))
			if ends {
				d = append(d, "h0"...) // a dot
			}
		case !ends && y(points[i-1]) == y(p) && y(p) == y(points[i+1]):
			// in the middle of a level stretch
		default:
			d = appendPoint(d, 'L', x(p), y(p))
		}
	}
	return string(d)
}

func appendPoint(d []byte, command byte, x, y int) []byte {
	d = strconv.AppendInt(append(d, command), int64(x), 10)
	return strconv.AppendInt(append(d, ' '), int64(y), 10)
}

// In the chart of waits and runs, the bars of waits go up from the axis and those of
// runs go down. Sizes are in units of the SVG.
const (
	chartWidth  = 520.0
	chartHeight = 188.0
	chartSide   = 34.0 // margin left and right of the bars, for words that extend beyond them
	axisTop     = 85.0 // the axis is a strip with the words of the ticks in it
	axisBottom  = 103.0
	barHeight   = 68.0 // of the fullest bucket
	leastBar    = 1.5  // least height of a bucket that is not empty
	leastSpan   = 16   // least number of buckets on the axis
)

// chart holds the SVG paths and words of two histograms, of waits and of runs, over
// one logarithmic axis.
type chart struct {
	wait, run strings.Builder // bars
	grid      strings.Builder // a line at each tick
	p50, p99  strings.Builder // a line in each half
	words     strings.Builder // elements
}

var ticks = []struct {
	at   time.Duration
	word string
}{
	{time.Microsecond, "1 µs"},
	{10 * time.Microsecond, "10 µs"},
	{100 * time.Microsecond, "100 µs"},
	{time.Millisecond, "1 ms"},
	{10 * time.Millisecond, "10 ms"},
	{100 * time.Millisecond, "100 ms"},
	{time.Second, "1 s"},
	{10 * time.Second, "10 s"},
	{time.Minute, "1 min"},
	{10 * time.Minute, "10 min"},
	{time.Hour, "1 h"},
	{10 * time.Hour, "10 h"},
}

// draw returns the chart of wait and run. At least one of them must not be empty.
func draw(wait, run dispatch.Histogram) *chart {
	first, last := math.MaxInt, math.MinInt
	for _, h := range []dispatch.Histogram{wait, run} {
		for k := range h.Buckets() {
			first, last = min(first, k), max(last, k)
		}
	}
	if missing := leastSpan - (last - first); missing > 0 {
		first, last = first-missing/2, last+missing-missing/2
	}
	// Bucket k is drawn between the durations 2^((k-1)/4) and 2^(k/4) s.
	unit := (chartWidth - 2*chartSide) / float64(last-first+1)
	x := func(quarters float64) float64 { return chartSide + (quarters-float64(first-1))*unit }

	c := new(chart)
	bars(&c.wait, wait, x, unit, func(height float64) (from, to float64) { return axisTop, axisTop - height })
	bars(&c.run, run, x, unit, func(height float64) (from, to float64) { return axisBottom, axisBottom + height })
	for _, t := range ticks {
		if at := x(4 * math.Log2(t.at.Seconds())); at >= chartSide && at <= chartWidth-chartSide {
			upright(&c.grid, at, axisTop, axisTop-barHeight-3)
			upright(&c.grid, at, axisBottom, axisBottom+barHeight+3)
			c.word(at, axisBottom-5, t.word, "at")
		}
	}
	c.mark(wait, x, axisTop, axisTop-barHeight-4, axisTop-barHeight-7)
	c.mark(run, x, axisBottom, axisBottom+barHeight+4, axisBottom+barHeight+15)
	return c
}

// mark marks p50 and p99 of h with lines from the axis to end, and words at wordY.
func (c *chart) mark(h dispatch.Histogram, x func(float64) float64, axis, end, wordY float64) {
	place := func(q float64) (float64, bool) {
		d := h.Quantile(q)
		return x(4 * math.Log2(d.Seconds())), d > 0
	}
	if at, ok := place(0.5); ok {
		upright(&c.p50, at, axis, end)
		c.word(at-3, wordY, "p50", "before")
	}
	if at, ok := place(0.99); ok {
		upright(&c.p99, at, axis, end)
		c.word(at+3, wordY, "p99", "after")
	}
}

// word writes text beside a point: before, at or after it.
func (c *chart) word(x, y float64, text, side string) {
	fmt.Fprintf(&c.words, `<text class="%s" x="%s" y="%s">%s</text>`, side, coordinate(x), coordinate(y), text)
}

// svg returns the chart as an element. The element needs no escaping: it has only
// numbers, and words of this package.
func (c *chart) svg() template.HTML {
	return template.HTML(fmt.Sprintf(`<svg class="chart" viewBox="0 0 %v %v" role="img" aria-label="Histograms of waits (upwards) and runs (downwards); the numbers are in the table">`,
		chartWidth, chartHeight) +
		fmt.Sprintf(`<path class="axis" d="M0 %vH%vM0 %vH%[2]v"/>`, axisTop, chartWidth, axisBottom) +
		fmt.Sprintf(`<path class="grid" d="%s"/><path class="wait" d="%s"/><path class="run" d="%s"/>`, &c.grid, &c.wait, &c.run) +
		fmt.Sprintf(`<path class="p50" d="%s"/><path class="p99" d="%s"/>%s</svg>`, &c.p50, &c.p99, &c.words))
}

// upright adds a vertical line to path.
func upright(path *strings.Builder, x, from, to float64) {
	path.WriteString("M" + coordinate(x) + " " + coordinate(from) + "V" + coordinate(to))
}

// bars adds the buckets of h to path. side returns where a bar of the given height
// begins and ends.
func bars(path *strings.Builder, h dispatch.Histogram, x func(float64) float64, unit float64, side func(height float64) (from, to float64)) {
	most := uint64(0)
	for _, n := range h.Buckets() {
		most = max(most, n)
	}
	width := max(unit-1, unit*0.8)
	for k, n := range h.Buckets() {
		from, to := side(max(leastBar, barHeight*float64(n)/float64(most)))
		upright(path, x(float64(k-1))+(unit-width)/2, from, to)
		path.WriteString("h" + coordinate(width) + "V" + coordinate(from) + "z")
	}
}

// coordinate formats v with one decimal at most.
func coordinate(v float64) string {
	return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
}
