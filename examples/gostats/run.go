package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"example.com/dispatch"
	"example.com/dispatch/examples/internal/cli"
	"example.com/dispatch/examples/internal/live"
	"example.com/dispatch/examples/internal/progress"
	"example.com/dispatch/examples/internal/words"
)

// run is the program. It writes the report to std.Out and progress to std.Err.
func run(ctx context.Context, args []string, std cli.Streams) error {
	opts, err := parseFlags(args, std)
	if err != nil {
		return err
	}
	if opts.dir == "" {
		if opts.dir, err = sourceDir(ctx); err != nil {
			return err
		}
	}
	files, err := findFiles(ctx, opts.dir)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		fmt.Fprintln(std.Out, "no Go files in", opts.dir)
		return nil
	}
	t, err := newTour(opts, files, std)
	if err != nil {
		return err
	}
	defer t.pool.Close()
	if opts.http == "" {
		return t.report(ctx)
	}
	page, err := live.Serve(ctx, opts.http, t.pool)
	if err != nil {
		return err
	}
	defer page.Close()
	fmt.Fprintln(std.Out, "live page:", page.URL)
	if err := t.report(ctx); err != nil {
		return err
	}
	fmt.Fprintln(std.Err, "the live page stays until Ctrl-C")
	<-ctx.Done()
	return nil
}

// A tour parses the files, once or several times, on one pool.
type tour struct {
	options
	std   cli.Streams
	files []file
	pool  *dispatch.Pool[file, facts]
}

func newTour(opts options, files []file, std cli.Streams) (*tour, error) {
	pool, err := dispatch.NewWorkers(func(context.Context) (dispatch.Worker[file, facts], error) {
		return newSourceParser(opts.dir, opts.top), nil
	},
		dispatch.WithName("gostats"),
		dispatch.WithTelemetry(),
		dispatch.WithLabel(func(f file) string { return f.name }),
		dispatch.WithWorkers(opts.workers),
	)
	return &tour{options: opts, std: std, files: files, pool: pool}, err
}

// report parses the files and prints statistics about them.
func (t *tour) report(ctx context.Context) error {
	fmt.Fprintln(t.std.Out, "parsing", t.dir)
	s, elapsed, err := t.pass(ctx, "parsed")
	if err != nil {
		return err
	}
	s.print(t.std.Out, t.top)
	s.printSpeed(t.std.Out, t.workers, elapsed)
	printPool(t.std.Out, t.pool.Stats(), t.workers, elapsed)
	if t.compare {
		return t.speedUp(ctx)
	}
	return nil
}

// speedUp makes two more passes, one with one worker and one with all workers, and
// prints how much faster the second is. It cannot use the pass before as one of
// them, because not all files were in memory then.
func (t *tour) speedUp(ctx context.Context) error {
	if err := t.pool.Resize(1); err != nil {
		return err
	}
	_, one, err := t.pass(ctx, "with one worker")
	if err != nil {
		return err
	}
	if err := t.pool.Resize(t.workers); err != nil {
		return err
	}
	_, all, err := t.pass(ctx, "with all workers")
	if err != nil {
		return err
	}
	fmt.Fprintf(t.std.Out, "speed-up over one worker: %.2f (%v with one, %v with %d)\n",
		one.Seconds()/all.Seconds(), words.Time(one), words.Time(all), t.workers)
	return nil
}

// lookAhead is how many files per worker are under way. Most take less than a
// millisecond, so some must be ready for the workers while the loop adds up results.
const lookAhead = 16

// pass parses every file once. When ctx ends it returns the cause.
func (t *tour) pass(ctx context.Context, label string) (*survey, time.Duration, error) {
	prog := progress.New(t.std.Err, progress.Work{Label: label, Noun: "file", Files: len(t.files), Bytes: sizeOf(t.files)})
	defer prog.End()
	start := time.Now()
	s := newSurvey()
	var faults []error
	for r := range t.pool.Stream(ctx, slices.Values(t.files), dispatch.Unordered(), dispatch.LookAhead(lookAhead*t.workers)) {
		switch {
		case r.Err == nil:
			s.add(r.In, r.Out, t.top)
			prog.Add(r.In.size)
		case ctx.Err() == nil:
			faults = append(faults, r.Err)
		}
	}
	elapsed := time.Since(start)
	if s.files < len(t.files) && ctx.Err() != nil {
		return nil, 0, fmt.Errorf("%w after %s of %s", context.Cause(ctx), words.Number(s.files), words.Count(len(t.files), "file"))
	}
	return s, elapsed, errors.Join(faults...)
}

// printPool writes the waits and runs of the pool's jobs, if it has telemetry.
func printPool(w io.Writer, stats dispatch.Stats, workers int, elapsed time.Duration) {
	if !stats.Telemetry {
		return
	}
	busy := stats.Run.Sum().Seconds() / (elapsed.Seconds() * float64(workers))
	fmt.Fprintf(w, "a file waited %v (p50), %v (p99), and took %v (p50), %v (p99)\nworkers were busy for %.0f %% of the time\n",
		words.Time(stats.Wait.Quantile(0.5)), words.Time(stats.Wait.Quantile(0.99)),
		words.Time(stats.Run.Quantile(0.5)), words.Time(stats.Run.Quantile(0.99)), 100*busy)
}
