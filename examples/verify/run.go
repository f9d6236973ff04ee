package main

import (
	"context"
	"fmt"
	"time"

	"example.com/dispatch/examples/internal/cli"
	"example.com/dispatch/examples/internal/modcache"
	"example.com/dispatch/examples/internal/progress"
	"example.com/dispatch/examples/internal/words"
)

// run is the program. It writes the report to std.Out and progress to std.Err.
func run(ctx context.Context, args []string, std cli.Streams) error {
	opts, err := parseFlags(args, std)
	if err != nil {
		return err
	}
	fill := "go mod download"
	if opts.dir == "" {
		opts.dir, err = modcache.Dir(ctx)
	} else {
		fill = "GOMODCACHE=" + opts.dir + " " + fill
	}
	if err != nil {
		return err
	}
	zips, err := modcache.Find(ctx, opts.dir)
	if err != nil {
		return err
	}
	if len(zips) == 0 {
		fmt.Fprintf(std.Out, "no module zips in %s; to fill it, run this inside a module: %s\n", opts.dir, fill)
		return nil
	}

	fmt.Fprintln(std.Out, "module cache:", opts.dir)
	c := checker{check: modcache.Check, timeout: opts.timeout}
	if err := c.report(ctx, opts.workers, zips, std); err != nil || !opts.compare {
		return err
	}
	return c.compare(ctx, opts.workers, zips, std)
}

// report makes one pass over the zips and prints a report. When ctx ends before all
// are done, the report covers those that are, and the error is the cause of ctx.
func (c checker) report(ctx context.Context, workers int, zips []modcache.Zip, std cli.Streams) error {
	rep := &modcache.Report{Total: len(zips)}
	elapsed, err := c.pass(ctx, "checked", workers, zips, rep, std)
	if err != nil && ctx.Err() == nil {
		return err
	}
	rep.Print(std.Out, words.Count(workers, "worker"), elapsed)
	if err != nil {
		return err
	}
	return rep.Err()
}

// compare makes two more passes, one with one worker and one with all workers, and
// prints how much faster the second is. It cannot use the pass that checked the zips
// as one of them, because not all files were in memory then.
func (c checker) compare(ctx context.Context, workers int, zips []modcache.Zip, std cli.Streams) error {
	one, err := c.pass(ctx, "with one worker", 1, zips, new(modcache.Report), std)
	if err != nil {
		return err
	}
	all, err := c.pass(ctx, "with all workers", workers, zips, new(modcache.Report), std)
	if err != nil {
		return err
	}
	fmt.Fprintf(std.Out, "speed-up over one worker: %.2f (%v with one, %v with %d)\n",
		one.Seconds()/all.Seconds(), words.Time(one), words.Time(all), workers)
	return nil
}

// pass checks every zip once, counts the results in rep and returns how long it
// took. If ctx ends first it returns the cause.
func (c checker) pass(ctx context.Context, label string, workers int, zips []modcache.Zip, rep *modcache.Report, std cli.Streams) (time.Duration, error) {
	prog := progress.New(std.Err, progress.Work{Label: label, Noun: "zip", Files: len(zips), Bytes: modcache.Bytes(zips)})
	defer prog.End()
	start := time.Now()
	err := c.all(ctx, workers, zips, func(r result) {
		if rep.Add(ctx, r.In, r.Err) {
			prog.Add(r.In.Size)
		}
	})
	elapsed := time.Since(start)
	if err == nil && rep.Done() < len(zips) {
		err = context.Cause(ctx)
	}
	return elapsed, err
}
