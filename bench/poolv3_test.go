package bench

import (
	"sync"

	"gopkg.in/go-playground/pool.v3"
)

// Every Queue of pool.v3 starts a goroutine that waits for room, so it never blocks. But
// the waiting jobs are not in a queue, so queues stays false.
var poolV3Peer = peer{
	name:   "pool.v3",
	module: "gopkg.in/go-playground/pool.v3",
	process: func(c config) (func() caller, func()) {
		p, run := pool.NewLimited(uint(c.workers)), c.job
		call := func(in int) (int, error) {
			unit := p.Queue(unitFunc(run, in))
			unit.Wait()
			return unitValue(unit), nil
		}
		return func() caller { return call }, p.Close
	},
	submit: func(c config) (submitter, func()) {
		p, run := pool.NewLimited(uint(c.workers)), c.job
		return func(n int, queued func()) {
			var wg sync.WaitGroup
			wg.Add(n)
			for i := range n {
				p.Queue(func(pool.WorkUnit) (any, error) {
					run(i)
					wg.Done()
					return nil, nil
				})
			}
			queued()
			wg.Wait()
		}, p.Close
	},
	futures: func(c config) (reader, func()) {
		p, run := pool.NewLimited(uint(c.workers)), c.job
		return func(ins, outs []int) {
			units := make([]pool.WorkUnit, len(ins))
			for i, in := range ins {
				units[i] = p.Queue(unitFunc(run, in))
			}
			for i, unit := range units {
				unit.Wait()
				outs[i] = unitValue(unit)
			}
		}, p.Close
	},
	batch: func(c config) (gatherer, func()) {
		p, run := pool.NewLimited(uint(c.workers)), c.job
		return func(ins []int) (sum int) {
			b := p.Batch()
			for _, in := range ins {
				b.Queue(unitFunc(run, in))
			}
			b.QueueComplete()
			for unit := range b.Results() {
				sum += unitValue(unit)
			}
			return sum
		}, p.Close
	},
}

func unitFunc(run job, in int) pool.WorkFunc {
	return func(pool.WorkUnit) (any, error) { return run(in), nil }
}

func unitValue(unit pool.WorkUnit) int {
	check(unit.Error())
	return unit.Value().(int)
}
