package modeltest

import (
	"context"
	"errors"

	"example.com/dispatch"
)

// errLife is the cause with which the program ends the context of its pool.
var errLife = errors.New("the program ended the pool's context")

// stopper says what has stopped the pool. Several events in one phase can do so.
type stopper struct {
	byCall bool // Stop, or a Shutdown whose budget ended
	byLife bool // the end of the context of WithContext
}

// newLife makes the context of WithContext. It is not among those that jobs are
// submitted with.
func (w *world) newLife() *watched {
	c := &watched{Context: context.Background()}
	switch w.setup.life {
	case expiring:
		ctx, cancel := context.WithTimeout(c.Context, ticks(w.lifeTicks))
		c.Context, c.cancel = ctx, func(error) { cancel() }
	default:
		c.Context, c.cancel = context.WithCancelCause(c.Context)
	}
	c.makeForeign()
	if w.setup.life == lost {
		c.cancel(errLife)
		<-c.Done()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.life = c
	return c
}

// endLife ends the context of the pool.
func (w *world) endLife() {
	if w.life != nil {
		w.life.cancel(errLife)
	}
}

// lifeEnded records that the end of the pool's context has stopped the pool. The caller
// holds mu.
func (w *world) lifeEnded() {
	if w.life == nil || w.ended != 0 || w.doneAt(w.life) == 0 {
		return
	}
	if w.closed == 0 {
		w.closed = w.life.doneAt
	}
	if w.stopped == 0 {
		w.stopped = w.life.doneAt
	}
	w.ends.byLife = w.ends.byLife || w.stopped == w.life.doneAt
}

// isStop reports whether an outcome is that of a stopped job: ErrStopped itself after
// Stop; after the end of the pool's context an error that also is its cause.
func (w *world) isStop(o outcome) bool {
	switch {
	case !errors.Is(o.err, dispatch.ErrStopped):
		return false
	case w.life != nil && w.life.doneAt != 0 && errors.Is(o.err, context.Cause(w.life)):
		return w.ends.byLife
	default:
		return w.ends.byCall
	}
}

// checkLife checks that the pool is registered with its context until either has ended.
func (w *world) checkLife() {
	if w.life == nil {
		return
	}
	goOn := w.life.doneAt == 0 && w.ended == 0
	if n := w.life.registrations(); goOn != (n > 0) {
		w.failf("%d callbacks are registered with the pool's context", n)
	}
}

// drain calls Drain, which must not wait for anything.
func (w *world) drain() {
	w.markClosed(nil)
	w.pool.Drain()
}

// takeUnrun asks the ended pool for the inputs that it has not returned yet. If it was
// stopped without a call of Stop, these are all of them.
func (w *world) takeUnrun() {
	if w.ended == 0 {
		return // the run has failed
	}
	unrun := w.pool.Stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.givenBack = append(w.givenBack, unrun...)
	w.checkUnrun(unrun)
}

// prestart starts the minimum of workers, which takes no time.
func (w *world) prestart(c *watched) {
	w.start(&call{name: "Prestart", ready: always}, func() {
		if w.prestarted(c, w.pool.Prestart(c.plain())) {
			w.mu.Lock()
			w.fleet.prestarted = w.phase
			w.mu.Unlock()
		}
	})
}

// prestarted checks the result of Prestart, and reports whether it has started all.
func (w *world) prestarted(c *watched, err error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stoppedAt()
	switch {
	case err == nil:
		return true
	case w.closed != 0 && errors.Is(err, dispatch.ErrClosed):
	case w.flaky && err == errConstruct:
	case c.tells(err):
	default:
		w.failf("Prestart returned %v", err)
	}
	return false
}

// checkPrestarted checks that the pool still has its minimum of workers after a Prestart
// that has started them.
func (w *world) checkPrestarted(s dispatch.Stats) {
	if w.fleet.prestarted == w.phase && w.closed == 0 && w.before == w.limit && s.Workers < min(w.minWorkers, w.limit) {
		w.failf("Prestart has returned, and of %d workers there are %d", w.minWorkers, s.Workers)
	}
}
