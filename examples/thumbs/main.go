// Thumbs makes thumbnails of the pictures in a folder, and a page to look at them.
//
//	go run ./examples/thumbs                       # of samples that it draws itself
//	go run ./examples/thumbs -in DIR -out DIR -size 200
//
// It shows stateful workers: each has buffers of its own, which it reuses for every
// picture without a lock, and reports its count when the pool closes it. A batch gives
// the results in the order of the names, whichever worker is first. A picture that
// cannot be read does not stop the others.
//
// The exit status is
//
//	0         all thumbnails were made
//	1         a picture failed, or a folder
//	2         the command line is wrong
//	130, 143  ended by Ctrl-C, by SIGTERM
package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"example.com/dispatch"
	"example.com/dispatch/examples/internal/cli"
	"example.com/dispatch/examples/internal/words"
)

func main() {
	cli.Main("thumbs", run)
}

const synopsis = `Usage: thumbs [-in DIR] [-out DIR] [-size PIXELS] [-workers N]

Makes thumbnails of the .jpg, .jpeg and .png files in a folder, and an
index.html to look at them.`

// options has the values of the command line.
type options struct {
	in, out       string
	size, workers int
}

// run is the program.
func run(ctx context.Context, args []string, std cli.Streams) error {
	opts := options{size: 160, workers: runtime.GOMAXPROCS(0)}
	flags := cli.NewFlags("thumbs", synopsis)
	flags.Dir(&opts.in, "in", "the `folder` of the pictures (default: samples drawn on the spot)")
	flags.StringVar(&opts.out, "out", "", "the `folder` for the thumbnails (default: a new one among the temporary files)")
	flags.Count(&opts.size, 1, "size", "longest side of a thumbnail, in `pixels`")
	flags.Count(&opts.workers, 1, "workers", "how `many` pictures are worked on at once; the default is one per processor")
	if err := flags.Parse(args, std); err != nil {
		return err
	}
	if err := opts.makeFolders(); err != nil {
		return err
	}
	pictures, err := findPictures(opts.in)
	if err != nil {
		return err
	}
	return makeThumbs(ctx, pictures, opts, std)
}

// makeFolders makes the folders that do not exist, and draws samples if no folder of
// pictures is given. It refuses to write into the folder of the originals, and to
// overwrite a page of another program.
func (o *options) makeFolders() (err error) {
	if o.out == "" {
		o.out, err = os.MkdirTemp("", "thumbs-")
	} else {
		err = os.MkdirAll(o.out, 0o755)
	}
	if err != nil {
		return err
	}
	if o.in == "" {
		o.in = filepath.Join(o.out, "samples")
		if err := drawSamples(o.in, 24); err != nil {
			return err
		}
	}
	same, err := sameFolder(o.in, o.out)
	if err != nil {
		return err
	}
	if same {
		return cli.Wrong("-in and -out are one folder, %q: the thumbnails need one of their own", o.out)
	}
	switch own, err := isOwnPage(o.out); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !own:
		return cli.Wrong("-out %q has an %s that is not of this program", o.out, pageName)
	}
	return nil
}

func sameFolder(a, b string) (bool, error) {
	infoA, err := os.Stat(a)
	if err != nil {
		return false, err
	}
	infoB, err := os.Stat(b)
	if err != nil {
		return false, err
	}
	return os.SameFile(infoA, infoB), nil
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

// makeThumbs makes the thumbnails on a pool, prints the result of each, and writes the
// page.
func makeThumbs(ctx context.Context, pictures []string, opts options, std cli.Streams) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var work workReport
	pool, err := dispatch.NewWorkers(func(context.Context) (dispatch.Worker[string, thumb], error) {
		return newThumbnailer(opts.out, opts.size, &work), nil
	},
		dispatch.WithName("thumbs"),
		dispatch.WithWorkers(opts.workers),
	)
	if err != nil {
		return err
	}
	defer pool.Close() // in case of an error; a second Close does nothing

	var made []thumb
	failed := 0
	for r := range pool.BatchOf(ctx, pictures).All() {
		name := filepath.Base(r.In)
		switch {
		case r.Err == nil:
			made = append(made, r.Out)
			fmt.Fprintf(std.Out, "%s: %s -> %s, %s\n", name, sides(r.Out.From), sides(r.Out.To), words.Bytes(int64(r.Out.Bytes)))
		case ctx.Err() == nil || !errors.Is(r.Err, context.Cause(ctx)):
			failed++
			fmt.Fprintf(std.Out, "%s: %v\n", name, r.Err)
		}
	}

	// The workers report their counts when they are closed, so the report is complete
	// once the pool is closed.
	if err := pool.Close(); err != nil {
		return err
	}
	fmt.Fprintf(std.Out, "%s made, by each worker: %v\n", words.Count(len(made), "thumbnail"), work.perWorker)
	page, err := writePage(opts.out, made, opts.size)
	if err != nil {
		return err
	}
	fmt.Fprintln(std.Out, "look at", page)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %s failed", failed, words.Count(len(pictures), "picture"))
	}
	return nil
}

// sides formats a size: 160x120.
func sides(size image.Point) string {
	return fmt.Sprintf("%dx%d", size.X, size.Y)
}
