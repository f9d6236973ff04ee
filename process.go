package dispatch

import (
	"context"
	"time"

	"example.com/dispatch/internal/sched"
)

// Process runs one job and returns its outcome. It blocks until then; with a
// full queue the [Overflow] policy says what happens. When ctx is done it
// returns at once with the cause of ctx: a job that has not started will not
// run, a running one is told through its context, and may still use in until it
// returns. It returns ErrClosed on a pool that takes no more. A panic of the
// handler is returned as a *[PanicError].
func (p *Pool[In, Out]) Process(ctx context.Context, in In) (Out, error) {
	p.check(ctx, "Pool.Process")
	return p.process(ctx, in, 0)
}

// Submit accepts one job and returns its future, without waiting for it. With a
// full queue the [Overflow] policy says what happens; the default is to block
// for room until ctx is done, and then to return its cause. On an error the job
// will not run. Later, ctx being done ends the job too, as for Process: a job
// that submits follow-up jobs and returns gives them context.WithoutCancel of its
// own context.
func (p *Pool[In, Out]) Submit(ctx context.Context, in In) (*Future[Out], error) {
	p.check(ctx, "Pool.Submit")
	return p.submit(ctx, in, p.cfg.overflow)
}

// TrySubmit is Submit that waits for no job: with a full queue it returns
// ErrQueueFull, whatever the policy.
func (p *Pool[In, Out]) TrySubmit(ctx context.Context, in In) (*Future[Out], error) {
	p.check(ctx, "Pool.TrySubmit")
	return p.submit(ctx, in, Reject)
}

// process is Process with a limit on the whole, unless timeout is 0.
func (p *Pool[In, Out]) process(ctx context.Context, in In, timeout time.Duration) (out Out, err error) {
	a := sched.Admission{Ctx: ctx, Policy: sched.Policy(p.cfg.overflow), Waits: true}
	if err := a.Look(p.sched); err != nil {
		return out, err
	}
	c := p.getJob(ctx)
	c.in = in
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
		out, err = c.out, c.task.Err()
	}
	if a.Expired != nil {
		c.timer.Stop()
	}
	p.putJob(c)
	return out, err
}

// processInline runs a job on the caller's goroutine, if it can start at once.
func (p *Pool[In, Out]) processInline(c *syncJob[In, Out], a *sched.Admission) (out Out, ok bool, err error) {
	if c.inline == nil {
		c.inline = &worker[In, Out]{pool: p, impl: p.handler}
		c.inline.slot.InitInline(p.sched)
	}
	w := c.inline
	if !w.slot.Inline(&c.task, a) {
		return out, false, nil
	}
	if p.tel != nil {
		w.openDesk()
		w.desk.labels = nil
		defer p.tel.close(w.desk) // which is looked up now: c may be another call's by then
	}
	finished := false
	defer func() {
		if finished {
			return
		}
		// runtime.Goexit ends the caller's goroutine, as in a plain call.
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
	w.exec(&c.task, &c.in)
	w.judge(&c.task)
	w.finishInline(&c.job)
	finished = true
	out, err = c.out, c.task.Err()
	p.putJob(c)
	return out, true, err
}

// finishInline is finishJob on the caller's goroutine.
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
	handling := new(sched.Context) // a handler may keep it: it is not used again
	c, ok := p.idleJobs.Get().(*syncJob[In, Out])
	if ok {
		c.task.Reuse(handling, ctx)
	} else {
		c = &syncJob[In, Out]{signal: make(chan struct{}, 1)}
		c.task.Init(p.sched, &c.job, handling, ctx)
	}
	c.task.Await(c.signal)
	if p.tel != nil {
		if c.extra == nil {
			c.extra = new(sched.Extra)
		}
		c.task.Timed(c.extra)
	}
	return c
}

// putJob takes a job back, if nobody can know of it any more.
func (p *Pool[In, Out]) putJob(c *syncJob[In, Out]) {
	if c.task.Reusable() {
		c.out = *new(Out)
		p.idleJobs.Put(c)
	}
}

// start arms the timer and returns its channel.
func (c *syncJob[In, Out]) start(d time.Duration) <-chan time.Time {
	if c.timer == nil {
		c.timer = time.NewTimer(d)
	} else {
		c.timer.Reset(d)
	}
	return c.timer.C
}

func (p *Pool[In, Out]) submit(ctx context.Context, in In, policy Overflow) (*Future[Out], error) {
	a := sched.Admission{Ctx: ctx, Policy: sched.Policy(policy)}
	if err := a.Look(p.sched); err != nil {
		return nil, err
	}
	j := p.newJob(ctx, a.None, in)
	if a.Done != nil {
		j.task.Watch(a.Done)
	}
	if err := p.sched.Accept(&j.task, &a); err != nil {
		j.task.Unwatch()
		return nil, err
	}
	if a.Immediate {
		_ = j.task.Wait(ctx)
	}
	return &j.Future, nil
}
