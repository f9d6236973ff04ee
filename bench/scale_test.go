package bench

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// An axis is a quantity that can grow while the cost of a job should stay the same.
// Each of its points is a work.
type axis struct {
	name  string // of the quantity
	what  string // one sentence for the report
	sizes []int
	work  func(size int) work

	// reference is the size at which the best peers are chosen.
	reference int
}

var axes = []axis{
	{
		name:      "workers",
		what:      "Jobs that add one are submitted in windows of 10,000 to a pool in which that many workers have been started. conc and errgroup are left out, because they start new workers for each window.",
		sizes:     []int{1, 2, 8, 64, 1024, 16_384},
		reference: 8,
		work:      workersWork,
	},
	{
		name:      "callers",
		what:      "That many goroutines submit a job that adds one, wait for its result, and submit the next, on 8 workers.",
		sizes:     []int{1, 4, 16, 64, 256, 1024, 4096},
		reference: 64,
		work:      callersWork,
	},
	{
		name:      "queued jobs",
		what:      "That many jobs are queued behind 8 jobs that hold the 8 workers; then those 8 are released, and all jobs run.",
		sizes:     []int{1, 10, 100, 1000, 10_000, 100_000, 1_000_000},
		reference: 1000,
		work:      queuedWork,
	},
}

func callersWork(callers int) work {
	return callWork(fmt.Sprintf("process-%d", callers),
		fmt.Sprintf("%d callers at once, each waiting for its result before it submits the next job.", callers),
		callers, func(p peer) opener[func() caller] { return p.process })
}

func workersWork(workers int) work {
	return work{
		name: fmt.Sprintf("submit-%d", workers),
		what: fmt.Sprintf("Like submit, on %d workers, all of which have been started before.", workers),
		unit: 1, job: addOne,
		can:  func(p peer) bool { return canSubmit(p) && !p.oneRun && !p.floor },
		open: func(p peer, j job) (runner, func()) { return openWorkers(p, workers, j) },
	}
}

func queuedWork(size int) work {
	return work{
		name: fmt.Sprintf("queued-%d", size),
		what: fmt.Sprintf("%d jobs are queued behind 8 jobs that hold the 8 workers, which are then released.", size),
		unit: size + workerLimit, job: addOne,
		can:  func(p peer) bool { return canSubmit(p) && p.queues && !p.floor },
		open: func(p peer, j job) (runner, func()) { return openQueued(p, size, j) },
	}
}

// openWorkers first runs as many jobs as there are workers, which wait for each other.
// Otherwise a pool that starts workers on demand would be measured with only a few.
func openWorkers(p peer, workers int, j job) (runner, func()) {
	var (
		sum     = new(tally)
		meeting atomic.Pointer[sync.WaitGroup]
		first   sync.WaitGroup
	)
	submit, stop := p.submit(config{workers: workers, job: sum.count(func(in int) int {
		if m := meeting.Load(); m != nil {
			m.Done()
			m.Wait()
		}
		return j(in)
	})})

	first.Add(workers)
	meeting.Store(&first)
	submit(workers, func() {})
	meeting.Store(nil)
	sum.take()
	return func(n int) error { return submitAll(n, submitWindow, submit, sum) }, stop
}

func openQueued(p peer, size int, j job) (runner, func()) {
	var (
		sum  tally
		gate atomic.Pointer[chan struct{}] // nil while it is open
	)
	all := size + workerLimit
	submit, stop := p.submit(config{workers: workerLimit, queue: all, job: sum.count(func(in int) int {
		if g := gate.Load(); g != nil {
			<-*g
		}
		return j(in)
	})})
	return func(n int) error {
		for range n / all {
			g := make(chan struct{})
			gate.Store(&g)
			submit(all, func() {
				gate.Store(nil)
				close(g)
			})
			if err := checkSum(sum.take(), all); err != nil {
				return err
			}
		}
		return nil
	}, stop
}
