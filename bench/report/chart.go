package main

import (
	"bytes"
	"fmt"
	"image/color"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// A chart is as wide as the text of a README, 830 pixels. A vg.Length is in points,
// of which there are three to four pixels.
const (
	chartWidth vg.Length = 622.5
	margin     vg.Length = 10
	noteHeight vg.Length = 17
)

// A shade is a color on a light page, and its counterpart on a dark one. The shades can
// be told apart by people who do not see red and green.
type shade struct{ light, dark color.RGBA }

var (
	panel  = shade{rgb(0xfafaf8), rgb(0x161b22)}
	ink    = shade{rgb(0x24292f), rgb(0xe6edf3)}
	grid   = shade{rgb(0xdddfe2), rgb(0x30363d)}
	blue   = shade{rgb(0x0b5fb8), rgb(0x58a6ff)}
	orange = shade{rgb(0xc44e0a), rgb(0xf0883e)}
	gray   = shade{rgb(0x6e7781), rgb(0x8b949e)}
)

func rgb(hex uint32) color.RGBA {
	return color.RGBA{uint8(hex >> 16), uint8(hex >> 8), uint8(hex), 0xff}
}

// darkStyle returns CSS that replaces the light colors, which gonum writes into the
// elements, by the dark ones.
func darkStyle() string {
	var b strings.Builder
	b.WriteString("<style>@media (prefers-color-scheme: dark) {\n")
	for _, s := range []shade{panel, ink, grid, blue, orange, gray} {
		for _, property := range []string{"fill", "stroke"} {
			fmt.Fprintf(&b, "[style*=\"%[1]s:#%02[2]X%02[3]X%02[4]X\"] { %[1]s: #%02[5]x%02[6]x%02[7]x !important }\n",
				property, s.light.R, s.light.G, s.light.B, s.dark.R, s.dark.G, s.dark.B)
		}
	}
	b.WriteString("}</style>\n")
	return b.String()
}

// newPlot returns a plot in the colors and the font of the chart.
func newPlot(title string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = panel.light
	p.Title.Text = title
	p.Title.Padding = vg.Points(8)
	for _, style := range []*text.Style{&p.Title.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label, &p.Legend.TextStyle} {
		style.Font = font.Font{Typeface: "Liberation", Variant: "Sans", Size: 11}
		style.Color = ink.light
	}
	p.Title.TextStyle.Font.Size = 14
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Color = ink.light
		axis.Tick.Color = ink.light
	}
	return p
}

// svg draws p with a margin around it and the note below it. The note is not the label
// of the axis, because gonum cuts off the label of a logarithmic axis.
func svg(p *plot.Plot, note string, height vg.Length) ([]byte, error) {
	c := vgsvg.New(chartWidth, height)
	canvas := draw.New(c)
	canvas.SetColor(panel.light)
	canvas.Fill(canvas.Rectangle.Path())
	inner := draw.Crop(canvas, margin, -2*margin, margin, -margin)
	style := p.Legend.TextStyle
	style.XAlign = text.XCenter
	inner.FillText(style, vg.Point{X: inner.Center().X, Y: inner.Min.Y}, note)
	p.Draw(draw.Crop(inner, 0, 0, noteHeight, 0))

	var buf bytes.Buffer
	if _, err := c.WriteTo(&buf); err != nil {
		return nil, err
	}
	// Few systems have the font with which the text was measured. The next two fonts
	// have the same widths; others can be a tenth wider.
	drawn := strings.ReplaceAll(buf.String(), "font-family:Liberation Sans;", "font-family:Liberation Sans,Arial,Helvetica,sans-serif;")
	return []byte(strings.Replace(drawn, "<g ", darkStyle()+"<g ", 1)), nil
}
