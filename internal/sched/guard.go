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

// A context is the user's code as much as a handler is: its methods may panic,
// end the goroutine, block, or call the pool. Everything in this module that
// calls one goes through a Guard or a shield, and holds no mutex.

// Guard makes an error of a panic of the user's code, from what panic was called
// with and the stack of the goroutine that panicked.
type Guard func(value any, stack []byte) error

// Call calls f, and returns its panic as an error. If f calls runtime.Goexit, the
// goroutine ends: who cannot bear that has a deferred function for it.
func (g Guard) Call(f func()) (err error) {
	// It tells a return from a Goexit, where recover gives nil as well.
	returned := false
	defer func() {
		if returned {
			return
		}
		// A nil here is panic(nil) where GODEBUG allows that, or Goexit, which
		// goes on whatever err is.
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

// EndedWithoutReason is how a job ends whose caller's context is done and cannot say
// why.
func EndedWithoutReason() Outcome { return Outcome{Kind: Canceled, Err: errNoReason, By: ByCaller} }

// Ended is how a job ends whose caller's context is done.
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

// Err returns the error of ctx; one that panics has not said that it is done. It is what
// workers ask before and after a handler.
func (g Guard) Err(ctx context.Context) (err error) {
	_ = g.Call(func() { err = ctx.Err() })
	return err
}

// Deadline returns the deadline of ctx; a context that panics has none.
func (g Guard) Deadline(ctx context.Context) (deadline time.Time, ok bool) {
	if ctx == context.Background() {
		return time.Time{}, false
	}
	if g.Call(func() { deadline, ok = ctx.Deadline() }) != nil {
		return time.Time{}, false
	}
	return deadline, ok
}

// Apart calls f on a goroutine of its own, and waits for it: so runtime.Goexit ends
// that, and not the caller's. It is for goroutines that are not the pool's to lose, such
// as those of the context package, and of who cancels a job.
func (g Guard) Apart(f func()) {
	over := make(chan struct{})
	go func() {
		defer close(over)
		_ = g.Call(f)
	}()
	<-over
}

// Shielded returns the user's context ctx as the context package may see it. done
// is its Done channel, which has been asked for before.
func (g Guard) Shielded(ctx context.Context, done <-chan struct{}) context.Context {
	c := shield{user: ctx, done: done, guard: g}
	if registrar, ok := ctx.(afterFuncer); ok {
		return registrarShield{c, registrar}
	}
	return c
}

// shield is a user's context as the context package may see it, which calls it
// on goroutines of its own, where a panic would end the process, and which
// panics itself over a context that is done without an error.
type shield struct {
	user  context.Context
	done  <-chan struct{}
	guard Guard
}

// Deadline implements context.Context. It hides the user's, which need not be the
// end: the package would set no timer for a limit that comes after it.
func (c shield) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements context.Context.
func (c shield) Done() <-chan struct{} { return c.done }

// Err implements context.Context. The package calls it once the context is done.
func (c shield) Err() (err error) {
	c.guard.Apart(func() { err = c.user.Err() })
	if err == nil {
		return errNoReason
	}
	return err
}

// Value implements context.Context. Only the package asks, for what it knows of its
// own contexts: a Context asks the user's itself.
func (c shield) Value(key any) (value any) {
	if answersItself(c.user) {
		return c.user.Value(key)
	}
	c.guard.Apart(func() { value = c.user.Value(key) })
	return value
}

// answersItself tells whether ctx is a context of the package's own that tells of
// itself without asking the one that it is derived from.
func answersItself(ctx context.Context) bool {
	t := reflect.TypeOf(ctx)
	if t.Kind() != reflect.Pointer || t.Elem().PkgPath() != "context" {
		return false
	}
	return t.Elem().Name() != "valueCtx"
}

// afterFuncer is a context that registers functions itself, as the context package
// asks for.
type afterFuncer interface {
	AfterFunc(f func()) (stop func() bool)
}

// registrarShield is a shield of a context that registers functions itself.
type registrarShield struct {
	shield
	registrar afterFuncer
}

// AfterFunc has f called when the context is done. One that fails to register it is
// watched as others are.
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
