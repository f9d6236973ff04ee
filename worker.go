package dispatch

import (
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"runtime/trace"

	"example.com/dispatch/internal/sched"
)

// Handler turns an In into an Out. It is called by several workers at once. It
// should return when its context is done: one that does not keeps its worker.
//
// The context carries the values and the deadline of the caller's context. It
// is done when that is done, when the job is canceled or has timed out, when
// the pool stops, and once the handler has returned; context.Cause says which.
// So an output that was made with it and still needs it, such as an http.Response
// whose body has not been read, is of no use to the caller. The items of a Batch or a
// Map that a worker handles in one go may share a context.
type Handler[In, Out any] func(ctx context.Context, in In) (Out, error)

// Process calls h: a Handler is a Worker without state.
func (h Handler[In, Out]) Process(ctx context.Context, in In) (Out, error) { return h(ctx, in) }

// Worker handles jobs with state of its own. It is used by one goroutine at a
// time, and Process is never called again before it has returned, even if a job
// waits for its own pool. A Worker may have further methods:
//
//	Ready(ctx context.Context) error
//
// is called before each job with that job's context, and may wait. Its error is
// the outcome of the job, which is then not processed.
//
//	Interrupt()
//
// is called when a job is to end early: at most once for a job, from another
// goroutine, while Process runs for that job. It may run just before the first
// statement of Process, or while Process is returning. It returns before the
// next call of any other method, so it must not wait for Process: the worker would
// wait for it forever, unless [WithGrace] replaces the worker. Reset in Ready what
// Interrupt has set.
//
//	Close() error
//
// is called once, after the worker's last job. Its error is logged. A worker
// whose Process has ended its goroutine with runtime.Goexit is closed and
// replaced by a new one; one that panicked goes on.
type Worker[In, Out any] interface {
	Process(ctx context.Context, in In) (Out, error)
}

// worker is a goroutine of the pool that runs one thing after another.
type worker[In, Out any] struct {
	slot  sched.Worker
	pool  *Pool[In, Out]
	impl  Worker[In, Out] // what handles the jobs; nil until newWorker has made it
	ready func(context.Context) error

	// What it does now.
	out     Out           // the outcome of the job or item in hand, until it is given; then zero
	outcome sched.Outcome // ...
	done    int           // items of a group that it has handled well and not counted yet
	caught  *PanicError   // the panic of what is in hand, until it has been reported
	stack   []byte        // of a handler that neither returned nor panicked with a value
	state   workerState

	// With telemetry.
	desk    *desk
	decided bool // the worker has decided the outcome, while it tells of it
}

// workerState says what a goroutine that ends is in the middle of.
type workerState uint8

const (
	resting  workerState = iota // nothing of the user's that concerns a job
	handling                    // user code is handling what is in hand
	unwound                     // ... and neither returned nor panicked with a value
	telling                     // the hooks are told of the outcome, which stands
	judging                     // a context is asked whether the job was in time; the outcome is there
	gone                        // the worker has left
)

func (p *Pool[In, Out]) newPoolWorker() *worker[In, Out] {
	w := &worker[In, Out]{pool: p, impl: p.handler}
	w.slot.Init(p.sched)
	if p.tel != nil {
		w.openDesk()
		w.desk.labels = p.tel.labelsOf(w.desk)
	}
	return w
}

// loop runs what the worker is given until it is told to leave. User code that
// calls runtime.Goexit ends the goroutine, but not the worker: it goes on with a
// new one.
func (w *worker[In, Out]) loop() {
	defer func() {
		if w.state != gone {
			sched.Go(w.loop)
		}
	}()
	if w.desk != nil {
		w.desk.setLabels()
	}
	w.resume()
	for {
		w.slot.Await()
		switch work := &w.slot.Work; {
		case work.Task != nil:
			j := work.Task.Job().(*job[In, Out])
			w.exec(&j.task, &j.in)
			w.finishJob(j)
		case work.Group != nil:
			work.Group.Source().(*group[In, Out]).run(w)
		case work.Making != nil:
			w.prestart()
		case work.Leave:
			w.quit()
			return
		}
	}
}

// finishJob gives the job in the worker's hand its outcome, unless that has been
// decided before, and takes what comes next into the hand.
func (w *worker[In, Out]) finishJob(j *job[In, Out]) {
	t := &j.task
	if w.state != judging && w.state != telling {
		w.judge(t)
	}
	w.settle(j)
	w.slot.FinishJob(&w.outcome, w.decided)
	w.clear()
}

// settle decides the outcome of a job whose handler has returned, unless others
// have, and ends its context: that can take long, so it comes before the worker is
// free.
func (w *worker[In, Out]) settle(j *job[In, Out]) {
	if w.state != telling {
		w.state = resting
		w.decided = j.task.Decide()
		if w.decided {
			j.task.Leave(&w.outcome)
		} else {
			j.task.Leave(nil)
		}
		if w.desk != nil {
			if w.decided {
				w.tell(&j.task, j.in, &w.outcome, true)
			} else { // the input is no longer the worker's: Stop may take it
				theirs := j.task.Outcome()
				w.tell(&j.task, *new(In), &theirs, false)
			}
		}
	}
	w.state = resting
	if w.decided {
		j.in, j.out = *new(In), w.out
	}
}

// judge makes the end of the job's context the outcome, if that came before the
// handler's return.
func (w *worker[In, Out]) judge(t *sched.Task) {
	if !t.MayBeLate() {
		return
	}
	w.state = judging
	if o, late := t.Late(); late {
		w.fail(o)
	}
	w.state = resting
}

// takeOutcome returns the outcome of what was in hand, and keeps nothing of it.
func (w *worker[In, Out]) takeOutcome() sched.Outcome {
	o := w.outcome
	w.clear()
	return o
}

// clear keeps nothing of the outcome of what was in hand.
func (w *worker[In, Out]) clear() {
	w.out = *new(Out)
	if w.outcome.Kind != sched.Succeeded {
		w.outcome = sched.Outcome{}
	}
}

// fail makes o the outcome of what is in hand.
func (w *worker[In, Out]) fail(o sched.Outcome) { w.out, w.outcome = *new(Out), o }

// exited makes runtime.Goexit the outcome, by which user code has ended the goroutine.
func (w *worker[In, Out]) exited() {
	if w.caught != nil { // it was the panic handler, and the panic is the outcome
		w.caught = nil
		return
	}
	w.fail(sched.Outcome{Kind: sched.Failed, Err: ErrGoexit})
}

// failWith makes an error of user code the outcome. It is not inlined: handlers
// stand on the frames of their callers, on the small stacks of workers.
//
//go:noinline
func (w *worker[In, Out]) failWith(t *sched.Task, err error) { w.fail(t.Failure(err)) }

// exec has user code handle the input at in, with t, contains whatever that does,
// but for runtime.Goexit, and keeps the outcome. An input that is late is not
// handled.
func (w *worker[In, Out]) exec(t *sched.Task, in *In) {
	w.state = handling
	if t.MayBeLate() {
		if o, late := t.Late(); late {
			w.fail(o)
			w.state = resting
			return
		}
	}
	if w.desk != nil {
		w.desk.setLabels()
		if w.impl == nil || w.elaborate() { // else the handler comes at once
			w.turnTo(t, w.pool.sched.Since())
		}
	}
	if w.impl == nil {
		w.slot.Turn()
		w.construct()
	}
	if w.outcome.Err == nil {
		w.call(t, in)
	}
	w.leaveUserCode()
}

// leaveUserCode notes that the user's code is done with what is in hand, and
// reports the panic in which it may have ended.
func (w *worker[In, Out]) leaveUserCode() {
	if w.state == unwound { // but the goroutine goes on: it was a panic with nil
		w.caught = &PanicError{Value: new(runtime.PanicNilError), Stack: w.stack}
		w.fail(sched.Outcome{Kind: sched.Panicked, Err: w.caught})
	}
	if w.caught != nil {
		w.state = handling
		w.pool.report(w.caught)
		w.caught = nil
	}
	if w.stack != nil {
		w.stack = nil
	}
	w.state = resting
}

// call calls the handler, if the job can still be started.
func (w *worker[In, Out]) call(t *sched.Task, in *In) {
	w.state = unwound
	defer w.called()
	if w.elaborate() && !w.prepare(t) || !w.enter(t) {
		w.state = handling
		return
	}
	input := *in
	if w.slot.Work.Task != nil {
		*in = *new(In) // the future may outlive the handler by far
	}
	var out Out
	var err error
	if w.desk == nil {
		out, err = w.impl.Process(t.Context(), input)
	} else {
		out, err = w.process(w.begin(t, input), input)
	}
	if err != nil {
		w.failWith(t, err)
	} else {
		w.out = out
	}
	w.state = handling
}

// process calls the handler, as a region of the execution tracer if somebody looks.
func (w *worker[In, Out]) process(ctx context.Context, in In) (Out, error) {
	if trace.IsEnabled() {
		return w.traced(ctx, in)
	}
	return w.impl.Process(ctx, in)
}

func (w *worker[In, Out]) traced(ctx context.Context, in In) (Out, error) {
	defer trace.StartRegion(ctx, "dispatch "+w.pool.tel.name).End()
	return w.impl.Process(ctx, in)
}

// elaborate tells whether something comes before a handler: it can be interrupted,
// or its Worker has something to say.
func (w *worker[In, Out]) elaborate() bool {
	return w.slot.Interrupts() || w.pool.newWorker != nil
}

// prepare does what comes before an elaborate job; false if it cannot be started.
func (w *worker[In, Out]) prepare(t *sched.Task) bool {
	w.slot.Begin(t)
	if w.ready != nil {
		if err := w.ready(t.Context()); err != nil {
			w.failWith(t, err)
			return false
		}
	}
	if o, late := t.Late(); late { // making the Worker and its Ready can take long
		w.fail(o)
		return false
	}
	return true
}

// enter notes that the handler is about to be called; false if others have settled
// the job, and it must not be.
func (w *worker[In, Out]) enter(t *sched.Task) bool {
	var entered bool
	if r := w.slot.Run(); r != nil {
		entered = w.slot.Start(r)
	} else {
		entered = w.slot.Enter(t)
	}
	if !entered && t.Resolved() {
		w.fail(t.Outcome())
	}
	return entered
}

// called is deferred by what calls the handler: it contains a panic, and ends what
// others may do to the handler. An item of a group that has timed out gives way to
// that.
func (w *worker[In, Out]) called() {
	if r := recover(); r != nil {
		w.state = handling
		w.panicked(r)
	} else if w.state == unwound {
		w.stack = debug.Stack()
	}
	if w.slot.Interrupts() {
		w.slot.End()
	}
	if r := w.slot.Run(); r != nil {
		w.yieldToTimeout(r)
	}
}

// yieldToTimeout drops what the handler of an item of r has made of it, if the item had
// ended before, and was past the limit of WithJobTimeout.
func (w *worker[In, Out]) yieldToTimeout(r *sched.Run) {
	if r.Task.Overran() {
		w.fail(r.Task.Outcome())
	}
}

// construct makes the Worker; if that fails, its error is the outcome.
func (w *worker[In, Out]) construct() {
	var impl Worker[In, Out]
	var err error
	if panicked := guard.Call(func() { impl, err = w.pool.newWorker(w.pool.ctx) }); panicked != nil {
		w.caught = panicked.(*PanicError) //nolint:errorlint // it is what guard makes
		w.fail(sched.Outcome{Kind: sched.Panicked, Err: w.caught})
		return
	}
	if err == nil && impl == nil {
		err = errors.New("dispatch: NewWorkers: newWorker returned a nil Worker")
	}
	if err != nil {
		w.fail(sched.Outcome{Kind: sched.Failed, Err: err})
		return
	}
	w.impl = impl
	if r, ok := impl.(interface{ Ready(context.Context) error }); ok {
		w.ready = r.Ready
		w.slot.Interruptible()
	}
	if i, ok := impl.(interface{ Interrupt() }); ok {
		w.slot.Interruptible()
		w.slot.OnInterrupt(func() { w.pool.guard("Interrupt of a worker", i.Interrupt) })
	}
}

// prestart makes the Worker before there is a job for it.
func (w *worker[In, Out]) prestart() {
	w.state = handling
	if w.impl == nil {
		w.construct()
	}
	w.leaveUserCode()
	w.finishPrestart()
}

func (w *worker[In, Out]) finishPrestart() {
	o := w.takeOutcome()
	w.slot.FinishMaking(o.Err)
}

// dismiss closes the Worker, if it is this worker's own.
func (w *worker[In, Out]) dismiss() {
	if w.pool.newWorker == nil || w.impl == nil {
		return
	}
	impl := w.impl
	w.impl, w.ready = nil, nil
	w.slot.OnInterrupt(nil)
	if c, ok := impl.(interface{ Close() error }); ok {
		w.pool.guard("Close of a worker", func() {
			if err := c.Close(); err != nil {
				w.pool.log("dispatch: closing a worker failed", "error", err)
			}
		})
	}
}

// openDesk has the worker write down what it is at, and since when.
func (w *worker[In, Out]) openDesk() { w.desk = w.pool.tel.open(&w.slot) }

// quit ends the worker.
func (w *worker[In, Out]) quit() {
	w.dismiss()
	w.state = gone
	if w.desk != nil {
		w.pool.tel.close(w.desk)
	}
	w.slot.Quit()
}

// resume gives what is in the worker's hand its outcome, if user code has ended the
// goroutine that was at it.
func (w *worker[In, Out]) resume() {
	switch w.state {
	case resting:
		return // it is the first, or a hook has ended it; the hand holds what comes next
	case judging, telling: // the outcome stands
	default:
		w.state, w.stack = resting, nil
		if w.pool.newWorker != nil {
			w.slot.Broken() // what is left of the Worker is in an unknown state
		}
		w.exited()
	}
	switch work := &w.slot.Work; {
	case work.Task != nil:
		w.finishJob(work.Task.Job().(*job[In, Out]))
		return
	case work.Making != nil:
		w.finishPrestart()
		return
	}
	r := w.slot.Run()
	if w.state == resting {
		w.yieldToTimeout(r)
	}
	r.Typed.(*run[In, Out]).finish(w)
}

// panicked makes the panic of user code with r the outcome. It is called by the
// deferred function that has recovered r.
func (w *worker[In, Out]) panicked(r any) {
	w.caught = &PanicError{Value: r, Stack: debug.Stack()}
	w.fail(sched.Outcome{Kind: sched.Panicked, Err: w.caught})
}
