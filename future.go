package dispatch

import "context"

// Future is the outcome of one submitted job: it comes once, is decided once,
// and is the same for every reader for ever. Any number of goroutines may use a
// Future at once; one that nobody reads costs nothing but its memory. It keeps
// the output alive for as long as the Future itself is.
type Future[Out any] struct {
	task task
	out  Out // written before the phase becomes settled
}

// Wait returns the outcome of the job. It blocks until the outcome is decided
// or ctx is done; then it returns the cause of ctx, and the job goes on. The
// outcome of a resolved future is returned whatever ctx says.
//
// Called with the context of a job of the same pool, it has the job that it
// waits for run at once if that has not started.
func (f *Future[Out]) Wait(ctx context.Context) (Out, error) {
	mustContext(ctx, "Future.Wait")
	t := &f.task
	if !t.resolved() && !t.wait(ctx) {
		var zero Out
		return zero, context.Cause(ctx)
	}
	return f.out, t.err
}

// Done returns a channel that is closed when the outcome is decided. A job must
// not wait for another job of its own pool by receiving from it: that cannot be
// recognised, and blocks for ever once every worker does so. Use Wait for that.
func (f *Future[Out]) Done() <-chan struct{} {
	f.task.ledger.mu.Lock()
	defer f.task.ledger.mu.Unlock()
	return f.task.doneChan()
}

// Cancel ends the job with context.Canceled, and returns true if this call
// decided the outcome. A job that has not started will not; one that runs is
// told through its context and keeps its worker until it returns.
func (f *Future[Out]) Cancel() bool {
	return f.task.ledger.settle(&f.task, verdict{kind: canceled, err: context.Canceled})
}

// doneChan returns t.done, which it makes at first. The mutex is held.
func (t *task) doneChan() chan struct{} {
	if t.done == nil {
		t.done = make(chan struct{})
		if t.resolved() {
			close(t.done)
		}
	}
	return t.done
}

// wait blocks until t is settled, and then returns true, or until ctx is done.
func (t *task) wait(ctx context.Context) bool {
	l := t.ledger
	if outer := l.enclosing(ctx); outer != nil {
		l.lend(outer, t.job)
		defer l.endLoan(outer, t.job)
	}

	// The first that waits gets a token on a channel of the pool; only if
	// several wait at once do they share a channel made for this task.
	w := l.getWaiter()
	signal := w.ch
	l.mu.Lock()
	switch {
	case t.resolved():
		l.mu.Unlock()
		l.putWaiter(w)
		return true
	case t.waiter == nil:
		t.waiter = w.ch
	default:
		signal = t.doneChan()
	}
	l.mu.Unlock()

	ok := true
	select {
	case <-signal:
	case <-ctx.Done():
		l.mu.Lock()
		ok = t.resolved()
		mine := t.waiter == w.ch
		if mine {
			t.waiter = nil
		}
		l.mu.Unlock()
		if signal == w.ch && !mine {
			<-w.ch // on its way
		}
	}
	l.putWaiter(w)
	return ok
}

// job is one input on its way through the pool, with its context and its future
// in the same allocation.
type job[In, Out any] struct {
	Future[Out]
	pool  *Pool[In, Out]
	in    In                 // cleared when a handler takes it, or when none will
	place link[job[In, Out]] // in pool.queue, or at the door before
}

// whole is a job seen from its task. The mutex is held for its methods.
type whole interface {
	waitable
	forget() // takes the job out of the pool before a handler has got its input
}

func (j *job[In, Out]) forget() {
	p := j.pool
	p.shutDoor()
	if p.state == Stopping {
		p.unrun = append(p.unrun, j.in)
	}
	var zero In
	j.in = zero
	p.queue.remove(j)
	if !j.task.claimed {
		p.queued--
		p.admit()
	}
}

// forward runs a job that is still queued on the place of a job that waits for
// it.
func (j *job[In, Out]) forward(lender *task) bool {
	p := j.pool
	if j.task.claimed || j.task.resolved() {
		return false
	}
	p.shutDoor()
	p.queued--
	p.startExtra(j, lender)
	p.admit()
	return true
}
