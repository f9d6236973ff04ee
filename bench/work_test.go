package bench

import "slices"

// A work is a task that every peer that is able to does.
type work struct {
	name string
	what string // one sentence for the report

	// unit is how many jobs the work does at a time. A run is a whole number
	// of them.
	unit int

	can  func(p peer) bool
	open func(p peer, j job) (run runner, stop func())
	job  func() job // called once per benchmark
}

// A runner does n jobs, from the first enqueue to the last result. It returns an error
// if a result is wrong.
type runner func(n int) error

var works = []work{
	callWork("process", "One caller submits a job, waits for its result, and submits the next.",
		1, func(p peer) opener[func() caller] { return p.process }),
	callWork("process-ctx", "The same with a context that can be canceled but never is.",
		1, func(p peer) opener[func() caller] { return cancellable(p.processCtx) }),
	callersWork(64),
	callWork("process-timed", "One caller, each job with a time limit of a minute, which never passes.",
		1, func(p peer) opener[func() caller] { return p.processTimed }),
	callWork("inline", "Like process, with WithInline: the handler runs on its caller's goroutine. The others do the same as in process.",
		1, inlineOrProcess),
	callWork("inline-64", "Like process-64, with WithInline: at most 8 callers run their handlers at once, the others wait.",
		64, inlineOrProcess),
	submitWork("submit", "One caller submits job after job without waiting, then waits for all. dispatch and pool.v3 return a future for each.",
		addOne),
	workersWork(1024),
	workersWork(16_384),
	{
		name: "futures-1000",
		what: "1000 jobs are submitted, and a future kept for each; then all futures are read in order.",
		unit: thousand, can: func(p peer) bool { return p.futures != nil }, open: openFutures, job: addOne,
	},
	{
		name: "batch-1000",
		what: "1000 jobs fan out and their results are gathered: on a channel if the pool has one, otherwise by its own means.",
		unit: thousand, can: func(p peer) bool { return p.batch != nil }, open: openBatch, job: addOne,
	},
	mapWork("map-1000", "A slice of 1000 in, a slice of 1000 out, in order, by the peer's own means.",
		func(p peer) opener[mapper] { return p.mapping }),
	mapWork("stream-1000", "1000 inputs one after another, only a few of them in memory, results in order, by the peer's own means.",
		func(p peer) opener[mapper] { return p.stream }),
	submitWork("cpu-1us", "Like submit, with jobs that compute for 1 µs.", burnFor(1)),
	submitWork("cpu-10us", "Like submit, with jobs that compute for 10 µs.", burnFor(10)),
	submitWork("cpu-100us", "Like submit, with jobs that compute for 100 µs.", burnFor(100)),
	submitWork("cpu-1ms", "Like submit, with jobs that compute for 1 ms.", burnFor(1000)),
	{
		name: "sleep-10ms",
		what: "20,000 jobs that sleep for 10 ms, on 10,000 workers.",
		unit: 2 * sleepWorkers, can: canSubmit, open: openSubmit(sleepWorkers, 2*sleepWorkers), job: sleep,
	},
	{
		name: "startstop",
		what: "A pool is made, eight callers submit eight jobs that wait for each other, so that all its workers exist, and the pool is closed. The figure is for one such pool.",
		unit: 1, can: canProcess, open: openStartStop, job: addOne,
	},
	{
		name: "new-close",
		what: "A pool is made and closed without running a job. The figure is for one pool.",
		unit: 1, can: func(p peer) bool { return canProcess(p) && p.name != goFloor.name }, open: openNewClose, job: addOne,
	},
}

const (
	thousand     = 1000
	sleepWorkers = 10_000
)

func canProcess(p peer) bool { return p.process != nil }
func canSubmit(p peer) bool  { return p.submit != nil }

// callWork returns a work of the given number of callers, which wait for each result.
func callWork(name, what string, callers int, pick func(p peer) opener[func() caller]) work {
	return work{
		name: name, what: what, unit: callers, job: addOne,
		can:  func(p peer) bool { return pick(p) != nil },
		open: func(p peer, j job) (runner, func()) { return openCalls(pick(p), callers, j) },
	}
}

// inlineOrProcess returns nil for a version of dispatch that has no inline calls.
func inlineOrProcess(p peer) opener[func() caller] {
	if p.inline != nil || p.name == dispatchPeer.name {
		return p.inline
	}
	return p.process
}

func submitWork(name, what string, job func() job) work {
	return work{
		name: name, what: what, unit: 1, job: job,
		can: canSubmit, open: openSubmit(workerLimit, submitWindow),
	}
}

func mapWork(name, what string, pick func(p peer) opener[mapper]) work {
	return work{
		name: name, what: what, unit: thousand, job: addOne,
		can:  func(p peer) bool { return pick(p) != nil },
		open: func(p peer, j job) (runner, func()) { return openMap(pick(p), j) },
	}
}

// allWorks returns the works and the points of all axes, each once.
func allWorks() []work {
	all := slices.Clone(works)
	for _, a := range axes {
		for _, size := range a.sizes {
			w := a.work(size)
			if !slices.ContainsFunc(all, func(other work) bool { return other.name == w.name }) {
				all = append(all, w)
			}
		}
	}
	return all
}
