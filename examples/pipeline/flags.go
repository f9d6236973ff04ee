package main

import "example.com/dispatch/examples/internal/cli"

const synopsis = `Usage: pipeline [-db FILE] [-pages N] [-fetchers N] [-rate N]

Fetches pages from a server inside the program, which is slow and fails at
times, parses them, and stores what it finds in an SQLite database.`

// options is what the command line says.
type options struct {
	db       string // the database; empty for one that is removed again
	pages    int
	fetchers int // pages fetched at once
	rate     int // most requests a second
}

func parseFlags(args []string, std cli.Streams) (options, error) {
	opts := options{pages: 200, fetchers: 16, rate: 150}
	fs := cli.NewFlags("pipeline", synopsis)
	fs.StringVar(&opts.db, "db", "", "the database, a `file`; what is in it already is left out (default: one that is removed at the end)")
	fs.Count(&opts.pages, 1, "pages", "how `many` pages there are")
	fs.Count(&opts.fetchers, 1, "fetchers", "how `many` pages are fetched at once")
	fs.Count(&opts.rate, 1, "rate", "how `many` requests are made in a second at most")
	return opts, fs.Parse(args, std)
}
