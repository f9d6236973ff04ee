package modeltest

import (
	"errors"
	"slices"

	"example.com/dispatch"
)

// groupStep makes the calls on batches, and Map and Stream.
func (w *world) groupStep(s step, b body) {
	n := 1 + int(s.a)%5
	switch s.op {
	case opBatch:
		g := w.newBatch(w.pick(s.a), s.b, 0)
		w.add(g, w.join(g, b, int(s.d)%6, nil))
	case opBatchBounded:
		g := w.newBatch(w.pick(s.a), s.b, 1+int(s.d)/6%15)
		w.addAsRoomComes(g, w.join(g, b, int(s.d)%6, nil))
	case opBatchOf:
		w.batchOf(w.newBounded(w.pick(s.a), s.b, int(s.d)/6%16), b, int(s.d)%6, nil)
	case opMap:
		g := w.newGroup(opMap, w.pick(s.a))
		w.join(g, b, int(s.d)%7, nil)
		w.start(&call{name: "Map", ready: func() bool { return w.mapDone(g) }}, func() { w.mapAll(g) })
	case opStream:
		g := w.newStream(w.pick(s.a), int(s.d)/56+int(s.b)%7*5)
		g.open = g.live && s.c%2 == 1
		w.start(&call{name: "Stream", ready: func() bool { return w.streamDone(g) }}, func() { w.stream(g, b, int(s.d)%7, 1+int(s.d)/7%8, nil) })
	}

	g := w.aBatch(int(s.a))
	if g == nil {
		return
	}
	done := func() bool { return w.batchDone(g) }
	switch s.op {
	case opAdd:
		w.addAsRoomComes(g, w.join(g, b, n, nil))
	case opBatchDone:
		w.start(&call{name: "Batch.Done", ready: done}, func() { w.awaitDone(g) })
	case opBatchClose:
		w.seal(g)
	case opBatchCancel:
		w.cancelBatch(g)
	case opBatchWait:
		c := w.pick(s.b)
		doneOrNot := func() bool { return c.doneAt != 0 || done() }
		w.start(&call{name: "Batch.Wait", ready: doneOrNot}, func() { w.waitBatch(g, c) })
	case opBatchAll:
		w.start(&call{name: "Batch.All", ready: done}, func() { w.readAll(g, n) })
	case opBatchResults:
		if !g.reading {
			g.reading = true
			w.start(&call{name: "Batch.Results", ready: done}, func() { w.readResults(g, int(s.b)) })
		}
	}
}

// newBatch makes a batch that may be one that stops early, or that has bounds.
func (w *world) newBatch(c *watched, how byte, bounds int) *group {
	g := w.newBounded(c, how, bounds)
	w.attach(g, w.pool.Batch(c.plain(), w.batchOptions(g)...))
	return g
}

// aBatch picks one of the batches that steps have made.
func (w *world) aBatch(which int) *group {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []*group
	for _, g := range w.groups {
		if g.batch != nil && (len(g.items) == 0 || g.items[0].parent == nil) {
			all = append(all, g)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[which%len(all)]
}

// add adds jobs to g, all of them or none; with MaxPending maybe some.
func (w *world) add(g *group, jobs []*job) bool {
	err := g.batch.Add(ids(jobs)...)
	total := g.batch.Progress().Total
	for _, j := range jobs {
		if err == nil || g.maxPending > 0 && j.index < total {
			w.accept(j, nil)
		} else {
			w.refuseItem(j, err)
		}
	}
	return err == nil
}

// refuseItem records that Add did not accept j, which then is not an item of g.
func (w *world) refuseItem(j *job, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	g := j.group
	j.refused = err
	w.stoppedAt()
	g.items = slices.DeleteFunc(g.items, func(item *job) bool { return item == j })
	from, _ := g.tripped(w)
	switch {
	case j.starts > 0:
		w.failf("%v: refused, but it ran", j)
	case w.closed != 0 && (errors.Is(err, dispatch.ErrClosed) || errors.Is(err, dispatch.ErrSealed)):
	case errors.Is(err, dispatch.ErrSealed) && (g.sealed != 0 || g.canceled != 0 || from != 0):
	case errors.Is(err, dispatch.ErrSealed) && g.ctx.over():
	case g.ctx.tells(err):
	default:
		w.failf("%v: refused for no reason", j)
	}
}

func (w *world) seal(g *group) {
	w.mu.Lock()
	g.sealed = w.phase
	w.mu.Unlock()
	g.batch.Close()
}

func (w *world) cancelBatch(g *group) {
	w.mu.Lock()
	if g.canceled == 0 {
		g.canceled = w.phase
	}
	w.mu.Unlock()
	g.batch.Cancel()
}

// waitBatch reads g through Wait, which c may end.
func (w *world) waitBatch(g *group, c *watched) {
	w.mu.Lock()
	g.sealed = w.phase
	w.mu.Unlock()
	outs, err := g.batch.Wait(c.plain())
	if c.tells(err) {
		return // the wait ended, not the batch
	}
	for i, out := range outs {
		if out != 0 { // no job answers 0
			w.tell(g, i, outcome{out, nil}, never)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	g.waits = append(g.waits, waited{outs, err})
	if len(outs) != len(g.items) && g.maxPending == 0 { // an Add may not have returned yet
		w.failf("group %d: Wait returned %d outcomes of %d", g.id, len(outs), len(g.items))
	}
}

// readAll reads g through All, in input order, and breaks after n results.
func (w *world) readAll(g *group, n int) {
	w.mu.Lock()
	g.sealed = w.phase
	w.mu.Unlock()
	next, since := 0, w.current()
	for r := range g.batch.All() {
		if r.Index != next {
			w.fail("group %d: All gave item %d, not %d", g.id, r.Index, next)
		}
		w.result(g, r, since)
		since = w.current()
		if next++; next == n {
			w.mu.Lock()
			if g.canceled == 0 {
				g.canceled = w.phase
			}
			w.mu.Unlock()
			break
		}
	}
}

// readResults reads n results of g from its channel, in the order of completion.
func (w *world) readResults(g *group, n int) {
	got, since := 0, w.current()
	for r := range g.batch.Results() {
		w.result(g, r, since)
		if got++; got == n {
			return
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if g.canceled == 0 && g.maxPending == 0 && !g.ctx.over() && got != len(g.items) {
		if from, _ := g.tripped(w); from == 0 && w.stopped == 0 {
			w.failf("group %d: the channel gave %d results of %d", g.id, got, len(g.items))
		}
	}
}

// mapAll runs the items of g through Map.
func (w *world) mapAll(g *group) {
	outs, err := w.pool.Map(g.ctx.plain(), ids(g.items))
	var item *dispatch.ItemError
	switch {
	case err == nil:
		for i, out := range outs {
			w.tell(g, i, outcome{out, nil}, never)
		}
		if len(outs) != len(g.items) {
			w.fail("group %d: Map returned %d outputs of %d", g.id, len(outs), len(g.items))
		}
	case len(g.items) == 0 && g.ctx.tells(err):
	case errors.As(err, &item) && g.ctx.tells(item.Err):
	case errors.As(err, &item):
		w.tell(g, item.Index, outcome{0, item.Err}, never)
	case errors.Is(err, dispatch.ErrClosed) && w.closedNow():
	default:
		w.fail("group %d: Map returned %v", g.id, err)
	}
	if err != nil && outs != nil {
		w.fail("group %d: Map returned outputs beside the error %v", g.id, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	g.stopped = item != nil && errors.Is(item.Err, dispatch.ErrStopped)
	for _, j := range g.items {
		j.over = true
		if j.running && !g.ctx.over() && !w.stray(j) {
			w.failf("%v: it runs, though its Map has returned", j)
		}
	}
}
