package modeltest

import (
	"context"

	"example.com/dispatch"
)

// markClosed records that the pool accepts no more jobs from now on. budget, if not nil,
// is the context of a Shutdown.
func (w *world) markClosed(budget *watched) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed == 0 {
		w.closed = w.phase
	}
	w.resumed()
	if budget != nil {
		w.budgets = append(w.budgets, budget)
	}
}

func (w *world) close() {
	w.markClosed(nil)
	w.start(&call{name: "Close", ready: w.over}, func() {
		if err := w.pool.Close(); err != nil {
			w.fail("Close returned %v", err)
		}
		w.checkEnd("Close")
	})
}

// shutdown calls Shutdown with a budget of some ticks.
func (w *world) shutdown(n int) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), ticks(n), errCause)
	budget := w.watch(&watched{Context: ctx})
	w.markClosed(budget)
	done := func() bool { return budget.doneAt != 0 || w.over() }
	w.start(&call{name: "Shutdown", ready: done}, func() {
		defer cancel()
		switch err := w.pool.Shutdown(ctx); {
		case err == nil:
			w.checkEnd("Shutdown")
		case !budget.tells(err):
			w.fail("Shutdown returned %v", err)
		}
	})
}

// stop stops the pool, which must not wait for anything.
func (w *world) stop() {
	w.markClosed(nil)
	w.mu.Lock()
	if w.stoppedAt() == 0 {
		w.stopped = w.phase
	}
	w.ends.byCall = w.ends.byCall || w.stopped == w.phase
	w.mu.Unlock()
	unrun := w.pool.Stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.givenBack = append(w.givenBack, unrun...)
	w.checkUnrun(unrun)
}

// checkUnrun checks the order of the inputs that one call of Stop returned: single jobs
// in the order in which they were accepted, then items.
func (w *world) checkUnrun(unrun []int) {
	for i, id := range unrun {
		j := w.jobs[id]
		for _, before := range unrun[:i] {
			b := w.jobs[before]
			switch {
			case b.group != nil && j.group == nil:
				w.failf("Stop gave back an item before a single job:\n%v\n%v", b, j)
			case b.group == nil && j.group == nil && j.accepted != 0 && j.accepted < b.asked:
				w.failf("Stop gave back in the wrong order:\n%v\n%v", b, j)
			}
		}
	}
}

// spend records that a Shutdown has become Stop.
func (w *world) spend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped == 0 && w.ended == 0 {
		w.stopped = w.phase
	}
	w.ends.byCall = w.ends.byCall || w.stopped == w.phase
}

func (w *world) closedNow() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stoppedAt()
	return w.closed != 0
}

// stoppedAt returns the phase of the first Stop, or of the end of a Shutdown's
// budget or of the pool's context, which may be this one. The caller holds mu.
func (w *world) stoppedAt() int {
	for _, b := range w.budgets {
		// A Shutdown that has returned has canceled its budget.
		if w.doneAt(b) == 0 || b.Err() != context.DeadlineExceeded {
			continue
		}
		// The end of the pool's context may have stopped it in the same phase.
		if at := max(b.doneAt, w.closed); w.stopped == at || w.stopped == 0 && w.ended == 0 {
			w.stopped, w.ends.byCall = at, true
		}
	}
	w.lifeEnded()
	return w.stopped
}

// over reports whether a closed pool has nothing left to wait for.
func (w *world) over() bool { return w.closed != 0 && w.idleNow() }

// checkEnd checks what must hold once a call has returned that waits for the
// end of the pool.
func (w *world) checkEnd(name string) {
	select {
	case <-w.pool.Done():
	default:
		w.fail("%s returned before Done was closed", name)
	}
	if s := w.pool.Stats().State; s != dispatch.Ended {
		w.fail("%s returned in the state %v", name, s)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, j := range w.jobs {
		if j.running {
			w.failf("%v: it runs, though %s has returned", j, name)
		}
	}
}
