package bench

import "github.com/ivpusic/grpool"

var grpoolPeer = withStarter(peer{name: "grpool", module: "github.com/ivpusic/grpool", queues: true}, func(c config) (starter, func()) {
	p := grpool.NewPool(c.workers, c.room())
	return closures(func(task func()) { p.JobQueue <- task }, c.job), p.Release
})
