package main

import (
	"fmt"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// An overview has a line for each work, from top to bottom: the time of dispatch divided
// by that of the best peer. Its methods are those that gonum's plotters need.
type overview struct {
	works  []string
	ratios []*ratio
}

func newOverview(t *table) (o overview) {
	for _, w := range t.catalog.Works {
		if r := t.versusBest(w.Name, t.catalog.isPeer); r != nil {
			o.works = append([]string{w.Name}, o.works...) // gonum counts from below
			o.ratios = append([]*ratio{r}, o.ratios...)
		}
	}
	return o
}

func (o overview) Len() int { return len(o.ratios) }

func (o overview) XY(i int) (x, y float64) { return o.ratios[i].Value, float64(i) }

// XError returns the confidence interval, which is empty if there were too few rounds.
func (o overview) XError(i int) (below, above float64) {
	r := o.ratios[i]
	if r.Lo <= 0 || math.IsInf(r.Hi, 0) || math.IsNaN(r.Lo+r.Hi) {
		return 0, 0
	}
	return r.Value - r.Lo, r.Hi - r.Value
}

func (o overview) style(i int) draw.GlyphStyle {
	style := draw.GlyphStyle{Radius: vg.Points(5), Shape: draw.CircleGlyph{}}
	switch o.ratios[i].Verdict {
	case faster:
		style.Color = blue.light
	case slower:
		style.Color = orange.light
	case even, unclear, unknown:
		style.Color = gray.light
	}
	return style
}

// A column has the ratios as text, one below the other. Beside their points the texts
// would cross the line at 1.
type column struct {
	overview
	x float64
}

func (c column) XY(i int) (x, y float64) { return c.x, float64(i) }

func (c column) Label(i int) string {
	return formatRatio(c.ratios[i].Value) + " × " + c.ratios[i].Other
}

func (o overview) draw() ([]byte, error) {
	low, high := 0.5, 2.0
	for i, r := range o.ratios {
		below, above := o.XError(i)
		low, high = min(low, r.Value-below), max(high, r.Value+above)
	}
	low, high = low/1.2, high*1.1 // so that a point at the edge does not touch its note
	top := float64(o.Len()) - 0.4

	one, err := plotter.NewLine(plotter.XYs{{X: 1, Y: -0.6}, {X: 1, Y: top}})
	if err != nil {
		return nil, err
	}
	one.Color = ink.light
	bars, err := plotter.NewXErrorBars(o)
	if err != nil {
		return nil, err
	}
	bars.Color = ink.light
	points, err := plotter.NewScatter(o)
	if err != nil {
		return nil, err
	}
	points.GlyphStyleFunc = o.style
	p := newPlot("dispatch against the best peer of each work")
	labels, err := plotter.NewLabels(column{o, high})
	if err != nil {
		return nil, err
	}
	labels.Offset = vg.Point{X: vg.Points(6), Y: vg.Points(1.5)}
	for i := range labels.TextStyle {
		labels.TextStyle[i] = p.Legend.TextStyle
		labels.TextStyle[i].YAlign = text.YCenter
	}
	lines := plotter.NewGrid()
	lines.Vertical = draw.LineStyle{Color: grid.light, Width: 0.75} // a pixel
	lines.Horizontal.Color = nil
	p.Add(lines, one, bars, points, labels)

	var ticks plot.ConstantTicks
	for _, v := range []float64{0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50} {
		ticks = append(ticks, plot.Tick{Value: v, Label: fmt.Sprint(v)})
	}
	p.X.Scale, p.X.Tick.Marker, p.X.Min, p.X.Max = plot.LogScale{}, ticks, low, high
	p.NominalY(o.works...)
	p.Y.Tick.LineStyle.Width, p.Y.Min, p.Y.Max = 0, -0.6, top
	note := "time divided by that of the best peer, with 95 % intervals; blue: dispatch is faster, orange: slower, gray: no difference shown"
	return svg(p, note, vg.Length(o.Len())*18.75+86.25)
}
