// Thumbs makes thumbnails of the pictures in a folder.
//
//	go run ./examples/thumbs                       # of samples that it draws itself
//	go run ./examples/thumbs -in DIR -out DIR -size 200
//
// It shows stateful workers: each has buffers of its own that it uses again for
// every picture, without a lock, and hands in what it counted when the pool
// closes it. A batch gives the results in the order of the names, whichever
// worker is first, and a picture that cannot be read stops nobody.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"example.com/dispatch"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "thumbs:", err)
		os.Exit(1)
	}
}

// run is the whole program.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	fs := flag.NewFlagSet("thumbs", flag.ContinueOnError)
	in := fs.String("in", "", "the `folder` of the pictures (default: samples drawn on the spot)")
	out := fs.String("out", "", "the `folder` for the thumbnails (default: one that is removed at the end)")
	size := fs.Int("size", 160, "longest side of a thumbnail, in `pixels`")
	workers := fs.Int("workers", runtime.GOMAXPROCS(0), "how `many` pictures are worked on at once")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *size < 1 {
		return fmt.Errorf("invalid value %d for flag -size: must be 1 or more", *size)
	}

	scratch, err := os.MkdirTemp("", "thumbs")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	if *in == "" {
		*in = filepath.Join(scratch, "in")
		if err := drawSamples(*in, 24); err != nil {
			return err
		}
	}
	if *out == "" {
		*out = filepath.Join(scratch, "out")
	}
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return err
	}
	pictures, err := findPictures(*in)
	if err != nil {
		return err
	}
	return makeThumbs(ctx, pictures, *out, *size, *workers, stdout)
}

// findPictures returns the paths of the pictures in dir, in the order of their names.
func findPictures(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var pictures []string
	for _, e := range entries {
		if slices.Contains([]string{".jpg", ".jpeg", ".png"}, strings.ToLower(filepath.Ext(e.Name()))) {
			pictures = append(pictures, filepath.Join(dir, e.Name()))
		}
	}
	return pictures, nil
}

// makeThumbs makes the thumbnails on a pool and says what became of each.
func makeThumbs(ctx context.Context, pictures []string, out string, size, workers int, stdout io.Writer) error {
	var work workReport
	pool, err := dispatch.NewWorkers(func(context.Context) (dispatch.Worker[string, thumb], error) {
		return newThumbnailer(out, size, &work), nil
	}, dispatch.WithName("thumbs"), dispatch.WithWorkers(workers))
	if err != nil {
		return err
	}
	defer pool.Close() // for the way out by an error; a second Close does nothing

	batch := pool.Batch(ctx)
	if err := batch.Add(pictures...); err != nil {
		return err
	}
	failed := 0
	for r := range batch.All() {
		name := filepath.Base(r.In)
		if r.Err != nil {
			failed++
			fmt.Fprintf(stdout, "%s: %v\n", name, r.Err)
			continue
		}
		fmt.Fprintf(stdout, "%s: %v -> %v, %d bytes\n", name, r.Out.from, r.Out.to, r.Out.bytes)
	}

	// The workers hand in their counts when they are closed, so the report is
	// complete once the pool is.
	if err := pool.Close(); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%d thumbnails made, by each worker: %v\n", len(pictures)-failed, work.perWorker)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d pictures failed", failed, len(pictures))
	}
	return nil
}
