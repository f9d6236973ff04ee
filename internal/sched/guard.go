package sched

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"runtime/debug"
	"time"
)

// A context is user code just as a handler is: its methods may panic, end the
// goroutine, block, or call the pool. Everything in this module that calls one goes
// through a Guard or a shield, and holds no mutex.

// Guard turns a panic of user code into an error. value is the argument of panic, and
// stack is the stack of the goroutine that panicked.
type Guard func(value any, stack []byte) error

// Call calls f, and returns its panic as an error. If f calls runtime.Goexit, the
// goroutine ends: a caller that must do something even then does it in a deferred
// function.
func (g Guard) Call(f func()) (err error) {
	// returned tells a return from a Goexit: recover gives nil after both.
	returned := false
	defer func() {
		if returned {
			return
		}
		// A nil here means panic(nil), where GODEBUG allows that, or Goexit, which goes
		// on whatever err is.
		r := recover()
		if r == nil {
			r = new(runtime.PanicNilError)
		}
		err = g(r, debug.Stack())
	}()
	f()
	returned = true
	return nil
}

// errNoReason is the reason of a context that is done and does not say why.
var errNoReason = fmt.Errorf("dispatch: the context is done, and its Err is nil: %w", context.Canceled)

// EndedWithoutReason returns the outcome of a job whose caller's context is done and
// cannot say why.
func EndedWithoutReason() Outcome { return Outcome{Kind: Canceled, Err: errNoReason, By: ByCaller} }

// Ended returns the outcome of a job whose caller's context is done.
func (g Guard) Ended(ctx context.Context) Outcome {
	o := Outcome{Kind: Canceled, By: ByCaller}
	err := g.Call(func() {
		reason := ctx.Err()
		if o.Err = context.Cause(ctx); o.Err == nil {
			o.Err = reason
		}
		if errors.Is(reason, context.DeadlineExceeded) {
			o.Kind = TimedOut
		}
	})
	switch {
	case err != nil:
		o.Err = err
	case o.Err == nil:
		o.Err = errNoReason
	}
	return o
}

// Err returns the error of ctx. If ctx panics, it has not said that it is done, and Err
// returns nil. Workers call it before and after a handler.
func (g Guard) Err(ctx context.Context) (err error) {
	_ = g.Call(func() { err = ctx.Err() })
	return err
}

// Deadline returns the deadline of ctx. A context that panics has none.
func (g Guard) Deadline(ctx context.Context) (deadline time.Time, ok bool) {
	if ctx == context.Background() {
		return time.Time{}, false
	}
	if g.Call(func() { deadline, ok = ctx.Deadline() }) != nil {
		return time.Time{}, false
	}
	return deadline, ok
}

// Apart calls f on a new goroutine and waits for it, so that a runtime.Goexit in f does
// not end the calling goroutine. It is for goroutines that do not belong to the pool,
// such as those of the context package or that of a caller that cancels a job.
func (g Guard) Apart(f func()) {
	over := make(chan struct{})
	go func() {
		defer close(over)
		_ = g.Call(f)
	}()
	<-over
}

// Shielded wraps the user's context ctx for the context package. done is the Done
// channel of ctx, which the caller has already asked for.
func (g Guard) Shielded(ctx context.Context, done <-chan struct{}) context.Context {
	c := shield{user: ctx, done: done, guard: g}
	if registrar, ok := ctx.(afterFuncer); ok {
		return registrarShield{c, registrar}
	}
	return c
}

// shield wraps a user's context for the context package. That package calls contexts on
// goroutines of its own, where a panic would end the process, and it panics itself if a
// context is done and has no error.
type shield struct {
	user  context.Context
	done  <-chan struct{}
	guard Guard
}

// Deadline implements context.Context. It hides the user's deadline, at which the
// context need not end: the context package would set no timer for a limit that comes
// after it.
func (c shield) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements context.Context.
func (c shield) Done() <-chan struct{} { return c.done }

// Err implements context.Context. The context package calls it once the context is
// done.
func (c shield) Err() (err error) {
	c.guard.Apart(func() { err = c.user.Err() })
	if err == nil {
		return errNoReason
	}
	return err
}

// Value implements context.Context. Only the context package calls it, to recognize its
// own contexts: a Context asks the user's context directly.
func (c shield) Value(key any) (value any) {
	if answersItself(c.user) {
		return c.user.Value(key)
	}
	c.guard.Apart(func() { value = c.user.Value(key) })
	return value
}

// answersItself reports whether ctx is of a type of the context package that answers
// for itself, without asking its parent.
func answersItself(ctx context.Context) bool {
	t := reflect.TypeOf(ctx)
	if t.Kind() != reflect.Pointer || t.Elem().PkgPath() != "context" {
		return false
	}
	return t.Elem().Name() != "valueCtx"
}

// afterFuncer is a context that registers functions itself, with the method that
// context.AfterFunc looks for.
type afterFuncer interface {
	AfterFunc(f func()) (stop func() bool)
}

// registrarShield is a shield of a context that registers functions itself.
type registrarShield struct {
	shield
	registrar afterFuncer
}

// AfterFunc has f called when the context is done. A context that fails to register f
// is watched like any other.
func (c registrarShield) AfterFunc(f func()) func() bool {
	var stop func() bool
	c.guard.Apart(func() { stop = c.registrar.AfterFunc(f) })
	if stop == nil {
		return context.AfterFunc(c.shield, f)
	}
	return func() (stopped bool) {
		c.guard.Apart(func() { stopped = stop() })
		return stopped
	}
}
