package dispatch

import (
	"context"
	"fmt"

	"example.com/dispatch/internal/sched"
)

// Resize sets the most jobs that run at once: at least 1, or [Unlimited]. It
// never disturbs a job. More slots are used at once, by what is queued and by
// blocked submitters; fewer take effect as running jobs end. Any goroutine may
// call it, jobs of the pool included. On an error (n below 1, or ErrClosed when
// the pool has ended) nothing has changed.
func (p *Pool[In, Out]) Resize(n int) error {
	p.mustBeMade()
	if n < 1 {
		return fmt.Errorf("dispatch: Resize(%d): the limit must be at least 1", n)
	}
	if !p.sched.Resize(min(n, sched.Unlimited)) {
		return p.named(ErrClosed)
	}
	return nil
}

// Wait blocks until nothing is queued or running, as a sync.WaitGroup would
// that counts the jobs, or until ctx is done, and then returns its cause. The
// pool stays open. Jobs that are accepted meanwhile are waited for too; strays
// are not. Called by a job of the pool, with its own context, it returns
// ErrInsideJob.
func (p *Pool[In, Out]) Wait(ctx context.Context) error {
	p.check(ctx, "Pool.Wait")
	caller := p.sched.Look(ctx)
	switch {
	case caller.Outer != nil:
		return ErrInsideJob
	case p.sched.Idle():
		return nil
	case caller.Err != nil:
		return caller.Err
	case p.sched.Wait(caller.Done):
		return nil
	}
	return guard.Ended(ctx).Err
}

// Drain makes the pool refuse new jobs and run all that it has accepted, as Close
// does, but does not wait for them. A job may call it. It resumes a paused pool.
// Receive from Done to wait for the end.
func (p *Pool[In, Out]) Drain() {
	p.mustBeMade()
	p.sched.Drain()
}

// Pause keeps jobs from starting until Resume. It does not wait. Jobs are accepted up
// to what the workers and the queue can take, and then as [Overflow] says; CallerRuns
// waits for room. Running jobs go on, and so do the jobs of the pool that they wait
// for. A worker that had already taken a job when Pause was called may still run it.
// Wait waits until the pool has been resumed. Pause does nothing if the pool no
// longer accepts jobs, and Drain, Close, Shutdown and Stop end it.
func (p *Pool[In, Out]) Pause() {
	p.mustBeMade()
	p.sched.Pause()
}

// Resume ends a Pause.
func (p *Pool[In, Out]) Resume() {
	p.mustBeMade()
	p.sched.Resume()
}

// Prestart starts workers up to the minimum of [WithMinWorkers], which call newWorker
// concurrently, and waits until they are ready. It returns the first error of
// newWorker, or its *[PanicError] or [ErrGoexit]; a worker that could not be made
// leaves, and the next call tries again. When ctx is done Prestart returns its cause,
// and newWorker goes on. Without a minimum it does nothing. It returns ErrClosed if
// the pool no longer accepts jobs.
func (p *Pool[In, Out]) Prestart(ctx context.Context) error {
	p.check(ctx, "Pool.Prestart")
	caller := p.sched.Look(ctx)
	making, err := p.sched.Prestart()
	if making == nil {
		return err
	}
	if caller.Err != nil {
		return caller.Err
	}
	select {
	case <-making.Done():
		return making.Err()
	case <-caller.Done:
		return guard.Ended(ctx).Err
	}
}

// Close makes the pool refuse new jobs, runs all that it has accepted, and waits
// until the pool has ended: no goroutine, timer or registration of the pool is left. It
// seals the pool's batches. Close always returns nil; it may be called repeatedly
// and concurrently, and each call returns when the pool has ended. A job must not
// close its own pool: it would wait for itself. Use Shutdown with the job's
// context for that.
func (p *Pool[In, Out]) Close() error {
	p.mustBeMade()
	p.sched.Drain()
	<-p.done
	return nil
}

// Shutdown is Close with a budget: when ctx is done before the pool has ended,
// it becomes Stop and returns the cause of ctx, without waiting for what still
// runs. A call of Stop then returns the inputs that never ran. Called by a job
// of the pool, with its own context, it starts the shutdown and returns
// ErrInsideJob at once.
func (p *Pool[In, Out]) Shutdown(ctx context.Context) error {
	p.check(ctx, "Pool.Shutdown")
	p.sched.Drain()
	caller := p.sched.Look(ctx)
	if caller.Outer != nil {
		return ErrInsideJob
	}
	if caller.Err == nil {
		select {
		case <-p.done:
		case <-caller.Done:
		}
	}
	select {
	case <-p.done:
		return nil
	default:
	}
	p.halt()
	if caller.Err != nil {
		return caller.Err
	}
	return guard.Ended(ctx).Err
}

// Stop makes the pool refuse new jobs, cancels the running ones, and returns the
// inputs that were accepted and never ran: single jobs in the order of submission,
// then the items of batches and Maps. Their outcome is ErrStopped, and so is that of
// the running jobs, whose contexts it ends; a running item of a batch or a Map gets
// the outcome that its handler returns. Stop does not wait for running handlers:
// receive from Done, or call Close, to do so. Each input is returned once: of
// several calls, the first gets it.
func (p *Pool[In, Out]) Stop() (unrun []In) {
	p.mustBeMade()
	p.halt()
	unstarted := p.sched.TakeUnstarted()
	for _, t := range unstarted.Tasks {
		j := t.Job().(*job[In, Out])
		unrun = append(unrun, j.in)
		j.in = *new(In)
	}
	for _, r := range unstarted.Runs {
		unrun = append(unrun, r.Group().Source().(*group[In, Out]).inputOf(r))
	}
	for _, g := range unstarted.Groups {
		unrun = g.Source().(*group[In, Out]).appendUnclaimed(unrun)
	}
	return unrun
}

func (p *Pool[In, Out]) halt() {
	p.sched.Halt(sched.Outcome{Kind: sched.Canceled, Err: p.named(ErrStopped), By: sched.ByPool})
}

// Done returns a channel that is closed when the pool has ended, after Close,
// Shutdown or Stop.
func (p *Pool[In, Out]) Done() <-chan struct{} {
	p.mustBeMade()
	return p.done
}

// live makes the context of newWorker, and ends the pool with life, which is the
// context of WithContext, or nil.
func (p *Pool[In, Out]) live(life context.Context) {
	if life == nil {
		p.makeContext(context.Background())
		return
	}
	caller := p.sched.Look(life)
	shielded := guard.Shielded(life, caller.Done)
	p.makeContext(shielded)
	if caller.Err != nil {
		p.stopFor(caller.Err)
		return
	}
	made := make(chan struct{})
	defer close(made)
	p.unwatch = context.AfterFunc(shielded, func() {
		<-made
		gone := sched.EndedWithoutReason()
		defer func() { p.stopFor(gone.Err) }() // also if the context ends the goroutine
		gone = guard.Ended(life)
	})
}

// makeContext makes the context of newWorker, if there is one.
func (p *Pool[In, Out]) makeContext(parent context.Context) {
	if p.newWorker != nil {
		p.ctx, p.cancelCtx = context.WithCancelCause(parent)
	}
}

// stopFor stops the pool because the context of WithContext is done.
func (p *Pool[In, Out]) stopFor(cause error) {
	p.sched.Halt(sched.Outcome{Kind: sched.Canceled, Err: p.named(&lifeError{cause}), By: sched.ByPool})
}

// lifeError is the outcome of what the end of the context of WithContext has
// stopped: ErrStopped, and the cause.
type lifeError struct{ cause error }

func (e *lifeError) Error() string { return fmt.Sprintf("%v: %v", ErrStopped, e.cause) }

func (e *lifeError) Unwrap() []error { return []error{ErrStopped, e.cause} }
