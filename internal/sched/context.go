package sched

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// Context is the context of one handler, or of the items that one worker handles in one
// go. It carries the values and the deadline of the caller's context, and costs nothing
// until Done is called. Then a standard context derived from the caller's takes over,
// so that contexts derived from it need no goroutine, and context.Cause works.
//
// A Context is an object of its own and is never reused, because a handler may keep it
// forever, whereas its job may be reused.
//
// The context ends by one step on one pointer, std:
//
//	nil ──► live (Done was called) ──► canceled
//	 └────► canceled, or finished (nobody has asked yet)
//
// Done makes a live context only out of nil; the goroutine that ends the context
// replaces nil or cancels what is there. So every context is ended by somebody, however
// late Done is called.
type Context struct {
	caller   context.Context
	task     *Task
	std      atomic.Pointer[standard]
	deadline time.Duration // on the scheduler's clock; 0: none but the caller's. Written before the handler runs
	limit    time.Duration // the limit that the deadline comes from
}

// slack is how long a limit waits for a caller's deadline that comes before it or at
// the same moment, since the caller's context should end the job then. A context that
// does not end at its deadline delays the limit by no more than slack.
const slack = time.Millisecond

// due returns when a limit that ends at ours takes effect, on the scheduler's clock.
func (s *Scheduler) due(caller context.Context, ours time.Duration) time.Duration {
	deadline, ok := s.cfg.Guard.Deadline(caller)
	if !ok {
		return ours
	}
	theirs := deadline.Sub(s.epoch)
	if theirs > ours {
		return ours
	}
	return max(ours, saturate(theirs, slack))
}

// MayBeLate reports whether anything but its handler can have ended the job of t. If
// not, Late need not be called.
func (t *Task) MayBeLate() bool { return !t.endless || t.ctx.deadline != 0 || t.Resolved() }

// Late reports whether the context of t is done, and returns the outcome with which the
// job then ends. It finds this out even if the watch and the timers notice only after
// the worker.
func (t *Task) Late() (o Outcome, late bool) {
	if t.Resolved() {
		return t.Outcome(), true
	}
	c := t.ctx
	if !t.endless && t.s.cfg.Guard.Err(c.caller) != nil {
		return t.s.cfg.Guard.Ended(c.caller), true
	}
	if c.deadline != 0 && t.s.Since() >= c.deadline {
		ran := t.phase.Load() == running
		return Outcome{Kind: TimedOut, Err: t.s.cfg.Timeout(c.limit, ran)}, true
	}
	return Outcome{}, false
}

// Failure returns the outcome of a handler that returned err. An err that only says
// that the context was done is replaced by the reason. Failure calls methods of err.
func (t *Task) Failure(err error) Outcome {
	if o, late := t.Late(); late {
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, o.Err) {
			return o
		}
	}
	return Outcome{Kind: Failed, Err: err}
}

// standard is the context that takes over once Done has been called.
type standard struct {
	context.Context
	cancel   context.CancelCauseFunc
	timeout  error       // the cause if it ends by itself at the deadline; nil if it does not
	returned atomic.Bool // the handler has returned
}

// finished marks a context whose handler returned before anybody called Done. One value
// serves all contexts: it is only compared with, and never handed out.
var finished standard

// insideKey is the key under which a job's context returns itself as the value.
type insideKey struct{}

// shield returns the caller's context in the form that the context package may call.
func (c *Context) shield() context.Context {
	guard := c.task.s.cfg.Guard
	var done <-chan struct{}
	_ = guard.Call(func() { done = c.caller.Done() })
	return guard.Shielded(c.caller, done)
}

// live returns the standard context, and makes it if there is none yet.
func (c *Context) live() *standard {
	std := c.std.Load()
	switch {
	case std == &finished:
		std = c.canceled(nil, false)
		std.returned.Store(true)
		if !c.std.CompareAndSwap(&finished, std) {
			std = c.std.Load()
		}
	case std == nil:
		std = c.derive()
		if !c.std.CompareAndSwap(nil, std) {
			std.cancel(nil)
			return c.live()
		}
	}
	return std
}

// derive makes a standard context that ends when the caller's does, and at the
// deadline.
func (c *Context) derive() *standard {
	ctx, cancel := context.WithCancelCause(c.shield())
	std := &standard{Context: ctx, cancel: cancel}
	if c.deadline != 0 {
		std.timeout = c.task.s.cfg.Timeout(c.limit, true)
		timed, release := context.WithDeadlineCause(ctx, c.task.s.epoch.Add(c.deadline), std.timeout)
		std.Context = timed
		std.cancel = func(cause error) {
			cancel(cause)
			release()
		}
	}
	return std
}

// canceled makes a standard context that has already ended for the reason, which may be
// nil.
func (c *Context) canceled(reason error, timedOut bool) *standard {
	values := context.WithoutCancel(shield{user: c.caller, guard: c.task.s.cfg.Guard})
	if timedOut {
		ctx, cancel := context.WithDeadlineCause(values, c.task.s.epoch, reason)
		return &standard{Context: ctx, cancel: func(error) { cancel() }}
	}
	ctx, cancel := context.WithCancelCause(values)
	cancel(reason)
	return &standard{Context: ctx, cancel: cancel}
}

// end ends the context with the outcome of its job, which was not decided by the
// worker. end may run user code: functions that were registered to run when the context
// ends.
func (c *Context) end(o Outcome) {
	std := c.std.Load()
	if std == nil {
		std = c.canceled(o.Err, o.Kind == TimedOut)
		if c.std.CompareAndSwap(nil, std) {
			return
		}
		std.cancel(nil)
		std = c.std.Load()
	}
	switch {
	case std == &finished || o.By == ByCaller: // it has ended, or ends with the caller's
	case std.timeout != nil && o.Kind == TimedOut:
		// Its own timer is due now, and makes its Err DeadlineExceeded, which cancel
		// cannot do.
		<-std.Done()
	default:
		std.cancel(o.Err)
	}
}

// finish ends the context because its handler has returned. o is the outcome of a job
// that was canceled or has timed out, and nil for any other.
func (c *Context) finish(o *Outcome) {
	var reason error
	if o != nil {
		c.end(*o)
		reason = o.Err
	}
	if c.std.CompareAndSwap(nil, &finished) {
		return
	}
	if std := c.std.Load(); std != &finished {
		std.returned.Store(true)
		std.cancel(reason)
	}
}

// over reports whether the handler has returned.
func (c *Context) over() bool {
	std := c.std.Load()
	return std == &finished || std != nil && std.returned.Load()
}

// Deadline implements context.Context.
func (c *Context) Deadline() (time.Time, bool) {
	theirs, ok := c.caller.Deadline()
	if c.deadline == 0 {
		return theirs, ok
	}
	if ours := c.task.s.epoch.Add(c.deadline); !ok || ours.Before(theirs) {
		return ours, true
	}
	return theirs, true
}

// Done implements context.Context.
func (c *Context) Done() <-chan struct{} { return c.live().Done() }

// Err implements context.Context.
func (c *Context) Err() error {
	switch std := c.std.Load(); std {
	case nil:
		return c.callerErr()
	case &finished:
		return context.Canceled
	default:
		return std.Err()
	}
}

// callerErr returns the error of the caller's context. A user's context can be done and
// still have a nil Err. Where nobody watches the caller's context (an inline call), the
// handler would never learn that it is done.
func (c *Context) callerErr() error {
	if err := c.caller.Err(); err != nil {
		return err
	}
	select {
	case <-c.caller.Done():
	default:
		return nil
	}
	if err := c.caller.Err(); err != nil { // it has ended just now
		return err
	}
	return errNoReason
}

// Value implements context.Context.
func (c *Context) Value(key any) any {
	if key == (insideKey{}) {
		return c
	}
	if _, ok := key.(*int); ok {
		// This may be the key by which the context package recognizes its own contexts.
		if std := c.std.Load(); std != nil && std != &finished {
			return std.Value(key)
		}
	}
	return c.caller.Value(key)
}
