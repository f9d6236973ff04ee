package modeltest

import (
	"context"
	"errors"

	"example.com/dispatch"
)

// nest makes one of the calls that a job may make on its own pool, and waits for it. It
// uses the job's own context or one derived from it.
func (w *world) nest(ctx context.Context, j *job) {
	seed := int(j.body.seed)
	c := j.handed
	if seed%5 == 4 {
		derived, cancel := context.WithTimeout(ctx, ticks(1+seed/5%4))
		defer cancel()
		c = w.watch(j.handed.inherit(derived))
	}
	fan := 1 + seed/16%3
	switch seed % 9 {
	case 0, 1:
		for i := range fan {
			child := w.newJob(opProcess, c, j.body.child(i), j)
			w.lend(j, []*job{child}, func() { w.process(child) })
		}
	case 2:
		child := w.newJob(opProcessTimed, c, j.body.child(0), j)
		child.limit = ticks(1 + seed/9%5)
		w.lend(j, []*job{child}, func() { w.processTimed(child) })
	case 3:
		w.forkJoin(j, c, fan)
	case 4:
		g := w.newGroup(opMap, c)
		children := w.join(g, j.body.child(0), fan, j)
		w.lend(j, children, func() { w.mapAll(g) })
	case 5:
		g := w.newStream(c, seed/9)
		w.lend(j, nil, func() { w.stream(g, j.body.child(0), fan, fan+1, j) })
	case 6:
		child := w.newJob(opProcess, c, j.body.child(0), j)
		w.lend(j, []*job{child}, func() { w.through(child) })
	default:
		w.nestBatch(j, c, fan, seed/9)
	}
}

// lend runs f, a call in which j waits for the given jobs on its own pool.
func (w *world) lend(j *job, waiting []*job, f func()) {
	set := func(lending bool, waiting []*job) {
		w.mu.Lock()
		defer w.mu.Unlock()
		j.lending, j.waiting, j.lent = lending, waiting, w.phase
	}
	set(true, waiting)
	defer set(false, nil)
	f()
}

// forkJoin submits children and waits for their futures in turn.
func (w *world) forkJoin(j *job, c *watched, fan int) {
	var children []*job
	for i := range fan {
		child := w.newJob(opSubmit, c, j.body.child(i), j)
		w.lend(j, nil, func() {
			if w.submit(child) {
				children = append(children, child)
			}
		})
	}
	for _, child := range children {
		w.lend(j, []*job{child}, func() {
			v, err := child.future.Wait(c.plain())
			if !c.tells(err) {
				w.settle(child, outcome{v, err}, never)
				return
			}
			select { // either the wait ended, or the job did
			case <-child.future.Done():
				w.read(child, never)
			default:
			}
		})
	}
}

// through runs the child through a second pool, whose job calls the first pool.
func (w *world) through(child *job) {
	w.mu.Lock()
	child.indirect = true
	w.mu.Unlock()
	v, err := w.second.Process(child.ctx.plain(), child.id)
	w.mu.Lock()
	reached := child.starts > 0
	child.over = !reached
	w.mu.Unlock()
	switch {
	case errors.Is(err, dispatch.ErrClosed), errors.Is(err, dispatch.ErrQueueFull):
		w.refuse(child, err)
	case reached && !child.ctx.tells(err): // otherwise the wait may have ended first
		w.settle(child, outcome{v, err}, never)
	}
}

// nestBatch adds children to a batch of j's own and waits for them in one of
// the ways there are.
func (w *world) nestBatch(j *job, c *watched, fan, how int) {
	var g *group
	var children []*job
	of := false
	switch {
	case !w.bold:
		g = w.newBatch(c, byte(how/4), 0)
	case how%4 == 3:
		g, of = w.newBounded(c, byte(how/4), how%3), true
	default:
		g = w.newBatch(c, byte(how/4), 1+how*7%15)
	}
	if of {
		children = w.batchOf(g, j.body.child(0), fan, j)
	} else {
		children = w.join(g, j.body.child(0), fan, j)
	}
	w.lend(j, children, func() {
		if !of && !w.add(g, children) {
			return
		}
		switch how % 3 {
		case 0:
			w.waitBatch(g, c)
		case 1:
			w.readAll(g, 1+how/3%4)
		case 2:
			w.seal(g)
			w.readResults(g, never)
		}
	})
}
