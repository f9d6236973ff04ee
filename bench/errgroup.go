package bench

import "golang.org/x/sync/errgroup"

// A Group is not reused after its Wait: each run has one of its own.
var errgroupPeer = peer{
	name:   "errgroup",
	module: "golang.org/x/sync",
	oneRun: true,
	process: func(c config) (func() caller, func()) {
		g := newGroup(c)
		return func() caller {
			reply := make(chan int, 1)
			return func(in int) int {
				g.Go(func() error {
					reply <- c.job(in)
					return nil
				})
				return <-reply
			}
		}, func() { check(g.Wait()) }
	},
	submit: func(c config) (submitter, func()) {
		return func(n int, queued func()) {
			g := newGroup(c)
			for i := range n {
				g.Go(func() error {
					c.job(i)
					return nil
				})
			}
			queued()
			check(g.Wait())
		}, func() {}
	},
	batch: func(c config) (gatherer, func()) {
		return func(ins []int) int {
			g := newGroup(c)
			results := make(chan int, len(ins))
			for _, in := range ins {
				g.Go(func() error {
					results <- c.job(in)
					return nil
				})
			}
			sum := receive(results, len(ins))
			check(g.Wait())
			return sum
		}, func() {}
	},
}

func newGroup(c config) *errgroup.Group {
	g := new(errgroup.Group)
	g.SetLimit(c.workers)
	return g
}
