package sched

import (
	"context"
	"time"
)

// Worker is what the scheduler knows of a goroutine that runs one thing after another.
type Worker struct {
	s     *Scheduler
	inbox chan struct{} // gets a token when the idle worker has been given something

	// Work is what the worker has been given to do. Others fill it, with the mutex
	// held, while the worker is idle. Otherwise it is the worker's own, and others look
	// at it only with the mutex held, and only while exec has a task.
	Work Work

	run    *Run       // with a group; nil if there is none
	exec   *Execution // nil in pools that do not interrupt
	parked bool       // the worker is idle, and must not look at Work before there is a token. The worker's own
	called bool       // it was called, and must call the next worker when it comes
	broken bool       // it can do no more, and leaves
}

// InitInline initializes a zero worker that runs jobs on their callers' goroutines. It
// is never idle, so it needs no inbox. Nobody interrupts it: the options that would do
// so are refused together with WithInline.
func (w *Worker) InitInline(s *Scheduler) { w.s = s }

// Init initializes a zero worker. The dispatcher calls it within Decide, with the mutex
// held.
func (w *Worker) Init(s *Scheduler) {
	w.s, w.inbox = s, make(chan struct{}, 1)
	if s.cfg.JobTimeout > 0 || s.cfg.MaxStrays > 0 {
		w.Interruptible()
	}
}

// Await waits until the worker has something to do. The token also passes Work back:
// from then on the worker may read what others have written there.
func (w *Worker) Await() {
	if w.parked {
		<-w.inbox
		w.parked = false
		if w.called && w.Work.Group == nil { // with a group BeginRun says it
			w.come()
		}
	}
}

// come calls the next worker, if there is work for it, before this one enters user code,
// which may block.
func (w *Worker) come() {
	w.s.lock()
	w.s.came(w)
	w.s.unlock()
}

// Run returns the worker's run with a group, while it has one; otherwise nil.
func (w *Worker) Run() *Run { return w.run }

// OverLimit reports whether the worker's work runs on top of the limit.
func (w *Worker) OverLimit() bool { return w.Work.overLimit }

// IsBroken reports whether the worker can do no more.
func (w *Worker) IsBroken() bool { return w.broken }

// Broken notes that the worker can do no more after its present work.
func (w *Worker) Broken() { w.broken = true }

// Quit notes that the worker is about to end. It is called after the worker's Close:
// the pool may end with the last Quit, and then no user code runs any more.
func (w *Worker) Quit() {
	s := w.s
	s.lock()
	defer s.unlock()
	if w.abandoned() {
		s.strays--
		s.strayRoom.Release(1)
	} else {
		s.workforce--
		s.leaving--
	}
}

// Turn notes that the worker has started on its job, and may take long to reach its
// handler, because it is about to call newWorker. A job that is settled from then on
// keeps its slot until the worker is back. Before that the worker may not even have
// woken, and the slot is free for others at once.
func (w *Worker) Turn() {
	w.s.lock()
	if t := w.Work.Task; t != nil && t.stage == handed {
		t.stage = begun
	}
	w.s.unlock()
}

// FinishJob ends the worker's job, and gives the worker its next work. o is the outcome
// if the worker has decided it (see Task.Decide). The job must not be touched
// afterwards.
func (w *Worker) FinishJob(o *Outcome, decided bool) {
	s := w.s
	s.lock()
	w.endTask(o, decided)
	s.next(w)
	s.unlock()
}

// endTask ends the worker's job. The mutex is held.
func (w *Worker) endTask(o *Outcome, decided bool) {
	s, t := w.s, w.Work.Task
	if decided {
		if o.Kind != Succeeded { // a success leaves all of it zero, as it was
			t.write(o, true)
		}
		s.ended[o.Kind]++
		t.tell()
	}
	// Otherwise withdraw or abandon has counted it off.
	if t.stage == handed || t.stage == begun {
		s.running--
	}
	s.queue.remove(t)
	t.ctx = nil
	// Last, because a caller of Process that finds the job returned may reuse it
	// (Reusable).
	t.phase.Store(returned)
}

// Inline lets the caller of a job run it on its own goroutine, with the worker w, if
// the job need not wait: the slot of the calling job can be borrowed, or a slot of the
// pool is free and nothing else waits. Otherwise Inline returns false.
func (w *Worker) Inline(t *Task, a *Admission) bool {
	s := w.s
	s.lock()
	defer s.unlock()
	w.Work = Work{Task: t}
	switch {
	case s.state != Running:
		return false
	case a.Outer != nil:
		if !s.borrow(a.Outer) {
			return false
		}
		w.Work.overLimit, w.Work.lender = true, a.Outer
		s.over++
	case s.paused || s.inUse >= s.limit || s.queued+s.granted+s.coming > 0 || !s.immediate.empty() || !s.groups.empty() || !s.blocked.empty():
		return false
	default:
		s.inUse++
		s.callers++
	}
	t.stage = handed
	t.overLimit = w.Work.overLimit
	// It counts like any other job, and stands in the queue, where a halt finds it.
	s.submitted++
	s.running++
	s.queue.push(t)
	return true
}

// FinishInline is FinishJob for a caller that runs its own job.
func (w *Worker) FinishInline(o *Outcome, decided bool) {
	s, t := w.s, w.Work.Task
	s.lock()
	defer s.unlock()
	// A token would stay in the channel, and answer the next call that reuses the job.
	t.waiter = nil // the one that waits is the caller
	w.endTask(o, decided)
	if !w.Work.overLimit {
		s.callers--
	}
	s.giveUp(&w.Work)
	w.Work = Work{}
}

// Execution is what others use to interrupt what a worker runs, in pools that
// interrupt: those with a job timeout or with grace, and those whose Workers have a
// Ready or an Interrupt method. All of it is guarded by the scheduler's mutex, except
// the timer, which is the worker's own, and interruptHook, which the worker sets while
// nothing runs and others read only while something runs.
//
// An execution begins before Ready, and ends after Process and after an Interrupt that
// has begun. Whatever is aimed at an execution (its timeout, an interrupt, the end of
// its grace) carries its generation or the time it is due, and is checked with the
// mutex held: so it cannot reach the next execution.
type Execution struct {
	s          *Scheduler
	worker     *Worker
	task       *Task         // what runs; nil between executions
	generation uint64        // the number of the last execution
	due        time.Duration // when the job timeout ends it, on the scheduler's clock; 0: never

	entered     bool          // Process has been entered and has not returned
	interrupted bool          // the call of its Interrupt has been requested
	interrupts  chan struct{} // closed when the Interrupt that has begun is over; nil if none has
	stray       bool          // it was abandoned; the worker ends with it

	interruptHook func()      // the worker's Interrupt; nil if it has none
	timer         *time.Timer // calls expire
	endGrace      func()      // ends the grace, because the handler has returned
}

// Interruptible lets others interrupt what the worker runs from now on.
func (w *Worker) Interruptible() {
	if w.exec == nil {
		w.exec = &Execution{s: w.s, worker: w}
	}
}

// OnInterrupt sets the function that interrupts the worker's handler; nil for none.
func (w *Worker) OnInterrupt(hook func()) {
	if w.exec != nil {
		w.exec.interruptHook = hook
	}
}

// Interrupts reports whether others may interrupt what the worker runs.
func (w *Worker) Interrupts() bool { return w.exec != nil }

// Begin notes that t runs from now on. It does nothing in pools that do not
// interrupt.
func (w *Worker) Begin(t *Task) {
	e, s := w.exec, w.s
	if e == nil {
		return
	}
	// The caller's deadline is read without the mutex, because that calls user code.
	limit := s.cfg.JobTimeout
	var now, due time.Duration
	if limit > 0 {
		now = s.Since()
		due = s.due(t.ctx.caller, saturate(now, limit))
		if t.ctx.deadline != 0 && t.ctx.deadline <= due {
			due = 0 // the limit of ProcessTimed comes first, and its caller sees to it
		}
	}

	s.lock()
	if due != 0 && !t.Resolved() { // otherwise the goroutine that has settled the job reads them
		t.ctx.deadline, t.ctx.limit = due, limit
	}
	e.generation++
	e.task, e.due, e.interrupted, e.interrupts = t, due, false, nil
	t.exec = e
	if t.stage == handed {
		t.stage = begun
	}
	s.unlock()

	// The timer is the worker's, and serves one execution after another. A late call of
	// expire for the last execution looks at e.due, which is that of the present one.
	switch {
	case due == 0:
	case e.timer == nil:
		e.timer = time.AfterFunc(due-now, e.expire)
	default:
		e.timer.Reset(due - now)
	}
}

// Enter notes that the handler is about to be called for t: from then on others may
// interrupt it. It returns false if t has been settled: then the handler must not be
// called.
func (w *Worker) Enter(t *Task) bool {
	e := w.exec
	if e == nil {
		return t.Enter()
	}
	w.s.lock()
	defer w.s.unlock()
	// Both happen in one critical section, so that a goroutine that settles the job
	// later knows whether to interrupt.
	e.entered = t.Enter()
	return e.entered
}

// End notes that the handler has returned, and waits for an Interrupt that has begun.
// The grace goes on meanwhile.
func (w *Worker) End() {
	e, s := w.exec, w.s
	if e == nil {
		return
	}
	s.lock()
	// From here on no Interrupt begins.
	e.entered = false
	for e.interrupts != nil {
		interrupts := e.interrupts
		e.interrupts = nil
		s.unlock()
		<-interrupts
		s.lock()
	}
	// Until here the job still belongs to the execution: if the Interrupt hangs, the
	// grace runs out, and abandon makes the worker a stray. From here on neither expire
	// nor abandon finds anything.
	t, endGrace := e.task, e.endGrace
	e.task, e.endGrace = nil, nil
	if t != nil {
		t.exec = nil
	}
	s.unlock()
	if t == nil {
		return // no execution has begun
	}
	if e.due != 0 {
		e.timer.Stop()
	}
	if endGrace != nil {
		endGrace()
	}
}

// expire is called by the timer, which can be late: it looks at what runs now.
func (e *Execution) expire() {
	now := e.s.Since()
	e.s.lock()
	defer e.s.unlock()
	if t := e.task; t != nil && e.due != 0 && now >= e.due {
		e.s.complete(t, &Outcome{Kind: TimedOut, Limit: t.ctx.limit})
	}
}

// interrupt tells the handler of t that its job has been settled. The mutex is
// held.
func (e *Execution) interrupt(t *Task) {
	if e.task != t {
		return
	}
	// Before the handler is entered there is nothing to interrupt: it will not be
	// entered any more. The goroutine that calls Interrupt counts as background until
	// the call is over.
	if e.interruptHook != nil && e.entered && !e.interrupted {
		e.interrupted = true
		e.s.background++
		e.s.after.add(&interruption{e, e.generation})
	}
	if e.s.cfg.MaxStrays > 0 && e.endGrace == nil {
		over, end := context.WithCancel(context.Background())
		generation := e.generation
		timer := time.AfterFunc(e.s.cfg.Grace, func() { e.worker.abandon(over, generation) })
		e.endGrace = func() {
			timer.Stop()
			end()
		}
	}
}

// interruption is the call of an Interrupt. It has a goroutine of its own because it
// may block. It does nothing if the handler has returned before that goroutine runs.
type interruption struct {
	e          *Execution
	generation uint64
}

func (i *interruption) Perform() { Go(i.call) }

func (i *interruption) call() {
	e := i.e
	defer e.s.EndBackground()
	e.s.lock()
	if e.generation != i.generation || !e.entered {
		e.s.unlock()
		return
	}
	over := make(chan struct{})
	e.interrupts = over
	hook := e.interruptHook
	e.s.unlock()

	// The worker goes on first. Only then may the pool end (EndBackground).
	defer close(over)
	hook()
}

// abandoned reports whether what the worker runs has been abandoned. The mutex is
// held.
func (w *Worker) abandoned() bool { return w.exec != nil && w.exec.stray }

// IsStray reports whether what the worker runs has been abandoned. Anybody may call it,
// so it does not look at exec in a pool that never abandons: there a worker may get its
// exec at any moment.
func (w *Worker) IsStray() bool {
	if !w.s.Abandons() {
		return false
	}
	w.s.lock()
	defer w.s.unlock()
	return w.abandoned()
}

// abandon makes a stray of what the worker runs, which was interrupted and has not
// returned within its grace: the slot is free for others, and the worker ends when its
// handler does. While there are as many strays as allowed, abandon waits for one of
// them to end; over ends that wait when the handler returns after all.
func (w *Worker) abandon(over context.Context, generation uint64) {
	s := w.s
	// Acquire is called without the mutex, which strays need in order to end.
	if s.strayRoom.Acquire(over, 1) != nil {
		return
	}
	s.lock()
	defer s.unlock()
	e := w.exec
	if e.task == nil || e.generation != generation {
		s.strayRoom.Release(1)
		return
	}
	// After this critical section the worker has no slot and is not part of the
	// workforce: next makes it leave when the handler returns, and Quit releases the
	// unit of strayRoom.
	e.stray = true
	s.strays++
	s.workforce--
	t := e.task
	if t.job != nil {
		if t.stage == handed || t.stage == begun {
			s.running--
		}
		t.stage = early // it does not count as running
	}
	s.giveUp(&w.Work)
	if w.run != nil {
		w.run.abandon(t.Outcome())
	}
}
