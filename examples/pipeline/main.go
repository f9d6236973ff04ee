// Pipeline fetches the pages of a web site, parses them, and stores the results in an
// SQLite database, all at the same time.
//
//	go run ./examples/pipeline                       # into a temporary database
//	go run ./examples/pipeline -db pages.db          # into this file; pages that it has already are not fetched again
//	go run ./examples/pipeline -pages 5000 -rate 500
//
// The site is a server inside the program, on the loopback interface, and as
// unpleasant as the web: some of its pages are slow, some fail at first, break off in
// the middle or answer with Retry-After, some do not exist, and some never end.
//
// It shows a chain of two pools: the stream of one is the input of the other. No more
// pages are in memory than the streams look ahead, and a page that fails on the way
// carries its fault along to the end. Retries are by cenkalti/backoff, and the limit
// on requests per second is by x/time/rate. A page is stored as soon as it is done, so
// an interrupted run resumes when it is started again with the same -db.
//
// The exit status is
//
//	0         for every page the page, or the reason why it can never be fetched, is stored
//	1         a page could not be fetched for now, or something else failed
//	2         the command line is wrong
//	130, 143  ended by Ctrl-C, by SIGTERM
package main

import "example.com/dispatch/examples/internal/cli"

func main() {
	cli.Main("pipeline", run)
}
