package sched

import (
	"context"
	"errors"
	"time"
)

// The errors of jobs that the queue has no room for.
var (
	ErrQueueFull = errors.New("dispatch: queue is full")
	ErrDropped   = errors.New("dispatch: job dropped from the full queue")
)

// Policy says what happens to a job that the queue has no room for. The root gives these
// values names of its own (Overflow).
type Policy int

const (
	Block Policy = iota
	Reject
	DropOldest
	CallerRuns
)

// Caller is what a call knows of its context.
type Caller struct {
	Done  <-chan struct{}
	Outer *Context // of the job of this pool whose handler calls, if one does
	Err   error    // the cause of a context that is done, or the panic of one that panics
	Late  bool     // its deadline has passed
	None  bool     // there is nothing to know: it is the background context
}

// Ended is how what is bound to a context ends for which Err is not nil.
func (c *Caller) Ended() Outcome {
	o := Outcome{Kind: Canceled, Err: c.Err, By: ByCaller}
	if c.Late {
		o.Kind = TimedOut
	}
	return o
}

// Look asks the context of a call for all that the call needs to know of it.
func (s *Scheduler) Look(ctx context.Context) (c Caller) {
	s.look(ctx, &c)
	return c
}

func (s *Scheduler) look(ctx context.Context, c *Caller) {
	// Most calls come with it: nothing is asked then, and nothing can panic.
	if c.None = ctx == context.Background(); c.None {
		return
	}
	// The caller's own goroutine asks, before anything of the job exists: a Goexit ends
	// the caller as it would have done without a pool.
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
			_, _ = ctx.Deadline() // a worker will ask: one that panics says so here
		}
	})
	if err != nil {
		c.Err = err
	}
}

// enclosing returns the context of the running job of this pool that ctx descends
// from, also through jobs of other pools; nil if there is none.
func (s *Scheduler) enclosing(ctx context.Context) *Context {
	for {
		c, _ := ctx.Value(insideKey{}).(*Context)
		// The value is of the innermost job, which may be another pool's: the search goes
		// on outside it. A handler that has returned waits for nothing: its context may
		// have been kept.
		if c == nil || c.task.s == s && !c.over() {
			return c
		}
		ctx = c.caller
	}
}

// Admission says how a job comes in.
type Admission struct {
	Caller
	Ctx     context.Context
	Policy  Policy
	Waits   bool             // the submitter waits for the outcome
	Expired <-chan time.Time // ends the wait for room ...
	Limit   time.Duration    // ... when this has passed

	Immediate bool // set where CallerRuns has the job run: the caller is to wait for it
}

// Look asks the context of the call, as Scheduler.Look does, in place: an admission
// is too large to be copied for each job.
func (a *Admission) Look(s *Scheduler) error {
	s.look(a.Ctx, &a.Caller)
	return a.Err
}

// nested tells whether the job of a running job comes in, which waits for it. The
// job of a Submit does not hold up its submitter: it takes its turn like any other.
func (a *Admission) nested() bool { return a.Outer != nil && a.Waits }

// Accept takes t into the pool: it leaves it in the intake, hands it to an idle
// worker or queues it, or does what the policy says. On an error t will not run.
func (s *Scheduler) Accept(t *Task, a *Admission) error {
	// A nested job is not left there: it must not wait for a slot that its caller holds.
	if !a.nested() && s.intake.offer(t) {
		return nil
	}
	s.lock()
	// The intake was closed or full. What is in it came first, and counts as queued.
	s.closeIntake()
	b, err := s.admit(t, a)
	s.unlock()
	if b == nil {
		return err
	}
	return s.awaitRoom(b, a)
}

// admit is Accept with the mutex held. It returns a blocked submitter if the caller
// is to wait for room. The order of the cases is the order of precedence: a nested job
// comes before the room, since a full queue may be waiting for its caller.
func (s *Scheduler) admit(t *Task, a *Admission) (*blockedSubmitter, error) {
	switch {
	case s.state != Running:
		return nil, s.cfg.Errors.Closed
	case t.Resolved():
		return nil, t.err // its caller's context was done meanwhile, and the watch has settled it
	case a.nested() && s.borrow(a.Outer):
		s.acceptOverLimit(t, a.Outer)
		return nil, nil
	// Room that has just been made belongs to who has waited for it longest.
	case s.hasCapacity() && s.blocked.empty():
		s.enqueue(t)
		return nil, nil
	// A nested job waits whatever the policy, here for its turn with the loan. A
	// paused pool starts nothing, not even for CallerRuns.
	case a.Policy == Block || a.nested() || a.Policy == CallerRuns && s.paused:
		return s.block(t, a)
	// Only what waits is dropped. In a queue of 0 nothing does, and the new job is refused.
	case a.Policy == DropOldest && s.queued > 0:
		oldest := s.queue.first
		s.enqueue(t) // first, so that nobody else takes the room that is made
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

// hasCapacity tells whether one more single job may be accepted. Free slots count as
// room: a paused pool takes as many jobs as one whose workers are at it, and so does one
// where fill has left some slots to the dispatcher. After a Resize downwards more slots
// can be taken than there are, which costs the queue nothing.
func (s *Scheduler) hasCapacity() bool {
	return s.state == Running && s.queued < s.room+max(s.limit-s.inUse, 0)
}

// enqueue accepts t, which gets a slot at once if one is free. The mutex is held.
func (s *Scheduler) enqueue(t *Task) {
	t.accept()
	s.submitted++
	switch {
	// With a slot free, what is queued is left from fill, and comes first.
	case !s.free() || s.queued > 0:
		s.queued++
	// The terms are those of pair, for which t would be the first: so it gets the
	// worker that pair would give it, without the way through the ring.
	case len(s.idleSince) > 0 && s.called == 0 && s.nothingGranted():
		w := s.claimIdle()
		s.giveJob(t, w)
		s.after.wakeUp(w.inbox)
	default:
		s.grantJob(t)
	}
	// Last, since push looks at the stage: it notes the first job that has no slot.
	s.queue.push(t)
}

// blockedSubmitter is a submitter that waits for room. Guarded by the mutex.
type blockedSubmitter struct {
	task  *Task
	link  link[blockedSubmitter] // in Scheduler.blocked, while it waits
	err   error                  // why the job was refused after all
	ready chan struct{}          // one token when the wait is over
	loan  *waitFor               // of the job that submits it, if one does
}

// block has t wait for room. A job that submits lends its slot meanwhile, also where it
// does not wait for the outcome: else jobs that wait for room could hold all the slots
// that have to become free for it.
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

// dismiss ends the wait of b, with the pool's answer to its job. The mutex is held. Who
// finds b in the list dismisses it, so it gets one token at most.
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
// without the mutex. When the wait is over its slot is its own again.
func (s *Scheduler) awaitRoom(b *blockedSubmitter, a *Admission) (err error) {
	if b.loan != nil {
		defer s.endLoan(b.loan)
	}
	// Also if the context ends this goroutine when it is asked for its reason.
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

// giveUpRoom ends the wait of b, whose caller waits no more. If room was made at
// the same moment, the job is in, and ends at once: its submitter then finds the
// outcome where it would have waited for it.
func (s *Scheduler) giveUpRoom(b *blockedSubmitter, gone *Outcome) error {
	s.lock()
	defer s.unlock()
	// Only the critical section that takes b out of the list decides its fate: this one,
	// or that of whoever has dismissed it.
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

// Expired is how a job ends whose limit has passed: with the limit, unless the
// caller's context is done, whose deadline came first then.
func (s *Scheduler) Expired(a *Admission) Outcome {
	if a.Done != nil && s.cfg.Guard.Err(a.Ctx) != nil {
		return s.cfg.Guard.Ended(a.Ctx)
	}
	return Outcome{Kind: TimedOut, Limit: a.Limit}
}
