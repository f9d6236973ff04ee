package dispatch

import (
	"context"
	"fmt"

	"example.com/dispatch/internal/sched"
)

// live makes the context of newWorker, and ends the pool with life, which is the
// context of WithContext, or nil.
func (p *Pool[In, Out]) live(life context.Context) {
	if life == nil {
		p.makeContext(context.Background())
		return
	}
	caller := p.sched.Look(life)
	shielded := guard.Shielded(life, caller.Done)
	p.makeContext(shielded)
	if caller.Err != nil {
		p.stopFor(caller.Err)
		return
	}
	made := make(chan struct{})
	defer close(made)
	p.unwatch = context.AfterFunc(shielded, func() {
		<-made
		gone := sched.EndedWithoutReason()
		defer func() { p.stopFor(gone.Err) }() // also if the context ends the goroutine
		gone = guard.Ended(life)
	})
}

// makeContext makes the context of newWorker, if there is one.
func (p *Pool[In, Out]) makeContext(parent context.Context) {
	if p.newWorker != nil {
		p.ctx, p.cancelCtx = context.WithCancelCause(parent)
	}
}

// stopFor stops the pool because the context of WithContext is done.
func (p *Pool[In, Out]) stopFor(cause error) {
	p.sched.Halt(sched.Outcome{Kind: sched.Canceled, Err: &lifeError{cause}, By: sched.ByPool})
}

// end lets go of all that the pool holds outside, and tells that it has ended. The
// dispatcher calls it last.
func (p *Pool[In, Out]) end() {
	if p.unwatch != nil {
		p.unwatch()
	}
	if p.newWorker != nil {
		p.cancelCtx(ErrClosed)
	}
	close(p.done)
}

// lifeError is the outcome of what the end of the context of WithContext has
// stopped: ErrStopped, and the cause.
type lifeError struct{ cause error }

func (e *lifeError) Error() string   { return fmt.Sprintf("%v: %v", ErrStopped, e.cause) }
func (e *lifeError) Unwrap() []error { return []error{ErrStopped, e.cause} }
