package dispatch

import (
	"context"
	"time"

	"example.com/dispatch/internal/sched"
)

// How what a worker is at, and how it ended, reaches its desk and the hooks. All of it is
// called on the worker's goroutine, or on that of a caller that runs its job inline,
// unless it says otherwise; and without a mutex, because hooks and labels are user code.

// inHand tells the index of what the worker has in hand, -1 for a single job, and
// when it was submitted.
func (w *worker[In, Out]) inHand(t *sched.Task) (index int, added time.Duration) {
	if of := w.slot.Run(); of != nil {
		r := of.Typed.(*run[In, Out])
		return r.index(), r.chunk.addedAt(r.i)
	}
	return -1, t.Added()
}

// turnTo notes that the worker has turned to what it has in hand: the job's wait ends
// here, and what the making of its Worker and Ready take belongs to its run.
func (w *worker[In, Out]) turnTo(t *sched.Task, now time.Duration) {
	index, added := w.inHand(t)
	w.desk.begin(work{index: index, added: added, begun: now, task: t})
}

// start notes that the handler is about to be called for an input, and returns the
// context that it gets. A hook that calls runtime.Goexit ends the job as a handler
// would.
func (w *worker[In, Out]) start(ctx context.Context, in In) context.Context {
	tel := w.pool.tel
	w.desk.enter("") // first: a label may end the goroutine
	if tel.label != nil {
		w.desk.enter(tel.labelOf(in))
	}
	return w.startHooks(ctx)
}

// turn is turnTo and start for an input whose handler is called at once. Without a label
// nothing of the user's comes in between, and one turn of the desk's mutex does for both.
func (w *worker[In, Out]) turn(t *sched.Task, ctx context.Context, in In, now time.Duration) context.Context {
	if w.pool.tel.label != nil {
		w.turnTo(t, now)
		return w.start(ctx, in)
	}
	index, added := w.inHand(t)
	w.desk.begin(work{index: index, added: added, begun: now, task: t, ran: true})
	return w.startHooks(ctx)
}

// begin is start, and turnTo before it unless exec has called that already.
func (w *worker[In, Out]) begin(t *sched.Task, in In) context.Context {
	if w.desk.busy { // its own
		return w.start(t.Context(), in)
	}
	return w.turn(t, t.Context(), in, w.pool.sched.Since())
}

// startHooks has the hooks make the context of the handler, and keeps it for Done. A hook
// that ends the goroutine leaves none: Done gets the caller's context then.
func (w *worker[In, Out]) startHooks(ctx context.Context) context.Context {
	if tel := w.pool.tel; len(tel.hooks) > 0 {
		j := tel.job(w.desk, w.desk.at, w.desk.at.begun)
		// The desk says already that the handler runs, for the case that a hook ends the
		// goroutine; the hook is told what is so before the handler.
		j.Ran, j.Run = false, 0
		ctx = tel.start(ctx, j, w.pool.hookPanicked)
		w.desk.hooked = ctx
	}
	return ctx
}

// tell tells of the end of what the worker has in hand, with the outcome o. A job
// that was settled before its handler, and not by its worker, has been told of; in is
// the input of one that its worker has ended before its handler.
func (w *worker[In, Out]) tell(t *sched.Task, in In, o *sched.Outcome, decided bool) {
	tel, ctx := w.pool.tel, w.desk.hooked
	w.desk.hooked = nil
	// A hook may end the goroutine. The one that goes on in its place finds by the state
	// that the outcome stands, and does not tell it again.
	w.state = telling
	at, busy := w.desk.at, w.desk.busy // its own
	// First what a worker has had: its handler ran, or making the Worker or Ready failed
	// after it had turned to the job. Then what the worker itself has ended before that. What
	// is left was ended by others, who have told of it (withdrawn).
	switch {
	case at.ran || busy && (o.Kind == sched.Failed || o.Kind == sched.Panicked):
		now := tel.sched.Since()
		at = w.desk.end(now)
		if o.Kind == sched.Succeeded && len(tel.hooks) == 0 {
			break // the job counts, and nobody wants to hear of it
		}
		j := tel.job(w.desk, at, now)
		j.Stray = w.slot.IsStray()
		if !j.Ran {
			j.Label = tel.labelApart(in)
		}
		if ctx == nil {
			ctx = t.Context().Caller()
		}
		tel.tell(ctx, j, o, w.pool.hookPanicked)
	case decided:
		index, added := w.inHand(t)
		w.desk.leave()
		w.pool.tellUnstarted(t.Context().Caller(), in, index, added, *o)
	default:
		w.desk.leave()
	}
	w.state = resting
}

// withdrawn is the effect that tells of a job that was settled before its handler. It is
// performed on the goroutine that has settled the job. The context and the input are those
// of the moment: the job gives up both, and Stop hands the input out.
type withdrawn[In, Out any] struct {
	p   *Pool[In, Out]
	j   *job[In, Out]
	ctx context.Context
	in  In
}

func (w *withdrawn[In, Out]) Perform() {
	o := w.j.task.Outcome()
	w.p.tellUnstarted(w.ctx, w.in, -1, w.j.task.Added(), o)
	w.p.sched.EndBackground() // until now the pool has not ended
}

// tellUnstarted tells of a job that no worker has had. It is called on anybody's
// goroutine, which a hook must not end.
func (p *Pool[In, Out]) tellUnstarted(ctx context.Context, in In, index int, added time.Duration, o sched.Outcome) {
	f := func() {
		j := p.tel.unstarted(index, added)
		defer func() { p.tel.tell(ctx, j, &o, p.hookPanicked) }() // also if the label ends the goroutine
		j.Label = p.tel.labelOf(in)
	}
	if len(p.tel.hooks) > 0 || p.tel.label != nil {
		guard.Apart(f)
	} else {
		f()
	}
}

// hookPanicked logs the panic of a hook.
func (p *Pool[In, Out]) hookPanicked(err error) { p.logPanic("a hook", err) }
