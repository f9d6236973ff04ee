// Verify checks the Go module cache of this machine: it hashes every module
// zip that Go has downloaded and compares the hash with the one that Go stored
// beside the zip when it came.
//
//	go run ./examples/verify                  # the cache that go env GOMODCACHE names
//	go run ./examples/verify -dir DIR         # another one
//	go run ./examples/verify -workers 4 -timeout 30s -compare
//
// It shows a batch that fans work out to a pool and brings the results back
// over a channel in the order in which they are ready, a limit of time on
// every job, and an interrupt (Ctrl-C) that ends the work cleanly.
//
// The exit status is
//
//	0    every zip that could be compared is good, or there is none
//	1    a zip is bad, or took longer than -timeout, or the cache could not be read
//	2    a flag is wrong, or the module cache could not be located
//	130  interrupted
package main

import (
	"context"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	// After the first interrupt the signal is nobody's again, so a second one
	// ends the program at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
