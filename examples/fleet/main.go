// Fleet checks the Go module cache of this machine as the example verify does, but on
// several processes: it starts a server and worker processes, which share the work.
// Across machines it works the same way.
//
//	go run ./examples/fleet                            # 3 worker processes of 2 places each
//	go run ./examples/fleet -chaos                     # kills one of them on the way
//	go run ./examples/fleet -http 127.0.0.1:8080       # with the live page, until Ctrl-C
//
// It shows the step from one machine to many: the pool's handler is the Call method of
// a fleet client, and all else is as in verify. The server listens on the loopback
// interface, with a random password and limited rights for workers. No job is lost when
// a worker is killed with kill -9: its jobs run again on other workers once their
// leases have ended.
//
// Ctrl-C and SIGTERM drain the fleet: no further zip is handed out, the zips under way
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

// checks is the kind of job that the caller submits and the workers run.
var checks = fleet.Kind[modcache.Zip, string]{Name: "checks", Errors: []error{modcache.ErrNoHash}}

// lease is how long a zip waits after its worker has died until another one gets it.
const lease = 2 * time.Second

func main() {
	if os.Getenv(workerVar) != "" {
		cli.Main("fleet worker", work)
	}
	cli.Main("fleet", run)
}
