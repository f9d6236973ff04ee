package main

import (
	"runtime"
	"time"

	"example.com/dispatch/examples/internal/cli"
)

const synopsis = `Usage: verify [-dir DIR] [-workers N] [-timeout TIME] [-compare]

Checks that the Go module cache still holds what Go downloaded: every zip is
hashed again and compared with its stored hash.`

// options has the values of the command line.
type options struct {
	dir     string        // the module cache; empty for the machine's own
	workers int           // zips hashed at once
	timeout time.Duration // limit for one zip; zero for none
	compare bool          // measure the speed-up over one worker
}

func parseFlags(args []string, std cli.Streams) (options, error) {
	opts := options{workers: runtime.GOMAXPROCS(0)}
	fs := cli.NewFlags("verify", synopsis)
	fs.Dir(&opts.dir, "dir", "the `folder` of the module cache to check (default: go env GOMODCACHE)")
	fs.Count(&opts.workers, 1, "workers", "how `many` zips are hashed at once; the default is one per processor")
	fs.Time(&opts.timeout, "timeout", "the longest `time` for the hashing of one zip (default: no limit)")
	fs.BoolVar(&opts.compare, "compare", false, "also measure the speed-up over one worker")
	return opts, fs.Parse(args, std)
}
