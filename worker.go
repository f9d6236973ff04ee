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

// worker is a goroutine of the pool that does one piece of work after another.
type worker[In, Out any] struct {
	slot  sched.Worker
	pool  *Pool[In, Out]
	impl  Worker[In, Out] // handles the jobs; nil until newWorker has made it
	ready func(context.Context) error

	// The work in hand.
	out     Out           // the output of the job or item in hand; zero once it has been handed out
	outcome sched.Outcome // its outcome, likewise
	done    int           // items of a group that have succeeded and are not counted yet
	caught  *PanicError   // the panic of the work in hand, until it has been reported
	stack   []byte        // the stack of a handler that neither returned nor panicked with a value
	state   workerState

	// With telemetry.
	desk    *desk
	decided bool // the outcome that the hooks are told is the one this worker has decided
}

// workerState says what a worker is in the middle of, in case user code ends its goroutine.
type workerState uint8

const (
	resting  workerState = iota // no user code runs that concerns a job
	handling                    // user code is handling the work in hand
	unwound                     // ... and neither returned nor panicked with a value
	telling                     // the hooks are being told of the outcome, which is final
	judging                     // a context is asked whether the job was in time; there is an outcome
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

// loop does the work that the worker is given until the worker is told to leave. User code
// that calls runtime.Goexit ends the goroutine, but not the worker, which continues on a
// new goroutine.
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

// finishJob gives the job in hand its outcome, unless others have decided it before, and
// takes the worker's next work into its hand.
func (w *worker[In, Out]) finishJob(j *job[In, Out]) {
	t := &j.task
	if w.state != judging && w.state != telling {
		w.judge(t)
	}
	w.settle(j)
	w.slot.FinishJob(&w.outcome, w.decided)
	w.clear()
}

// settle decides the outcome of a job whose handler has returned, unless others have, and
// ends the job's context. That can take long, so it comes before the worker is free.
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
			} else { // the input no longer belongs to the worker: Stop may take it
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

// takeOutcome returns the outcome of the work that was in hand, and clears it.
func (w *worker[In, Out]) takeOutcome() sched.Outcome {
	o := w.outcome
	w.clear()
	return o
}

// clear drops the outcome of the work that was in hand.
func (w *worker[In, Out]) clear() {
	w.out = *new(Out)
	if w.outcome.Kind != sched.Succeeded {
		w.outcome = sched.Outcome{}
	}
}

// fail makes o the outcome of the work in hand.
func (w *worker[In, Out]) fail(o sched.Outcome) { w.out, w.outcome = *new(Out), o }

// exited makes ErrGoexit the outcome, because user code has ended the goroutine.
func (w *worker[In, Out]) exited() {
	if w.caught != nil { // the panic handler has called Goexit; the panic stays the outcome
		w.caught = nil
		return
	}
	w.fail(sched.Outcome{Kind: sched.Failed, Err: ErrGoexit})
}

// failWith makes an error of user code the outcome. It is not inlined, because that would
// enlarge the frames below the handler, and the stacks of workers are small.
//
//go:noinline
func (w *worker[In, Out]) failWith(t *sched.Task, err error) { w.fail(t.Failure(err)) }

// exec has user code handle the input at in, as the task t, and keeps the outcome. It
// contains whatever that code does, except runtime.Goexit. An input that is late is not
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
		if w.impl == nil || w.elaborate() { // otherwise the handler is called at once
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

// leaveUserCode records that user code is done with the work in hand, and reports the panic
// that it may have ended in.
func (w *worker[In, Out]) leaveUserCode() {
	if w.state == unwound { // the goroutine goes on, so it was a panic with nil
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

// process calls the handler, as a region of the execution tracer if tracing is on.
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

// elaborate reports whether something comes before the handler: it can be interrupted, or
// the pool makes a Worker for each worker.
func (w *worker[In, Out]) elaborate() bool {
	return w.slot.Interrupts() || w.pool.newWorker != nil
}

// prepare does what comes before the handler of an elaborate job. It returns false if the
// job cannot be started.
func (w *worker[In, Out]) prepare(t *sched.Task) bool {
	w.slot.Begin(t)
	if w.ready != nil {
		if err := w.ready(t.Context()); err != nil {
			w.failWith(t, err)
			return false
		}
	}
	if o, late := t.Late(); late { // newWorker and Ready can take long
		w.fail(o)
		return false
	}
	return true
}

// enter records that the handler is about to be called. It returns false if others have
// settled the job, so that the handler must not be called.
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

// called is deferred by the functions that call the handler. It contains a panic, and from
// then on nobody can interrupt the handler. If an item of a group has timed out, the
// timeout becomes its outcome.
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

// yieldToTimeout drops what the handler of an item of r has returned, if the item had ended
// before because it was past the limit of WithJobTimeout.
func (w *worker[In, Out]) yieldToTimeout(r *sched.Run) {
	if r.Task.Overran() {
		w.fail(r.Task.Outcome())
	}
}

// construct makes the Worker. If that fails, the error is the outcome.
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

// dismiss closes the Worker, if this worker has one of its own.
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

// openDesk gives the worker a desk, where it records what it is working on, and since when.
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

// resume gives the work in hand its outcome, if user code has ended the goroutine that was
// doing it.
func (w *worker[In, Out]) resume() {
	switch w.state {
	case resting:
		return // this is the first goroutine, or a hook has ended the last one; the hand holds what comes next
	case judging, telling: // the outcome is there already
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

// panicked makes a panic of user code the outcome. It is called by the deferred function
// that has recovered its value r.
func (w *worker[In, Out]) panicked(r any) {
	w.caught = &PanicError{Value: r, Stack: debug.Stack()}
	w.fail(sched.Outcome{Kind: sched.Panicked, Err: w.caught})
}
