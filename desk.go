package dispatch

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"runtime/pprof"
	"strconv"
	"sync"
	"time"

	"example.com/dispatch/internal/sched"
)

// desk is what a pool with telemetry knows of one worker: what it is at, and how
// long its jobs have waited and run. Its mutex is a leaf, so that Stats and Running
// read it while the worker works.
type desk struct {
	number int             // of the worker, from 1
	labels context.Context // the profiler labels of its goroutine, made once; nil for a caller that runs its job
	hooked context.Context // what the hooks have made of the handler's context; the worker's own

	// mu guards what follows. Only the worker writes it, so the worker reads it without.
	mu        sync.Mutex
	at        work // what the worker is at
	busy      bool // ... if it is at something
	wait, run tally
}

// work is a job as a worker sees it.
type work struct {
	label string
	index int           // -1: a single job
	added time.Duration // when it was submitted, on the scheduler's clock, as is what follows
	begun time.Duration // when the worker turned to it
	ran   bool          // its handler has been called
	task  *sched.Task   // the job's, or that of the run that the item is in
}

// telemetry is what a pool with telemetry knows of its jobs. Its mutex is taken by a worker
// that comes or leaves (an inline call does both), for a job that has failed or never had
// a worker, and by readers; not for a job that goes well on a worker.
type telemetry[In any] struct {
	name  string
	sched *sched.Scheduler
	label func(In) string // nil: inputs are not shown
	hooks []Hooks

	mu        sync.Mutex              // taken before a desk's; guards what follows
	desks     map[*desk]*sched.Worker // of strays too, until their handlers return
	last      int                     // the highest number of a worker
	wait, run tally                   // of workers that have left, and of jobs that no worker turned to
	failures  [len(outcomeNames)][]Job
}

// keptFailures is how many jobs of each outcome but success are remembered.
const keptFailures = 8

// open makes the desk of a worker.
func (t *telemetry[In]) open(w *sched.Worker) *desk {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last++
	d := &desk{number: t.last}
	if t.desks == nil {
		t.desks = make(map[*desk]*sched.Worker)
	}
	t.desks[d] = w
	return d
}

// labelsOf makes the profiler labels of a worker's goroutine.
func (t *telemetry[In]) labelsOf(d *desk) context.Context {
	return pprof.WithLabels(context.Background(), pprof.Labels("dispatch.pool", t.name, "dispatch.worker", strconv.Itoa(d.number)))
}

// close takes in what the desk of a worker that leaves has counted. With both mutexes
// held, a reader finds the counts in one place: in between they would be gone or count
// twice, and counters never fall.
func (t *telemetry[In]) close(d *desk) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(t.desks, d)
	t.wait.merge(&d.wait)
	t.run.merge(&d.run)
}

// setLabels has the goroutine of the worker carry its labels: a handler may have
// left others. The goroutine of a caller that runs its job itself keeps its own.
func (d *desk) setLabels() {
	if d.labels != nil {
		pprof.SetGoroutineLabels(d.labels)
	}
}

// begin notes that the worker has turned to a job. Until end or leave, Running and
// Stats.LongestRun tell of it.
func (d *desk) begin(at work) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at, d.busy = at, true
}

// enter notes that the handler is about to be called.
func (d *desk) enter(label string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at.label, d.at.ran = label, true
}

// end notes that the worker is done with the job, and returns it. In one step: for a reader
// the job either runs or is counted.
func (d *desk) end(now time.Duration) work {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wait.add(d.at.begun - d.at.added)
	d.run.add(now - d.at.begun)
	was := d.at
	d.at, d.busy = work{}, false
	return was
}

// leave notes that the worker has not had the job after all: it was ended before its
// handler. Whoever tells of that counts its wait (unstarted).
func (d *desk) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at, d.busy = work{}, false
}

// job describes a job that a worker is at, or has been at until now.
func (t *telemetry[In]) job(d *desk, w work, now time.Duration) Job {
	return Job{
		Pool: t.name, Label: w.label, Worker: d.number, Ran: w.ran, Index: w.index,
		Submitted: t.sched.Time(w.added), Wait: w.begun - w.added, Run: now - w.begun,
	}
}

// running describes the job that a worker is at, if it is at one. With the desk's
// mutex the task is still that of the job, because its worker needs that mutex to be done
// with it. What ends a run ends its items only if they are written off, or past the limit
// of WithJobTimeout.
func (t *telemetry[In]) running(d *desk, stray bool) (j Job, busy bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.busy {
		return Job{}, false
	}
	j = t.job(d, d.at, t.sched.Since())
	// Resolved: others have decided, and the handler runs on. Then, whether that is the
	// outcome of what the worker is at: of a single job (a run has no Job), of a stray, or of
	// an item that is past the limit.
	j.Stray = stray
	if of := d.at.task; of.Resolved() && (of.Job() != nil || stray || of.Overran()) {
		o := of.Outcome()
		j.Outcome, j.Err = Outcome(o.Kind)+Succeeded, o.Err
	}
	return j, true
}

// unstarted describes a job that ended now, and that no worker had, but for its label.
func (t *telemetry[In]) unstarted(index int, added time.Duration) Job {
	now := t.sched.Since()
	t.mu.Lock()
	t.wait.add(now - added)
	t.mu.Unlock()
	return Job{Pool: t.name, Index: index, Submitted: t.sched.Time(added), Wait: now - added}
}

// labelOf returns the label of an input. A label that panics is told as text: it is there
// to describe a job, and must not fail it.
func (t *telemetry[In]) labelOf(in In) (label string) {
	if t.label != nil {
		if guard.Call(func() { label = t.label(in) }) != nil {
			return "(its label panics)"
		}
	}
	return label
}

// labelApart is labelOf for an input whose handler was not called: it may be its label
// that has ended the worker's goroutine.
func (t *telemetry[In]) labelApart(in In) (label string) {
	if t.label != nil {
		guard.Apart(func() { label = t.labelOf(in) })
	}
	return label
}

// tell remembers a job that has ended, and tells the hooks. That comes last, because a hook
// may end the goroutine. An Outcome is one more than the scheduler's kind: 0 is Pending.
func (t *telemetry[In]) tell(ctx context.Context, j Job, o *sched.Outcome, report func(error)) {
	j.Outcome, j.Err = Outcome(o.Kind)+Succeeded, o.Err
	if j.Outcome != Succeeded {
		t.mu.Lock()
		kept := t.failures[j.Outcome]
		if len(kept) == keptFailures {
			kept = append(kept[:0], kept[1:]...)
		}
		t.failures[j.Outcome] = append(kept, j)
		t.mu.Unlock()
	}
	t.tellHooks(ctx, j, len(t.hooks), report)
}

// tellHooks calls Done of the first n hooks, the last first. One that calls
// runtime.Goexit does not keep those before it from being told: n is still its number
// then, and the deferred function goes on with the one below. The last comes first, as it
// would with deferred functions: the context is that of all their Starts.
func (t *telemetry[In]) tellHooks(ctx context.Context, j Job, n int, report func(error)) {
	defer func() {
		if n > 0 {
			t.tellHooks(ctx, j, n-1, report)
		}
	}()
	for ; n > 0; n-- {
		if done := t.hooks[n-1].Done; done != nil {
			if err := guard.Call(func() { done(ctx, j) }); err != nil {
				report(err)
			}
		}
	}
}

// start has the hooks make the context of a handler, each from that of the one before. One
// that panics or returns nil leaves it as it is.
func (t *telemetry[In]) start(ctx context.Context, j Job, report func(error)) context.Context {
	for i := range t.hooks {
		start := t.hooks[i].Start
		if start == nil {
			continue
		}
		err := guard.Call(func() {
			if made := start(ctx, j); made != nil {
				ctx = made
			}
		})
		if err != nil {
			report(err)
		}
	}
	return ctx
}

// workers returns the desks that there are. It is a copy, so that the caller may ask the
// scheduler about the workers: its mutex is never taken with that of telemetry held.
func (t *telemetry[In]) workers() map[*desk]*sched.Worker {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.desks)
}

// newTelemetry returns what a pool with telemetry needs; nil for one without.
func newTelemetry[In any](cfg *config, s *sched.Scheduler) (*telemetry[In], error) {
	if !cfg.telemetry {
		return nil, nil
	}
	t := &telemetry[In]{name: cfg.name, sched: s, hooks: cfg.hooks}
	if cfg.label != nil { // an Option has no type parameters, so its type is checked here
		label, ok := cfg.label.(func(In) string)
		if !ok {
			return nil, fmt.Errorf("dispatch: WithLabel: a %T does not take the pool's inputs, which are %v", cfg.label, reflect.TypeFor[In]())
		}
		t.label = label
	}
	return t, nil
}
