package main

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/jpeg"
	_ "image/png" // for image.Decode
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/image/draw"
)

// A thumb is a finished thumbnail.
type thumb struct {
	Original string // path of the picture
	Name     string // of its file
	From, To image.Point
	Bytes    int
}

// A thumbnailer is a worker of the pool. It runs one job at a time, so its fields need
// no lock.
type thumbnailer struct {
	out     string
	size    int          // longest side of a thumbnail
	pixels  []byte       // of the thumbnail; as large as the largest so far
	encoded bytes.Buffer // the content of the file
	made    int
	report  *workReport
}

var _ io.Closer = (*thumbnailer)(nil)

func newThumbnailer(out string, size int, report *workReport) *thumbnailer {
	return &thumbnailer{out: out, size: size, report: report}
}

// Process makes the thumbnail of the picture in the file name. It checks ctx between
// its steps, none of which takes long.
func (t *thumbnailer) Process(ctx context.Context, name string) (thumb, error) {
	picture, err := decode(name)
	if err != nil {
		return thumb{}, err
	}
	if ctx.Err() != nil {
		return thumb{}, context.Cause(ctx)
	}
	from := picture.Bounds().Size()
	to := fit(from, t.size)
	t.pixels = slices.Grow(t.pixels[:0], 4*to.X*to.Y)[:4*to.X*to.Y]
	scaled := &image.RGBA{Pix: t.pixels, Stride: 4 * to.X, Rect: image.Rectangle{Max: to}}
	draw.ApproxBiLinear.Scale(scaled, scaled.Bounds(), picture, picture.Bounds(), draw.Src, nil)
	if ctx.Err() != nil {
		return thumb{}, context.Cause(ctx)
	}
	t.encoded.Reset()
	if err := jpeg.Encode(&t.encoded, scaled, nil); err != nil {
		return thumb{}, err
	}
	// The name keeps its extension, so that a.png and a.jpg do not collide.
	target := filepath.Base(name) + ".jpg"
	if err := os.WriteFile(filepath.Join(t.out, target), t.encoded.Bytes(), 0o644); err != nil {
		return thumb{}, err
	}
	t.made++
	return thumb{Original: name, Name: target, From: from, To: to, Bytes: t.encoded.Len()}, nil
}

// Close is called once by the pool, after the worker's last job.
func (t *thumbnailer) Close() error {
	t.report.add(t.made)
	return nil
}

func decode(name string) (image.Image, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	picture, _, err := image.Decode(f)
	if err != nil {
		return nil, err
	}
	if picture.Bounds().Empty() {
		return nil, errors.New("no pixels in it")
	}
	return picture, nil
}

// fit shrinks size until both sides are at most limit, and never below one pixel.
func fit(size image.Point, limit int) image.Point {
	longest := max(size.X, size.Y)
	if longest <= limit {
		return size
	}
	return image.Pt(max(1, size.X*limit/longest), max(1, size.Y*limit/longest))
}

// A workReport collects how many thumbnails each worker made.
type workReport struct {
	mu        sync.Mutex
	perWorker []int // guarded by mu while workers may close
}

func (r *workReport) add(made int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.perWorker = append(r.perWorker, made)
}
