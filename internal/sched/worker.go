package sched

import (
	"context"
	"time"
)

// Worker is what the scheduler knows of a goroutine that runs one thing after
// another.
type Worker struct {
	s     *Scheduler
	inbox chan struct{} // a token says that an idle worker has been given something

	// Work is what the worker has in hand. Others fill it, with the mutex held,
	// while the worker is idle; it is the worker's own otherwise, and others look
	// at it only with the mutex held, and only while exec has a task.
	Work Work

	run    *Run       // with a group
	exec   *Execution // nil in pools that do not interrupt
	parked bool       // it is idle: the hand is not to be looked at before there is a token. The worker's own
	called bool       // it was called to a group, and is to call the next
	broken bool       // it can do no more, and leaves
}

// InitInline makes a worker of zero memory that runs jobs on their callers'
// goroutines. It is never idle, so it needs no inbox, and nobody interrupts it: the
// options that would are refused with WithInline.
func (w *Worker) InitInline(s *Scheduler) { w.s = s }

// Init makes a worker of zero memory. The dispatcher calls it within Decide, with the
// mutex held.
func (w *Worker) Init(s *Scheduler) {
	w.s, w.inbox = s, make(chan struct{}, 1)
	if s.cfg.JobTimeout > 0 || s.cfg.MaxStrays > 0 {
		w.Interruptible()
	}
}

// Await waits until the worker has something in its hand. The token also passes the hand
// back: what others have written there is the worker's to read after it.
func (w *Worker) Await() {
	if w.parked {
		<-w.inbox
		w.parked = false
	}
}

// Run returns the run of the worker with a group, while it is at one; else nil.
func (w *Worker) Run() *Run { return w.run }

// OverLimit tells whether what the worker has in hand runs on top of the limit.
func (w *Worker) OverLimit() bool { return w.Work.overLimit }

// IsBroken tells whether the worker can do no more.
func (w *Worker) IsBroken() bool { return w.broken }

// Broken notes that the worker can do no more after what it has in hand.
func (w *Worker) Broken() { w.broken = true }

// Quit notes that the worker is about to end. It comes after the worker's Close: with the
// last Quit the pool may end, and then nothing of the user's runs any more.
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

// Turn notes that the worker has turned to the job in its hand and may be long in
// coming to its handler: it is about to call newWorker. A job that is settled from then
// on keeps its slot until the worker is back. Before, the worker may not even have woken,
// and others get the slot at once.
func (w *Worker) Turn() {
	w.s.lock()
	if t := w.Work.Task; t != nil && t.stage == handed {
		t.stage = begun
	}
	w.s.unlock()
}

// FinishJob ends the job in the worker's hand, and has it take what comes next.
// If the worker has decided the outcome (see Task.Decide), that is o. The job is
// not to be touched after it.
func (w *Worker) FinishJob(o *Outcome, decided bool) {
	s := w.s
	s.lock()
	w.endTask(o, decided)
	s.next(w)
	s.unlock()
}

// endTask ends the job in the worker's hand. The mutex is held.
func (w *Worker) endTask(o *Outcome, decided bool) {
	s, t := w.s, w.Work.Task
	if decided {
		if o.Kind != Succeeded { // or else all of it is zero, as it was
			t.write(o, true)
		}
		s.ended[o.Kind]++
		t.tell()
	}
	// Else withdraw or abandon has counted it off.
	if t.stage == handed || t.stage == begun {
		s.running--
	}
	s.queue.remove(t)
	t.ctx = nil
	// Last: a caller of Process that finds the job returned may use it again (Reusable).
	t.phase.Store(returned)
}

// Inline has the caller of a job run it on its own goroutine, with the worker w, if
// it need not wait: the slot of the job that calls is free, or one of the pool's is
// and nothing else waits. Else it returns false.
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
	// It counts as any other job, and stands in the queue, where a halt finds it.
	s.submitted++
	s.running++
	s.queue.push(t)
	return true
}

// FinishInline is FinishJob for a caller that runs its job itself.
func (w *Worker) FinishInline(o *Outcome, decided bool) {
	s, t := w.s, w.Work.Task
	s.lock()
	defer s.unlock()
	// A token would stay in the channel, and answer the next call that uses the job.
	t.waiter = nil // it is the caller
	w.endTask(o, decided)
	if !w.Work.overLimit {
		s.callers--
	}
	s.giveUp(&w.Work)
	w.Work = Work{}
}

// Execution is what others may do to a worker while it runs something, in pools
// that interrupt: those with a job timeout or with grace, and Workers that have a
// Ready or an Interrupt method. All of it is guarded by the scheduler's mutex, but for
// the timer, which is the worker's own, and interruptHook, which the worker sets while
// nothing runs: others read that only while something does.
//
// An execution begins before Ready, and ends after Process and an Interrupt that
// has begun. Whatever is aimed at one (its timeout, an interrupt, the end of its
// grace) carries its generation or the time it is due, and is checked with the
// mutex held: it cannot reach the one that follows.
type Execution struct {
	s          *Scheduler
	worker     *Worker
	task       *Task         // what runs; nil between executions
	generation uint64        // of the last
	due        time.Duration // when the job timeout ends it, on the scheduler's clock; 0: never

	entered     bool          // Process has been entered and has not returned
	interrupted bool          // its Interrupt has been asked for
	interrupts  chan struct{} // of the Interrupt that has begun: closed when it is over
	stray       bool          // it was abandoned; the worker ends with it

	interruptHook func()      // the worker's Interrupt; nil if it has none
	timer         *time.Timer // calls expire
	endGrace      func()      // ends the grace: the handler has returned
}

// Interruptible has others interrupt what the worker runs from now on.
func (w *Worker) Interruptible() {
	if w.exec == nil {
		w.exec = &Execution{s: w.s, worker: w}
	}
}

// OnInterrupt sets what interrupts the worker's handler; nil for nothing.
func (w *Worker) OnInterrupt(hook func()) {
	if w.exec != nil {
		w.exec.interruptHook = hook
	}
}

// Interrupts tells whether others may interrupt what the worker runs.
func (w *Worker) Interrupts() bool { return w.exec != nil }

// Begin notes that t runs from now on. It does nothing in pools that do not
// interrupt.
func (w *Worker) Begin(t *Task) {
	e, s := w.exec, w.s
	if e == nil {
		return
	}
	// The caller's deadline is asked for without the mutex: that is user code.
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
	if due != 0 && !t.Resolved() { // else whoever has settled it reads them
		t.ctx.deadline, t.ctx.limit = due, limit
	}
	e.generation++
	e.task, e.due, e.interrupted, e.interrupts = t, due, false, nil
	t.exec = e
	if t.stage == handed {
		t.stage = begun
	}
	s.unlock()

	// The timer is the worker's, and serves one execution after another. A call of expire
	// that is late for the last one goes by e.due, which is this one's.
	switch {
	case due == 0:
	case e.timer == nil:
		e.timer = time.AfterFunc(due-now, e.expire)
	default:
		e.timer.Reset(due - now)
	}
}

// Enter notes that the handler is about to be called for t: others may interrupt it
// from then on. It returns false if t has been settled, and it must not be.
func (w *Worker) Enter(t *Task) bool {
	e := w.exec
	if e == nil {
		return t.Enter()
	}
	w.s.lock()
	defer w.s.unlock()
	// Both in one critical section: who settles the job next knows whether to interrupt.
	e.entered = t.Enter()
	return e.entered
}

// End notes that the handler of what ran has returned, and waits for an Interrupt
// that has begun. The grace goes on for that long.
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
	// Until here the job is still the execution's: if the Interrupt hangs, the grace runs
	// out, and abandon makes the worker a stray. After it, neither expire nor abandon
	// finds anything.
	t, endGrace := e.task, e.endGrace
	e.task, e.endGrace = nil, nil
	if t != nil {
		t.exec = nil
	}
	s.unlock()
	if t == nil {
		return // it has not begun
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
	// Before the handler is entered there is nothing to interrupt: it will not be entered
	// any more. The goroutine of the call counts as background until it is over.
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

// interruption is the call of an Interrupt, on a goroutine of its own because it
// may block, unless the handler has returned before that goroutine got to it.
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

// abandoned tells whether what the worker runs has been abandoned. The mutex is
// held.
func (w *Worker) abandoned() bool { return w.exec != nil && w.exec.stray }

// IsStray tells whether what the worker runs has been abandoned. Anybody may call it:
// a worker may get its exec at any moment, but for pools that abandon.
func (w *Worker) IsStray() bool {
	if !w.s.Abandons() {
		return false
	}
	w.s.lock()
	defer w.s.unlock()
	return w.abandoned()
}

// abandon makes a stray of what the worker runs, which was interrupted and has not
// returned within its grace: the slot goes to others, and the worker ends when its
// handler does. While there are as many strays as allowed, it waits for one of
// them to end; over ends that wait when the handler returns after all.
func (w *Worker) abandon(over context.Context, generation uint64) {
	s := w.s
	// Without the mutex: strays need it to end.
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
	// After this critical section the worker has no slot, and is none of the workforce:
	// next has it leave when the handler returns, and Quit pays the unit back.
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
