package sched

import (
	"context"
	"errors"
	"time"
)

// The errors of jobs for which the queue has no room.
var (
	ErrQueueFull = errors.New("dispatch: queue is full")
	ErrDropped   = errors.New("dispatch: job dropped from the full queue")
)

// Policy says what happens to a job for which the queue has no room. The root package
// has names of its own for these values (Overflow).
type Policy int

const (
	Block Policy = iota
	Reject
	DropOldest
	CallerRuns
)

// Caller holds what a call knows about its context.
type Caller struct {
	Done  <-chan struct{}
	Outer *Context // the context of the calling handler, if it runs a job of this pool
	Err   error    // the cause if the context is done, or its panic if it panics
	Late  bool     // its deadline has passed
	None  bool     // the context is context.Background(): there is nothing to know
}

// Ended returns the outcome of a job or group whose context has ended, so that Err is
// not nil.
func (c *Caller) Ended() Outcome {
	o := Outcome{Kind: Canceled, Err: c.Err, By: ByCaller}
	if c.Late {
		o.Kind = TimedOut
	}
	return o
}

// Look asks ctx for everything that a call needs to know about it.
func (s *Scheduler) Look(ctx context.Context) (c Caller) {
	s.look(ctx, &c)
	return c
}

func (s *Scheduler) look(ctx context.Context, c *Caller) {
	// Most calls come with context.Background(): nothing is asked, and nothing can
	// panic.
	if c.None = ctx == context.Background(); c.None {
		return
	}
	// The caller's own goroutine asks, before any part of the job exists: a Goexit ends
	// the caller as it would without a pool.
	err := s.cfg.Guard.Call(func() {
		c.Done = ctx.Done()
		c.Outer = s.enclosing(ctx)
		if err := ctx.Err(); err != nil {
			if c.Err = context.Cause(ctx); c.Err == nil {
				c.Err = err
			}
			c.Late = errors.Is(err, context.DeadlineExceeded)
		}
		if s.cfg.JobTimeout > 0 {
			_, _ = ctx.Deadline() // a worker will ask for it: a context that panics does so here
		}
	})
	if err != nil {
		c.Err = err
	}
}

// enclosing returns the context of the running job of this pool from which ctx
// descends, possibly through jobs of other pools. It returns nil if there is none.
func (s *Scheduler) enclosing(ctx context.Context) *Context {
	for {
		c, _ := ctx.Value(insideKey{}).(*Context)
		// The value belongs to the innermost job, which may be another pool's: then the
		// search goes on outside that job. A handler that has returned waits for
		// nothing, though its context may have been kept.
		if c == nil || c.task.s == s && !c.over() {
			return c
		}
		ctx = c.caller
	}
}

// Admission holds the terms on which a job is submitted.
type Admission struct {
	Caller
	Ctx     context.Context
	Policy  Policy
	Waits   bool             // the submitter waits for the outcome
	Expired <-chan time.Time // receives when Limit has passed, and ends the wait for room
	Limit   time.Duration    // the time limit of the call

	Immediate bool // set if CallerRuns makes the job run: the caller must wait for it
}

// Look asks the context of the call, as Scheduler.Look does, and keeps the answers in
// a: an Admission is too large to be copied for each job.
func (a *Admission) Look(s *Scheduler) error {
	s.look(a.Ctx, &a.Caller)
	return a.Err
}

// nested reports whether the submitter is a running job of this pool that waits for the
// outcome. A job that calls Submit is not held up: the new job takes its turn like any
// other.
func (a *Admission) nested() bool { return a.Outer != nil && a.Waits }

// Accept takes t into the pool: it leaves t in the intake, hands it to an idle worker,
// queues it, or does what the policy says. If Accept returns an error, t will not run.
func (s *Scheduler) Accept(t *Task, a *Admission) error {
	// A nested job does not go into the intake: it must not wait for a slot that its
	// caller holds.
	if !a.nested() && s.intake.offer(t) {
		return nil
	}
	s.lock()
	// The intake was closed or full. The jobs in it came first, and count as queued.
	s.closeIntake()
	b, err := s.admit(t, a)
	s.unlock()
	if b == nil {
		return err
	}
	return s.awaitRoom(b, a)
}

// admit is Accept with the mutex held. It returns a blocked submitter if the caller
// must wait for room. The order of the cases is the order of precedence: a nested job
// comes before the check for room, since a full queue may be waiting for its caller.
func (s *Scheduler) admit(t *Task, a *Admission) (*blockedSubmitter, error) {
	switch {
	case s.state != Running:
		return nil, s.cfg.Errors.Closed
	case t.Resolved():
		return nil, t.err // its caller's context has ended meanwhile, and the watch has settled it
	case a.nested() && s.borrow(a.Outer):
		s.acceptOverLimit(t, a.Outer)
		return nil, nil
	// New room belongs to the submitter that has waited for it longest.
	case s.hasCapacity() && s.blocked.empty():
		s.enqueue(t, a.Waits)
		return nil, nil
	// A nested job waits whatever the policy is: here it waits for its turn with the
	// loan. A paused pool starts no job, not even for CallerRuns.
	case a.Policy == Block || a.nested() || a.Policy == CallerRuns && s.paused:
		return s.block(t, a)
	// Only a waiting job is dropped. A queue of length 0 has none, and the new job is
	// refused.
	case a.Policy == DropOldest && s.queued > 0:
		oldest := s.queue.first
		s.enqueue(t, a.Waits) // before the drop, so that nobody else takes the room it makes
		s.complete(oldest, &Outcome{Kind: Dropped, Err: s.cfg.Errors.Dropped})
		return nil, nil
	case a.Policy == CallerRuns:
		a.Immediate = true
		s.acceptOverLimit(t, nil)
		return nil, nil
	}
	s.rejected++
	return nil, s.cfg.Errors.QueueFull
}

// hasCapacity reports whether one more single job may be accepted. Free slots count as
// room: a paused pool takes as many jobs as one whose workers are running jobs, and so
// does a pool in which fill has left some slots to the dispatcher. After a Resize
// downwards more slots can be taken than there are, which takes no room from the queue.
func (s *Scheduler) hasCapacity() bool {
	return s.state == Running && s.queued < s.room+max(s.limit-s.inUse, 0)
}

// enqueue accepts t, which gets a slot at once if one is free. awaited says that the
// submitter waits for its outcome. The mutex is held.
func (s *Scheduler) enqueue(t *Task, awaited bool) {
	t.accept()
	s.submitted++
	switch {
	// If a slot is free, fill has left the queued jobs to the dispatcher, and they come
	// before t.
	case !s.free() || s.queued > 0:
		s.queued++
	// Nothing else waits for a worker, so t gets an idle one in one step. A submitter
	// that does not wait may bring more jobs before that one has come: they are left to
	// it, and to the workers that it calls.
	case len(s.idleSince) > 0 && (awaited || s.called == 0) && s.nothingGranted():
		w := s.claimIdle()
		s.giveJob(t, w)
		if awaited {
			s.after.wakeUp(w.inbox)
		} else {
			s.call(w)
		}
	default:
		s.grantJob(t)
	}
	// push comes last because it looks at the stage: it records the first job without a
	// slot.
	s.queue.push(t)
}

// blockedSubmitter is a submitter that waits for room. Guarded by the mutex.
type blockedSubmitter struct {
	task  *Task
	link  link[blockedSubmitter] // in Scheduler.blocked, while it waits
	err   error                  // why the job was refused after all
	ready chan struct{}          // one token when the wait is over
	loan  *waitFor               // of the job that submits, if a job does
}

// block makes t wait for room. A job that submits lends its slot meanwhile, even if it
// does not wait for the outcome: otherwise jobs that wait for room could hold all the
// slots that must become free to make room.
func (s *Scheduler) block(t *Task, a *Admission) (*blockedSubmitter, error) {
	if s.nblocked >= s.cfg.MaxBlocked && !a.nested() {
		s.rejected++
		return nil, s.cfg.Errors.QueueFull
	}
	b := &blockedSubmitter{task: t, ready: make(chan struct{}, 1)}
	s.blocked.push(&b.link, b)
	s.nblocked++
	if a.Outer != nil {
		b.loan = s.addLoan(a.Outer, b)
	}
	return b, nil
}

// dismiss ends the wait of b with the pool's answer to its job. The mutex is held.
// Whoever finds b in the list dismisses it, so b gets one token at most.
func (s *Scheduler) dismiss(b *blockedSubmitter, err error) {
	s.blocked.remove(&b.link)
	s.nblocked--
	b.err = err
	s.after.wakeUp(b.ready)
}

// admitBlocked accepts the job of the first blocked submitter. The mutex is held. fill
// calls it, and grants the slot afterwards.
func (s *Scheduler) admitBlocked() {
	b := s.blocked.head.elem
	if b.task.Resolved() {
		s.gaveUp++
		s.dismiss(b, b.task.err) // its caller's context is done
		return
	}
	s.dismiss(b, nil)
	b.task.accept()
	s.submitted++
	s.queued++ // it takes turns with groups for a slot
	s.queue.push(b.task)
}

// awaitRoom waits until the job of b is accepted or refused. The submitter calls it,
// without the mutex. When awaitRoom returns, a job that submits has its own slot back.
func (s *Scheduler) awaitRoom(b *blockedSubmitter, a *Admission) (err error) {
	if b.loan != nil {
		defer s.endLoan(b.loan)
	}
	// This remains the outcome if the context ends this goroutine when asked for its
	// reason.
	gone := EndedWithoutReason()
	select {
	case <-b.ready:
		return b.err
	case <-a.Done:
		defer func() { err = s.giveUpRoom(b, &gone) }()
		gone = s.cfg.Guard.Ended(a.Ctx)
	case <-a.Expired:
		gone = Outcome{Kind: TimedOut, Limit: a.Limit}
		defer func() { err = s.giveUpRoom(b, &gone) }()
		gone = s.Expired(a)
	}
	return err
}

// giveUpRoom ends the wait of b, whose caller gives up. If room was made at the same
// moment, the job has been accepted, and ends at once: its submitter then finds the
// outcome where it would have waited for it.
func (s *Scheduler) giveUpRoom(b *blockedSubmitter, gone *Outcome) error {
	s.lock()
	defer s.unlock()
	// Only the critical section that takes b out of the list decides what becomes of
	// it: this one, or the one that has dismissed b.
	if b.link.listed() {
		s.blocked.remove(&b.link)
		s.nblocked--
		s.gaveUp++
		b.task.write(gone, false)
		return b.task.err
	}
	if b.err == nil {
		s.complete(b.task, gone)
	}
	return b.err
}

// Expired returns the outcome of a job whose limit has passed: a timeout with that
// limit, unless the caller's context is done, because then the caller's deadline came
// first.
func (s *Scheduler) Expired(a *Admission) Outcome {
	if a.Done != nil && s.cfg.Guard.Err(a.Ctx) != nil {
		return s.cfg.Guard.Ended(a.Ctx)
	}
	return Outcome{Kind: TimedOut, Limit: a.Limit}
}
