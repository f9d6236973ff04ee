package dispatch

import (
	"context"
	"time"

	"example.com/dispatch/internal/sched"
)

// This file records on a worker's desk what the worker is doing, and tells the hooks how
// each job starts and ends. Unless a comment says otherwise, its functions are called on
// the worker's goroutine, or on that of a caller that runs its job inline, and without a
// mutex, because hooks and labels are user code.

// inHand returns the index of the input in the worker's hand, -1 for a single job, and when
// it was submitted.
func (w *worker[In, Out]) inHand(t *sched.Task) (index int, added time.Duration) {
	if of := w.slot.Run(); of != nil {
		r := of.Typed.(*run[In, Out])
		return r.index(), r.chunk.addedAt(r.i)
	}
	return -1, t.Added()
}

// turnTo records that the worker has started on the work in hand. The job's wait ends here.
// The time that newWorker and Ready take belongs to its run.
func (w *worker[In, Out]) turnTo(t *sched.Task, now time.Duration) {
	index, added := w.inHand(t)
	w.desk.begin(work{index: index, added: added, begun: now, task: t})
}

// start records that the handler is about to be called for an input, and returns the
// context for the handler. A hook that calls runtime.Goexit ends the job as a handler
// would.
func (w *worker[In, Out]) start(ctx context.Context, in In) context.Context {
	tel := w.pool.tel
	w.desk.enter("") // first, because the label may end the goroutine
	if tel.label != nil {
		w.desk.enter(tel.labelOf(in))
	}
	return w.startHooks(ctx)
}

// turn is turnTo and start for an input whose handler is called at once. Without a label no
// user code runs between the two, so turn locks the desk's mutex once for both.
func (w *worker[In, Out]) turn(t *sched.Task, ctx context.Context, in In, now time.Duration) context.Context {
	if w.pool.tel.label != nil {
		w.turnTo(t, now)
		return w.start(ctx, in)
	}
	index, added := w.inHand(t)
	w.desk.begin(work{index: index, added: added, begun: now, task: t, ran: true})
	return w.startHooks(ctx)
}

// begin is start, with turnTo before it unless exec has called that already.
func (w *worker[In, Out]) begin(t *sched.Task, in In) context.Context {
	if w.desk.busy { // its own
		return w.start(t.Context(), in)
	}
	return w.turn(t, t.Context(), in, w.pool.sched.Since())
}

// startHooks has the hooks make the context of the handler, and keeps it for Done. If a
// hook ends the goroutine, no context is kept, and Done gets the caller's.
func (w *worker[In, Out]) startHooks(ctx context.Context) context.Context {
	if tel := w.pool.tel; len(tel.hooks) > 0 {
		j := tel.job(w.desk, w.desk.at, w.desk.at.begun)
		// The desk already says that the handler runs, in case a hook ends the goroutine.
		// The hooks are told what is true before the handler.
		j.Ran, j.Run = false, 0
		ctx = tel.start(ctx, j, w.pool.hookPanicked)
		w.desk.hooked = ctx
	}
	return ctx
}

// tell records the end of the work in hand, with the outcome o, and tells the hooks. If
// others have settled the job before its handler, they have done that already. in is used
// if the worker itself has ended the job before its handler.
func (w *worker[In, Out]) tell(t *sched.Task, in In, o *sched.Outcome, decided bool) {
	tel, ctx := w.pool.tel, w.desk.hooked
	w.desk.hooked = nil
	// A hook may end the goroutine. The goroutine that takes its place sees in the state
	// that the outcome is final, and does not tell it again.
	w.state = telling
	at, busy := w.desk.at, w.desk.busy // its own
	// The first case is a job that the worker has started on: its handler ran, or newWorker
	// or Ready failed. The second is a job that the worker itself has ended before that.
	// The rest were ended by others, who have told the hooks (withdrawn).
	switch {
	case at.ran || busy && (o.Kind == sched.Failed || o.Kind == sched.Panicked):
		now := tel.sched.Since()
		at = w.desk.end(now)
		if o.Kind == sched.Succeeded && len(tel.hooks) == 0 {
			break // the job is counted, and there is no hook to tell
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

// withdrawn is the effect that tells the hooks of a job that was settled before its
// handler. It is performed on the goroutine that has settled the job. It keeps the context
// and the input of that moment, because the job gives up both, and Stop returns the input.
type withdrawn[In, Out any] struct {
	p   *Pool[In, Out]
	j   *job[In, Out]
	ctx context.Context
	in  In
}

func (w *withdrawn[In, Out]) Perform() {
	o := w.j.task.Outcome()
	w.p.tellUnstarted(w.ctx, w.in, -1, w.j.task.Added(), o)
	w.p.sched.EndBackground() // the pool could not end until now
}

// tellUnstarted tells the hooks of a job that no worker has started on. It is called on any
// goroutine, which a hook must not end.
func (p *Pool[In, Out]) tellUnstarted(ctx context.Context, in In, index int, added time.Duration, o sched.Outcome) {
	f := func() {
		j := p.tel.unstarted(index, added)
		defer func() { p.tel.tell(ctx, j, &o, p.hookPanicked) }() // deferred, because the label may end the goroutine
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
