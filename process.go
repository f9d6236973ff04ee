package dispatch

import (
	"context"
	"time"

	"example.com/dispatch/internal/sched"
)

// Process runs one job and returns its outcome. It blocks until then; with a
// full queue the [Overflow] policy says what happens. When ctx is done it
// returns at once with the cause of ctx: a job that has not started will not
// run; a running one is told through its context, and may still use in until it
// returns. It returns ErrClosed if the pool no longer accepts jobs. A panic of the
// handler is returned as a *[PanicError]. Called with the context of a job of the
// same pool, it needs no slot of its own: that job lends its slot while it waits.
func (p *Pool[In, Out]) Process(ctx context.Context, in In) (Out, error) {
	p.check(ctx, "Pool.Process")
	return p.process(ctx, in, 0)
}

// Submit accepts one job and returns its future, without waiting for it. With a
// full queue the [Overflow] policy says what happens; the default is to block
// for room until ctx is done, and then to return its cause. With [CallerRuns] it
// waits for the job, or until ctx is done, if there is no room. It returns ErrClosed
// if the pool no longer accepts jobs, and ErrQueueFull if the policy refuses the
// job. On an error the job will not run. If ctx is done later, that cancels the
// job, as for Process: a job that submits follow-up jobs and returns gives them
// context.WithoutCancel of its own context.
func (p *Pool[In, Out]) Submit(ctx context.Context, in In) (*Future[Out], error) {
	p.check(ctx, "Pool.Submit")
	return p.submit(ctx, in, p.cfg.overflow)
}

// TrySubmit is Submit without waiting for room: with a full queue it returns
// ErrQueueFull, whatever the policy.
func (p *Pool[In, Out]) TrySubmit(ctx context.Context, in In) (*Future[Out], error) {
	p.check(ctx, "Pool.TrySubmit")
	return p.submit(ctx, in, Reject)
}

// process is Process with a limit on the whole, unless timeout is 0.
func (p *Pool[In, Out]) process(ctx context.Context, in In, timeout time.Duration) (out Out, err error) {
	// Waits: so a job that calls may lend its slot to this one.
	a := sched.Admission{Ctx: ctx, Policy: sched.Policy(p.cfg.overflow), Waits: true}
	// The context is asked before a job is taken out of idleJobs: it is user code, and
	// may end this goroutine.
	if err := a.Look(p.sched); err != nil {
		return out, err
	}
	c := p.getJob(ctx)
	c.in = in
	// A call with a limit never runs inline: the goroutine that is to be back in time
	// cannot leave a handler. The limit begins here, so the wait for room counts.
	if timeout != 0 {
		a.Limit, a.Expired = timeout, c.start(c.task.Limit(timeout))
	} else if p.cfg.inline {
		if out, ok, err := p.processInline(c, &a); ok {
			return out, err
		}
	}
	err = p.sched.Accept(&c.task, &a)
	if err == nil {
		c.task.AwaitOutcome(c.signal, &a)
		// Only a worker that has decided the outcome writes c.out, before the token.
		// Where others have decided it stays zero, whatever the handler returns later.
		out, err = c.out, c.task.Err()
	}
	if a.Expired != nil {
		c.timer.Stop()
	}
	p.putJob(c)
	return out, err
}

// processInline runs a job on the caller's goroutine, if it can start at once. If it
// cannot, ok is false, and the task is as it was: process has it accepted as any other.
func (p *Pool[In, Out]) processInline(c *syncJob[In, Out], a *sched.Admission) (out Out, ok bool, err error) {
	if c.inline == nil {
		c.inline = &worker[In, Out]{pool: p, impl: p.handler}
		c.inline.slot.InitInline(p.sched)
	}
	// w is a worker for as long as the calls below take: it has no goroutine of its own
	// and no inbox, and nobody can find it idle. It stays with c.
	w := c.inline
	if !w.slot.Inline(&c.task, a) {
		return out, false, nil
	}
	if p.tel != nil {
		w.openDesk()              // without labels: the caller's goroutine keeps its own
		defer p.tel.close(w.desk) // which is looked up now: c may be another call's by then
	}
	finished := false
	defer func() {
		if finished {
			return
		}
		// runtime.Goexit ends the caller's goroutine, as in a plain call.
		// In these two states the handler has returned before, and its outcome stands: it
		// was a method of the caller's context, or a hook, that has ended the goroutine.
		if w.state != judging && w.state != telling {
			w.exited()
		}
		defer func() {
			if w.state == telling { // a hook has ended the goroutine once more
				w.finishInline(&c.job)
			}
		}()
		w.finishInline(&c.job)
	}()
	// exec contains a panic: what unwinds the frames below is Goexit alone.
	w.exec(&c.task, &c.in)
	w.judge(&c.task)
	w.finishInline(&c.job)
	finished = true
	out, err = c.out, c.task.Err() // before another call can have c
	p.putJob(c)
	return out, true, err
}

// finishInline is finishJob on the caller's goroutine: w takes nothing into its hand
// after it, and its slot is free for others. It is called again where a hook has ended
// the goroutine in settle, which then does nothing: so the slot is given back once.
func (w *worker[In, Out]) finishInline(j *job[In, Out]) {
	w.settle(j)
	w.slot.FinishInline(&w.outcome, w.decided)
	w.clear()
}

// syncJob is a job of Process. It is used again: unlike a future's, nobody but its
// worker and its caller knows of it.
type syncJob[In, Out any] struct {
	job[In, Out]
	signal chan struct{}    // one token: the outcome has come
	timer  *time.Timer      // stopped, while the job is not in use
	extra  *sched.Extra     // with telemetry
	inline *worker[In, Out] // runs it on its caller's goroutine; nil until one does
}

func (p *Pool[In, Out]) getJob(ctx context.Context) *syncJob[In, Out] {
	// A job that has been waited for is used again only if putJob has found it Reusable, so
	// no old worker, watch or timer can reach the call that gets it now.
	handling := new(sched.Context) // a handler may keep it: it is not used again
	c, ok := p.idleJobs.Get().(*syncJob[In, Out])
	if ok {
		c.task.Reuse(handling, ctx)
	} else {
		c = &syncJob[In, Out]{signal: make(chan struct{}, 1)}
		c.task.Init(p.sched, &c.job, handling, ctx)
	}
	// Whoever decides an outcome takes the channel out of the task, so each call sets it
	// anew.
	c.task.Await(c.signal)
	if p.tel != nil {
		if c.extra == nil {
			c.extra = new(sched.Extra)
		}
		c.task.Timed(c.extra)
	}
	return c
}

// putJob takes a job back, if nobody can know of it any more. One that was refused, or
// that others have settled, is left to the collector: its worker may still be at it.
func (p *Pool[In, Out]) putJob(c *syncJob[In, Out]) {
	if c.task.Reusable() {
		c.out = *new(Out)
		p.idleJobs.Put(c)
	}
}

// start arms the timer and returns its channel. Since Go 1.23 no tick of an earlier call
// is left in the channel after Stop or Reset, so nobody has to drain it.
func (c *syncJob[In, Out]) start(d time.Duration) <-chan time.Time {
	if c.timer == nil {
		c.timer = time.NewTimer(d)
	} else {
		c.timer.Reset(d)
	}
	return c.timer.C
}

// submit is Submit with the policy of the call. Nobody waits in it for the
// outcome, as Process does: so the end of ctx reaches the job through a watch.
func (p *Pool[In, Out]) submit(ctx context.Context, in In, policy Overflow) (*Future[Out], error) {
	a := sched.Admission{Ctx: ctx, Policy: sched.Policy(policy)}
	if err := a.Look(p.sched); err != nil {
		return nil, err
	}
	j := p.newJob(ctx, a.None, in)
	// The watch is there before the pool has the job: the worker that ends the job looks
	// without a mutex whether there is one to remove. A context that ends in between
	// settles the job while it is only offered, and Accept refuses it.
	if a.Done != nil {
		j.task.Watch(a.Done)
	}
	if err := p.sched.Accept(&j.task, &a); err != nil {
		j.task.Unwatch()
		return nil, err
	}
	// CallerRuns: a full pool slows its submitters down. Whether the job or ctx ends the
	// wait, the future tells: the end of ctx settles the job by its watch.
	if a.Immediate {
		_ = j.task.Wait(ctx)
	}
	return &j.Future, nil
}
