package dispatch

import (
	"context"
	"errors"

	"example.com/dispatch/internal/sched"
)

// New returns a pool that runs handler, configured by opts. It starts no
// goroutine: the first job does. The error names the option that is wrong.
func New[In, Out any](handler Handler[In, Out], opts ...Option) (*Pool[In, Out], error) {
	if handler == nil {
		return nil, errors.New("dispatch: New: the handler must not be nil")
	}
	// All workers share it: a Handler has no state, so there is nothing to make or to close.
	p := &Pool[In, Out]{handler: handler}
	if err := p.cfg.set(opts); err != nil {
		return nil, err
	}
	return p.open()
}

// NewWorkers returns a pool whose workers have state: each has a [Worker] of
// its own, made by newWorker on the worker's goroutine when its first job
// arrives. If newWorker fails, its error is that job's outcome, and the worker's
// next job tries again. The context of newWorker is done when the pool stops or
// ends. The pool starts no goroutine until the first job. The error names the option that
// is wrong.
func NewWorkers[In, Out any](newWorker func(ctx context.Context) (Worker[In, Out], error), opts ...Option) (*Pool[In, Out], error) {
	if newWorker == nil {
		return nil, errors.New("dispatch: NewWorkers: newWorker must not be nil")
	}
	p := &Pool[In, Out]{newWorker: newWorker}
	if err := p.cfg.set(opts); err != nil {
		return nil, err
	}
	// A Worker belongs to one goroutine, and there are no more of them than the limit says.
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

// Call runs f, with the context of its job. It is the handler for a pool whose inputs
// are closures: New(Call[string]) makes a pool of closures that return a string and
// an error. The job of a nil f panics.
func Call[Out any](ctx context.Context, f func(context.Context) (Out, error)) (Out, error) {
	return f(ctx)
}

// Do makes a handler from a function without an output. Do(nil) is nil, which New
// refuses.
func Do[In any](f func(context.Context, In) error) Handler[In, struct{}] {
	if f == nil {
		return nil
	}
	return func(ctx context.Context, in In) (struct{}, error) { return struct{}{}, f(ctx, in) }
}

// open makes what the pool stands on, and begins its life. The options are set and
// checked by then, all but the function of WithLabel, whose type depends on In.
func (p *Pool[In, Out]) open() (_ *Pool[In, Out], err error) {
	cfg := &p.cfg
	p.done = make(chan struct{})
	// The scheduler adds limits up, where an int may have 32 bits: so what is beyond its own
	// Unlimited counts as that.
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
		Timeout:     p.newTimeoutError,
		Errors:      sched.Errors{Closed: p.named(ErrClosed), QueueFull: p.named(ErrQueueFull), Dropped: p.named(ErrDropped)},
		Dispatch:    p.dispatch,
	}
	if p.newWorker != nil {
		// A stop ends the context of newWorker, which is not derived from any job's.
		of.OnStop = func(reason error) { p.cancelCtx(reason) }
	}
	p.sched = sched.New(of)
	if p.tel, err = newTelemetry[In](cfg, p.sched); err != nil {
		return nil, err
	}
	// Last: the context of WithContext may be done, and stops a pool that has to be whole.
	p.live(cfg.ctx)
	return p, nil
}
