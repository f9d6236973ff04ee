package dispatch

import "example.com/dispatch/internal/sched"

// The dispatcher is the goroutine that brings jobs and workers together
// whenever they do not meet by themselves:
//
//	Process, Submit ─┬─ a worker is idle ──► taken from the worker channel, job in hand ─┐
//	                 └─ none is ──► shared queue ──► a worker that becomes free ─────────┼─► handler ─► future / batch
//	Batch, Map ──────── group of items ──► takes turns with the queue ───────────────────┘
//	                      the dispatcher pairs the rest: waiting jobs and groups with idle
//	                      workers from the worker channel; it starts and retires workers,
//	                      and ends the pool
//
// The scheduler (internal/sched) decides who meets whom; the dispatcher asks it
// what is next, and does that. It lives while there are workers or there is
// something to do, and holds no job.

// dispatch is the dispatcher's loop.
func (p *Pool[In, Out]) dispatch() {
	var started *worker[In, Out]
	newWorker := func() *sched.Worker {
		started = p.newPoolWorker()
		return &started.slot
	}
	for {
		switch d := p.sched.Decide(newWorker); d.Action {
		case sched.Again:
		case sched.Start:
			sched.Go(started.loop)
		case sched.Sleep:
			p.sched.Sleep(d)
		case sched.Exit:
			return
		case sched.End:
			p.end()
			return
		}
	}
}

// end lets go of all that the pool holds outside, and tells that it has ended. The
// dispatcher calls it last.
func (p *Pool[In, Out]) end() {
	if p.unwatch != nil {
		p.unwatch()
	}
	if p.newWorker != nil {
		p.cancelCtx(ErrClosed)
	}
	close(p.done)
}
