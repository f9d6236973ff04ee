package dispatch

import (
	"slices"
	"time"
)

// The dispatcher is the goroutine that brings jobs and workers together
// whenever they do not meet by themselves:
//
//	Submit/Process ──► shared queue ─────┐
//	                                     ├──► dispatcher ◄── worker channel (idle workers)
//	Batch/Map ───────► list of batches ──┘        │
//	                                              └──► worker's inbox ──► handler ──► future / batch
//
// A submitter that finds nothing waiting and a worker idle hands its job over
// itself (accept), one that finds all workers busy leaves it at the queue's door
// (leave), and a worker that finishes a job takes the next itself (turn); none
// needs the dispatcher. All else is its work: pairing what
// waits with idle workers, starting workers, retiring them, and ending the
// pool. It lives while there are workers or there is something to do.

// dispatch is the dispatcher's loop: it decides with the mutex held, and acts
// without it. It holds a job only when it has a worker for it.
func (p *Pool[In, Out]) dispatch() {
	timer := time.NewTimer(0)
	timer.Stop()
	for {
		p.mu.Lock()
		d := p.decideNext()
		p.mu.Unlock()

		switch d.act {
		case pairIdle, retireIdle:
			p.hand(d.idle, d.work)
		case startWorker:
			go p.newPoolWorker(d.work).loop()
		case sleep:
			p.sleep(timer, d.until)
		case exit:
			return
		case endPool:
			p.cancelCtx(ErrClosed)
			close(p.done)
			return
		}
	}
}

// sleep waits to be poked, or until the time, if it is not 0.
func (p *Pool[In, Out]) sleep(timer *time.Timer, until time.Duration) {
	if until == 0 {
		<-p.wake
		return
	}
	timer.Reset(until - p.since())
	select {
	case <-p.wake:
		timer.Stop()
	case <-timer.C:
		p.mu.Lock()
		if !p.asleep {
			<-p.wake // poked at this very moment: the token is there
		}
		p.asleep = false
		p.mu.Unlock()
	}
}

// decision is what the dispatcher does next.
type decision[In, Out any] struct {
	act   action
	work  work[In, Out]
	idle  *worker[In, Out] // who gets the work; nil for any in the worker channel
	until time.Duration    // on the ledger's clock; 0: no worker is going to be idle too long
}

type action int

const (
	pairIdle    action = iota // give work to an idle worker
	startWorker               // give work to a new worker
	retireIdle                // let an idle worker go
	sleep                     // until poked, or a worker has been idle too long
	exit                      // the pool is open and holds no worker
	endPool                   // the pool takes no more and holds nothing
)

// decideNext takes the claims of the decision that it returns. The mutex is held.
func (p *Pool[In, Out]) decideNext() (d decision[In, Out]) {
	if p.claimWork(&d.work) {
		if len(p.idleSince) > 0 {
			d.idle = p.claimIdle()
			d.act = pairIdle
		} else {
			p.workforce++
			p.idleSince = slices.Grow(p.idleSince, p.workforce) // here, not on the worker's small stack
			d.act = startWorker
		}
		return d
	}

	now, later := p.surplus()
	switch {
	case now:
		d.idle = p.claimSurplus()
		p.leaving++
		d.act, d.work = retireIdle, work[In, Out]{leave: true}
	case p.state != Running && p.workforce == 0 && p.strays == 0 && p.errands == 0 && !p.unfinished():
		p.state = Ended
		d.act = endPool
	case p.state == Running && p.workforce == 0:
		p.dispatching = false
		d.act = exit
	default:
		p.asleep, p.timed = true, later > 0
		d.act, d.until = sleep, later
	}
	return d
}

// work is what a worker is given to do. The zero work is nothing.
type work[In, Out any] struct {
	job    *job[In, Out]   // a single job
	source source[In, Out] // or an item of a batch or a map ...
	item   *item[In, Out]  // ... of a batch
	index  int             // ... at this index
	leave  bool            // or the end of the worker

	extra  bool  // the run is on top of the limit ...
	lender *task // ... on the place of this job, if it is not nil
}

// source is what holds items of its own and stands in the list beside the
// queue while some of them are unclaimed: a batch or a map.
type source[In, Out any] interface {
	// claim puts the next item into w; false if none is left. The mutex is held.
	claim(w *work[In, Out]) bool
	// unclaimed counts the items that claim has not given. The mutex is held.
	unclaimed() int
	// run handles the item in w's hand, and may go on with others.
	run(w *worker[In, Out])
	// finish gives the item in w's hand the outcome that w has for it, and w
	// something else to do.
	finish(w *worker[In, Out])
	// abandon gives the item in w's hand the outcome v while w still runs it. The
	// mutex is held; what it returns is called when it is released.
	abandon(w *worker[In, Out], v verdict) (announce func())
	// halt ends all unclaimed items with v and interrupts the others, and
	// returns the inputs of the former. The mutex is held, as for abandon.
	halt(v verdict) (unrun []In, announce func())
}

// claimWork claims something that may run now, and puts it into w, which is
// zero. The mutex is held. (It is a pointer because this runs on the stacks of
// workers, which are many and small.)
func (p *Pool[In, Out]) claimWork(w *work[In, Out]) bool {
	if len(p.urgent) > 0 {
		p.claimUrgent(w)
		return true
	}
	if p.active < p.limit && p.claim(w) {
		p.active++
		return true
	}
	return false
}

func (p *Pool[In, Out]) claimUrgent(w *work[In, Out]) {
	*w = p.urgent[0]
	p.urgent[0] = work[In, Out]{}
	if p.urgent = p.urgent[1:]; len(p.urgent) == 0 {
		p.urgent = nil
	}
}

// claim takes a job from the queue or an item from a source. While there are
// both, they take turns, and so do the sources among themselves. The mutex is
// held.
func (p *Pool[In, Out]) claim(w *work[In, Out]) (ok bool) {
	if len(p.sources) > 0 && (p.turnSrc || p.queued == 0) {
		p.turnSrc = false
		ok = p.claimItem(w)
		p.checkCrowd()
	}
	if !ok && p.queued == 0 && p.door.unlocked {
		p.collect(true) // it may stay open: the place is taken again by what has come
	}
	if !ok && p.queued > 0 {
		j := p.queue.first.elem
		p.queued--
		p.start(j)
		p.turnSrc = true
		w.job = j
		return true
	}
	return ok
}

// claimItem takes an item from the source whose turn it is.
func (p *Pool[In, Out]) claimItem(w *work[In, Out]) bool {
	for len(p.sources) > 0 {
		if p.nextSrc >= len(p.sources) {
			p.nextSrc = 0
		}
		if p.sources[p.nextSrc].claim(w) {
			p.nextSrc++
			return true
		}
		p.sources = slices.Delete(p.sources, p.nextSrc, p.nextSrc+1)
	}
	return false
}

// unlist takes a source out of the list that has nothing to claim any more. The
// mutex is held.
func (p *Pool[In, Out]) unlist(s source[In, Out]) {
	if i := slices.Index(p.sources, s); i >= 0 {
		p.sources = slices.Delete(p.sources, i, i+1)
		p.checkCrowd()
	}
}

// checkCrowd sets heed while a worker that is at a batch or a Map should give way
// to something else. The mutex is held.
func (p *Pool[In, Out]) checkCrowd() {
	crowd := len(p.sources) > 0 && (len(p.sources) > 1 || p.queued > 0 || !p.blocked.empty() || p.active > p.limit)
	if crowd != p.heed.Load() {
		p.heed.Store(crowd)
	}
}

// runExtra has w run on top of the limit. The mutex is held.
func (p *Pool[In, Out]) runExtra(w work[In, Out]) {
	w.extra = true
	p.extra++
	p.urgent = append(p.urgent, w)
	p.poke()
}

// claimIdle claims an idle worker for something to do: the warm one, or else
// whichever comes out of the channel, for which it returns nil. The mutex is held.
func (p *Pool[In, Out]) claimIdle() *worker[In, Out] {
	p.idleSince = p.idleSince[:len(p.idleSince)-1]
	w := p.warm
	p.warm = nil
	return w
}

// claimSurplus claims an idle worker that is to leave: one in the channel, or
// else the warm one. The mutex is held.
func (p *Pool[In, Out]) claimSurplus() (w *worker[In, Out]) {
	if len(p.idleSince) == 1 {
		w, p.warm = p.warm, nil
	}
	p.idleSince = p.idleSince[1:]
	return w
}

// hand gives work to an idle worker that has been claimed; nil for one in the
// channel.
func (p *Pool[In, Out]) hand(w *worker[In, Out], todo work[In, Out]) {
	if w == nil {
		w = <-p.workers
	}
	w.hand = todo
	w.inbox <- struct{}{} // has room: there is one token for each claim
}

// poke makes the dispatcher look again. The mutex is held.
func (p *Pool[In, Out]) poke() {
	switch {
	case !p.dispatching:
		p.dispatching = true
		go p.dispatch()
	case p.asleep:
		p.asleep = false
		p.wake <- struct{}{} // has room: there is one token for each sleep
	}
}

// mustRetire tells whether the dispatcher must know that a worker went idle:
// to let one go, or to set its timer for that. The mutex is held.
func (p *Pool[In, Out]) mustRetire() bool {
	return p.state != Running || len(p.idleSince)+p.active > p.limit || !p.timed && p.aboveMinimum()
}

func (p *Pool[In, Out]) aboveMinimum() bool {
	return p.workforce-p.leaving > min(p.cfg.minWorkers, p.limit)
}

// surplus tells whether an idle worker should go now, or else when it should
// (0: not as things are). The mutex is held.
func (p *Pool[In, Out]) surplus() (now bool, later time.Duration) {
	idle := len(p.idleSince)
	switch {
	case idle == 0:
		return false, 0
	case p.state != Running || idle+p.active > p.limit:
		return true, 0
	case !p.aboveMinimum():
		return false, 0
	}
	expires := saturate(p.idleSince[0], p.cfg.idleTimeout)
	return expires <= p.since(), expires
}
