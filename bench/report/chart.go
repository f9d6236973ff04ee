package main

import (
	"bytes"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Charts are as wide as the text of a README, 830 pixels, and stand on a panel of
// their own, so that they read the same on a light and on a dark page. A vg.Length
// is in points, of which there are three to four pixels: all sizes are whole pixels,
// or a page shines through the edge of the panel.
const (
	chartWidth  vg.Length = 622.5
	margin      vg.Length = 10
	titleHeight vg.Length = 26
	noteHeight  vg.Length = 17
	slack       vg.Length = 14 // for texts at the right edge, in a font wider than was measured
	legendWidth vg.Length = 92
)

var (
	panelColor = color.RGBA{0xfa, 0xfa, 0xf8, 0xff}
	textColor  = color.RGBA{0x24, 0x29, 0x2f, 0xff}
	gridColor  = color.RGBA{0xdd, 0xdf, 0xe2, 0xff}

	// Told apart also by those who do not see red and green.
	ourColor    = color.RGBA{0x0b, 0x5f, 0xb8, 0xff}
	peerColor   = color.RGBA{0x9a, 0xa3, 0xad, 0xff}
	floorColor  = color.RGBA{0xd6, 0xda, 0xdf, 0xff}
	slowerColor = color.RGBA{0xc4, 0x4e, 0x0a, 0xff}
	evenColor   = color.RGBA{0x6e, 0x77, 0x81, 0xff}
	lineColors  = []color.Color{ourColor, slowerColor, color.RGBA{0x1a, 0x85, 0x6b, 0xff}, color.RGBA{0x7a, 0x52, 0xa8, 0xff}}
)

// newPlot is a plot in the colors and the type of all charts.
func newPlot(title string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = panelColor
	p.Title.Text = title
	p.Title.Padding = vg.Points(8)
	for _, style := range []*text.Style{
		&p.Title.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label, &p.Legend.TextStyle,
	} {
		style.Font = sans(11)
		style.Color = textColor
	}
	p.Title.TextStyle.Font = sans(14)
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Color = textColor
		axis.Tick.Color = textColor
	}
	return p
}

func sans(size vg.Length) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
}

// svg draws p with a margin around it, the note below it, and the legend, if there
// is one, at its right: on a plot one never knows where there will be room.
//
// The note is no label of the axis, as gonum makes room for that where it would
// stand on a linear axis, and has it cut off on a logarithmic one.
func svg(p *plot.Plot, note string, legend *plot.Legend, height vg.Length) ([]byte, error) {
	c := vgsvg.New(chartWidth, height)
	canvas := draw.New(c)
	canvas.SetColor(panelColor)
	canvas.Fill(canvas.Rectangle.Path())
	inner := draw.Crop(canvas, margin, -margin, margin, -margin)
	if legend != nil {
		left := inner.Max.X - legendWidth
		legend.Draw(draw.Crop(inner, left-inner.Min.X, 0, 0, -titleHeight))
		inner = draw.Crop(inner, 0, left-inner.Max.X-margin, 0, 0)
	} else {
		inner = draw.Crop(inner, 0, -slack, 0, 0)
	}
	style := p.Legend.TextStyle
	style.XAlign, style.YAlign = text.XCenter, text.YBottom
	canvas.FillText(style, vg.Point{X: inner.Center().X, Y: inner.Min.Y}, note)
	p.Draw(draw.Crop(inner, 0, 0, noteHeight, 0))

	var buf bytes.Buffer
	if _, err := c.WriteTo(&buf); err != nil {
		return nil, err
	}
	// Few systems have the font the text was measured with. The next two have its
	// widths; what else there may be can be a tenth wider.
	return bytes.ReplaceAll(buf.Bytes(), []byte("font-family:Liberation Sans;"),
		[]byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif;")), nil
}

// A chartValue is one value with its interval. lo and hi are NaN where the rounds were
// too few for one.
type chartValue struct {
	label  string // what has the value
	note   string // what is written beside it
	value  float64
	lo, hi float64
	color  color.Color
}

// errorsOf are the two halves of an interval as gonum wants them.
func errorsOf(v chartValue) (below, above float64) {
	if math.IsNaN(v.lo) || math.IsNaN(v.hi) || math.IsInf(v.lo, 0) || math.IsInf(v.hi, 0) {
		return 0, 0
	}
	return v.value - v.lo, v.hi - v.value
}

// intervalNote ends the label of an axis if there are intervals to see.
func intervalNote(haveIntervals bool) string {
	if haveIntervals {
		return "; with 95 % intervals"
	}
	return "; too few rounds for intervals"
}

// lines are values from top to bottom, one a line, with their labels at the left
// and their notes at the right. They are what gonum's plotters ask for.
type lines []chartValue

func (l lines) Len() int { return len(l) }

func (l lines) XY(i int) (x, y float64) { return l[i].value, float64(len(l) - 1 - i) }

func (l lines) XError(i int) (float64, float64) { return errorsOf(l[i]) }

func (l lines) Label(i int) string { return l[i].note }

// haveIntervals reports whether one of them has an interval.
func (l lines) haveIntervals() bool {
	return slices.ContainsFunc(l, func(v chartValue) bool {
		below, above := errorsOf(v)
		return below+above > 0
	})
}

// ends are the upper ends of the intervals.
func (l lines) ends() []float64 {
	ends := make([]float64, len(l))
	for i, v := range l {
		_, above := errorsOf(v)
		ends[i] = v.value + above
	}
	return ends
}

// at are the same lines with other values: where to put the notes.
func (l lines) at(values []float64) lines {
	moved := slices.Clone(l)
	for i := range moved {
		moved[i].value = values[i]
	}
	return moved
}

// decorate adds to p what all charts of lines have: intervals, names, and the
// notes, each right of its place.
func (l lines) decorate(p *plot.Plot, places []float64) error {
	// Without this their caps would be seen all the same.
	if l.haveIntervals() {
		bars, err := plotter.NewXErrorBars(l)
		if err != nil {
			return err
		}
		bars.Color = textColor
		bars.Width = vg.Points(1.2)
		bars.CapWidth = vg.Points(6)
		p.Add(bars)
	}

	notes, err := plotter.NewLabels(l.at(places))
	if err != nil {
		return err
	}
	// The names of the axis stand a little higher than gonum's labels.
	notes.Offset = vg.Point{X: vg.Points(6), Y: vg.Points(1.5)}
	for i := range notes.TextStyle {
		notes.TextStyle[i].Font = sans(10.5)
		notes.TextStyle[i].Color = textColor
		notes.TextStyle[i].YAlign = text.YCenter
	}
	p.Add(notes)

	names := make([]string, len(l))
	for i, v := range l {
		names[len(l)-1-i] = v.label
	}
	p.NominalY(names...)
	p.Y.Color = color.Transparent
	p.Y.Tick.LineStyle.Width = 0
	p.Y.Min, p.Y.Max = -0.6, float64(len(l))-0.4
	return nil
}

// gridWidth is a pixel: gonum's own width is a third of one, which is hardly seen.
const gridWidth vg.Length = 0.75

// verticalGrid draws a line at each labelled tick, below everything added later.
func verticalGrid() *plotter.Grid {
	g := plotter.NewGrid()
	g.Horizontal.Color = nil
	g.Vertical.Color = gridColor
	g.Vertical.Dashes = nil
	g.Vertical.Width = gridWidth
	return g
}

// lineHeight is the height of one line in charts of lines; headHeight that of
// the title, the axis and the margins.
const (
	lineHeight vg.Length = 18.75
	headHeight vg.Length = 86.25
)
