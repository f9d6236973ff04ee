package bench

import (
	"sync"
	"sync/atomic"
)

// An Axis is something of which there can be more and more, while the cost of a
// job should stay the same.
type Axis struct {
	Name  string
	Count string // what there is more and more of
	What  string // one sentence for the report

	// Sizes are the points measured, Reference the one that tells who the
	// best peers are.
	Sizes     []int
	Reference int

	can  func(p peer) bool
	open func(p peer, size int) (run runner, stop func())
	unit func(size int) int // jobs done at a time
}

var axes = []Axis{
	{
		Name:      "workers",
		Count:     "workers",
		What:      "Jobs that add one are submitted in windows of 10,000 to a pool in which so many workers have been started. conc and errgroup, which start new ones for each window, have no place here.",
		Sizes:     []int{1, 2, 8, 64, 1024, 16_384},
		Reference: 8,
		can:       func(p peer) bool { return canSubmit(p) && !p.oneRun && !p.floor },
		open:      openWorkers,
		unit:      func(int) int { return 1 },
	},
	{
		Name:      "callers",
		Count:     "callers",
		What:      "So many goroutines hand in a job that adds one, wait for its result, and hand in the next, on 8 workers.",
		Sizes:     []int{1, 4, 16, 64, 256, 1024, 4096},
		Reference: 64,
		can:       func(p peer) bool { return canProcess(p) && !p.floor },
		open: func(p peer, size int) (runner, func()) {
			return openProcess(size)(p, addOne())
		},
		unit: func(size int) int { return size },
	},
	{
		Name:      "queued",
		Count:     "queued jobs",
		What:      "So many jobs are queued behind 8 that hold the 8 workers; then these are let go, and all are run.",
		Sizes:     []int{1, 10, 100, 1000, 10_000, 100_000, 1_000_000},
		Reference: 1000,
		can:       func(p peer) bool { return canSubmit(p) && p.queues && !p.floor },
		open:      openQueued,
		unit:      func(size int) int { return size + workerLimit },
	},
}

// Axes returns all axes, in the order of the report.
func Axes() []Axis {
	return axes
}

// Pools returns the names of the pools that can be measured along the axis.
func (a Axis) Pools() []string {
	var names []string
	for _, p := range peers {
		if a.can(p) {
			names = append(names, p.name)
		}
	}
	return names
}

// openWorkers first lets as many jobs meet as there are workers: pools that
// start them on demand would otherwise be measured with a few.
func openWorkers(p peer, size int) (runner, func()) {
	var (
		sum     tally
		meeting atomic.Pointer[sync.WaitGroup]
		first   sync.WaitGroup
	)
	submit, stop := p.submit(config{workers: size, job: sum.count(func(in int) int {
		if m := meeting.Load(); m != nil {
			m.Done()
			m.Wait()
		}
		return in + 1
	})})

	first.Add(size)
	meeting.Store(&first)
	submit(size, func() {})
	meeting.Store(nil)
	sum.take()

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

func openQueued(p peer, size int) (runner, func()) {
	var (
		sum  tally
		gate atomic.Pointer[chan struct{}] // nil while it is open
	)
	all := size + workerLimit
	submit, stop := p.submit(config{workers: workerLimit, queue: all, job: sum.count(func(in int) int {
		if g := gate.Load(); g != nil {
			<-*g
		}
		return in + 1
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
