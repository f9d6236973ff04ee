package main

import "example.com/dispatch/examples/internal/cli"

const synopsis = `Usage: fleet [-dir DIR] [-workers N] [-places N] [-chaos] [-http ADDRESS]

Checks that the Go module cache still holds what Go downloaded, on several
worker processes that a server feeds.`

// options has the values of the command line.
type options struct {
	dir     string // the module cache; empty for the machine's own
	workers int    // processes
	places  int    // zips hashed at once by each
	chaos   bool   // kill a worker on the way
	http    string // address of the live page; empty for none
}

func parseFlags(args []string, std cli.Streams) (options, error) {
	opts := options{workers: 3, places: 2}
	fs := cli.NewFlags("fleet", synopsis)
	fs.Dir(&opts.dir, "dir", "the `folder` of the module cache to check (default: go env GOMODCACHE)")
	fs.Count(&opts.workers, 1, "workers", "how `many` worker processes to start")
	fs.Count(&opts.places, 1, "places", "how `many` zips each worker process hashes at once")
	fs.BoolVar(&opts.chaos, "chaos", false, "kill a worker on the way")
	fs.Address(&opts.http, "http", "serve the live page at this `address`, until Ctrl-C")
	if err := fs.Parse(args, std); err != nil {
		return opts, err
	}
	if opts.chaos && opts.workers < 2 {
		return opts, cli.Wrong("-chaos kills a worker: -workers must be 2 or more")
	}
	return opts, nil
}
