package bench

import "sync"

// A starter submits jobs to a pool, and does not wait for them. Its two ways to learn
// that a job has ended are those that users of pools without results have to build.
type starter struct {
	send  func(in int, to chan<- int)
	count func(in int, wg *sync.WaitGroup) // discards the result
}

// closures is the starter of a pool that runs any func().
func closures(submit func(task func()), job job) starter {
	return starter{
		send: func(in int, to chan<- int) {
			submit(func() { to <- job(in) })
		},
		count: func(in int, wg *sync.WaitGroup) {
			submit(func() {
				job(in)
				wg.Done()
			})
		},
	}
}

// A task is the value that a pool of values takes instead of a closure.
type task struct {
	in int
	to chan<- int
	wg *sync.WaitGroup // used if to is nil
}

func (t task) run(job job) {
	result := job(t.in)
	if t.to == nil {
		t.wg.Done()
		return
	}
	t.to <- result
}

// values is the starter of a pool that runs tasks.
func values(put func(t task)) starter {
	return starter{
		send:  func(in int, to chan<- int) { put(task{in: in, to: to}) },
		count: func(in int, wg *sync.WaitGroup) { put(task{in: in, wg: wg}) },
	}
}

// withStarter gives p the operations that need only a starter: to wait for a result, to
// wait for all jobs, and to gather the results.
func withStarter(p peer, open opener[starter]) peer {
	p.process = func(c config) (func() caller, func()) {
		s, stop := open(c)
		return func() caller { return replyCaller(s) }, stop
	}
	p.submit = func(c config) (submitter, func()) {
		s, stop := open(c)
		return func(n int, queued func()) {
			var wg sync.WaitGroup
			wg.Add(n)
			for i := range n {
				s.count(i, &wg)
			}
			queued()
			wg.Wait()
		}, stop
	}
	p.batch = func(c config) (gatherer, func()) {
		s, stop := open(c)
		return func(ins []int) int { return gather(s, ins) }, stop
	}
	return p
}

// replyCaller waits on a reply channel that it makes once. That is the fastest way to
// get a result, and correct only because no call is abandoned.
func replyCaller(s starter) caller {
	reply := make(chan int, 1)
	return func(in int) (int, error) {
		s.send(in, reply)
		return <-reply, nil
	}
}

func gather(s starter, ins []int) (sum int) {
	results := make(chan int, len(ins))
	for _, in := range ins {
		s.send(in, results)
	}
	for range ins {
		sum += <-results
	}
	return sum
}
