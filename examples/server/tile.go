package main

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/png"
	"math"
)

// A tile is a square part of the complex plane.
type tile struct {
	x, y  float64 // its centre
	zoom  float64 // at 1 the tile is 3 wide
	depth int     // most iterations for one pixel
}

const (
	tileSize = 128       // pixels on a side
	maxDepth = 1_000_000 // takes some milliseconds for one pixel
)

// width returns the width of the tile.
func (t tile) width() float64 { return 3 / t.zoom }

var wholeSet = tile{x: -0.5, y: 0, zoom: 1, depth: 500}

// drawTile is the pool's handler: it draws the Mandelbrot set in t as a PNG. It
// checks ctx before every pixel, so it returns within milliseconds of the end of ctx.
func drawTile(ctx context.Context, t tile) ([]byte, error) {
	picture := image.NewPaletted(image.Rect(0, 0, tileSize, tileSize), palette)
	step := t.width() / tileSize
	for row := range tileSize {
		for col := range tileSize {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			c := complex(t.x+float64(col-tileSize/2)*step, t.y+float64(row-tileSize/2)*step)
			if n := escape(c, t.depth); n < t.depth {
				picture.SetColorIndex(col, row, uint8(1+n%(len(palette)-1)))
			}
		}
	}
	var buf bytes.Buffer
	if err := png.Encode(&buf, picture); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// palette has black for points in the set, and cycles through the colours for points
// outside.
var palette = func() color.Palette {
	colours := color.Palette{color.Black}
	shade := func(i int, phase float64) uint8 {
		return uint8(127.5 - 127.5*math.Cos(2*math.Pi*(float64(i)/64+phase)))
	}
	for i := range 64 {
		colours = append(colours, color.RGBA{R: shade(i, 0.1), G: shade(i, 0.05), B: shade(i, 0.3), A: 255})
	}
	return colours
}()

// escape returns after how many iterations c is known to lie outside the set,
// or depth.
func escape(c complex128, depth int) int {
	z := c
	for n := range depth {
		if real(z)*real(z)+imag(z)*imag(z) > 4 {
			return n
		}
		z = z*z + c
	}
	return depth
}
