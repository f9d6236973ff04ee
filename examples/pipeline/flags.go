package main

import "example.com/dispatch/examples/internal/cli"

const synopsis = `Usage: pipeline [-db FILE] [-pages N] [-fetchers N] [-rate N]

Fetches pages from a server inside the program, which is slow and fails at
times, parses them, and stores what it finds in an SQLite database.`

// options has the values of the command line.
type options struct {
	db       string // file of the database; empty for a temporary one
	pages    int
	fetchers int // pages fetched at once
	rate     int // most requests per second
}

func parseFlags(args []string, std cli.Streams) (options, error) {
	opts := options{pages: 200, fetchers: 16, rate: 150}
	fs := cli.NewFlags("pipeline", synopsis)
	fs.StringVar(&opts.db, "db", "", "the `file` of the database; pages that it has already are not fetched again (default: a temporary one)")
	fs.Count(&opts.pages, 1, "pages", "how `many` pages there are")
	fs.Count(&opts.fetchers, 1, "fetchers", "how `many` pages are fetched at once")
	fs.Count(&opts.rate, 1, "rate", "how `many` requests per second are made at most")
	return opts, fs.Parse(args, std)
}
