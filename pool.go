package dispatch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"example.com/dispatch/internal/sched"
)

// Pool runs jobs of one kind, each turning an In into an Out, on a bounded
// number of workers. For a handful of unlike closures golang.org/x/sync/errgroup
// is simpler; a pool pays where jobs are alike and many, or come for as long as
// the program runs.
//
// Make one with [New] or [NewWorkers], and end it with Close, Shutdown or Stop.
// An open pool that has been idle for its idle timeout holds no goroutine. Any
// number of goroutines may use a pool at once, jobs of the pool included.
//
// Passing a nil context panics, as it does in the standard library.
//
// In and Out travel in a channel (see [Batch.Results]), so together they must stay
// below 64 KiB; use pointers.
type Pool[In, Out any] struct {
	sched *sched.Scheduler
	cfg   config
	tel   *telemetry[In] // nil without WithTelemetry

	newWorker func(context.Context) (Worker[In, Out], error)
	handler   Worker[In, Out] // shared by all workers; nil where newWorker makes one for each
	ctx       context.Context // of newWorker, if there is one: done when the pool stops or ends
	cancelCtx context.CancelCauseFunc
	unwatch   func() bool   // ends the registration with the context of WithContext
	done      chan struct{} // closed by the dispatcher when the pool has ended

	// idleJobs are the jobs of Process that are not in use. They belong to the
	// pool, so that a pool made in a synctest bubble uses that bubble's channels.
	idleJobs sync.Pool
}

// ErrClosed is returned for a job that was refused because the pool takes no
// more. The job will not run.
var ErrClosed = sched.ErrClosed

// ErrStopped is the outcome of a job that Stop kept from running or canceled
// while it ran. It is also the cause that the job's context gives.
var ErrStopped = sched.ErrStopped

// ErrInsideJob is returned by Wait and Shutdown when a job of the pool itself
// calls them, with its own context: the wait could never end.
var ErrInsideJob = errors.New("dispatch: a job cannot wait for its own pool to come to rest")

// New returns a pool that runs handler, as the options say. It starts no
// goroutine: the first job does. The error names the option that is wrong.
func New[In, Out any](handler Handler[In, Out], opts ...Option) (*Pool[In, Out], error) {
	if handler == nil {
		return nil, errors.New("dispatch: New: the handler must not be nil")
	}
	p := &Pool[In, Out]{handler: handler}
	if err := p.cfg.set(opts); err != nil {
		return nil, err
	}
	return p.open()
}

// NewWorkers returns a pool whose workers have state: each has a [Worker] of
// its own, made by newWorker on the worker's goroutine when its first job has
// come. If newWorker fails, its error is that job's outcome, and the worker's
// next job tries again. Its context is done when the pool stops or ends. The
// pool starts no goroutine until the first job. The error names the option that
// is wrong.
func NewWorkers[In, Out any](newWorker func(ctx context.Context) (Worker[In, Out], error), opts ...Option) (*Pool[In, Out], error) {
	if newWorker == nil {
		return nil, errors.New("dispatch: NewWorkers: newWorker must not be nil")
	}
	p := &Pool[In, Out]{newWorker: newWorker}
	if err := p.cfg.set(opts); err != nil {
		return nil, err
	}
	switch {
	case p.cfg.overflow == CallerRuns:
		return nil, errors.New("dispatch: NewWorkers: WithOverflow(CallerRuns) would need a worker beyond the limit")
	case p.cfg.inline:
		return nil, errors.New("dispatch: NewWorkers: WithInline would call a Worker on a goroutine that is not its own")
	}
	return p.open()
}

// Must returns v, or panics with err if it is not nil. It is for pools made
// with options that are known to be right.
func Must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// open makes what the pool stands on, and begins its life.
func (p *Pool[In, Out]) open() (_ *Pool[In, Out], err error) {
	cfg := &p.cfg
	p.done = make(chan struct{})
	of := sched.Config{
		Limit:       min(cfg.workers, sched.Unlimited),
		MinWorkers:  cfg.minWorkers,
		Queue:       min(cfg.queue, sched.Unlimited),
		MaxBlocked:  min(cfg.maxBlocked, sched.Unlimited),
		IdleTimeout: cfg.idleTimeout,
		JobTimeout:  cfg.jobTimeout,
		Grace:       cfg.grace,
		MaxStrays:   cfg.maxStrays,
		Timed:       cfg.telemetry,
		Owner:       p,
		Guard:       guard,
		Timeout:     newTimeoutError,
		Dispatch:    p.dispatch,
	}
	if p.newWorker != nil {
		of.OnStop = func(reason error) { p.cancelCtx(reason) }
	}
	p.sched = sched.New(of)
	if p.tel, err = newTelemetry[In](cfg, p.sched); err != nil {
		return nil, err
	}
	p.live(cfg.ctx)
	return p, nil
}

// mustBeMade panics over a Pool that was not made by New or NewWorkers.
func (p *Pool[In, Out]) mustBeMade() {
	if p.sched == nil {
		panic("dispatch: Pool must be made by New or NewWorkers")
	}
}

// check panics over a Pool that was not made, and over a nil context.
func (p *Pool[In, Out]) check(ctx context.Context, method string) {
	p.mustBeMade()
	if ctx == nil {
		panic("dispatch: nil context given to " + method)
	}
}

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

// process is Process with a limit on the whole, unless timeout is 0.
func (p *Pool[In, Out]) process(ctx context.Context, in In, timeout time.Duration) (out Out, err error) {
	caller := p.sched.Look(ctx)
	if caller.Err != nil {
		return out, caller.Err
	}
	c := p.getJob(ctx)
	c.in = in
	a := sched.Admission{Caller: caller, Ctx: ctx, Policy: sched.Policy(p.cfg.overflow), Waits: true}
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
		w.desk = p.tel.open(&w.slot)
		w.desk.labels = nil
		defer p.tel.close(w.desk)
	}
	finished := false
	defer func() {
		if finished {
			return
		}
		// runtime.Goexit ends the caller's goroutine, as in a plain call.
		if w.state != judging && w.state != telling {
			w.fail(sched.Outcome{Kind: sched.Failed, Err: ErrGoexit})
		}
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
	o, decided := w.settle(j)
	w.slot.FinishInline(&o, decided)
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

func (p *Pool[In, Out]) submit(ctx context.Context, in In, policy Overflow) (*Future[Out], error) {
	caller := p.sched.Look(ctx)
	if caller.Err != nil {
		return nil, caller.Err
	}
	j := p.newJob(ctx, in)
	if caller.Done != nil {
		j.task.Watch(caller.Done)
	}
	a := sched.Admission{Caller: caller, Ctx: ctx, Policy: sched.Policy(policy)}
	if err := p.sched.Accept(&j.task, &a); err != nil {
		j.task.Unwatch()
		return nil, err
	}
	if a.Immediate {
		_ = j.task.Wait(ctx)
	}
	return &j.Future, nil
}

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
		return ErrClosed
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

// Drain takes no more jobs and runs all that was accepted, as Close does, and does
// not wait for that. A job may call it. It resumes a pool that is paused. Receive
// from Done to learn of the end.
func (p *Pool[In, Out]) Drain() {
	p.mustBeMade()
	p.sched.Drain()
}

// Pause has no job start until Resume. Jobs are accepted up to what the workers and
// the queue can take, and then as [Overflow] says; CallerRuns waits for room. What
// runs goes on, and so does what it waits for on its own pool. A worker that had
// turned to a job when Pause was called may still enter its handler, one job each.
// Wait waits until the pool has been resumed. Pause does nothing on a pool that
// takes no more, and Drain, Close, Shutdown and Stop end it.
func (p *Pool[In, Out]) Pause() {
	p.mustBeMade()
	p.sched.Pause()
}

// Resume ends a Pause.
func (p *Pool[In, Out]) Resume() {
	p.mustBeMade()
	p.sched.Resume()
}

// Prestart starts the workers that the minimum of [WithMinWorkers] is short of, has
// them make their Workers, all at once, and waits until that is done. It returns the
// first error of newWorker, or its *[PanicError] or [ErrGoexit]; a worker that could
// not be made leaves, and the next call tries again. ctx ends the wait, and not the
// making. Without a minimum there is nothing to be done. It returns ErrClosed on a
// pool that takes no more.
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

// Close takes no more jobs, runs all that was accepted, and waits until the
// pool has ended: no goroutine, timer or registration of the pool is left. It
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

// Stop takes no more jobs, cancels what runs, and returns the inputs that were
// accepted and never ran: single jobs in the order in which they were
// submitted, then the items of batches and Maps. Their outcome is ErrStopped,
// and so is that of the jobs that run, whose contexts it ends; an item of a batch
// or a Map that runs has the outcome that its handler gives it. It does not wait
// for those; receive from Done, or call Close, to do so. Each input is given
// back once: of several calls, the first gets it.
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
	p.sched.Halt(sched.Outcome{Kind: sched.Canceled, Err: ErrStopped, By: sched.ByPool})
}

// Done returns a channel that is closed when the pool has ended, after Close,
// Shutdown or Stop.
func (p *Pool[In, Out]) Done() <-chan struct{} {
	p.mustBeMade()
	return p.done
}
