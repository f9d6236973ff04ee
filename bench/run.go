package bench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// submitWindow is after how many jobs a submitting caller waits for all of them.
// It is large enough for the wait not to count, and small enough for the pools
// that never say no to stay within a few megabytes.
const submitWindow = 10_000

// neverPasses is the time limit of process-timed.
const neverPasses = time.Minute

// openProcess opens p for a number of callers. Jobs are dealt one by one, so that
// all callers are busy until the end, however unevenly the pool serves them.
func openProcess(callers int) func(p peer, j job) (runner, func()) {
	return func(p peer, j job) (runner, func()) {
		newCaller, stop := p.process(config{workers: workerLimit, job: j})
		if callers == 1 {
			call := newCaller()
			return func(n int) error { return callEach(n, call) }, stop
		}
		return func(n int) error { return callAtOnce(n, callers, newCaller) }, stop
	}
}

func callEach(n int, call caller) error {
	for in := range n {
		if out := call(in); out != in+1 {
			return wrongResult(in, out)
		}
	}
	return nil
}

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
				if out := call(in); out != in+1 {
					err := wrongResult(in, out)
					wrong.Store(&err)
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

func openProcessCtx(p peer, j job) (runner, func()) {
	newCaller, stop := p.processCtx(config{workers: workerLimit, job: j})
	call := newCaller()
	ctx, cancel := context.WithCancel(context.Background())
	run := func(n int) error {
		for in := range n {
			out, err := call(ctx, in)
			if err != nil {
				return fmt.Errorf("job %d: %w", in, err)
			}
			if out != in+1 {
				return wrongResult(in, out)
			}
		}
		return nil
	}
	return run, func() {
		cancel()
		stop()
	}
}

func openProcessTimed(p peer, j job) (runner, func()) {
	newCaller, stop := p.processTimed(config{workers: workerLimit, job: j})
	call := newCaller()
	return func(n int) error {
		for in := range n {
			out, err := call(in, neverPasses)
			if err != nil {
				return fmt.Errorf("job %d: %w", in, err)
			}
			if out != in+1 {
				return wrongResult(in, out)
			}
		}
		return nil
	}, stop
}

// openSubmit opens p with so many workers. As nobody receives the results, the
// jobs themselves add them up, for everyone alike.
func openSubmit(workers int) func(p peer, j job) (runner, func()) {
	return func(p peer, j job) (runner, func()) {
		var sum tally
		submit, stop := p.submit(config{workers: workers, job: sum.count(j)})
		return func(n int) error {
			for left := n; left > 0; left -= submitWindow {
				window := min(left, submitWindow)
				submit(window, func() {})
				if err := checkSum(sum.take(), window); err != nil {
					return err
				}
			}
			return nil
		}, stop
	}
}

func openFutures(p peer, j job) (runner, func()) {
	read, stop := p.futures(config{workers: workerLimit, job: j})
	return func(n int) error {
		ins := inputs(1000)
		outs := make([]int, len(ins))
		for range n / len(ins) {
			clear(outs) // a result of the last time is no result
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
		ins := inputs(1000)
		for range n / len(ins) {
			if err := checkSum(gather(ins), len(ins)); err != nil {
				return err
			}
		}
		return nil
	}, stop
}

func openMap(p peer, j job) (runner, func()) {
	mapAll, stop := p.mapping(config{workers: workerLimit, job: j})
	return func(n int) error {
		ins := inputs(1000)
		for range n / len(ins) {
			if err := checkEach(ins, mapAll(ins)); err != nil {
				return err
			}
		}
		return nil
	}, stop
}

// openStartStop does not open p: each job is a pool's whole life. The jobs in it
// wait for one another, so that no pool can do with fewer workers than it was
// given.
func openStartStop(p peer, j job) (runner, func()) {
	return func(n int) error {
		for range n {
			var meeting sync.WaitGroup
			meeting.Add(workerLimit)
			newCaller, stop := p.process(config{workers: workerLimit, job: func(in int) int {
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

func inputs(n int) []int {
	ins := make([]int, n)
	for i := range ins {
		ins[i] = i
	}
	return ins
}

// checkEach compares each result with its input.
func checkEach(ins, outs []int) error {
	if len(outs) != len(ins) {
		return fmt.Errorf("%d results for %d jobs", len(outs), len(ins))
	}
	for i, out := range outs {
		if out != ins[i]+1 {
			return wrongResult(ins[i], out)
		}
	}
	return nil
}

// checkSum compares sum with that of the results of n jobs with the inputs 0 to
// n-1.
func checkSum(sum, n int) error {
	if want := n * (n + 1) / 2; sum != want {
		return fmt.Errorf("the results of %d jobs add up to %d, want %d", n, sum, want)
	}
	return nil
}

func wrongResult(in, out int) error {
	return fmt.Errorf("job %d gave %d, want %d", in, out, in+1)
}

// A tally adds up results. Jobs that run at once add to different cache lines,
// or the tally would cost as much as a pool does.
type tally struct {
	cells [16]struct {
		sum atomic.Int64
		_   [120]byte
	}
}

// count returns j with its results counted.
func (t *tally) count(j job) job {
	return func(in int) int {
		out := j(in)
		t.cells[in%len(t.cells)].sum.Add(int64(out))
		return out
	}
}

// take returns the sum and starts again from 0. All jobs must have ended.
func (t *tally) take() (sum int) {
	for i := range t.cells {
		sum += int(t.cells[i].sum.Swap(0))
	}
	return sum
}
