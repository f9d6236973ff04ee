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

// watched is a context that jobs are submitted with or that a handler got, with the
// model's observations of it. The model polls it after every phase, and so knows the
// phase in which it was done.
type watched struct {
	context.Context
	cancel context.CancelCauseFunc // nil for a handler's
	doneAt int                     // the phase in which it was seen to be done; 0: not yet
	users  []*job                  // jobs that were submitted with it
	user   *userContext            // the context that the pool gets in its place; nil: the context itself
	silent bool                    // neither it nor a context derived from it can say why it is done
	foreign
}

// foreign turns a context into one that the context package does not know, so that code
// that waits for it must register with AfterFunc. So the model can count registrations:
// none may be left once all jobs of the context have ended.
type foreign struct {
	done chan struct{} // nil: not a foreign context
	live *atomic.Int64
}

// newContext returns one of the kinds of context that a program uses: never done, done
// already, with a deadline, canceled by a later step, or user-defined.
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

// plain returns the context to pass to the pool: a wrapper only if it has an effect.
func (c *watched) plain() context.Context {
	switch {
	case c.user != nil:
		return c.user.plain()
	case c.foreign.done != nil:
		return c
	}
	return c.Context
}

// watch makes the model poll c.
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

// over reports whether c is done. The context of a handler calls the methods of the
// caller's context, which may panic once it is done.
func (c *watched) over() (over bool) {
	defer func() { over = over || recover() != nil }()
	return c.Err() != nil
}

// tells reports whether err is the reason why the context is done.
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

// lies reports whether the context says that it is not done, while it is.
func (c *watched) lies() bool { return c.user != nil && c.user.habit == lying }

// cause returns the cause of a handler's context, if the context can give it.
func (c *watched) cause() (cause error) {
	defer func() {
		if recover() != nil {
			cause = errUserPanic
		}
	}()
	return context.Cause(c)
}

// kind returns the counter of Stats for jobs that the end of c has ended.
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
		<-c.foreign.done // the callback runs after the context is done
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

// registrations returns how many callbacks are registered with a foreign context.
func (c *watched) registrations() int {
	if c.foreign.done == nil {
		return 0
	}
	return int(c.live.Load())
}

// doneAt returns the phase in which c was done, which may be this one. The caller
// holds mu.
func (w *world) doneAt(c *watched) int {
	if c.doneAt == 0 && c.over() {
		c.doneAt = w.phase
	}
	return c.doneAt
}

// cancelable returns the contexts that a step may cancel.
func (w *world) cancelable() []*watched {
	var all []*watched
	for _, c := range w.contexts {
		if c.cancel != nil && c.doneAt == 0 {
			all = append(all, c)
		}
	}
	return all
}
