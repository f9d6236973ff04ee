package bench

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// submitWindow is the number of jobs after which a submitting caller waits for all of
// them. It is so large that the wait does not matter, and so small that the pools with
// unbounded queues stay within a few megabytes.
const submitWindow = 10_000

// neverPasses is the time limit of process-timed.
const neverPasses = time.Minute

// openCalls opens a pool for a number of callers.
func openCalls(open opener[func() caller], callers int, j job) (runner, func()) {
	newCaller, stop := open(config{workers: workerLimit, ctx: context.Background(), job: j})
	if callers == 1 {
		call := newCaller()
		return func(n int) error { return callEach(n, call) }, stop
	}
	return func(n int) error { return callAtOnce(n, callers, newCaller) }, stop
}

// cancellable gives callers a context that can be canceled.
func cancellable(open opener[func() caller]) opener[func() caller] {
	if open == nil {
		return nil
	}
	return func(c config) (func() caller, func()) {
		ctx, cancel := context.WithCancel(c.ctx)
		c.ctx = ctx
		newCaller, stop := open(c)
		return newCaller, func() {
			cancel()
			stop()
		}
	}
}

func callEach(n int, call caller) error {
	for in := range n {
		out, err := call(in)
		if err := checkResult(in, out, err); err != nil {
			return err
		}
	}
	return nil
}

// callAtOnce deals out the jobs one by one, so that all callers are busy until the end,
// however unevenly the pool serves them.
func callAtOnce(n, callers int, newCaller func() caller) error {
	var (
		wg    sync.WaitGroup
		next  atomic.Int64
		wrong atomic.Pointer[error]
	)
	for range callers {
		wg.Go(func() {
			call := newCaller()
			for in := int(next.Add(1)) - 1; in < n; in = int(next.Add(1)) - 1 {
				out, err := call(in)
				if err := checkResult(in, out, err); err != nil {
					failure := err // storing &err would allocate for each job
					wrong.Store(&failure)
				}
			}
		})
	}
	wg.Wait()
	if err := wrong.Load(); err != nil {
		return *err
	}
	return nil
}

// openSubmit opens p with the given number of workers, and waits for the jobs of one
// window at a time. Nobody receives the results, so the jobs themselves add them up,
// for every peer alike.
func openSubmit(workers, window int) func(p peer, j job) (runner, func()) {
	return func(p peer, j job) (runner, func()) {
		sum := new(tally)
		submit, stop := p.submit(config{workers: workers, job: sum.count(j)})
		return func(n int) error { return submitAll(n, window, submit, sum) }, stop
	}
}

func submitAll(n, window int, submit submitter, sum *tally) error {
	for left := n; left > 0; left -= window {
		now := min(left, window)
		submit(now, func() {})
		if err := checkSum(sum.take(), now); err != nil {
			return err
		}
	}
	return nil
}

func openFutures(p peer, j job) (runner, func()) {
	read, stop := p.futures(config{workers: workerLimit, job: j})
	return func(n int) error {
		ins := inputs(thousand)
		outs := make([]int, len(ins))
		for range n / len(ins) {
			clear(outs) // so that old results do not pass for new ones
			read(ins, outs)
			if err := checkEach(ins, outs); err != nil {
				return err
			}
		}
		return nil
	}, stop
}

func openBatch(p peer, j job) (runner, func()) {
	gather, stop := p.batch(config{workers: workerLimit, job: j})
	return func(n int) error {
		ins := inputs(thousand)
		for range n / len(ins) {
			if err := checkSum(gather(ins), len(ins)); err != nil {
				return err
			}
		}
		return nil
	}, stop
}

func openMap(open opener[mapper], j job) (runner, func()) {
	mapAll, stop := open(config{workers: workerLimit, job: j})
	return func(n int) error {
		ins := inputs(thousand)
		for range n / len(ins) {
			if err := checkEach(ins, mapAll(ins)); err != nil {
				return err
			}
		}
		return nil
	}, stop
}

// openStartStop does not open p: each job is the whole life of a pool. The jobs in that
// pool wait for one another, so it must start all the workers that it is allowed.
func openStartStop(p peer, j job) (runner, func()) {
	return func(n int) error {
		for range n {
			var meeting sync.WaitGroup
			meeting.Add(workerLimit)
			newCaller, stop := p.process(config{workers: workerLimit, ctx: context.Background(), job: func(in int) int {
				meeting.Done()
				meeting.Wait()
				return j(in)
			}})
			err := callAtOnce(workerLimit, workerLimit, newCaller)
			stop()
			if err != nil {
				return err
			}
		}
		return nil
	}, func() {}
}

func openNewClose(p peer, j job) (runner, func()) {
	return func(n int) error {
		for range n {
			_, stop := p.process(config{workers: workerLimit, ctx: context.Background(), job: j})
			stop()
		}
		return nil
	}, func() {}
}
