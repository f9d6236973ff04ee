package main

import (
	"runtime"

	"example.com/dispatch/examples/internal/cli"
)

const synopsis = `Usage: gostats [-dir DIR] [-top N] [-workers N] [-compare] [-http ADDRESS]

Parses all Go source in a folder and below, and tells what is in it.`

// options has the values of the command line.
type options struct {
	dir     string // the tree; empty for Go's own source
	top     int    // lines of each list
	workers int    // files parsed at once
	compare bool   // measure the speed-up over one worker
	http    string // address of the live page; empty for none
}

func parseFlags(args []string, std cli.Streams) (options, error) {
	opts := options{top: 5, workers: runtime.GOMAXPROCS(0)}
	fs := cli.NewFlags("gostats", synopsis)
	fs.Dir(&opts.dir, "dir", "the `folder` to parse (default: the src of go env GOROOT)")
	fs.Count(&opts.top, 1, "top", "how `many` functions and packages to list")
	fs.Count(&opts.workers, 1, "workers", "how `many` files are parsed at once; the default is one per processor")
	fs.BoolVar(&opts.compare, "compare", false, "also measure the speed-up over one worker")
	fs.Address(&opts.http, "http", "serve the live page at this `address`, until Ctrl-C")
	return opts, fs.Parse(args, std)
}
