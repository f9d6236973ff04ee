package bench

import "github.com/alitto/pond/v2"

// pond has futures and ordered groups on its result pool, and on its plain pool
// Go, which submits without either.
var pondPeer = peer{
	name:   "pond",
	module: "github.com/alitto/pond/v2",
	queues: true,
	process: func(c config) (func() caller, func()) {
		p, run := pond.NewResultPool[int](c.workers), c.job
		call := func(in int) (int, error) {
			return p.Submit(func() int { return run(in) }).Wait()
		}
		return func() caller { return call }, p.StopAndWait
	},
	submit: pondPlain.submit,
	futures: func(c config) (reader, func()) {
		p, run := pond.NewResultPool[int](c.workers), c.job
		return func(ins, outs []int) {
			tasks := make([]pond.ResultTask[int], len(ins))
			for i, in := range ins {
				tasks[i] = p.Submit(func() int { return run(in) })
			}
			for i, t := range tasks {
				outs[i] = must(t.Wait())
			}
		}, p.StopAndWait
	},
	batch: func(c config) (gatherer, func()) {
		run, stop := openPondGroup(c)
		return func(ins []int) (sum int) {
			for _, out := range run(ins) {
				sum += out
			}
			return sum
		}, stop
	},
	mapping: openPondGroup,
}

// pondPlain is the plain pool of pond with a channel for the results, as pools of
// closures have to be used. It does not return errors and panics as the result pool
// does, and is several times as fast.
var pondPlain = withStarter(peer{name: "pond-go", module: "github.com/alitto/pond/v2"}, func(c config) (starter, func()) {
	p := pond.NewPool(c.workers)
	return closures(func(task func()) { check(p.Go(task)) }, c.job), p.StopAndWait
})

var pondGoPeer = func() peer {
	p := pondPlain
	p.submit = nil // pondPeer does the same
	return p
}()

// openPondGroup runs a result group. It is pond's way to collect a batch and, since its
// results are in the order of the tasks, its Map.
func openPondGroup(c config) (mapper, func()) {
	p, run := pond.NewResultPool[int](c.workers), c.job
	return func(ins []int) []int {
		g := p.NewGroup()
		for _, in := range ins {
			g.Submit(func() int { return run(in) })
		}
		return must(g.Wait())
	}, p.StopAndWait
}
