package main

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/png"
)

// A tile is a square part of the complex plane.
type tile struct {
	x, y  float64 // its centre
	zoom  float64 // at 1 it is 3 wide
	depth int     // most iterations for one pixel
}

const (
	tileSize = 128       // pixels on a side
	maxDepth = 1_000_000 // some milliseconds for one pixel
)

var wholeSet = tile{x: -0.5, y: 0, zoom: 1, depth: 500}

// drawTile is the pool's handler: it draws the Mandelbrot set in t as a PNG. It
// looks at ctx before every pixel, so it ends within milliseconds of it.
func drawTile(ctx context.Context, t tile) ([]byte, error) {
	picture := image.NewGray(image.Rect(0, 0, tileSize, tileSize))
	step := 3 / t.zoom / tileSize
	for row := range tileSize {
		for col := range tileSize {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			c := complex(t.x+float64(col-tileSize/2)*step, t.y+float64(row-tileSize/2)*step)
			n := escape(c, t.depth)
			picture.SetGray(col, row, color.Gray{Y: uint8(255 - 255*n/t.depth)})
		}
	}
	var buf bytes.Buffer
	if err := png.Encode(&buf, picture); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

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
