package main

import (
	"fmt"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"example.com/dispatch/bench"
)

// scalingCharts draws one chart an axis.
func scalingCharts(t *table) (map[string][]byte, error) {
	charts := make(map[string][]byte)
	for _, a := range bench.Axes() {
		pools := scaled(t, a)
		if pools == nil {
			continue
		}
		data, err := curveChart(t, a, pools)
		if err != nil {
			return nil, fmt.Errorf("chart of %s: %w", a.Name, err)
		}
		if data != nil {
			charts[axisChart(a.Name)] = data
		}
	}
	return charts, nil
}

// A curve is the time of one pool at the sizes of an axis.
type curve struct {
	plotter.XYs
	plotter.YErrors
}

func (c curve) haveIntervals() bool {
	for _, e := range c.YErrors {
		if e.Low+e.High > 0 {
			return true
		}
	}
	return false
}

// curveChart has a curve for each pool, on logarithmic axes. It is nil if none of
// the pools ended.
func curveChart(t *table, a bench.Axis, pools []string) ([]byte, error) {
	p := newPlot("Time a job against the number of " + a.Count)
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker = sizeTicks(a.Sizes)
	grid := verticalGrid()
	grid.Horizontal.Color = gridColor
	grid.Horizontal.Dashes = nil
	grid.Horizontal.Width = gridWidth
	p.Add(grid)

	legend := plot.NewLegend()
	legend.TextStyle = p.Legend.TextStyle
	legend.Top, legend.Left = true, true
	legend.Padding = vg.Points(4)
	low, high := math.Inf(1), math.Inf(-1)
	intervals := false
	glyphs := []draw.GlyphDrawer{draw.CircleGlyph{}, draw.TriangleGlyph{}, draw.SquareGlyph{}, draw.PyramidGlyph{}}
	for i, pool := range pools {
		c := curveOf(t, a, pool)
		if len(c.XYs) == 0 {
			continue
		}
		for j, xy := range c.XYs {
			low, high = min(low, xy.Y-c.YErrors[j].Low), max(high, xy.Y+c.YErrors[j].High)
		}
		line, points, err := plotter.NewLinePoints(c)
		if err != nil {
			return nil, err
		}
		line.Color = lineColors[i%len(lineColors)]
		line.Width = vg.Points(1.5)
		if pool == us {
			line.Width = vg.Points(3)
		}
		points.Shape = glyphs[i%len(glyphs)]
		points.Color = line.Color
		points.Radius = vg.Points(4)
		p.Add(line, points)
		if c.haveIntervals() {
			intervals = true
			bars, err := plotter.NewYErrorBars(c)
			if err != nil {
				return nil, err
			}
			bars.Color = line.Color
			p.Add(bars)
		}
		legend.Add(pool, line, points)
	}
	if math.IsInf(low, 1) {
		return nil, nil
	}
	// A little more than the range, and no less than a decade: a difference of
	// a few per cent is not to look like a mountain.
	low, high = low/1.3, max(high*1.3, 10*low)
	p.Y.Min, p.Y.Max = low, high
	p.Y.Tick.Marker = logTicks(low, high, tickTime)
	p.X.Min = float64(a.Sizes[0]) / 1.2
	p.X.Max = float64(a.Sizes[len(a.Sizes)-1]) * 1.2
	return svg(p, a.Count+intervalNote(intervals), &legend, 300)
}

// tickTime names a round number of nanoseconds.
func tickTime(ns float64) string {
	switch {
	case ns >= 1e6:
		return fmt.Sprintf("%g ms", ns/1e6)
	case ns >= 1e3:
		return fmt.Sprintf("%g µs", ns/1e3)
	default:
		return fmt.Sprintf("%g ns", ns)
	}
}

func curveOf(t *table, a bench.Axis, pool string) curve {
	var c curve
	for _, size := range a.Sizes {
		s, ok := t.summary(scaleRow(a.Name, size, pool), unitTime)
		if !ok {
			continue
		}
		v := chartValue{value: s.Center * 1e9, lo: s.Lo * 1e9, hi: s.Hi * 1e9}
		below, above := errorsOf(v)
		c.XYs = append(c.XYs, plotter.XY{X: float64(size), Y: v.value})
		c.YErrors = append(c.YErrors, struct{ Low, High float64 }{below, above})
	}
	return c
}

func sizeTicks(sizes []int) plot.ConstantTicks {
	var ticks plot.ConstantTicks
	for _, size := range sizes {
		ticks = append(ticks, plot.Tick{Value: float64(size), Label: formatCount(size)})
	}
	return ticks
}
