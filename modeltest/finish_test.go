package modeltest

import (
	"errors"
	"time"

	"example.com/dispatch"
)

// patience is how many ticks a program may take to come to rest: far more than the
// bodies of all jobs of the longest program take one after another.
const patience = 5000

// finish ends the pool, waits until the bubble is at rest, and makes the checks that need
// the complete run.
func (w *world) finish() {
	if w.patient {
		w.advanceUntil("the jobs to end", func() bool { return w.pause.on || !w.busy() && w.feeds == 0 })
		for w.pause.on && !w.broken() { // jobs may pause the pool once more
			w.do(w.resumePool)
			w.advanceUntil("the jobs to end", func() bool { return w.pause.on || !w.busy() && w.feeds == 0 })
		}
		w.idleOut()
	}
	if w.closed == 0 {
		w.do(func() {
			switch w.ending {
			case opStop:
				w.stop()
			case opShutdown:
				w.shutdown(5)
			default:
				w.close()
			}
		})
	}
	w.advanceUntil("the pool to end", func() bool { return w.ended != 0 })
	w.do(w.takeUnrun)
	w.do(w.endBatches)
	w.do(w.readAgain)
	w.advanceUntil("all calls to return", func() bool { return len(w.calls) == 0 && w.feeds == 0 })
	w.do(func() {
		w.start(&call{name: "Close of the second pool", ready: always}, func() { _ = w.second.Close() })
	})
	if w.broken() {
		w.abandon()
		return
	}
	stats := w.pool.Stats()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.checkTotals(stats)
	w.checkGaveUp(stats)
	w.checkOrder()
	w.checkGivenBack()
	w.checkWaits()
	w.checkLeft()
	w.checkTold(stats)
}

// advanceUntil lets time pass until the model has seen what it waits for.
func (w *world) advanceUntil(what string, done func() bool) {
	for range patience {
		w.mu.Lock()
		rest := w.err != nil || done()
		w.mu.Unlock()
		if rest {
			return
		}
		w.advance(1)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failf("%s: waited in vain\n%s", what, w.list())
}

// idleOut checks that an idle pool shrinks to its minimum.
func (w *world) idleOut() {
	if w.closed != 0 || w.broken() {
		return
	}
	w.advance(2*w.idle + 2)
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := w.last.Workers; n > min(w.minWorkers, w.limit) && w.err == nil {
		w.failf("%d workers are left after the idle timeout, and the minimum is %d", n, w.minWorkers)
	}
}

// endBatches reads the results that nobody has read, or cancels the batch. Either frees
// the goroutine that holds the results of a large batch.
func (w *world) endBatches() {
	for _, g := range w.groups {
		switch {
		case g.batch == nil:
		case g.reading || g.id%2 == 0:
			w.cancelBatch(g)
		default:
			w.start(&call{name: "Batch.Results", ready: always}, func() { w.readResults(g, never) })
		}
	}
}

// readAgain reads every outcome once more, as late readers do.
func (w *world) readAgain() {
	for _, j := range w.jobs {
		if j.future != nil {
			w.read(j, never)
			j.checked = false
		}
	}
	c := w.newContext(0)
	for _, g := range w.groups {
		if g.batch != nil {
			w.start(&call{name: "Batch.Wait", ready: always}, func() { w.waitBatch(g, c) })
			w.start(&call{name: "Batch.All", ready: always}, func() { w.readAll(g, never) })
		}
	}
}

// abandon ends a run that has failed, so that its bubble can end too.
func (w *world) abandon() {
	w.pool.Stop()
	w.second.Stop()
	for _, c := range w.contexts {
		if c.cancel != nil {
			c.cancel(errCause)
		}
	}
	for _, g := range w.groups {
		if g.batch != nil {
			g.batch.Cancel()
		}
	}
	time.Sleep(ticks(patience))
}

// checkOrder checks that single jobs started in the order in which they were
// submitted. Jobs that were submitted by jobs may be brought forward.
func (w *world) checkOrder() {
	strict := w.setup.workers == 1 && !w.resized && w.strays == 0
	for _, b := range w.jobs {
		if b.starts == 0 || b.group != nil || b.parent != nil || w.overflow == dispatch.CallerRuns {
			continue
		}
		for _, a := range w.jobs[:b.id] {
			if a.starts == 0 || a.group != nil || a.parent != nil || !a.counted() {
				continue
			}
			accepted := a.accepted
			if accepted == 0 {
				accepted = a.asked
			}
			if accepted < b.asked && (a.started > b.started || strict && a.order > b.order) {
				w.failf("started in the wrong order:\n%v\n%v", a, b)
			}
		}
	}
	if strict {
		for _, g := range w.groups {
			w.checkItemOrder(g)
		}
	}
}

// checkItemOrder checks that one worker took a batch's items in input order.
func (w *world) checkItemOrder(g *group) {
	last := (*job)(nil)
	for _, j := range g.items {
		if j.starts == 0 || j.parent != nil || g.via == opMap {
			continue
		}
		if last != nil && j.order < last.order {
			w.failf("items started in the wrong order:\n%v\n%v", last, j)
		}
		last = j
	}
}

// checkGivenBack checks that Stop returned each input that it kept from running exactly
// once, and no other.
func (w *world) checkGivenBack() {
	given := map[int]bool{}
	for _, id := range w.givenBack {
		j := w.jobs[id]
		if given[id] || j.starts > 0 || j.refused != nil || j.settled != 0 && !errors.Is(j.outcome.err, dispatch.ErrStopped) {
			w.failf("%v: Stop gave it back", j)
		}
		given[id] = true
	}
	// An item whose worker could not be made has failed by itself, and is not given back.
	// Map tells of one failure, so only the number of the others is known.
	untold := w.fleet.asked - w.fleet.made
	for _, j := range w.jobs {
		if j.settled != 0 && errors.Is(j.outcome.err, errConstruct) {
			untold--
		}
	}
	for _, j := range w.jobs {
		unrun := j.settled != 0 && errors.Is(j.outcome.err, dispatch.ErrStopped) && j.starts == 0 && j.accepted != 0
		silent := j.group != nil && j.group.stopped && j.starts == 0 && j.settled == 0
		switch {
		case !unrun && !silent || given[j.id] || j.ctx.doneAt != 0:
		case silent && untold > 0:
			untold--
		default:
			w.failf("%v: Stop did not give it back\n%s", j, w.list())
		}
	}
}

// checkLeft checks what is left after the end.
func (w *world) checkLeft() {
	if w.panicked != w.expected {
		w.failf("%d jobs panicked, and the panic handler was told of %d", w.expected, w.panicked)
	}
	if w.fleet.made != w.fleet.closed {
		w.failf("%d workers were made, and %d closed", w.fleet.made, w.fleet.closed)
	}
	for _, c := range w.contexts {
		if n := c.registrations(); n > 0 {
			w.failf("%d callbacks are left with a context after the end", n)
		}
	}
	for _, g := range w.groups {
		if g.batch == nil || len(g.items) == 0 {
			continue
		}
		if n := len(g.progress); n == 0 || g.progress[n-1].Done != len(g.items) || g.progress[n-1].Total != len(g.items) {
			w.failf("group %d: the last call of OnProgress was not of the end: %+v, and it has %d items", g.id, g.progress, len(g.items))
		}
	}
}
