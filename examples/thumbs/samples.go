package main

import (
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
)

// drawSamples writes n pictures of different shapes to dir.
func drawSamples(dir string, n int) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for i := range n {
		name := filepath.Join(dir, fmt.Sprintf("sample-%02d.jpg", i+1))
		if err := writeJPEG(name, drawSample(480+20*(i%5), 360+40*(i%3), i)); err != nil {
			return err
		}
	}
	return nil
}

// drawSample draws a pattern that is shifted by seed.
func drawSample(width, height, seed int) image.Image {
	picture := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			picture.SetRGBA(x, y, color.RGBA{
				R: uint8(x*255/width) ^ uint8(seed*9),
				G: uint8(y * 255 / height),
				B: uint8((x*x + y*y) >> 8),
				A: 255,
			})
		}
	}
	return picture
}

func writeJPEG(name string, picture image.Image) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := jpeg.Encode(f, picture, nil); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
