package dispatch

import (
	"context"
	"fmt"

	"example.com/dispatch/internal/sched"
)

// live makes the context of newWorker, and ends the pool with ctx, which is the
// context of WithContext, or nil.
func (p *Pool[In, Out]) live(ctx context.Context) {
	if ctx == nil {
		p.ctx, p.cancelCtx = context.WithCancelCause(context.Background())
		return
	}
	caller := p.sched.Look(ctx)
	shielded := guard.Shielded(ctx, caller.Done)
	p.ctx, p.cancelCtx = context.WithCancelCause(shielded)
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
		gone = guard.Ended(ctx)
	})
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
	p.cancelCtx(ErrClosed)
	close(p.done)
}

// lifeError is the outcome of what the end of the context of WithContext has
// stopped: ErrStopped, and the cause.
type lifeError struct{ cause error }

func (e *lifeError) Error() string   { return fmt.Sprintf("%v: %v", ErrStopped, e.cause) }
func (e *lifeError) Unwrap() []error { return []error{ErrStopped, e.cause} }
