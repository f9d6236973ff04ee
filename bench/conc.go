package bench

import (
	"github.com/sourcegraph/conc/iter"
	"github.com/sourcegraph/conc/pool"
)

// A conc pool ends with its Wait. Where a work waits again and again there is a
// new pool each time, which is how conc is meant to be used.
//
// Its Go either takes a place under the limit, starts a goroutine and waits for
// one that is free, or gives the job to one that is free. A goroutine that one call
// has started can so be had by another, which took no place, and the first call
// waits until some job ends: jobs that wait for one another then wait for ever.
var concPeer = func() peer {
	p := withTasks(peer{name: "conc", module: "github.com/sourcegraph/conc", oneRun: true, strands: true}, func(c config) (func(task func()), func()) {
		p := pool.New().WithMaxGoroutines(c.workers)
		return p.Go, p.Wait
	})
	p.submit = func(c config) (submitter, func()) {
		return func(n int, queued func()) {
			p := pool.New().WithMaxGoroutines(c.workers)
			for i := range n {
				p.Go(func() { c.job(i) })
			}
			queued()
			p.Wait()
		}, func() {}
	}
	p.batch = func(c config) (gatherer, func()) {
		return func(ins []int) (sum int) {
			p := pool.NewWithResults[int]().WithMaxGoroutines(c.workers)
			for _, in := range ins {
				p.Go(func() int { return c.job(in) })
			}
			for _, out := range p.Wait() {
				sum += out
			}
			return sum
		}, func() {}
	}
	p.mapping = func(c config) (mapper, func()) {
		m := iter.Mapper[int, int]{MaxGoroutines: c.workers}
		one := func(in *int) int { return c.job(*in) }
		return func(ins []int) []int { return m.Map(ins, one) }, func() {}
	}
	return p
}()
