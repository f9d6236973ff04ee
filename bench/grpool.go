package bench

import "github.com/ivpusic/grpool"

var grpoolPeer = withTasks(peer{name: "grpool", module: "github.com/ivpusic/grpool", queues: true}, func(c config) (func(task func()), func()) {
	p := grpool.NewPool(c.workers, c.room())
	return func(task func()) { p.JobQueue <- task }, p.Release
})
