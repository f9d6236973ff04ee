// Gostats parses all of Go's own source on a pool, and prints statistics: the longest
// functions, the biggest packages, the most imported packages, and the speed.
//
//	go run ./examples/gostats                          # $GOROOT/src, which every Go machine has
//	go run ./examples/gostats -dir DIR -top 20         # another tree
//	go run ./examples/gostats -compare                 # with the speed-up over one worker
//	go run ./examples/gostats -http 127.0.0.1:8080     # with the live page, until Ctrl-C
//
// It shows workers with state of their own (a parser's file set and buffer, reused for
// every file without a lock), a stream that runs a little ahead of its loop, a pool
// that is resized, and the statistics and the live page of a pool.
//
// The exit status is
//
//	0         all files were read; files that are not valid Go are counted
//	1         a file could not be read
//	2         the command line is wrong
//	130, 143  ended by Ctrl-C, by SIGTERM
package main

import "example.com/dispatch/examples/internal/cli"

func main() {
	cli.Main("gostats", run)
}
