package modeltest

import (
	"errors"

	"example.com/dispatch"
)

// newBounded makes the group of a batch with the bounds that the argument encodes; 0
// means no bounds.
func (w *world) newBounded(c *watched, how byte, bounds int) *group {
	g := w.newGroup(opBatch, c)
	g.stopOnError, g.stopOnSuccess = how%5 == 3, how%5 == 4
	g.maxRunning, g.maxPending = bounds%4, bounds/4%4
	return g
}

// batchOptions returns the options of the batch of g.
func (w *world) batchOptions(g *group) []dispatch.BatchOption {
	opts := []dispatch.BatchOption{dispatch.OnProgress(w.onProgress(g))}
	if g.stopOnError {
		opts = append(opts, dispatch.StopOnError())
	}
	if g.stopOnSuccess {
		opts = append(opts, dispatch.StopOnSuccess())
	}
	if g.maxRunning > 0 {
		opts = append(opts, dispatch.MaxRunning(g.maxRunning))
	}
	if g.maxPending > 0 {
		opts = append(opts, dispatch.MaxPending(g.maxPending))
	}
	return opts
}

// attach makes b the batch of g.
func (w *world) attach(g *group, b *dispatch.Batch[int, int]) {
	w.mu.Lock()
	defer w.mu.Unlock()
	g.batch = b
}

// batchOf runs n jobs as a complete batch. The pool accepts all of them. If it accepts
// no more jobs, or the context is done, it accepts none, and each job has that error as
// its outcome.
func (w *world) batchOf(g *group, b body, n int, parent *job) []*job {
	w.mu.Lock()
	g.maxPending = 0 // BatchOf ignores it
	g.sealed = w.phase
	w.mu.Unlock()
	opts := append(w.batchOptions(g), dispatch.MaxPending(1))
	items := w.join(g, b, n, parent)
	turnedAway := w.turnsAway(g)
	w.attach(g, w.pool.BatchOf(g.ctx.plain(), ids(items), opts...))
	if parent != nil && turnedAway == nil {
		turnedAway = w.turnsAway(g) // others may have ended the pool meanwhile
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case parent != nil && turnedAway != nil:
		// If the context ends and the pool closes in one phase, either may be the reason.
		g.vague = func(err error) bool {
			return turnedAway(err) || w.closed != 0 && errors.Is(err, dispatch.ErrClosed)
		}
	default:
		g.turnedAway = turnedAway
	}
	for _, j := range items {
		switch {
		case g.turnedAway != nil:
			j.refused = errTurnedAway
		case g.vague == nil:
			j.accepted = w.phase
		}
	}
	return items
}

// errTurnedAway marks the items of a BatchOf that was not accepted.
var errTurnedAway = errors.New("turned away")

// turnsAway returns a function that recognises the error with which the pool refuses the
// items of g; nil if the pool accepts them.
func (w *world) turnsAway(g *group) func(error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stoppedAt()
	switch {
	case w.doneAt(g.ctx) != 0 && !g.ctx.lies():
		return g.ctx.tells
	case w.closed != 0:
		return func(err error) bool { return errors.Is(err, dispatch.ErrClosed) }
	}
	return nil
}

// addAsRoomComes adds jobs to g. The call may wait for room.
func (w *world) addAsRoomComes(g *group, jobs []*job) {
	if g.maxPending == 0 {
		w.add(g, jobs)
		return
	}
	ready := func() bool {
		p := g.batch.Progress()
		return w.takesNoMore(g) || p.Total-p.Done < g.maxPending || len(jobs) == 0 || jobs[len(jobs)-1].accepted != 0
	}
	w.start(&call{name: "Batch.Add", ready: ready}, func() { w.add(g, jobs) })
}

// takesNoMore reports whether g is certainly sealed, as far as the model knows.
func (w *world) takesNoMore(g *group) bool {
	if g.sealed != 0 || g.canceled != 0 || g.ctx.doneAt != 0 || w.closed != 0 {
		return true
	}
	_, by := g.tripped(w)
	return by != 0 && by <= w.phase
}

// waitsInAdd reports whether j is not in its batch yet, as far as the model knows.
func (j *job) waitsInAdd() bool {
	return j.group != nil && j.group.maxPending > 0 && j.accepted == 0
}

// pollAdds updates the progress of calls of Add, and checks that no more items are
// pending than allowed. The caller holds mu.
func (w *world) pollAdds() {
	for _, g := range w.groups {
		if g.batch == nil || g.maxPending == 0 {
			continue
		}
		total := w.checkPending(g)
		for _, j := range g.items[:min(total, len(g.items))] {
			if j.accepted == 0 {
				j.accepted = w.phase
			}
		}
	}
}

// checkPending checks the bound of MaxPending, and returns the number of items.
func (w *world) checkPending(g *group) (total int) {
	p := g.batch.Progress()
	if p.Total-p.Done > g.maxPending {
		w.failf("group %d: %d of %d items have no outcome, and %d may be pending\n%s", g.id, p.Total-p.Done, p.Total, g.maxPending, w.list())
	}
	return p.Total
}

// atWork returns how many items of g are running, not counting strays.
func (w *world) atWork(g *group) int {
	running, strays := 0, 0
	for _, j := range g.items {
		switch {
		case !j.running:
		case w.stray(j):
			strays++
		default:
			running++
		}
	}
	return running + strays - min(strays, w.strays)
}

// heldBack reports whether j waits because its batch runs its maximum of items. An item
// that could be a stray may or may not count.
func (w *world) heldBack(j *job) bool {
	g := j.group
	if g == nil || g.maxRunning == 0 {
		return false
	}
	running := 0
	for _, item := range g.items {
		if item.running {
			running++
		}
	}
	return running >= g.maxRunning
}

// checkBounds checks, as j starts, the bounds of its batch.
func (w *world) checkBounds(j *job) {
	g := j.group
	if g == nil {
		return
	}
	if n := w.atWork(g); g.maxRunning > 0 && n > g.maxRunning {
		w.failf("%v: %d items of its batch run at once, and %d may\n%s", j, n, g.maxRunning, w.list())
	}
	if g.batch != nil && g.maxPending > 0 {
		w.checkPending(g)
	}
}

// awaitDone waits for the end of g.
func (w *world) awaitDone(g *group) {
	<-g.batch.Done()
	p := g.batch.Progress()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stoppedAt()
	w.doneAt(g.ctx)
	from, _ := g.tripped(w)
	if sealed := w.takesNoMore(g) || from != 0; !sealed || p.Done != p.Total {
		w.failf("group %d: Done is closed (sealed: %t), and Progress is %+v", g.id, sealed, p)
	}
	if n := len(g.progress); g.calling || p.Total > 0 && (n == 0 || g.progress[n-1].Done != p.Total) {
		w.failf("group %d: Done was closed before the last call of OnProgress had returned: %+v of %+v", g.id, g.progress, p)
	}
}
