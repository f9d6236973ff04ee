// Pipeline fetches the pages of a web site, parses them, and stores what it finds
// in an SQLite database, all at the same time.
//
//	go run ./examples/pipeline                       # into a database that it removes again
//	go run ./examples/pipeline -db pages.db          # into this file; what is in it is not fetched again
//	go run ./examples/pipeline -pages 5000 -rate 500
//
// The site is a server inside the program, on the loopback interface, and as
// unpleasant as the web: some of its pages are slow, some fail at first, break off
// in the middle or ask to be left alone for a second, some are gone, and some never
// end.
//
// It shows a chain of two pools: the stream of one is the input of the other, as
// many pages are in memory as the streams look ahead, and a page that fails on the
// way takes its fault along to the end. Retries are those of cenkalti/backoff, the
// limit on requests a second is x/time/rate's. A page is stored once it is done, so
// a run that was ended goes on where it was when it is called again with the same
// -db.
//
// The exit status is
//
//	0         every page is stored, or why it never can be
//	1         a page could not be fetched for now, or something else failed
//	2         the command line is wrong
//	130, 143  ended by Ctrl-C, by SIGTERM
package main

import "example.com/dispatch/examples/internal/cli"

func main() {
	cli.Main("pipeline", run)
}
