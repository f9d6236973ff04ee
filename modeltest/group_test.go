package modeltest

import (
	"fmt"
	"runtime"
	"slices"

	"example.com/dispatch"
)

// group holds the jobs of one batch, map or stream.
type group struct {
	id    int
	via   op // opBatch, opMap or opStream
	ctx   *watched
	items []*job
	batch *dispatch.Batch[int, int] // nil for a map or a stream

	stopOnError   bool // also true for a map
	stopOnSuccess bool

	ahead     int  // most inputs that a stream takes before the loop has finished with their outcomes; 0: the default
	bound     int  // the same, with the default filled in
	unordered bool // a stream yields outcomes in the order of completion
	channel   bool // the stream reads its inputs from a channel
	taken     int  // inputs that a stream has taken
	done      int  // how many of these have an outcome that the loop has finished with
	stopped   bool // a map returned that Stop had ended it

	waits []waited // results of calls of Wait

	maxRunning int // 0: no bound
	maxPending int
	turnedAway func(error) bool // recognises the error of a BatchOf that the pool did not accept; nil: the pool accepted it
	vague      func(error) bool // the same, if the pool may have accepted it

	live bool // the source of a stream pauses between inputs
	open bool // the source stays open after the last input
	fed  bool // the source has closed

	sealed   int // the phase in which the program sealed it
	canceled int // the phase in which the program canceled it, or broke out of a loop over it
	reading  bool

	progress []dispatch.Progress // arguments of OnProgress; guarded by world.mu
	calling  bool                // inside OnProgress
}

func (w *world) newGroup(via op, c *watched) *group {
	w.mu.Lock()
	defer w.mu.Unlock()
	g := &group{id: len(w.groups), via: via, ctx: c, stopOnError: via == opMap}
	w.groups = append(w.groups, g)
	return g
}

// join makes the n jobs that a step adds to g.
func (w *world) join(g *group, b body, n int, parent *job) []*job {
	var jobs []*job
	for i := range n {
		j := w.newJob(g.via, g.ctx, b.sibling(i), parent)
		w.mu.Lock()
		j.group, j.index, j.room = g, len(g.items), unknown
		g.items = append(g.items, j)
		w.mu.Unlock()
		jobs = append(jobs, j)
	}
	return jobs
}

func ids(jobs []*job) []int {
	all := make([]int, len(jobs))
	for i, j := range jobs {
		all[i] = j.id
	}
	return all
}

// tripped returns when an item's outcome stopped the batch, as StopOnError and
// StopOnSuccess ask for: in phase from at the earliest, in phase by at the
// latest. The outcome of an item past its limit may come when its handler
// returns, hence the span.
func (g *group) tripped(w *world) (from, by int) {
	from, by = never, never
	for _, j := range g.items {
		limit := w.runLimit(j)
		if j.ended != 0 && j.ended <= limit {
			good := j.body.finish == returns && !j.gaveUp && !j.torn
			if good && g.stopOnSuccess || !good && g.stopOnError {
				from = min(from, j.ended)
				// Unless it was too late by a hair, or it gave up, because of
				// what has decided the rest by then.
				if !j.gaveUp && (j.ended < limit || !good) {
					by = min(by, j.ended)
				}
			}
		}
		if !g.stopOnError {
			continue
		}
		if w.flaky && j.starts == 0 {
			from = min(from, j.asked)
		}
		if limit != never && (j.ended == 0 || j.ended >= limit) {
			from = min(from, limit)
			if j.ended > limit {
				by = min(by, j.ended)
			}
		}
	}
	if from == never {
		return 0, 0
	}
	return from, by
}

// haltedBy reports whether err is the cause that the handler of j sees when another item
// has stopped g: that item's failure, or an error that says that the item has succeeded.
func (g *group) haltedBy(err error, j *job) bool {
	if !g.stopOnError {
		return err == dispatch.ErrHalted
	}
	e, ok := err.(*dispatch.ItemError)
	if !ok || e.Index < 0 || e.Index >= len(g.items) || g.items[e.Index] == j {
		return false
	}
	other := g.items[e.Index]
	return other.settled == 0 || other.outcome.err == e.Err
}

// tell records one item's outcome as a reader of g received it.
func (w *world) tell(g *group, index int, o outcome, since int) {
	w.mu.Lock()
	if index < 0 || index >= len(g.items) {
		w.failf("group %d: a reader was told of item %d of %d", g.id, index, len(g.items))
		w.mu.Unlock()
		return
	}
	j := g.items[index]
	w.mu.Unlock()
	w.settle(j, o, since)
}

// result records one Result.
func (w *world) result(g *group, r dispatch.Result[int, int], since int) {
	w.tell(g, r.Index, outcome{r.Out, r.Err}, since)
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.Index < len(g.items) && g.items[r.Index].id != r.In {
		w.failf("group %d: item %d came with the input of job %d", g.id, r.Index, r.In)
	}
}

// onProgress is the batch's OnProgress.
func (w *world) onProgress(g *group) func(dispatch.Progress) {
	return func(p dispatch.Progress) {
		w.mu.Lock()
		if g.calling {
			w.failf("group %d: two calls of OnProgress at once", g.id)
		}
		if n := len(g.progress); n > 0 {
			last := g.progress[n-1]
			if p.Total < last.Total || p.Done < last.Done || p.Failed < last.Failed {
				w.failf("group %d: OnProgress was told %+v after %+v", g.id, p, last)
			}
		}
		g.progress = append(g.progress, p)
		g.calling = true
		w.mu.Unlock()

		runtime.Gosched() // lets a second call in, if there is one

		w.mu.Lock()
		g.calling = false
		w.mu.Unlock()
	}
}

// batchDone reports whether a batch is sealed and has all its outcomes.
func (w *world) batchDone(g *group) bool {
	if g.sealed == 0 && g.canceled == 0 && g.ctx.doneAt == 0 && w.closed == 0 {
		return false
	}
	return !slices.ContainsFunc(g.items, func(j *job) bool { return deadline(w.decisions(j)) > w.phase })
}

// streamDone reports whether a loop over a stream has nothing left to wait for. The
// stream takes inputs for as long as it may, and inputs are always available.
func (w *world) streamDone(g *group) bool {
	if g.live && !g.fed && w.closed == 0 {
		return g.ctx.doneAt != 0 // its source may have more
	}
	return g.ctx.doneAt != 0 || !slices.ContainsFunc(g.items, func(j *job) bool {
		return j.refused == nil && deadline(w.decisions(j)) > w.phase
	})
}

// mapDone reports whether Map should have returned: at once if its context is
// done, otherwise once all items have their outcomes and no handler runs.
func (w *world) mapDone(g *group) bool {
	return g.ctx.doneAt != 0 || !slices.ContainsFunc(g.items, func(j *job) bool {
		return j.running || deadline(w.decisions(j)) > w.phase
	})
}

// checkProgress compares the batch's Progress with the model.
func (w *world) checkProgress(g *group) error {
	p := g.batch.Progress()
	if g.vague != nil {
		return nil
	}
	if n := len(g.items); g.turnedAway != nil {
		if (p != dispatch.Progress{Total: n, Done: n, Failed: n}) {
			return fmt.Errorf("group %d: Progress is %+v, and none of %d items was accepted", g.id, p, n)
		}
		return nil
	}
	least, most, total := 0, 0, 0
	for _, j := range g.items {
		if j.accepted == 0 {
			continue
		}
		total++
		ds := w.decisions(j)
		if deadline(ds) <= w.phase {
			least++
		}
		if first(ds) <= w.phase || w.flaky {
			most++
		}
	}
	if p.Total != total || p.Done < least || p.Done > most || p.Failed > p.Done {
		return fmt.Errorf("group %d: Progress is %+v, expected a total of %d and from %d to %d done", g.id, p, total, least, most)
	}
	return nil
}
