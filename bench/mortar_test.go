package bench

import (
	"sync"

	"github.com/wazsmwazsm/mortar"
)

// The tasks of mortar are given as closures, not as Params: boxing the input
// and making the slice for it would cost two allocations more.
var mortarPeer = withStarter(peer{name: "mortar", module: "github.com/wazsmwazsm/mortar"}, func(c config) (starter, func()) {
	p, run := must(mortar.NewPool(uint64(c.workers))), c.job
	put := func(handler func(...any)) { check(p.Put(&mortar.Task{Handler: handler})) }
	return starter{
		send: func(in int, to chan<- int) {
			put(func(...any) { to <- run(in) })
		},
		count: func(in int, wg *sync.WaitGroup) {
			put(func(...any) {
				run(in)
				wg.Done()
			})
		},
	}, p.Close
})
