package dispatch

import "example.com/dispatch/internal/sched"

// The dispatcher is the goroutine that brings jobs and workers together when they do not
// meet by themselves:
//
//	Process, Submit ─┬─ a worker is idle ──► taken from the worker channel, job in hand ─┐
//	                 └─ none is ──► shared queue ──► a worker that becomes free ─────────┼─► handler ─► future / batch
//	Batch, Map ──────── group of items ──► takes turns with the queue ───────────────────┘
//	                      idle workers are called from the worker channel, each by the
//	                      one before; the dispatcher starts and retires workers, pairs
//	                      what is left with idle ones, and ends the pool
//
// The scheduler (internal/sched) decides which job meets which worker. The dispatcher asks
// it what is next, and does that. The dispatcher lives while there are workers or there is
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

// end releases everything that the pool holds outside itself, and closes done. The
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
