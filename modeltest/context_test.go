package modeltest

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// errCause is the cause that the program gives when it cancels a context.
var errCause = errors.New("the program canceled this context")

type valueKey struct{}

// watched is a context that jobs are submitted with, or that a handler was
// given, together with what the model saw of it. It is polled after every
// phase, so the model knows the phase in which it was done.
type watched struct {
	context.Context
	cancel context.CancelCauseFunc // nil for a handler's
	doneAt int                     // the phase in which it was seen to be done; 0: not yet
	users  []*job                  // what was submitted with it
	user   *userContext            // what the pool is given in its place; nil: the context itself
	silent bool                    // it cannot say why it is done, and neither can what is derived from it
	foreign
}

// foreign makes a context one that the context package does not know, so that
// whoever waits for it must register with AfterFunc. That makes registrations
// countable: none may be left once all jobs of the context are over.
type foreign struct {
	done chan struct{} // nil: not a foreign context
	live *atomic.Int64
}

// newContext returns one of the kinds of context that a program knows: never
// done, done already, with a deadline, canceled by a later step, or a user's own.
func (w *world) newContext(kind byte) *watched {
	w.mu.Lock() // jobs call this too
	value := len(w.contexts)
	w.mu.Unlock()
	c := &watched{Context: context.WithValue(context.Background(), valueKey{}, value)}
	if kind >= firstUserContext {
		return w.watch(w.withUser(c, kind-firstUserContext))
	}
	switch kind % 8 {
	case 0, 1:
		return w.watch(c) // background, with a value
	case 2:
		c.Context, c.cancel = context.WithCancelCause(c.Context)
		c.cancel(errCause)
		return w.watch(c)
	case 3, 4:
		d := time.Duration(kind/8%8+1) * tick
		ctx, cancel := context.WithTimeout(c.Context, d)
		c.Context, c.cancel = ctx, func(error) { cancel() }
	default:
		c.Context, c.cancel = context.WithCancelCause(c.Context)
	}
	if kind%2 == 1 {
		c.makeForeign()
	}
	return w.watch(c)
}

func (c *watched) makeForeign() {
	c.foreign = foreign{make(chan struct{}), new(atomic.Int64)}
	context.AfterFunc(c.Context, func() { close(c.done) })
}

// inherit returns a context that was derived from c, or that the pool has given
// to a handler whose job was submitted with c.
func (c *watched) inherit(ctx context.Context) *watched {
	return &watched{Context: ctx, silent: c.silent}
}

// plain is what to hand to the pool: a wrapper only where it does something.
func (c *watched) plain() context.Context {
	switch {
	case c.user != nil:
		return c.user.plain()
	case c.foreign.done != nil:
		return c
	}
	return c.Context
}

// watch has the model poll c.
func (w *world) watch(c *watched) *watched {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.contexts = append(w.contexts, c)
	return c
}

// Done hides the channel of the context inside, which is what makes a context
// foreign to the context package.
func (c *watched) Done() <-chan struct{} {
	if c.foreign.done != nil {
		return c.foreign.done
	}
	return c.Context.Done()
}

func (c *watched) Err() error {
	if c.foreign.done != nil {
		select {
		case <-c.foreign.done:
		default:
			return nil
		}
	}
	return c.Context.Err()
}

// over tells whether c is done. The context of a handler asks the caller's, which
// may panic over the question once it is done.
func (c *watched) over() (over bool) {
	defer func() { over = over || recover() != nil }()
	return c.Err() != nil
}

// tells tells whether err is why the context is done.
func (c *watched) tells(err error) (tells bool) {
	switch {
	case !c.over():
		return false
	case c.silent:
		return givesNoReason(err) || c.user == nil && err == c.cause()
	case c.user != nil:
		return err == context.Cause(c.user)
	}
	return err == context.Cause(c)
}

// lies tells whether the context says that it is not done, while it is.
func (c *watched) lies() bool { return c.user != nil && c.user.habit == lying }

// cause is the cause that a handler's context gives, if it can.
func (c *watched) cause() (cause error) {
	defer func() {
		if recover() != nil {
			cause = errUserPanic
		}
	}()
	return context.Cause(c)
}

// kind is how Stats counts what the end of c has ended.
func (c *watched) kind() (k kind) {
	defer func() {
		if recover() != nil {
			k = canceled
		}
	}()
	if errors.Is(c.Err(), context.DeadlineExceeded) {
		return timedOut
	}
	return canceled
}

// AfterFunc is what the context package calls for a context that is not its own.
func (c *watched) AfterFunc(f func()) (stop func() bool) {
	if c.foreign.done == nil {
		return context.AfterFunc(c.Context, f)
	}
	c.live.Add(1)
	unregister := context.AfterFunc(c.Context, func() {
		<-c.foreign.done // first the context is done, then it calls back
		c.live.Add(-1)
		f()
	})
	return func() bool {
		stopped := unregister()
		if stopped {
			c.live.Add(-1)
		}
		return stopped
	}
}

// registrations is how many callbacks are registered with a foreign context.
func (c *watched) registrations() int {
	if c.foreign.done == nil {
		return 0
	}
	return int(c.live.Load())
}

// doneAt is the phase in which c was done, which may be this one. The caller
// holds mu.
func (w *world) doneAt(c *watched) int {
	if c.doneAt == 0 && c.over() {
		c.doneAt = w.phase
	}
	return c.doneAt
}

// cancelable lists the contexts that a step may cancel.
func (w *world) cancelable() []*watched {
	var all []*watched
	for _, c := range w.contexts {
		if c.cancel != nil && c.doneAt == 0 {
			all = append(all, c)
		}
	}
	return all
}
