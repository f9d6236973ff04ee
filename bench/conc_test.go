package bench

import (
	"github.com/sourcegraph/conc/iter"
	"github.com/sourcegraph/conc/pool"
	"github.com/sourcegraph/conc/stream"
)

// A conc pool ends with its Wait. A work that waits again and again makes a new pool
// each time, which is how conc is meant to be used.
//
// Its Go either takes a place under the limit, starts a goroutine and waits for an idle
// one, or it gives the job to an idle goroutine. So a second call, which takes no place,
// can get the goroutine that the first call has started, and the first call waits until
// some job ends. Jobs that wait for one another then wait forever. That is rare; a
// startstop in which it happens is abandoned after its time limit.
var concPeer = func() peer {
	p := withStarter(peer{name: "conc", module: "github.com/sourcegraph/conc", oneRun: true}, func(c config) (starter, func()) {
		p := pool.New().WithMaxGoroutines(c.workers)
		return closures(p.Go, c.job), p.Wait
	})
	p.submit = func(c config) (submitter, func()) {
		run := c.job
		return func(n int, queued func()) {
			p := pool.New().WithMaxGoroutines(c.workers)
			for i := range n {
				p.Go(func() { run(i) })
			}
			queued()
			p.Wait()
		}, func() {}
	}
	p.batch = func(c config) (gatherer, func()) {
		run := c.job
		return func(ins []int) (sum int) {
			p := pool.NewWithResults[int]().WithMaxGoroutines(c.workers)
			for _, in := range ins {
				p.Go(func() int { return run(in) })
			}
			for _, out := range p.Wait() {
				sum += out
			}
			return sum
		}, func() {}
	}
	p.mapping = func(c config) (mapper, func()) {
		m, run := iter.Mapper[int, int]{MaxGoroutines: c.workers}, c.job
		one := func(in *int) int { return run(*in) }
		return func(ins []int) []int { return m.Map(ins, one) }, func() {}
	}
	p.stream = func(c config) (mapper, func()) {
		run := c.job
		return func(ins []int) []int {
			outs := make([]int, 0, len(ins))
			s := stream.New().WithMaxGoroutines(c.workers)
			for _, in := range ins {
				s.Go(func() stream.Callback {
					out := run(in)
					return func() { outs = append(outs, out) }
				})
			}
			s.Wait()
			return outs
		}, func() {}
	}
	return p
}()
