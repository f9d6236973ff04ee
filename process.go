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
	// Waits: this call waits for its job, so a job that makes it may lend its slot.
	a := sched.Admission{Ctx: ctx, Policy: sched.Policy(p.cfg.overflow), Waits: true}
	// Look comes before a job is taken out of idleJobs: it calls methods of the context,
	// which are user code and may end this goroutine.
	if err := a.Look(p.sched); err != nil {
		return out, err
	}
	c := p.getJob(ctx)
	c.in = in
	// A call with a limit never runs inline: its goroutine could not leave the handler to
	// return in time. The limit begins here, so the wait for room counts.
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
		// Only a worker that has decided the outcome writes c.out, and it does so before
		// the token is sent. If others have decided, c.out stays zero, whatever the handler
		// returns later.
		out, err = c.out, c.task.Err()
	}
	if a.Expired != nil {
		c.timer.Stop()
	}
	p.putJob(c)
	return out, err
}

// processInline runs a job on the caller's goroutine, if it can start at once. If it
// cannot, ok is false and the task is unchanged, so process submits it like any other.
func (p *Pool[In, Out]) processInline(c *syncJob[In, Out], a *sched.Admission) (out Out, ok bool, err error) {
	if c.inline == nil {
		c.inline = &worker[In, Out]{pool: p, impl: p.handler}
		c.inline.slot.InitInline(p.sched)
	}
	// w is a worker only during the calls below. It has no goroutine of its own and no
	// inbox, and nobody can find it idle. It stays with c.
	w := c.inline
	if !w.slot.Inline(&c.task, a) {
		return out, false, nil
	}
	if p.tel != nil {
		w.openDesk()              // no labels are set: the caller's goroutine keeps its own
		defer p.tel.close(w.desk) // evaluated now: c may belong to another call when the deferred call runs
	}
	finished := false
	defer func() {
		if finished {
			return
		}
		// runtime.Goexit is ending the caller's goroutine, as in a plain call. In the
		// states judging and telling the handler has returned before, and its outcome is
		// final: a method of the caller's context, or a hook, has called Goexit.
		if w.state != judging && w.state != telling {
			w.exited()
		}
		defer func() {
			if w.state == telling { // a hook has called Goexit once more
				w.finishInline(&c.job)
			}
		}()
		w.finishInline(&c.job)
	}()
	// exec contains panics, so only Goexit can unwind this frame.
	w.exec(&c.task, &c.in)
	w.judge(&c.task)
	w.finishInline(&c.job)
	finished = true
	out, err = c.out, c.task.Err() // read before another call can get c
	p.putJob(c)
	return out, true, err
}

// finishInline is finishJob on the caller's goroutine: w takes no further work into its
// hand, and its slot is free for others. If a hook has ended the goroutine in settle,
// finishInline is called again, and settle then does nothing. So the slot is given back
// once.
func (w *worker[In, Out]) finishInline(j *job[In, Out]) {
	w.settle(j)
	w.slot.FinishInline(&w.outcome, w.decided)
	w.clear()
}

// syncJob is a job of Process. It is reused: unlike a future, only its worker and its
// caller know of it.
type syncJob[In, Out any] struct {
	job[In, Out]
	signal chan struct{}    // gets one token when the outcome has come
	timer  *time.Timer      // stopped while the job is not in use
	extra  *sched.Extra     // with telemetry
	inline *worker[In, Out] // runs the job on its caller's goroutine; nil until it is needed
}

func (p *Pool[In, Out]) getJob(ctx context.Context) *syncJob[In, Out] {
	// putJob puts back only a job that is Reusable, so no worker, watch or timer of an
	// earlier call can reach the call that gets it now.
	handling := new(sched.Context) // never reused, because a handler may keep it
	c, ok := p.idleJobs.Get().(*syncJob[In, Out])
	if ok {
		c.task.Reuse(handling, ctx)
	} else {
		c = &syncJob[In, Out]{signal: make(chan struct{}, 1)}
		c.task.Init(p.sched, &c.job, handling, ctx)
	}
	// The goroutine that decides the outcome takes the channel out of the task, so each
	// call sets it again.
	c.task.Await(c.signal)
	if p.tel != nil {
		if c.extra == nil {
			c.extra = new(sched.Extra)
		}
		c.task.Timed(c.extra)
	}
	return c
}

// putJob takes a job back, if nobody else can know of it any more. A job that was refused,
// or that others have settled, is left to the garbage collector: its worker may still be
// using it.
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

// submit is Submit with the given policy. Unlike Process, it does not wait for the outcome,
// so the end of ctx reaches the job through a watch.
func (p *Pool[In, Out]) submit(ctx context.Context, in In, policy Overflow) (*Future[Out], error) {
	a := sched.Admission{Ctx: ctx, Policy: sched.Policy(policy)}
	if err := a.Look(p.sched); err != nil {
		return nil, err
	}
	j := p.newJob(ctx, a.None, in)
	// The watch is set before the pool has the job, because the worker that ends the job
	// checks without a mutex whether there is a watch to remove. If the context ends in
	// between, the job is settled while it is only offered, and Accept refuses it.
	if a.Done != nil {
		j.task.Watch(a.Done)
	}
	if err := p.sched.Accept(&j.task, &a); err != nil {
		j.task.Unwatch()
		return nil, err
	}
	// CallerRuns: a full pool slows its submitters down. It does not matter here whether
	// the job or ctx ends the wait: the end of ctx settles the job through its watch, and
	// the future has the outcome.
	if a.Immediate {
		_ = j.task.Wait(ctx)
	}
	return &j.Future, nil
}
