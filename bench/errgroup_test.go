package bench

import (
	"sync"

	"golang.org/x/sync/errgroup"
)

// A Group is not reused after its Wait: each run makes a new one.
var errgroupPeer = func() peer {
	p := withStarter(peer{name: "errgroup", module: "golang.org/x/sync", oneRun: true}, openErrgroup)
	p.submit = func(c config) (submitter, func()) {
		return func(n int, queued func()) {
			s, wait := openErrgroup(c)
			for i := range n {
				s.count(i, nil)
			}
			queued()
			wait()
		}, func() {}
	}
	p.batch = func(c config) (gatherer, func()) {
		return func(ins []int) int {
			s, wait := openErrgroup(c)
			defer wait()
			return gather(s, ins)
		}, func() {}
	}
	return p
}()

// openErrgroup's starter counts no jobs: the group does.
func openErrgroup(c config) (s starter, wait func()) {
	g, run := new(errgroup.Group), c.job
	g.SetLimit(c.workers)
	return starter{
		send: func(in int, to chan<- int) {
			g.Go(func() error {
				to <- run(in)
				return nil
			})
		},
		count: func(in int, _ *sync.WaitGroup) {
			g.Go(func() error {
				run(in)
				return nil
			})
		},
	}, func() { check(g.Wait()) }
}
