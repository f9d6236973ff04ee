package bench

import (
	"sync"

	"github.com/wazsmwazsm/mortar"
)

// The tasks of mortar are given as closures, not as Params: boxing the input
// and making the slice for it would cost two allocations more.
var mortarPeer = peer{
	name:   "mortar",
	module: "github.com/wazsmwazsm/mortar",
	process: func(c config) (func() caller, func()) {
		put, stop := openMortar(c)
		return func() caller {
			reply := make(chan int, 1)
			return func(in int) int {
				put(func(...any) { reply <- c.job(in) })
				return <-reply
			}
		}, stop
	},
	submit: func(c config) (submitter, func()) {
		put, stop := openMortar(c)
		return func(n int, queued func()) {
			var wg sync.WaitGroup
			wg.Add(n)
			for i := range n {
				put(func(...any) {
					c.job(i)
					wg.Done()
				})
			}
			queued()
			wg.Wait()
		}, stop
	},
	batch: func(c config) (gatherer, func()) {
		put, stop := openMortar(c)
		return func(ins []int) int {
			results := make(chan int, len(ins))
			for _, in := range ins {
				put(func(...any) { results <- c.job(in) })
			}
			return receive(results, len(ins))
		}, stop
	},
}

func openMortar(c config) (put func(handler func(...any)), stop func()) {
	p := must(mortar.NewPool(uint64(c.workers)))
	return func(handler func(...any)) { check(p.Put(&mortar.Task{Handler: handler})) }, p.Close
}
