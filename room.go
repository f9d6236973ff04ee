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

// accept takes j into the pool: it hands it to an idle worker or queues it, or
// does what the policy says. On an error j will not run.
func (p *Pool[In, Out]) accept(ctx context.Context, j *job[In, Out], e entry) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p.mu.Lock()
	if p.state != Running {
		p.mu.Unlock()
		return ErrClosed
	}
	if !p.hasRoom() {
		return p.acceptFull(ctx, j, e)
	}
	if !p.enter(j, queued) {
		p.mu.Unlock()
		return j.task.err
	}
	if len(p.idleSince) > 0 && p.active < p.limit && p.queued == 0 && len(p.sources) == 0 {
		// Nothing waits and a worker is idle: hand the job over.
		p.claimIdle()
		p.active++
		p.mu.Unlock()
		p.hand(work[In, Out]{job: j})
		return nil
	}
	send := p.enqueue(j)
	p.checkCrowd()
	p.mu.Unlock()
	if send {
		p.queue <- j
	}
	return nil
}

// enter makes j one of the accepted jobs, unless it has been settled before:
// then its caller's context was done, and the pool refuses it with j.task.err.
// The mutex is held.
func (p *Pool[In, Out]) enter(j *job[In, Out], phase uint32) bool {
	if !j.task.phase.CompareAndSwap(fresh, phase) {
		return false
	}
	p.submitted++
	p.accepted.push(&j.accepted, j)
	return true
}

// enterExtra has j run at once, on top of the limit. The mutex is held.
func (p *Pool[In, Out]) enterExtra(j *job[In, Out], lender *task) bool {
	if !p.enter(j, running) {
		return false
	}
	p.runExtra(work[In, Out]{job: j, lender: lender})
	return true
}

// acceptFull is accept where the queue is full. It is called with the mutex
// held and releases it.
func (p *Pool[In, Out]) acceptFull(ctx context.Context, j *job[In, Out], e entry) error {
	switch {
	case e.outer != nil && (e.waits || e.policy == Block):
		// The submitter waits for its own pool: the job may run on its place.
		return p.acceptBlocked(ctx, j, e)
	case e.policy == Block:
		return p.acceptBlocked(ctx, j, e)
	case e.policy == DropOldest && p.queued > max(p.limit-p.active, 0):
		return p.acceptDropping(j)
	case e.policy == CallerRuns:
		ok := p.enterExtra(j, nil)
		p.mu.Unlock()
		if !ok {
			return j.task.err
		}
		if !e.waits {
			j.task.wait(ctx)
		}
		return nil
	}
	p.rejected++
	p.mu.Unlock()
	return ErrQueueFull
}

// acceptDropping lets j take the place of the oldest job in the queue.
func (p *Pool[In, Out]) acceptDropping(j *job[In, Out]) error {
	if !p.enter(j, queued) {
		p.mu.Unlock()
		return j.task.err
	}
	// The claim on the oldest and the entry of j leave queued as it is.
	p.mu.Unlock()
	old := <-p.queue
	p.queue <- j

	p.mu.Lock()
	var waiter chan struct{}
	live := old.task.phase.Load() == queued
	if live {
		waiter, live = p.decide(&old.task, verdict{kind: dropped, err: ErrDropped})
	}
	p.dead-- // out of the queue, dropped now or dead before
	p.checkQuiet()
	p.mu.Unlock()
	if live {
		old.task.announce(waiter)
	}
	return nil
}

// blocked is a submitter that waits for room. Guarded by the ledger's mutex.
type blocked[In, Out any] struct {
	job   *job[In, Out]
	place link[blocked[In, Out]] // in pool.blocked, while it waits
	next  *blocked[In, Out]      // among those that admit returned
	send  bool                   // whether welcome sends the job to the queue
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
		gone = verdict{kind: timedOut, limit: e.limit}
	}
	p.mu.Lock()
	waits := b.place.elem != nil
	p.blocked.remove(&b.place)
	p.mu.Unlock()
	if waits {
		if gone.limit != 0 {
			gone.err = &TimeoutError{Limit: gone.limit}
		}
		return gone.err
	}
	// Room was made at the same moment: the job is in, and ends at once.
	<-b.ready
	if b.err == nil {
		p.settle(&j.task, gone)
	}
	return b.err
}

// forward runs the job of a blocked submitter on the place of the job that
// submits it.
func (b *blocked[In, Out]) forward(lender *task) bool {
	p := b.job.pool
	if b.place.elem == nil || !p.enterExtra(b.job, lender) {
		return false
	}
	p.blocked.remove(&b.place)
	b.ready <- struct{}{} // has room: the only token
	return true
}

// admit accepts the jobs of blocked submitters for as long as there is room.
// The mutex is held; welcome must follow when it is released.
func (p *Pool[In, Out]) admit() *blocked[In, Out] {
	if p.blocked.empty() || !p.hasRoom() {
		return nil
	}
	var first, last *blocked[In, Out]
	for b := range p.blocked.all {
		if !p.hasRoom() {
			break
		}
		p.blocked.remove(&b.place)
		if p.enter(b.job, queued) {
			b.send = p.enqueue(b.job)
		} else {
			b.err = b.job.task.err
		}
		if first == nil {
			first = b
		} else {
			last.next = b
		}
		last = b
	}
	return first
}

// refuse is admit for a pool that takes no more.
func (p *Pool[In, Out]) refuse(err error) *blocked[In, Out] {
	var first *blocked[In, Out]
	for b := range p.blocked.all {
		p.blocked.remove(&b.place)
		b.err, b.next, first = err, first, b
	}
	return first
}

// welcome queues the jobs that were admitted and tells their submitters.
func (p *Pool[In, Out]) welcome(b *blocked[In, Out]) {
	for b != nil {
		next := b.next // b is the submitter's again once it is told
		if b.send {
			p.queue <- b.job
		}
		b.ready <- struct{}{}
		b = next
	}
}
