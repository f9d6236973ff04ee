// Verify checks the Go module cache of this machine: it hashes every module zip that
// Go has downloaded, and compares the hash with the one that Go stored beside the zip.
// It does in parallel, and for the whole cache, what go mod verify does for the
// modules of one program.
//
//	go run ./examples/verify                  # the cache that go env GOMODCACHE names
//	go run ./examples/verify -dir DIR         # another one
//	go run ./examples/verify -workers 4 -timeout 30s -compare
//
// It shows a batch that fans work out to a pool and delivers the results on a channel
// in the order of completion, a time limit on every job, and an interrupt (Ctrl-C,
// SIGTERM) that ends the work cleanly.
//
// The exit status is
//
//	0         every zip that could be compared is good, or there is none
//	1         a zip is bad, or took longer than -timeout, or the cache could not be read
//	2         the command line is wrong
//	130, 143  ended by Ctrl-C, by SIGTERM
package main

import "example.com/dispatch/examples/internal/cli"

func main() {
	cli.Main("verify", run)
}
