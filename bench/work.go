package bench

import (
	"slices"
	"time"
)

// A Work is something to be done by every peer that can do it.
type Work struct {
	Name string
	What string // one sentence for the report

	// unit is how many jobs the work does at a time. A run is a whole number
	// of them.
	unit int

	can  func(p peer) bool
	open func(p peer, j job) (run runner, stop func())

	// job makes the work's job. It is called once a benchmark.
	job func() job
}

// A runner does n jobs, from the first enqueue to the last result, and reports
// a result that is wrong.
type runner func(n int) error

const (
	sleepTime    = 10 * time.Millisecond
	sleepWorkers = 10_000
)

var works = []Work{
	{
		Name: "process",
		What: "One caller hands in a job, waits for its result, and hands in the next.",
		unit: 1, can: canProcess, open: openProcess(1), job: addOne,
	},
	{
		Name: "process-ctx",
		What: "The same with a context that can be canceled, and never is.",
		unit: 1, can: func(p peer) bool { return p.processCtx != nil }, open: openProcessCtx, job: addOne,
	},
	{
		Name: "process-64",
		What: "64 callers at once, each waiting for its result before it hands in the next job.",
		unit: 1, can: canProcess, open: openProcess(64), job: addOne,
	},
	{
		Name: "process-timed",
		What: "One caller, each job with a time limit of a minute, which never passes.",
		unit: 1, can: func(p peer) bool { return p.processTimed != nil }, open: openProcessTimed, job: addOne,
	},
	{
		Name: "submit",
		What: "One caller hands in job after job without waiting, then waits for all. dispatch and pool.v3 return a future for each.",
		unit: 1, can: canSubmit, open: openSubmit(workerLimit), job: addOne,
	},
	{
		Name: "futures-1000",
		What: "1000 jobs are handed in, and a future kept for each; then all futures are read in order.",
		unit: 1000, can: func(p peer) bool { return p.futures != nil }, open: openFutures, job: addOne,
	},
	{
		Name: "batch-1000",
		What: "1000 jobs fan out and their results come together: over a channel where the pool has one, else by its own means.",
		unit: 1000, can: func(p peer) bool { return p.batch != nil }, open: openBatch, job: addOne,
	},
	{
		Name: "map-1000",
		What: "A slice of 1000 in, a slice of 1000 out, in order, by the peer's own means.",
		unit: 1000, can: func(p peer) bool { return p.mapping != nil }, open: openMap, job: addOne,
	},
	{
		Name: "cpu-1us",
		What: "As submit, with jobs that compute for 1 µs.",
		unit: 1, can: canSubmit, open: openSubmit(workerLimit), job: burnFor(1),
	},
	{
		Name: "cpu-10us",
		What: "As submit, with jobs that compute for 10 µs.",
		unit: 1, can: canSubmit, open: openSubmit(workerLimit), job: burnFor(10),
	},
	{
		Name: "cpu-100us",
		What: "As submit, with jobs that compute for 100 µs.",
		unit: 1, can: canSubmit, open: openSubmit(workerLimit), job: burnFor(100),
	},
	{
		Name: "cpu-1ms",
		What: "As submit, with jobs that compute for 1 ms.",
		unit: 1, can: canSubmit, open: openSubmit(workerLimit), job: burnFor(1000),
	},
	{
		Name: "sleep-10ms",
		What: "Waves of 10,000 jobs that sleep for 10 ms, on 10,000 workers.",
		unit: sleepWorkers, can: canSubmitAtOnce, open: openSubmit(sleepWorkers), job: sleep,
	},
	{
		Name: "startstop",
		What: "A pool is started, 8 jobs meet in it, so that all its workers exist, and it is stopped. The figure is for one such pool.",
		unit: 1, can: canMeet, open: openStartStop, job: addOne,
	},
}

// Works returns all works, in the order of the report.
func Works() []Work {
	return works
}

// Pools returns the names of those who have a row in the work, in the order of
// the tables.
func (w Work) Pools() []string {
	var names []string
	for _, p := range peers {
		if w.can(p) {
			names = append(names, p.name)
		}
	}
	return names
}

// IsFloor reports whether the pool of that name is none: what the runtime does
// by itself.
func IsFloor(name string) bool {
	for _, p := range peers {
		if p.name == name {
			return p.floor
		}
	}
	return false
}

// Peers returns the names of all that are pools, dispatch the first.
func Peers() []string {
	var names []string
	for _, p := range peers {
		if !p.floor {
			names = append(names, p.name)
		}
	}
	return names
}

// Modules returns the paths of the modules that the peers come from.
func Modules() []string {
	var paths []string
	for _, p := range peers {
		if p.module != "" && !slices.Contains(paths, p.module) {
			paths = append(paths, p.module)
		}
	}
	return paths
}

func canProcess(p peer) bool { return p.process != nil }
func canSubmit(p peer) bool  { return p.submit != nil }

// canMeet is for jobs that wait for one another, each handed in by a caller of its own.
func canMeet(p peer) bool { return canProcess(p) && !p.strands }

// A direct call does one job at a time: where they must run at once it has no row.
func canSubmitAtOnce(p peer) bool { return canSubmit(p) && p.name != directFloor.name }

func addOne() job {
	return func(in int) int { return in + 1 }
}

func sleep() job {
	return func(in int) int {
		time.Sleep(sleepTime)
		return in + 1
	}
}
