package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"time"
)

// options is what the command line says.
type options struct {
	dir     string        // the module cache; empty for the machine's own
	workers int           // zips hashed at once
	timeout time.Duration // limit on one zip; zero for none
	compare bool          // measure the speed-up over one worker
}

// parseFlags reads the command line. When it returns an error it has already
// told the user about it on stderr.
func parseFlags(args []string, stderr io.Writer) (options, error) {
	opts := options{workers: runtime.GOMAXPROCS(0)}
	fs := flag.NewFlagSet("verify", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Func("dir", "the module cache to check, a `folder` (default: what go env GOMODCACHE says)", func(s string) error {
		if s == "" {
			return errors.New("must name a folder")
		}
		opts.dir = s
		return nil
	})
	fs.Func("workers", "how many zips are hashed at once, a `number` (default: one for each processor)", func(s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return errors.New("must be a whole number, 1 or more")
		}
		opts.workers = n
		return nil
	})
	fs.Func("timeout", "limit on the hashing of one zip, a `duration` (default: none)", func(s string) error {
		d, err := time.ParseDuration(s)
		if err != nil || d <= 0 {
			return errors.New("must be a duration above zero, such as 30s")
		}
		opts.timeout = d
		return nil
	})
	fs.BoolVar(&opts.compare, "compare", false, "also measure the speed-up over one worker")
	if err := fs.Parse(args); err != nil {
		return options{}, err
	}
	if fs.NArg() > 0 {
		err := fmt.Errorf("unexpected argument %q", fs.Arg(0))
		fmt.Fprintln(stderr, "verify:", err)
		fs.Usage()
		return options{}, err
	}
	return opts, nil
}
