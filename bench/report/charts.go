package main

import (
	"fmt"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"example.com/dispatch/bench"
)

// The files of the charts, beside the pages that show them.
const overviewChart = "bench-overview.svg"

func workChart(work string) string { return "bench-" + work + ".svg" }
func axisChart(axis string) string { return "scale-" + axis + ".svg" }

// benchmarkCharts draws the overview and one chart a work.
func benchmarkCharts(t *table) (map[string][]byte, error) {
	charts := make(map[string][]byte)
	for _, w := range bench.Works() {
		all := standings(t, w)
		if all == nil {
			continue
		}
		data, err := barChart(w.Name+": time, less is better", all)
		if err != nil {
			return nil, fmt.Errorf("chart of %s: %w", w.Name, err)
		}
		charts[workChart(w.Name)] = data
	}
	data, err := ratioChart(t)
	if err != nil {
		return nil, fmt.Errorf("chart of all ratios: %w", err)
	}
	if data != nil {
		charts[overviewChart] = data
	}
	return charts, nil
}

// barChart has a bar for each pool, the fastest on top.
func barChart(title string, all []standing) ([]byte, error) {
	unit, scale := axisUnit(all[len(all)-1].time.Center)
	var bars lines
	for _, s := range all {
		bars = append(bars, chartValue{
			label: s.pool,
			note:  formatTime(s.time.Center),
			value: s.time.Center * scale,
			lo:    s.time.Lo * scale,
			hi:    s.time.Hi * scale,
			color: poolColor(s.pool),
		})
	}
	p := newPlot(title)
	p.Add(verticalGrid())
	for i, v := range bars {
		bar, err := plotter.NewBarChart(plotter.Values{v.value}, 0.68*lineHeight)
		if err != nil {
			return nil, err
		}
		_, bar.XMin = bars.XY(i)
		bar.Horizontal = true
		bar.Color = v.color
		bar.LineStyle.Width = 0
		p.Add(bar)
	}
	ends := bars.ends()
	if err := bars.decorate(p, ends); err != nil {
		return nil, err
	}
	// gonum makes the room for the notes.
	longest := slices.Max(ends)
	p.X.Min, p.X.Max = 0, longest
	p.X.Tick.Marker = evenTicks(longest)
	note := unit + "; blue: dispatch, gray: peers, pale: no pool" + intervalNote(bars.haveIntervals())
	return svg(p, note, nil, vg.Length(len(bars))*lineHeight+headHeight)
}

func poolColor(pool string) color.Color {
	switch {
	case pool == us:
		return ourColor
	case bench.IsFloor(pool):
		return floorColor
	default:
		return peerColor
	}
}

// axisUnit chooses the unit in which the longest time is a readable number.
func axisUnit(longest float64) (name string, scale float64) {
	switch {
	case longest < 10e-6:
		return "ns", 1e9
	case longest < 10e-3:
		return "µs", 1e6
	default:
		return "ms", 1e3
	}
}

// ratioChart has a point for each work: the time of dispatch over that of the best
// peer. It is nil if there is nothing to compare.
func ratioChart(t *table) ([]byte, error) {
	var points lines
	low, high := 0.5, 2.0
	for _, w := range bench.Works() {
		r, ok := t.versusBestPeer(w.Name)
		if !ok {
			continue
		}
		v := chartValue{
			label: w.Name,
			note:  fmt.Sprintf("%s × %s", formatRatio(r.value), r.other),
			value: r.value,
			lo:    r.lo,
			hi:    r.hi,
			color: verdictColor(r.verdict),
		}
		below, above := errorsOf(v)
		low, high = min(low, v.value-below), max(high, v.value+above)
		points = append(points, v)
	}
	if points == nil {
		return nil, nil
	}

	// A point at the edge would touch its note.
	high *= 1.1

	p := newPlot("dispatch against the best peer of each work")
	p.X.Scale = plot.LogScale{}
	p.X.Tick.Marker = logTicks(low, high, func(v float64) string { return fmt.Sprintf("%g", v) })
	p.Add(verticalGrid())
	one, err := plotter.NewLine(plotter.XYs{{X: 1, Y: -0.6}, {X: 1, Y: float64(len(points)) - 0.4}})
	if err != nil {
		return nil, err
	}
	one.Color = textColor
	one.Width = vg.Points(1)
	p.Add(one)

	dots, err := plotter.NewScatter(points)
	if err != nil {
		return nil, err
	}
	dots.GlyphStyleFunc = func(i int) draw.GlyphStyle {
		return draw.GlyphStyle{Color: points[i].color, Radius: vg.Points(5), Shape: draw.CircleGlyph{}}
	}
	// The notes stand in a column: beside the points they would cross the line at 1.
	column := slices.Repeat([]float64{high}, len(points))
	if err := points.decorate(p, column); err != nil {
		return nil, err
	}
	p.Add(dots)
	p.X.Min, p.X.Max = low/1.2, high
	const note = "time over the best peer's; blue: dispatch is faster, orange: slower, gray: no difference shown"
	return svg(p, note, nil, vg.Length(len(points))*lineHeight+headHeight)
}

func verdictColor(v verdict) color.Color {
	return [...]color.Color{even: evenColor, unclear: evenColor, faster: ourColor, slower: slowerColor}[v]
}

// evenTicks are at round numbers, four to eight of them up to the longest value.
func evenTicks(longest float64) plot.ConstantTicks {
	step := math.Pow10(int(math.Floor(math.Log10(longest))))
	switch {
	case longest/step < 2:
		step /= 4
	case longest/step < 4:
		step /= 2
	}
	var ticks plot.ConstantTicks
	for i := 0; float64(i)*step <= longest; i++ {
		v := float64(i) * step
		ticks = append(ticks, plot.Tick{Value: v, Label: fmt.Sprintf("%g", v)})
	}
	return ticks
}

// logTicks are at 1, 2 and 5 in each decade of the range, or at 1 alone if there
// are many decades.
func logTicks(low, high float64, label func(v float64) string) plot.ConstantTicks {
	digits := []float64{1, 2, 5}
	if high/low > 300 {
		digits = digits[:1]
	}
	var ticks plot.ConstantTicks
	for exp := math.Floor(math.Log10(low)); exp <= math.Log10(high); exp++ {
		for _, digit := range digits {
			if v := digit * math.Pow(10, exp); v >= low && v <= high {
				ticks = append(ticks, plot.Tick{Value: v, Label: label(v)})
			}
		}
	}
	return ticks
}
