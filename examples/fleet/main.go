// Fleet checks the Go module cache of this machine as example verify does, on
// several processes: it starts a server of its own and worker processes, and they
// do the work together. On other machines it would be the same.
//
//	go run ./examples/fleet                            # 3 worker processes of 2 places each
//	go run ./examples/fleet -chaos                     # kills one of them on the way
//	go run ./examples/fleet -http 127.0.0.1:8080       # with the live page, until Ctrl-C
//
// It shows the step from one machine to many: the pool's handler is the Call of a
// fleet's client, and all else is as in verify. The server listens on the loopback
// interface, with a random password and the rights of a worker. A worker that is
// killed with kill -9 loses no job: what it was at is begun again elsewhere once
// its lease is over.
//
// Ctrl-C and SIGTERM drain: no further zip is given out, those that are under way
// are finished, and all processes end. A SIGTERM to a worker drains that worker.
//
// The exit status is
//
//	0         every zip that could be compared is good, and none was lost
//	1         a zip is bad or was lost, or something failed
//	2         the command line is wrong
//	130, 143  ended by Ctrl-C, by SIGTERM
package main

import (
	"os"
	"time"

	"example.com/dispatch/examples/internal/cli"
	"example.com/dispatch/examples/internal/modcache"
	"example.com/dispatch/fleet"
)

// checks is the kind of job that caller and workers agree on.
var checks = fleet.Kind[modcache.Zip, string]{Name: "checks", Errors: []error{modcache.ErrNoHash}}

// lease is how long a zip rests that its worker has died with.
const lease = 2 * time.Second

func main() {
	if os.Getenv(workerVar) != "" {
		cli.Main("fleet worker", work)
	}
	cli.Main("fleet", run)
}
