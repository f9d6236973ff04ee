package dispatch

import (
	"context"

	"example.com/dispatch/internal/sched"
)

// Future is the outcome of one submitted job. It is decided once; every reader
// sees the same. Any number of goroutines may use a Future at once; one that
// nobody reads costs nothing but its memory. It keeps the output alive for as long
// as the Future itself is.
type Future[Out any] struct {
	task sched.Task
	out  Out // written before the task is resolved
}

// Wait returns the outcome of the job. It blocks until the outcome is decided
// or ctx is done; then it returns the cause of ctx, and the job goes on. The
// outcome of a resolved future is returned whatever ctx says.
//
// Called by a job of the same pool, with its context, it has the awaited job run
// at once if that has not started: the caller lends its slot.
func (f *Future[Out]) Wait(ctx context.Context) (out Out, err error) {
	if ctx == nil {
		panic("dispatch: nil context given to Future.Wait")
	}
	if err := f.task.Wait(ctx); err != nil {
		return out, err
	}
	return f.out, f.task.Err()
}

// Done returns a channel that is closed when the outcome is decided. A job must
// not wait for another job of its own pool by receiving from it: that cannot be
// recognised, and blocks forever once every worker does so. Use Wait for that.
func (f *Future[Out]) Done() <-chan struct{} { return f.task.Done() }

// Cancel ends the job with context.Canceled, and returns true if this call
// decided the outcome. A job that has not started will not run; a running
// one is told through its context and keeps its worker until it returns. Cancel
// does not wait.
func (f *Future[Out]) Cancel() bool { return f.task.Cancel() }

// job is one input on its way through the pool, with its future.
type job[In, Out any] struct {
	Future[Out]
	in In // cleared when a handler takes it, or when none will
}

// Withdrawn implements sched.Job.
func (j *job[In, Out]) Withdrawn(keep bool) sched.Effect {
	var told sched.Effect
	if p := j.task.Scheduler().Owner().(*Pool[In, Out]); p.tel != nil {
		told = &withdrawn[In, Out]{p, j, j.task.Context().Caller(), j.in}
	}
	if !keep {
		j.in = *new(In)
	}
	return told
}

// newJob returns a job that is not accepted yet. Its context is part of it only
// where that keeps nothing of the caller's alive: a future may be kept for long.
func (p *Pool[In, Out]) newJob(ctx context.Context, background bool, in In) *job[In, Out] {
	var j *job[In, Out]
	var handling *sched.Context
	var extra *sched.Extra
	switch {
	case p.tel != nil && background:
		all := &struct {
			job[In, Out]
			ctx   sched.Context
			extra sched.Extra
		}{}
		j, handling, extra = &all.job, &all.ctx, &all.extra
	case p.tel != nil:
		all := &struct {
			job[In, Out]
			extra sched.Extra
		}{}
		j, handling, extra = &all.job, new(sched.Context), &all.extra
	case background:
		all := &struct {
			job[In, Out]
			ctx sched.Context
		}{}
		j, handling = &all.job, &all.ctx
	default:
		j, handling = new(job[In, Out]), new(sched.Context)
	}
	j.in = in
	j.task.Init(p.sched, j, handling, ctx)
	if extra != nil {
		j.task.Timed(extra)
	}
	return j
}
