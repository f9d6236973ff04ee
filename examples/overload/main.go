// Overload sends a service twice as many requests as it can answer, and prints how
// many are answered in time: without a pool, and with pools whose queues have
// different lengths.
//
//	go run ./examples/overload                              # queues of 0, 1, 2 and 8
//	go run ./examples/overload -queues 4,64 -rate 150       # others, at another rate
//	go run ./examples/overload -run 5ms -deadline 50ms      # shorter work, more patience
//
// It shows what a bounded queue is good for. Each request needs time on a processor.
// Without a pool all requests share the processors, and the more there are, the
// longer each takes. A pool with a long queue answers as many as it can, but each of
// them too late. A pool with a short queue refuses the requests that it cannot answer
// in time, and answers the others.
//
// The load is open: a request is sent when it is due, whether or not earlier ones have
// been answered, as with the users of a web server. Its time counts from the moment
// when it was due, so a delay of the sender does not make the answers look faster.
//
// The exit status is
//
//	0         the table is complete
//	1         something failed
//	2         the command line is wrong
//	130, 143  ended by Ctrl-C, by SIGTERM
package main

import "example.com/dispatch/examples/internal/cli"

func main() {
	cli.Main("overload", run)
}
