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

// desk is what a pool with telemetry knows of one worker: what the worker is doing, and how
// long its jobs have waited and run. Its mutex is a leaf, so that Stats and Running can
// read the desk while the worker works.
type desk struct {
	number int             // of the worker, from 1
	labels context.Context // the profiler labels of its goroutine, made once; nil for a caller that runs its job inline
	hooked context.Context // the handler's context as the hooks have made it; only the worker uses it

	// mu guards the fields below. Only the worker writes them, so the worker reads them
	// without it.
	mu        sync.Mutex
	at        work // the job that the worker is doing
	busy      bool // ... if it has one
	wait, run tally
}

// work is a job as a worker sees it.
type work struct {
	label string
	index int           // -1: a single job
	added time.Duration // when it was submitted, on the scheduler's clock
	begun time.Duration // when the worker started on it, on the same clock
	ran   bool          // its handler has been called
	task  *sched.Task   // the task of the job, or of the run that the item is in
}

// telemetry is what a pool with telemetry knows of its jobs. Its mutex is locked by a
// worker that comes or leaves (an inline call does both), for a job that has failed or that
// never had a worker, and by readers. A job that succeeds on a worker does not need it.
type telemetry[In any] struct {
	name  string
	sched *sched.Scheduler
	label func(In) string // nil: inputs are not shown
	hooks []Hooks

	mu        sync.Mutex              // locked before a desk's; guards the fields below
	desks     map[*desk]*sched.Worker // those of strays too, until their handlers return
	last      int                     // the highest worker number so far
	wait, run tally                   // of workers that have left, and of jobs that no worker started on
	failures  [len(outcomeNames)][]Job
}

// keptFailures is how many jobs are kept for each outcome but success.
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

// close removes the desk of a worker that leaves, and adds its counts to those of t. It
// holds both mutexes, so that a reader finds the counts in one place. Otherwise a reader
// could miss them or count them twice, and counters must never fall.
func (t *telemetry[In]) close(d *desk) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(t.desks, d)
	t.wait.merge(&d.wait)
	t.run.merge(&d.run)
}

// setLabels sets the labels of the worker's goroutine, because a handler may have left
// others. The goroutine of a caller that runs its job inline keeps its own.
func (d *desk) setLabels() {
	if d.labels != nil {
		pprof.SetGoroutineLabels(d.labels)
	}
}

// begin records that the worker has started on a job. Until end or leave, Running and
// Stats.LongestRun show it.
func (d *desk) begin(at work) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at, d.busy = at, true
}

// enter records that the handler is about to be called.
func (d *desk) enter(label string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at.label, d.at.ran = label, true
}

// end records that the worker is done with the job, and returns it. That is one step, so
// that for a reader the job either runs or is counted.
func (d *desk) end(now time.Duration) work {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wait.add(d.at.begun - d.at.added)
	d.run.add(now - d.at.begun)
	was := d.at
	d.at, d.busy = work{}, false
	return was
}

// leave records that the job was ended before its handler, so that the worker has not had
// it after all. The goroutine that tells the hooks counts its wait (unstarted).
func (d *desk) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at, d.busy = work{}, false
}

// job describes a job that a worker is doing, or has been doing until now.
func (t *telemetry[In]) job(d *desk, w work, now time.Duration) Job {
	return Job{
		Pool: t.name, Label: w.label, Worker: d.number, Ran: w.ran, Index: w.index,
		Submitted: t.sched.Time(w.added), Wait: w.begun - w.added, Run: now - w.begun,
	}
}

// running describes the current job of a worker, if there is one. While the desk's mutex is
// held the task still belongs to that job, because the worker needs the mutex to be done
// with it. What ends a run ends its items only if they are written off, or past the limit
// of WithJobTimeout.
func (t *telemetry[In]) running(d *desk, stray bool) (j Job, busy bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.busy {
		return Job{}, false
	}
	j = t.job(d, d.at, t.sched.Since())
	// If the task is resolved, others have decided it, and the handler runs on. That is the
	// outcome of the current job only if it is a single job (a run has no Job), a stray, or
	// an item that is past the limit.
	j.Stray = stray
	if of := d.at.task; of.Resolved() && (of.Job() != nil || stray || of.Overran()) {
		o := of.Outcome()
		j.Outcome, j.Err = Outcome(o.Kind)+Succeeded, o.Err
	}
	return j, true
}

// unstarted describes a job that has just ended, and that no worker had, without its label.
// It counts the job's wait.
func (t *telemetry[In]) unstarted(index int, added time.Duration) Job {
	now := t.sched.Since()
	t.mu.Lock()
	t.wait.add(now - added)
	t.mu.Unlock()
	return Job{Pool: t.name, Index: index, Submitted: t.sched.Time(added), Wait: now - added}
}

// labelOf returns the label of an input. If the label function panics, the label is a text
// that says so: it is there to describe a job, and must not fail it.
func (t *telemetry[In]) labelOf(in In) (label string) {
	if t.label != nil {
		if guard.Call(func() { label = t.label(in) }) != nil {
			return "(its label panics)"
		}
	}
	return label
}

// labelApart is labelOf for an input whose handler was not called. It calls the label
// function on another goroutine, because that function may be what has ended the worker's.
func (t *telemetry[In]) labelApart(in In) (label string) {
	if t.label != nil {
		guard.Apart(func() { label = t.labelOf(in) })
	}
	return label
}

// tell keeps a job that has ended, unless it succeeded, and tells the hooks. The hooks come
// last, because one may end the goroutine. An Outcome is one more than the scheduler's
// kind: 0 is Pending.
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

// tellHooks calls Done of the first n hooks, the last one first. That is the order of
// deferred functions: the context is that of all their Starts. A hook that calls
// runtime.Goexit does not keep the hooks before it from being told: n is still its number
// then, and the deferred function goes on with the one below.
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

// start has the hooks make the context of a handler, each from the context of the hook
// before it. A hook that panics or returns nil leaves the context unchanged.
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

// workers returns a copy of the desks. With it the caller may ask the scheduler about the
// workers: the scheduler's mutex is never locked while that of telemetry is held.
func (t *telemetry[In]) workers() map[*desk]*sched.Worker {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.desks)
}

// newTelemetry returns the telemetry of a pool, or nil for a pool without it.
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
