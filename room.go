package dispatch

import (
	"context"
	"time"
)

// entry says how a job comes in.
type entry struct {
	policy  Overflow
	outer   *task            // the running job of this pool that submits it, if one does
	waits   bool             // the submitter waits for the outcome
	expired <-chan time.Time // ends the wait for room
	limit   time.Duration    // that has passed then
}

// accept takes j into the pool: it leaves it at the door, hands it to an idle
// worker or queues it, or does what the policy says. On an error j will not run.
func (p *Pool[In, Out]) accept(ctx context.Context, j *job[In, Out], e entry) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !(e.outer != nil && e.waits) && p.door.leave(j) {
		return nil
	}
	p.mu.Lock()
	p.shutDoor()
	switch {
	case p.state != Running:
		p.mu.Unlock()
		return ErrClosed
	case j.task.resolved():
		p.mu.Unlock()
		return j.task.err // ctx was done meanwhile, and its watch has settled j
	case e.outer != nil && e.waits && p.enterOnLoan(j, e.outer):
		p.mu.Unlock()
		return nil
	case !p.hasRoom():
		return p.acceptFull(ctx, j, e)
	}
	p.submitted++
	if len(p.idleSince) > 0 && p.active < p.limit && p.queued == 0 && len(p.sources) == 0 {
		// Nothing waits and a worker is idle: hand the job over.
		w := p.claimIdle()
		p.active++
		p.start(j)
		p.mu.Unlock()
		p.hand(w, work[In, Out]{job: j})
		return nil
	}
	p.enqueue(j)
	p.mu.Unlock()
	return nil
}

// enqueue has j wait for its turn. The mutex is held.
func (p *Pool[In, Out]) enqueue(j *job[In, Out]) {
	j.task.accept()
	p.queue.push(j)
	p.queued++
	p.tendDoor()
	p.checkCrowd()
}

// start claims j for a worker. The mutex is held.
func (p *Pool[In, Out]) start(j *job[In, Out]) {
	j.task.accept()
	j.task.claimed = true
	p.queue.start(j)
}

// startExtra has j run at once, on top of the limit. The mutex is held.
func (p *Pool[In, Out]) startExtra(j *job[In, Out], lender *task) {
	p.start(j)
	p.runExtra(work[In, Out]{job: j, lender: lender})
}

// enterOnLoan accepts j and has it run on the place of outer, if nothing does.
// The mutex is held.
func (p *Pool[In, Out]) enterOnLoan(j *job[In, Out], outer *task) bool {
	if !outer.borrow() {
		return false
	}
	p.submitted++
	p.startExtra(j, outer)
	return true
}

// acceptFull is accept where the queue is full. It is called with the mutex
// held and releases it.
func (p *Pool[In, Out]) acceptFull(ctx context.Context, j *job[In, Out], e entry) error {
	switch {
	case e.policy == Block || e.outer != nil && e.waits:
		return p.acceptBlocked(ctx, j, e)
	case e.policy == DropOldest && p.queued > max(p.limit-p.active, 0):
		old := p.queue.first.elem
		p.submitted++
		p.enqueue(j) // first, so that nobody else takes the room that is made
		waiter, _ := p.decide(&old.task, verdict{kind: dropped, err: ErrDropped})
		p.mu.Unlock()
		old.task.announce(waiter)
		return nil
	case e.policy == CallerRuns:
		p.submitted++
		p.startExtra(j, nil)
		p.mu.Unlock()
		if !e.waits {
			j.task.wait(ctx)
		}
		return nil
	}
	p.rejected++
	p.mu.Unlock()
	return ErrQueueFull
}

// blocked is a submitter that waits for room. Guarded by the ledger's mutex.
type blocked[In, Out any] struct {
	job   *job[In, Out]
	place link[blocked[In, Out]] // in pool.blocked, while it waits
	err   error                  // why the job was refused after all
	ready chan struct{}          // one token when the wait is over
}

// acceptBlocked is accept that waits for room. It is called with the mutex held
// and releases it.
func (p *Pool[In, Out]) acceptBlocked(ctx context.Context, j *job[In, Out], e entry) error {
	b := &blocked[In, Out]{job: j, ready: make(chan struct{}, 1)}
	p.blocked.push(&b.place, b)
	p.checkCrowd()
	if e.outer != nil {
		p.lendLocked(e.outer, b)
		defer p.endLoan(e.outer, b)
	}
	p.mu.Unlock()

	var gone verdict
	select {
	case <-b.ready:
		return b.err
	case <-ctx.Done():
		gone = contextVerdict(ctx)
	case <-e.expired:
		gone = verdict{kind: timedOut, limit: e.limit, err: &TimeoutError{Limit: e.limit}}
	}
	p.mu.Lock()
	waits := b.place.elem != nil
	p.blocked.remove(&b.place)
	p.mu.Unlock()
	if waits {
		return gone.err
	}
	// Room was made at the same moment: the job is in, and ends at once.
	<-b.ready
	if b.err == nil {
		p.settle(&j.task, gone)
	}
	return b.err
}

// dismiss ends the wait of b, with the pool's answer to its job. The mutex is
// held.
func (p *Pool[In, Out]) dismiss(b *blocked[In, Out], err error) {
	p.blocked.remove(&b.place)
	b.err = err
	b.ready <- struct{}{} // has room: the only token
}

// forward runs the job of a blocked submitter on the place of the job that
// submits it.
func (b *blocked[In, Out]) forward(lender *task) bool {
	p := b.job.pool
	if b.place.elem == nil || b.job.task.resolved() {
		return false
	}
	p.dismiss(b, nil)
	p.submitted++
	p.startExtra(b.job, lender)
	return true
}

// admit accepts the jobs of blocked submitters for as long as there is room.
// The mutex is held.
func (p *Pool[In, Out]) admit() {
	for !p.blocked.empty() && p.hasRoom() {
		b := p.blocked.head.elem
		if b.job.task.resolved() {
			p.dismiss(b, b.job.task.err) // its context is done
			continue
		}
		p.dismiss(b, nil)
		p.submitted++
		p.enqueue(b.job)
	}
}
