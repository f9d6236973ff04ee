package dispatch

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// The phases of a task go one way only:
//
//	offered ──► accepted ──► running ──► settled ──► returned
//	   │            └───────────┴───────────┘ ▲          ▲
//	   └──────────────────────────────────────┘          │
//	                         running ────────────────────┘
//
// A job is offered while its caller's context is watched and the pool has not
// accepted it; others are accepted as far as anybody knows of them. It is running
// when its handler is entered. That is the one step that the worker takes without
// the ledger's mutex, by compare-and-swap; so whoever settles a job before (to
// settling at first, while the outcome is written) keeps it from running. A job
// that is settled while it runs keeps its place until its handler has returned;
// for most, returning is what settles them.
const (
	accepted uint32 = iota
	offered
	running
	settling
	settled
	returned
)

// task is the part of a job that does not depend on its types: its state, its
// outcome and, by its methods, the context that its handler gets. The items
// that a worker takes from a batch in one go share a task.
//
// As a context it carries the values and the deadline of the caller's context.
// It is done as soon as the outcome is decided, which a handler that returns
// does too. It costs nothing until Done is called: then a context of the
// standard library takes its place, derived from the caller's, so that
// contexts derived from it need no goroutine and context.Cause works.
type task struct {
	ledger *ledger
	caller context.Context
	phase  atomic.Uint32

	// The outcome, written before the phase becomes settled.
	kind     outcome
	byCaller bool // it is the end of the caller's context
	dead     bool // the task was claimed, and its handler will not be entered. Guarded by ledger.mu
	claimed  bool // a worker is to run the task, or has. Written with ledger.mu held, before the worker gets it
	err      error

	deadline time.Duration // on the ledger's clock; 0: none but the caller's. Written before the handler runs
	limit    time.Duration // the limit that gave the deadline

	std     atomic.Pointer[stdContext]
	unwatch func() bool // ends the watch of the caller's context; written before the job is accepted

	// Guarded by ledger.mu.
	waiter chan struct{} // gets one token when the outcome is decided
	done   chan struct{} // closed when the outcome is decided; nil until Future.Done asks
	seat   *seat         // of the worker that runs it, in pools that interrupt
	loan   *loan         // of its place, while it waits for its own pool
	job    whole         // the job that this is the task of; nil for a task of a batch
}

// resolved tells whether the outcome has been decided.
func (t *task) resolved() bool { return t.phase.Load() >= settled }

// accept makes an offered task accepted; false if it has been settled instead.
func (t *task) accept() bool {
	return t.phase.Load() == accepted || t.phase.CompareAndSwap(offered, accepted)
}

// inside tells whether a worker's place is taken for t. Its handler, or what the
// handler has called, asks: so t has been claimed.
func (t *task) inside() bool { return t.phase.Load() < returned }

// end writes the outcome and makes it visible by the phase, settled or
// returned; ledger.mu is held. The token of the waiter it returns is for
// announce to give.
func (t *task) end(v *verdict, phase uint32, ran bool) (waiter chan struct{}) {
	t.kind, t.err, t.byCaller = v.kind, v.err, v.byCaller
	if v.limit != 0 {
		t.err = &TimeoutError{Limit: v.limit, Ran: ran}
	}
	t.phase.Store(phase)
	if t.done != nil {
		close(t.done)
	}
	waiter, t.waiter = t.waiter, nil
	return waiter
}

// announce tells everybody of an outcome that was decided from outside the
// handler, after the mutex is released: contexts can be the user's code. The
// handler's context comes first, so that whoever has the answer finds it done.
func (t *task) announce(waiter chan struct{}) {
	std := t.std.Load()
	if std == nil && t.claimed && !t.byCaller {
		// A handler that asks for Done later must be told this reason, also if
		// whoever gets the answer then ends the caller's context.
		std = t.materialize()
	}
	if std != nil {
		switch {
		case t.byCaller:
			// It descends from the caller's, which ends it as it should.
		case std.timeout != nil && t.kind == timedOut:
			// Its own timer is due now, and ends it with DeadlineExceeded as
			// its Err, as cancel could not.
			<-std.Done()
		default:
			std.cancel(t.cause())
		}
	}
	if waiter != nil {
		waiter <- struct{}{} // has room: there is one token for each wait
	}
	if t.unwatch != nil {
		t.unwatch()
		t.ledger.endErrand()
	}
}

// leave ends the context, and the watch of the caller's, once the handler has
// returned.
func (t *task) leave() {
	if std := t.std.Load(); std != nil {
		std.cancel(t.cause())
	}
	if t.unwatch != nil {
		t.unwatch()
	}
}

// cause is why the context of a settled task is done; nil where its handler
// simply returned.
func (t *task) cause() error {
	if t.resolved() && (t.kind == canceled || t.kind == timedOut) {
		return t.err
	}
	return nil
}

// stdContext is what a task becomes once its Done has been called.
type stdContext struct {
	context.Context
	cancel  context.CancelCauseFunc
	timeout *TimeoutError // the cause if it ends by itself, at the task's deadline; nil if it does not
}

// materialize returns the task's standard context, which it makes at first.
func (t *task) materialize() *stdContext {
	if std := t.std.Load(); std != nil {
		return std
	}
	ctx, cancel := context.WithCancelCause(t.caller)
	std := &stdContext{Context: ctx, cancel: cancel}
	if t.deadline != 0 && (!t.resolved() || t.kind == timedOut) {
		std.timeout = &TimeoutError{Limit: t.limit, Ran: true}
		timed, release := context.WithDeadlineCause(ctx, t.ledger.epoch.Add(t.deadline), std.timeout)
		std.Context = timed
		std.cancel = func(cause error) {
			cancel(cause)
			release()
		}
	}
	if !t.std.CompareAndSwap(nil, std) {
		std.cancel(nil)
		return t.std.Load()
	}
	// Whoever settles the task looks for std after the phase is stored; this
	// looks at the phase after std is stored. One of the two sees the other.
	if t.resolved() {
		std.cancel(t.cause())
	}
	return std
}

// Deadline implements context.Context.
func (t *task) Deadline() (time.Time, bool) {
	theirs, ok := t.caller.Deadline()
	if t.deadline == 0 {
		return theirs, ok
	}
	if ours := t.ledger.epoch.Add(t.deadline); !ok || ours.Before(theirs) {
		return ours, true
	}
	return theirs, true
}

// Done implements context.Context.
func (t *task) Done() <-chan struct{} { return t.materialize().Done() }

// Err implements context.Context.
func (t *task) Err() error {
	if std := t.std.Load(); std != nil {
		return std.Err()
	}
	if t.resolved() {
		return t.materialize().Err()
	}
	return t.caller.Err()
}

// Value implements context.Context.
func (t *task) Value(key any) any {
	if key == (insideKey{}) {
		return t
	}
	if std := t.std.Load(); std != nil {
		return std.Value(key)
	}
	return t.caller.Value(key)
}

// late tells whether the context of t is done: then the outcome is lateVerdict,
// even if those who watch the context and the clock get to it only after the
// worker.
func (t *task) late() bool {
	return t.resolved() || t.caller.Err() != nil || t.deadline != 0 && t.ledger.since() >= t.deadline
}

func (t *task) lateVerdict() verdict {
	switch {
	case t.resolved():
		return verdict{kind: t.kind, err: t.err}
	case t.caller.Err() != nil:
		return contextVerdict(t.caller)
	}
	return verdict{kind: timedOut, limit: t.limit, err: &TimeoutError{Limit: t.limit, Ran: t.phase.Load() == running}}
}

// lateToStart is late for a handler that has not been entered, and is not to be
// then. An item of a batch that Stop met in a worker's hand is entered all the
// same: it is not among what Stop gave back.
func (t *task) lateToStart() bool {
	return t.late() && (t.job != nil || !t.stopped())
}

// stopped tells whether it was Stop that settled t.
func (t *task) stopped() bool {
	return t.resolved() && t.err == ErrStopped //nolint:errorlint // just that: an error's own Is would be user code
}

// enter notes that the handler is about to be called; false if t has been
// settled, and it must not be.
func (t *task) enter() bool {
	if t.job != nil {
		return t.phase.CompareAndSwap(accepted, running)
	}
	return !t.resolved() || t.stopped()
}

// failure is the verdict on a handler that returned err. An error that only
// says that the context was done gives way to the cause.
func (t *task) failure(err error) verdict {
	if t.late() {
		v := t.lateVerdict()
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, v.err) {
			return v
		}
	}
	return verdict{kind: failed, err: err}
}
