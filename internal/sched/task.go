package sched

import (
	"context"
	"sync/atomic"
	"time"
)

// The phases of a task go one way only:
//
//	offered ──► accepted ──► running ──┐
//	   │            │           │      │
//	   └────────────┴───────────┴──► completing ──► settled ──► returned
//	                                     └────────────────────────┘
//
// A job is offered while its caller's context is watched and the pool has not accepted
// it. It is running once its handler is entered. The goroutine that takes it to
// completing, by compare-and-swap, decides its outcome: the worker, without the
// scheduler's mutex, or another goroutine, with it. A running job whose outcome another
// goroutine has decided is settled, and keeps its slot until its handler has returned.
const (
	accepted uint32 = iota
	offered
	running
	completing
	settled
	returned
)

// A stage says where the slot of a job is. Guarded by the scheduler's mutex.
//
//	waiting ──► granted ──► handed ──► begun
//	               ▼           ▼         ▼
//	           withdrawn    released   early
//
// Most jobs become granted and handed in one step. The steps down are those of a job
// that is settled before its handler is entered.
type stage uint8

const (
	waiting   stage = iota // it has no slot
	granted                // it has a slot, and no worker yet
	handed                 // a worker has it, but may not have woken yet
	begun                  // the worker has started on it: a constructor, or Ready, may take long
	withdrawn              // its slot is free for others, and no worker has it
	released               // its slot is free for others, and a worker has it
	early                  // its slot stays with the worker until that is back; the job does not count as running
)

// Task is the part of a job that does not depend on its types.
type Task struct {
	s   *Scheduler
	ctx *Context // of the handler; written by the goroutine that makes the job, and by the last that needs it

	phase      atomic.Uint32
	watchIndex int32  // the task's index in watch
	watch      *watch // of the caller's context. Guarded by watches.mu

	// The outcome, written while the phase is completing.
	err  error
	kind Kind
	by   By

	endless   bool  // the caller's context never ends. Written before the job is accepted, as is watching
	watching  bool  // the caller's context is watched
	byOthers  bool  // a goroutine other than the worker has decided. Guarded by the scheduler's mutex, like the fields below
	overLimit bool  // it runs on top of the limit
	stage     stage // of its slot

	waiter     chan struct{} // gets one token when the outcome is decided
	extra      *Extra
	exec       *Execution // of the worker that runs it, in pools that interrupt
	job        Job        // nil for the task of a run of a group
	prev, next *Task      // in the queue
}

// Extra holds what only few tasks need, or those of a pool with telemetry.
type Extra struct {
	Added time.Duration // when the job was submitted, on the scheduler's clock; with telemetry
	done  chan struct{} // closed when the outcome is decided; nil until Future.Done asks for it
	loan  loan          // of its slot, while it waits for its own pool
}

// Job is the typed part of a job, as the scheduler sees it.
type Job interface {
	// Withdrawn tells the job that no handler will get its input. The job drops the
	// input unless keep is true. The mutex is held. The effect that Withdrawn returns,
	// if any, counts as a background call, and ends that call itself.
	Withdrawn(keep bool) Effect
}

// Init initializes a zero task. ctx is new, and becomes its context.
func (t *Task) Init(s *Scheduler, job Job, ctx *Context, caller context.Context) {
	t.s, t.job, t.ctx = s, job, ctx
	t.endless = caller == context.Background()
	ctx.caller, ctx.task = caller, t
}

// Reuse makes the task ready for another job. Its last job has been waited for, and the
// task is Reusable.
func (t *Task) Reuse(ctx *Context, caller context.Context) {
	t.ctx = ctx
	t.phase.Store(accepted)
	t.err, t.kind, t.by = nil, Succeeded, ByJob
	t.endless, t.overLimit, t.stage = caller == context.Background(), false, waiting
	ctx.caller, ctx.task = caller, t
}

// Reusable reports whether only the caller knows of the task: the worker has decided
// the outcome, the caller has waited for it, and nobody else has asked for it.
func (t *Task) Reusable() bool {
	return t.phase.Load() == returned && !t.byOthers && !t.watching &&
		(t.extra == nil || t.extra.done == nil && !t.extra.loan.used && t.extra.loan.waits.empty())
}

// Scheduler returns the scheduler of the task.
func (t *Task) Scheduler() *Scheduler { return t.s }

// Job returns the typed part.
func (t *Task) Job() Job { return t.job }

// Context returns the context for the handler.
func (t *Task) Context() *Context { return t.ctx }

// Err returns the error of the outcome of a task that is resolved.
func (t *Task) Err() error { return t.err }

// Await sets the channel on which the caller waits, before the job is accepted.
func (t *Task) Await(ch chan struct{}) { t.waiter = ch }

// Limit sets the time limit of a call, before the job is accepted, and returns how long
// the call's timer must wait.
func (t *Task) Limit(limit time.Duration) time.Duration {
	now := t.s.Since()
	t.ctx.limit = limit
	t.ctx.deadline = t.s.due(t.ctx.caller, saturate(now, limit))
	return t.ctx.deadline - now
}

// AwaitOutcome waits for the outcome, and decides it when the caller's context is done
// or the limit has passed. ch is the channel that was given to Await.
func (t *Task) AwaitOutcome(ch chan struct{}, a *Admission) {
	s := t.s
	if a.Outer != nil {
		defer s.endLoan(s.lend(a.Outer, t))
	}
	if a.Done == nil && a.Expired == nil {
		<-ch
		return
	}
	select {
	case <-ch:
		return
	case <-a.Done:
		s.completeByCaller(t, a.Ctx)
	case <-a.Expired:
		s.completeByLimit(t, a)
	}
	<-ch // the goroutine that settled the job has sent the token, or is about to
}

// completeByCaller ends a job whose caller's context is done, even if that context ends
// the goroutine when asked for its reason.
func (s *Scheduler) completeByCaller(t *Task, ctx context.Context) {
	gone := EndedWithoutReason()
	defer func() { s.Complete(t, &gone) }()
	gone = s.cfg.Guard.Ended(ctx)
}

// completeByLimit ends a job whose limit has passed while it runs or waits.
func (s *Scheduler) completeByLimit(t *Task, a *Admission) {
	gone := Outcome{Kind: TimedOut, Limit: a.Limit}
	defer func() { s.Complete(t, &gone) }()
	gone = s.Expired(a)
}

// Resolved reports whether the outcome has been decided.
func (t *Task) Resolved() bool { return t.phase.Load() >= settled }

// Overran reports whether a goroutine other than the worker has decided the outcome,
// and the limit has passed.
func (t *Task) Overran() bool {
	return t.Resolved() && t.ctx.deadline != 0 && t.s.Since() >= t.ctx.deadline
}

// Outcome returns the outcome of a task that is resolved.
func (t *Task) Outcome() Outcome { return Outcome{Kind: t.kind, Err: t.err, By: t.by} }

// accept makes an offered task accepted. It returns false if the task has been settled
// instead.
func (t *Task) accept() bool {
	return t.phase.Load() == accepted || t.phase.CompareAndSwap(offered, accepted)
}

// Enter notes that the handler is about to be called. It returns false if the job has
// been settled: then the handler must not be called.
func (t *Task) Enter() bool { return t.phase.CompareAndSwap(accepted, running) }

// Decide makes the worker of the task the one that decides its outcome. It returns
// false if another goroutine has decided. Only after it returns true may the worker
// write the output.
func (t *Task) Decide() bool {
	return t.phase.CompareAndSwap(running, completing) || t.phase.CompareAndSwap(accepted, completing)
}

// write writes the outcome, before the phase says that there is one.
func (t *Task) write(o *Outcome, ran bool) {
	t.kind, t.by = o.Kind, o.By
	if o.Err != nil { // t.err is nil before
		t.err = o.Err
	}
	if o.Limit != 0 {
		t.err = t.s.cfg.Timeout(o.Limit, ran)
	}
}

// tell wakes the goroutines that wait for the outcome. The mutex is held.
func (t *Task) tell() {
	if t.extra != nil && t.extra.done != nil {
		t.s.after.add(closing(t.extra.done))
	}
	if t.waiter != nil {
		t.s.after.add(token(t.waiter))
		t.waiter = nil
	}
}

// complete ends t from outside its handler, unless it has ended before. A running
// handler is told through its context, and the job keeps its slot until the handler
// returns. The mutex is held.
func (s *Scheduler) complete(t *Task, o *Outcome) bool {
	ran := false
	switch {
	case t.phase.CompareAndSwap(offered, completing):
		// The caller's context was done before the job was accepted, and now the job
		// will not be accepted: there is no outcome to count, and nobody to tell.
		t.write(o, false)
		t.phase.Store(settled)
		return false
	case t.phase.CompareAndSwap(accepted, completing):
	case t.phase.CompareAndSwap(running, completing):
		ran = true
	default:
		return false
	}
	t.write(o, ran)
	t.byOthers = true
	if t.job != nil {
		s.ended[o.Kind]++
		if !ran {
			s.withdraw(t)
		}
	}
	t.phase.Store(settled)
	if ran || t.stage == early {
		s.after.add(t.ctx)
	}
	t.tell()
	if t.exec != nil {
		t.exec.interrupt(t)
	}
	if t.watching {
		s.background++
		s.after.add((*endOfWatch)(t))
	} else {
		t.dropContext()
	}
	return true
}

// withdraw takes out a job whose handler will not be called. The mutex is held.
func (s *Scheduler) withdraw(t *Task) {
	s.closeIntake()
	switch t.stage {
	case waiting:
		s.queued--
	case granted:
		s.granted--
		t.stage = withdrawn
	case handed:
		s.running--
		if t.stage = released; t.overLimit {
			t.stage = early // its worker gives the slot back to the job that lent it
		} else {
			s.returning++
		}
	case begun:
		s.running--
		t.stage = early
	}
	if t.stage == released || t.stage == withdrawn && !t.overLimit {
		s.inUse--
	}
	s.queue.remove(t)
	keep := t.by == ByPool // a job that was canceled meanwhile has another outcome
	if keep {
		s.unstarted.Tasks = append(s.unstarted.Tasks, t)
	}
	if told := t.job.Withdrawn(keep); told != nil {
		s.background++
		s.after.add(told)
	}
}

// endOfWatch is the effect that ends the watch of a settled task.
type endOfWatch Task

func (t *endOfWatch) Perform() {
	s := t.s
	s.watches.remove((*Task)(t))
	s.lock()
	(*Task)(t).dropContext()
	s.background--
	s.unlock()
}

// dropContext gives up the context of a settled job that has no worker, because the
// job's future may be kept for long. The mutex is held.
func (t *Task) dropContext() {
	if t.job != nil && (t.stage == waiting || t.stage == withdrawn) {
		t.ctx = nil
	}
}

// Perform ends the context of a task that a goroutine other than the worker has
// settled.
func (c *Context) Perform() { c.end(c.task.Outcome()) }

// The methods by which a Task is a member of a watch.

func (t *Task) callerContext() context.Context { return t.ctx.caller }
func (t *Task) callerEnded(o *Outcome)         { t.s.complete(t, o) }
func (t *Task) watched() (*watch, int32)       { return t.watch, t.watchIndex }
func (t *Task) setWatch(e *watch, index int32) { t.watch, t.watchIndex = e, index }

// Leave ends the context of the job, and its watch, once the handler has returned. o is
// the outcome if the worker has decided it, and nil if another goroutine has.
func (t *Task) Leave(o *Outcome) {
	if o == nil {
		if !t.Resolved() { // another goroutine is about to write the outcome, with the mutex held
			t.s.lock()
			t.s.unlock() // a barrier
		}
		theirs := t.Outcome()
		o = &theirs
	}
	if o.Kind == Canceled || o.Kind == TimedOut {
		t.ctx.finish(o)
	} else {
		t.ctx.finish(nil)
	}
	if t.watching {
		t.s.watches.remove(t)
	}
}

// Watch has the job canceled when done is closed, the Done channel of its caller's
// context. It is called before the job is accepted.
func (t *Task) Watch(done <-chan struct{}) {
	t.watching = true
	t.phase.Store(offered)
	t.s.watches.add(t, done)
}

// Unwatch undoes Watch, for a job that was refused.
func (t *Task) Unwatch() {
	if t.watching {
		t.s.watches.remove(t)
	}
}

// Cancel ends the job with context.Canceled. It returns false if the outcome had been
// decided.
func (t *Task) Cancel() bool { return t.s.Complete(t, &Outcome{Kind: Canceled, Err: context.Canceled}) }

// Done returns a channel that is closed when the outcome is decided.
func (t *Task) Done() <-chan struct{} {
	t.s.lock()
	defer t.s.unlock()
	return t.done()
}

// done is Done; the mutex is held.
func (t *Task) done() chan struct{} {
	r := t.more()
	if r.done == nil {
		r.done = make(chan struct{})
		if t.Resolved() {
			close(r.done)
		}
	}
	return r.done
}

// more returns the Extra of the task, and makes it if there is none.
func (t *Task) more() *Extra {
	if t.extra == nil {
		t.extra = new(Extra)
	}
	return t.extra
}

// Timed notes when the job was submitted, in extra, which is new or belongs to the task
// already.
func (t *Task) Timed(extra *Extra) {
	t.extra = extra
	extra.Added = t.s.Since()
}

// Added returns when the job was submitted, in a pool with telemetry.
func (t *Task) Added() time.Duration { return t.extra.Added }

// Caller returns the caller's context.
func (c *Context) Caller() context.Context { return c.caller }

// Wait blocks until t is resolved, and returns nil, or until ctx is done, and returns
// its cause. A job of the pool that calls it lends its slot meanwhile.
func (t *Task) Wait(ctx context.Context) error {
	if t.Resolved() {
		return nil
	}
	s := t.s
	caller := s.Look(ctx)
	if caller.Err != nil {
		return caller.Err
	}
	if caller.Outer != nil {
		defer s.endLoan(s.lend(caller.Outer, t))
	}

	// The first goroutine that waits gets a token on a channel of the pool. Only if
	// several wait at once do the others share a channel made for this task.
	w := s.GetWaiter()
	defer s.PutWaiter(w)
	signal, mine := t.wait(w.Ch)
	select {
	case <-signal:
		return nil
	case <-caller.Done:
	}
	if mine && !t.waitNoMore(w.Ch) {
		<-w.Ch // the token is on its way
	}
	if t.Resolved() {
		return nil
	}
	return s.cfg.Guard.Ended(ctx).Err
}

// wait returns the channel that announces the outcome: ch, which gets a token, if
// nobody waits yet; otherwise the task's Done channel.
func (t *Task) wait(ch chan struct{}) (signal <-chan struct{}, mine bool) {
	t.s.lock()
	defer t.s.unlock()
	if t.waiter != nil || t.Resolved() {
		return t.done(), false
	}
	t.waiter = ch
	return ch, true
}

// waitNoMore takes ch back. It returns false if ch gets its token all the same.
func (t *Task) waitNoMore(ch chan struct{}) bool {
	t.s.lock()
	defer t.s.unlock()
	if t.waiter != ch {
		return false
	}
	t.waiter = nil
	return true
}
