package dispatch

import (
	"cmp"
	"context"
	"maps"
	"runtime/pprof"
	"slices"
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
	labels context.Context // the profiler labels of its goroutine

	mu        sync.Mutex // guards what follows
	at        work       // what the worker is at
	busy      bool
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

// telemetry is what a pool with telemetry knows of its jobs.
type telemetry[In any] struct {
	name  string
	sched *sched.Scheduler
	label func(In) string // nil: inputs are not shown
	hooks []Hooks

	mu        sync.Mutex // taken before a desk's; guards what follows
	desks     map[*desk]*sched.Worker
	last      int   // the highest number of a worker
	wait, run tally // of workers that have left, and of jobs that no worker turned to
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
	d.labels = pprof.WithLabels(context.Background(), pprof.Labels("dispatch.pool", t.name, "dispatch.worker", strconv.Itoa(d.number)))
	if t.desks == nil {
		t.desks = make(map[*desk]*sched.Worker)
	}
	t.desks[d] = w
	return d
}

// close takes in what the desk of a worker that leaves has counted.
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

// begin notes that the worker has turned to a job.
func (d *desk) begin(t *sched.Task, index int, added, now time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = work{index: index, added: added, begun: now, task: t}
	d.busy = true
}

// enter notes that the handler is about to be called.
func (d *desk) enter(label string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at.label, d.at.ran = label, true
}

// look returns what the worker is at, if it is at something.
func (d *desk) look() (at work, busy bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at, d.busy
}

// end notes that the worker is done with the job, and returns it.
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
// handler.
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
// mutex the task is still that of the job. What ends a run ends its items only if
// they are written off, or past the limit of WithJobTimeout.
func (t *telemetry[In]) running(d *desk, stray bool) (j Job, busy bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.busy {
		return Job{}, false
	}
	j = t.job(d, d.at, t.sched.Since())
	j.Stray = stray
	if of := d.at.task; of.Resolved() && (of.Job() != nil || stray || of.Overran()) {
		o := of.Outcome()
		j.Outcome, j.Err = Outcome(o.Kind)+Succeeded, o.Err
	}
	return j, true
}

// unstarted describes a job that ended now, and that no worker had.
func (t *telemetry[In]) unstarted(in In, index int, added time.Duration) Job {
	now := t.sched.Since()
	t.mu.Lock()
	t.wait.add(now - added)
	t.mu.Unlock()
	return Job{Pool: t.name, Label: t.labelOf(in), Index: index, Submitted: t.sched.Time(added), Wait: now - added}
}

// labelOf returns the label of an input.
func (t *telemetry[In]) labelOf(in In) (label string) {
	if t.label != nil {
		if guard.Call(func() { label = t.label(in) }) != nil {
			return "(its label panics)"
		}
	}
	return label
}

// tell remembers a job that has ended, and tells the hooks.
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
// runtime.Goexit does not keep those before it from being told.
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

// start has the hooks make the context of a handler.
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

// inHand tells the index of what the worker has in hand, -1 for a single job, and
// when it was submitted.
func (w *worker[In, Out]) inHand(t *sched.Task) (index int, added time.Duration) {
	if of := w.slot.Run(); of != nil {
		r := of.Typed.(*run[In, Out])
		return r.index(), r.chunk.addedAt(r.i)
	}
	return -1, t.Added()
}

// turnTo notes that the worker has turned to what it has in hand.
func (w *worker[In, Out]) turnTo(t *sched.Task, now time.Duration) {
	index, added := w.inHand(t)
	w.desk.begin(t, index, added, now)
}

// start notes that the handler is about to be called for an input, and returns the
// context that it gets. A hook that calls runtime.Goexit ends the job as a handler
// would.
func (w *worker[In, Out]) start(ctx context.Context, in In) context.Context {
	tel := w.pool.tel
	w.desk.enter(tel.labelOf(in))
	if len(tel.hooks) > 0 {
		at, _ := w.desk.look()
		j := tel.job(w.desk, at, at.begun)
		j.Ran, j.Run = false, 0
		ctx = tel.start(ctx, j, w.pool.hookPanicked)
	}
	w.hooked = ctx
	return ctx
}

// tell tells of the end of what the worker has in hand, with the outcome o. A job
// that was settled before its handler, and not by its worker, has been told of; in is
// the input of one that its worker has ended before its handler.
func (w *worker[In, Out]) tell(t *sched.Task, in In, o sched.Outcome, decided bool) {
	tel, ctx := w.pool.tel, w.hooked
	w.hooked = nil
	w.state = telling
	at, busy := w.desk.look()
	switch {
	case at.ran || busy && (o.Kind == sched.Failed || o.Kind == sched.Panicked):
		now := tel.sched.Since()
		j := tel.job(w.desk, w.desk.end(now), now)
		j.Stray = w.slot.IsStray()
		if !j.Ran {
			j.Label = tel.labelOf(in)
		}
		if ctx == nil {
			ctx = t.Context().Caller()
		}
		tel.tell(ctx, j, &o, w.pool.hookPanicked)
	case decided:
		index, added := w.inHand(t)
		w.desk.leave()
		tel.tell(t.Context().Caller(), tel.unstarted(in, index, added), &o, w.pool.hookPanicked)
	default:
		w.desk.leave()
	}
	w.state = resting
}

// hookPanicked logs the panic of a hook.
func (p *Pool[In, Out]) hookPanicked(err error) { p.logPanic("a hook", err) }

// withdrawn is the effect that tells of a job that was settled before its handler.
type withdrawn[In, Out any] struct {
	p   *Pool[In, Out]
	j   *job[In, Out]
	ctx context.Context
	in  In
}

func (w *withdrawn[In, Out]) Perform() {
	o := w.j.task.Outcome()
	w.p.tellUnstarted(w.ctx, w.in, -1, w.j.task.Added(), &o)
	w.p.sched.EndBackground()
}

// tellUnstarted tells of a job that no worker has had. It is called on anybody's
// goroutine, which a hook must not end.
func (p *Pool[In, Out]) tellUnstarted(ctx context.Context, in In, index int, added time.Duration, o *sched.Outcome) {
	f := func() { p.tel.tell(ctx, p.tel.unstarted(in, index, added), o, p.hookPanicked) }
	if len(p.tel.hooks) > 0 || p.tel.label != nil {
		guard.Apart(f)
	} else {
		f()
	}
}

// Running returns what the workers of a pool with telemetry are at, strays included,
// longest first; nil without telemetry. A job whose outcome was decided while its
// handler ran, and which runs on, has that [Outcome]; the others are Pending. It
// waits for no job.
func (p *Pool[In, Out]) Running() []Job {
	p.mustBeMade()
	tel := p.tel
	if tel == nil {
		return nil
	}
	var jobs []Job
	for d, w := range tel.workers() {
		stray := w.IsStray() // before the look at the desk: a stray gets no other job
		if j, busy := tel.running(d, stray); busy {
			jobs = append(jobs, j)
		}
	}
	slices.SortFunc(jobs, func(a, b Job) int { return cmp.Compare(b.Run, a.Run) })
	return jobs
}

// Failures returns the jobs of a pool with telemetry that have failed, the last first:
// at most 8 of each [Outcome], so that many of one do not displace another. It is nil
// without telemetry.
func (p *Pool[In, Out]) Failures() []Job {
	p.mustBeMade()
	tel := p.tel
	if tel == nil {
		return nil
	}
	tel.mu.Lock()
	var jobs []Job
	for _, of := range tel.failures {
		jobs = append(jobs, of...)
	}
	tel.mu.Unlock()
	slices.SortStableFunc(jobs, func(a, b Job) int { return b.ended().Compare(a.ended()) })
	return jobs
}

// ended is when the job ended.
func (j Job) ended() time.Time { return j.Submitted.Add(j.Wait + j.Run) }

// workers returns the desks that there are.
func (t *telemetry[In]) workers() map[*desk]*sched.Worker {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.desks)
}

// stats adds the times to a snapshot of the pool.
func (t *telemetry[In]) stats(s *Stats, oldest time.Duration) {
	var wait, run tally
	now := t.sched.Since()
	t.mu.Lock()
	wait, run = t.wait, t.run
	for d := range t.desks {
		d.mu.Lock()
		wait.merge(&d.wait)
		run.merge(&d.run)
		if d.busy {
			s.LongestRun = max(s.LongestRun, now-d.at.begun)
		}
		d.mu.Unlock()
	}
	t.mu.Unlock()
	s.Telemetry = true
	s.Wait, s.Run = wait.histogram(), run.histogram()
	if oldest > 0 {
		s.OldestWait = now - oldest
	}
}
