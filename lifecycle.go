package dispatch

import (
	"context"
	"fmt"
)

// Close takes no more jobs, runs all that was accepted, and waits until the
// pool has ended: no goroutine, timer or registration of the pool is left. It
// seals the pool's batches. It returns nil, also when it is called again, and
// for all of its callers at the end. A job must not close its own pool: it
// would wait for itself. Use Shutdown with the job's context for that.
func (p *Pool[In, Out]) Close() error {
	p.drain()
	<-p.done
	return nil
}

// Shutdown is Close with a budget: when ctx is done before the pool has ended,
// it becomes Stop and returns the cause of ctx, without waiting for what still
// runs. A call of Stop then returns the inputs that never ran. Called by a job
// of the pool, with its own context, it starts the shutdown and returns
// ErrInsideJob at once.
func (p *Pool[In, Out]) Shutdown(ctx context.Context) error {
	mustContext(ctx, "Pool.Shutdown")
	p.drain()
	if p.enclosing(ctx) != nil {
		return ErrInsideJob
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-p.done:
		return nil
	default:
		p.halt()
		return context.Cause(ctx)
	}
}

// Stop takes no more jobs, cancels what runs, and returns the inputs that were
// accepted and never ran: single jobs in the order in which they were
// submitted, then the items of batches and Maps. Their outcome is ErrStopped,
// and so is that of the jobs that run, whose contexts it ends; an item of a batch
// or a Map that runs has the outcome that its handler gives it. It does not wait
// for those; receive from Done, or call Close, to do so. Each input is given
// back once: of several calls, the first gets it.
func (p *Pool[In, Out]) Stop() []In {
	p.halt()
	p.mu.Lock()
	defer p.mu.Unlock()
	unrun := p.unrun
	p.unrun = nil
	return unrun
}

// Done returns a channel that is closed when the pool has ended, after Close,
// Shutdown or Stop.
func (p *Pool[In, Out]) Done() <-chan struct{} { return p.done }

// Wait blocks until nothing is queued or running, as a sync.WaitGroup would
// that counts the jobs, or until ctx is done, and then returns its cause. The
// pool stays open. Jobs that are accepted meanwhile are waited for too; strays
// are not. Called by a job of the pool, with its own context, it returns
// ErrInsideJob.
func (p *Pool[In, Out]) Wait(ctx context.Context) error {
	mustContext(ctx, "Pool.Wait")
	if p.enclosing(ctx) != nil {
		return ErrInsideJob
	}
	p.mu.Lock()
	p.shutDoor()
	if !p.unfinished() {
		p.mu.Unlock()
		return nil
	}
	if p.quiet == nil {
		p.quiet = make(chan struct{})
	}
	quiet := p.quiet
	p.mu.Unlock()
	select {
	case <-quiet:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// drain refuses everything from now on, and has the dispatcher end the pool
// when what was accepted is done.
func (p *Pool[In, Out]) drain() {
	p.mu.Lock()
	if p.state != Running {
		p.mu.Unlock()
		return
	}
	p.shutDoor()
	p.state = Draining
	for b := range p.blocked.all {
		p.dismiss(b, ErrClosed)
	}
	var seals []func()
	for b := range p.open.all {
		seals = append(seals, b.seal())
	}
	p.errands++ // the pool does not end before its batches
	p.poke()
	p.mu.Unlock()
	for _, seal := range seals {
		seal()
	}
	p.endErrand()
}

// halt is drain that lets nothing start any more and interrupts what runs.
func (p *Pool[In, Out]) halt() {
	p.drain()
	v := verdict{kind: canceled, err: ErrStopped}
	p.mu.Lock()
	if p.state != Draining {
		p.mu.Unlock()
		return
	}
	p.state = Stopping
	var announces []func()
	for j := range p.queue.jobs.all {
		if waiter, ok := p.decide(&j.task, v); ok {
			announces = append(announces, func() { j.task.announce(waiter) })
		}
	}
	for b := range p.open.all {
		unrun, announce := b.halt(v)
		p.unrun, announces = append(p.unrun, unrun...), append(announces, announce)
	}
	for m := range p.maps.all {
		unrun, announce := m.halt(v)
		p.unrun, announces = append(p.unrun, unrun...), append(announces, announce)
	}
	p.checkQuiet()
	p.errands++
	p.poke()
	p.mu.Unlock()

	p.cancelCtx(ErrStopped)
	for _, announce := range announces {
		announce()
	}
	p.endErrand()
}

// busy tells whether a batch or a map has items that nobody has claimed. The
// mutex is held.
func (p *Pool[In, Out]) busy() bool {
	for _, s := range p.sources {
		if s.unclaimed() > 0 {
			return true
		}
	}
	return false
}

// Resize sets the most jobs that run at once: at least 1, or [Unlimited]. It
// never disturbs a job. More places are used at once, by what is queued and by
// blocked submitters; fewer take effect as running jobs end. Any goroutine may
// call it, jobs of the pool included. On an error (n below 1, or ErrClosed when
// the pool has ended) nothing has changed.
func (p *Pool[In, Out]) Resize(n int) error {
	if n < 1 {
		return fmt.Errorf("dispatch: Resize(%d): the limit must be at least 1", n)
	}
	p.mu.Lock()
	if p.state == Ended {
		p.mu.Unlock()
		return ErrClosed
	}
	p.limit = min(n, unlimited)
	p.admit()
	p.checkCrowd()
	p.poke()
	p.mu.Unlock()
	return nil
}
