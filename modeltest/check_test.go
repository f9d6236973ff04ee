package modeltest

import (
	"slices"

	"example.com/dispatch"
)

// poll reads the state that nobody reports to the model. It is called when the bubble is
// at rest.
func (w *world) poll() {
	w.mu.Lock()
	for _, c := range w.contexts {
		w.doneAt(c)
	}
	w.stoppedAt()
	select {
	case <-w.pool.Done():
		if w.ended == 0 {
			w.ended = w.phase
		}
	default:
	}
	w.pollAdds()
	polled := w.jobs[:0:0]
	for _, j := range w.jobs {
		if w.polled(j) && j.settled == 0 {
			polled = append(polled, j)
		}
	}
	w.mu.Unlock()

	for _, j := range polled {
		select {
		case <-j.future.Done():
			w.read(j, j.asked)
		default:
		}
	}
}

// check checks the observations of this phase against the promises.
func (w *world) check() {
	stats := w.pool.Stats()
	running, failures := w.pool.Running(), w.pool.Failures()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.resizes > 1 {
		w.limit = stats.MaxRunning // only the pool knows which Resize came last
	}
	w.checkPause(stats)
	for _, j := range w.jobs {
		if !j.checked {
			w.checkJob(j)
		}
	}
	w.checkPlaces(stats)
	w.checkCalls()
	w.checkStats(stats)
	w.checkBlockedStats(stats)
	w.checkPrestarted(stats)
	w.checkContexts()
	w.checkLife()
	w.checkWatch(stats, running, failures)
	for _, g := range w.groups {
		if g.batch != nil {
			if err := w.checkProgress(g); err != nil {
				w.failf("%v\n%s", err, w.list())
			}
		}
	}
	if w.ended == 0 && w.over() {
		w.failf("nothing is left of a closed pool, but Done is open\n%s", w.list())
	}
	if w.ended == w.phase && (w.closed == 0 || w.busy()) {
		w.failf("Done is closed, but the pool is not over\n%s", w.list())
	}
	if w.waited == w.phase {
		for _, j := range w.jobs {
			if j.running && j.started < w.phase && !w.stray(j) {
				w.failf("%v: it runs, but Wait has returned", j)
			}
		}
	}
}

// checkJob checks the outcome of j, that j has an outcome if it should, and what the
// context of its handler says.
func (w *world) checkJob(j *job) {
	switch {
	case j.settled != 0:
		if d, err := w.verdict(j); err != nil {
			w.failf("%v\n%s", err, w.list())
		} else if d.by < j.started {
			w.failf("%v: it started, though the %s had decided it in phase %d", j, d.why, d.by)
		}
		j.checked = !j.running
	case w.awaited(j):
		if last := deadline(w.decisions(j)); last <= w.phase {
			w.failf("%v: decided in phase %d, and nobody was told", j, last)
		}
	}
	if w.stateful && j.running {
		w.checkInterrupted(j)
	}
	switch {
	case j.handed != nil:
		w.checkHanded(j)
	case j.running && j.body.manner == polls:
		w.checkPolling(j)
	}
}

// awaited reports whether somebody waits for j's outcome and for nothing else.
func (w *world) awaited(j *job) bool {
	if j.future != nil {
		return w.followed(j) || w.polled(j)
	}
	return j.group == nil && j.refused == nil && !j.indirect && !j.over
}

// checkPolling checks that a handler that calls context.Cause every tick has seen the
// event that ended its job a tick ago. The model does not read that context itself,
// because reading it must not be what makes it done.
func (w *world) checkPolling(j *job) {
	for _, d := range w.decisions(j) {
		if d.told && d.from < w.phase && w.clock[d.from]+tick <= w.now() {
			w.failf("%v: %s ended it in phase %d, and its context gives no cause", j, d.why, d.from)
		}
	}
}

// checkHanded checks that the context of j's handler reports each event that concerns j
// at once, and no others.
func (w *world) checkHanded(j *job) {
	done, cause := j.handed.over(), j.handed.cause()
	if !j.running {
		if !done && !j.item() {
			w.failf("%v: its handler has returned, and its context is not done", j)
		}
		return
	}
	explained := false
	for _, d := range w.decisions(j) {
		if d.from > w.phase {
			continue
		}
		if d.told && !done {
			w.failf("%v: %s has ended it, and its context is not done", j, d.why)
		}
		explained = explained || d.causes(cause)
	}
	if done && !explained {
		w.failf("%v: its context is done with the cause %v, for no reason of its own\n%s", j, cause, w.list())
	}
}

// checkPlaces checks that no job waits while a worker could run it, and that the jobs
// that a job waits for on its own pool run.
func (w *world) checkPlaces(stats dispatch.Stats) {
	running, waiting := 0, (*job)(nil)
	for _, j := range w.jobs {
		if j.running {
			running++
		}
		if w.pending(j) == yes && !w.heldBack(j) && (waiting == nil || j.group != nil) {
			waiting = j
		}
	}
	free := running-stats.Strays < w.limit && !w.pause.on
	if free && waiting != nil {
		w.failf("%v: it waits, while %d handlers (%d of them strays) run on %d workers\n%s", waiting, running, stats.Strays, w.limit, w.list())
	}
	for _, j := range w.jobs {
		if j.lending {
			w.checkServed(j)
		}
	}
}

// checkServed checks that a job runs in the slot that j lends, if one is left to run:
// one that j waits for, or one that it waited for before.
func (w *world) checkServed(j *job) {
	open := (*job)(nil)
	for _, child := range j.waiting {
		if w.pending(child) == yes && !w.heldBack(child) {
			open = child
		}
	}
	// Items that one worker takes from a batch in one go share a place.
	served := func(child *job) bool {
		return child.running && child.onLoan && (child.parent == j || j.item() && child.parent.group == j.group)
	}
	if open != nil && !slices.ContainsFunc(w.jobs, served) {
		w.failf("%v: its parent waits for it, and it does not run\n%s", open, w.list())
	}
}

// checkCalls checks that no call is still blocked that should have returned.
func (w *world) checkCalls() {
	for c := range w.calls {
		if c.ready != nil && c.ready() {
			w.failf("%s, called in phase %d, should have returned\n%s", c.name, c.asked, w.list())
		}
		if j := c.job; j != nil && j.via == opSubmit && w.overflow == dispatch.Block {
			w.checkBlocked(j)
		}
	}
}

// checkBlocked checks a job whose submitter waits for room: there must be no room, and no
// job that was submitted later may have been accepted.
func (w *world) checkBlocked(j *job) {
	if w.room() == yes {
		w.failf("%v: Submit waits for room, and there is room\n%s", j, w.list())
	}
	for _, later := range w.jobs[j.id+1:] {
		if later.accepted != 0 && later.asked > j.asked && later.parent == nil && later.group == nil {
			w.failf("%v: Submit waits for room, and %v was let in\n%s", j, later, w.list())
		}
	}
}

// checkContexts checks that nothing stays registered with a context whose jobs have all
// ended. Batches and the like have registrations of their own.
func (w *world) checkContexts() {
	for _, c := range w.contexts {
		n := c.registrations()
		if n == 0 || slices.ContainsFunc(w.groups, func(g *group) bool { return g.ctx == c }) {
			continue
		}
		if !slices.ContainsFunc(c.users, func(j *job) bool {
			return j.running || j.settled == 0 && j.refused == nil
		}) {
			w.failf("%d callbacks are registered with a context whose jobs are over\n%s", n, w.list())
		}
	}
}
