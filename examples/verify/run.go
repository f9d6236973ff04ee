package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

// The exit statuses; the package comment says when each is given.
const (
	exitGood        = 0
	exitBad         = 1
	exitUsage       = 2
	exitInterrupted = 130 // what a shell makes of a program that SIGINT ended
)

// run is the whole program. The report goes to stdout, progress and complaints
// go to stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opts, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitGood
	}
	if err != nil {
		return exitUsage
	}
	status, err := verify(ctx, opts, stdout, stderr)
	switch {
	case err != nil && ctx.Err() != nil:
		fmt.Fprintf(stdout, "interrupted: %v\n", context.Cause(ctx))
		return exitInterrupted
	case err != nil:
		fmt.Fprintln(stderr, "verify:", err)
	}
	return status
}

// verify finds the cache and checks what is in it. An error means that it could
// not be done; the status says how to end in that case too.
func verify(ctx context.Context, opts options, stdout, stderr io.Writer) (status int, err error) {
	fill := "go mod download"
	if opts.dir == "" {
		opts.dir, err = cacheDir(ctx)
	} else {
		fill = "GOMODCACHE=" + opts.dir + " " + fill
		err = checkDir(opts.dir)
	}
	if err != nil {
		return exitUsage, err
	}
	archives, err := findArchives(ctx, opts.dir)
	if err != nil {
		return exitBad, err
	}
	if len(archives) == 0 {
		fmt.Fprintf(stdout, "no module zips in %s; to fill it, run this inside a module: %s\n", opts.dir, fill)
		return exitGood, nil
	}

	fmt.Fprintln(stdout, "module cache:", opts.dir)
	c := checker{hash: hashZip, timeout: opts.timeout}
	status, err = c.check(ctx, opts.workers, archives, stdout, stderr)
	if err != nil || !opts.compare {
		return status, err
	}
	return status, c.compare(ctx, opts.workers, archives, stdout, stderr)
}

func checkDir(name string) error {
	info, err := os.Stat(name)
	if err == nil && !info.IsDir() {
		err = errors.New("not a folder")
	}
	if err != nil {
		return fmt.Errorf("invalid value %q for flag -dir: %w", name, err)
	}
	return nil
}

// check is one pass over the archives with its report. When ctx ends before all
// are done, the report is about those that are, and the error is ctx's.
func (c checker) check(ctx context.Context, workers int, archives []archive, stdout, stderr io.Writer) (status int, err error) {
	rep := &report{total: len(archives)}
	elapsed, err := c.pass(ctx, "checked", workers, archives, rep, stderr)
	if err != nil && ctx.Err() == nil {
		return exitBad, err
	}
	rep.print(stdout, workers, elapsed)
	switch {
	case rep.done() < rep.total:
		return exitInterrupted, context.Cause(ctx)
	case rep.bad+rep.timedOut > 0:
		return exitBad, nil
	default:
		return exitGood, nil
	}
}

// compare makes two more passes and prints how much faster the second is, with
// all workers, than the first, with one. The pass that checked the archives
// cannot be one of the two: it met files that were not in memory yet.
func (c checker) compare(ctx context.Context, workers int, archives []archive, stdout, stderr io.Writer) error {
	one, err := c.pass(ctx, "with one worker", 1, archives, new(report), stderr)
	if err != nil {
		return err
	}
	all, err := c.pass(ctx, "with all workers", workers, archives, new(report), stderr)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "speed-up over one worker: %.2f (%v with one, %v with %d)\n",
		one.Seconds()/all.Seconds(), one.Round(time.Millisecond), all.Round(time.Millisecond), workers)
	return nil
}

// pass checks every archive once, counts the results in rep and returns how long
// it took. It returns the cause of ctx when that ended first.
func (c checker) pass(ctx context.Context, label string, workers int, archives []archive, rep *report, stderr io.Writer) (time.Duration, error) {
	prog := newProgress(stderr, label, archives)
	defer prog.end()
	start := time.Now()
	err := c.all(ctx, workers, archives, func(r result) {
		if rep.add(ctx, r) {
			prog.add(r)
		}
	})
	elapsed := time.Since(start)
	if err == nil && rep.done() < len(archives) {
		err = context.Cause(ctx)
	}
	return elapsed, err
}
