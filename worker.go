package dispatch

import (
	"context"
	"errors"
)

// Handler turns an In into an Out. It is called by several workers at once. It
// should return when its context is done: one that does not keeps its worker.
//
// The context carries the values and the deadline of the caller's context. It
// is done when that is done, when the job is canceled or has timed out, when
// the pool stops, and once the handler has returned; context.Cause says which.
// The items of a Batch or a Map that a worker handles in one go may share one.
type Handler[In, Out any] func(ctx context.Context, in In) (Out, error)

// Process calls h: a Handler is a Worker without state.
func (h Handler[In, Out]) Process(ctx context.Context, in In) (Out, error) { return h(ctx, in) }

// Worker handles jobs with state of its own. It is used by one goroutine at a
// time, and Process is never entered again before it has returned, also when a
// job waits for its own pool. A Worker may have further methods:
//
//	Ready(ctx context.Context) error
//
// is called before each job with that job's context, and may wait. Its error is
// the outcome of the job, which is then not processed.
//
//	Interrupt()
//
// is called when a job is to end early: at most once for a job, from another
// goroutine, and only if Process has been entered for that job and has not
// returned, as far as can be known: it may meet Process on its way in, before
// its first statement, or on its way out. It is over before the next call of any
// other method. What it sets is best reset in Ready.
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
	pool  *Pool[In, Out]
	inbox chan struct{}   // a token says that the hand has been filled; written by who has claimed this worker while it was idle
	idle  bool            // the hand is not to be looked at before there is a token
	warm  bool            // it is pool.warm, or has been since it went idle; written with the mutex held
	impl  Worker[In, Out] // what handles the jobs; nil until newWorker has made it
	ready func(context.Context) error
	seat  *seat // nil in pools that do not interrupt

	// What it does now. The hand is filled by whoever has claimed the worker while
	// it was idle, at any time after that, and by the worker itself otherwise.
	// Others look at it only with the mutex held, and only while the seat has a
	// task.
	hand    work[In, Out]
	out     Out         // the outcome of what is in the hand, from exec until it is given; then zero
	verdict verdict     // ...
	share   *share      // its stay with the source in its hand
	past    *share      // a stay that is over, but for its context
	done    int         // items of a batch or a Map that it has handled well and not counted yet
	running bool        // user code is handling what is in the hand
	caught  *PanicError // the panic of what is in the hand, until it has been reported
	broken  bool        // Goexit has left impl, which is the worker's own, in an unknown state
	gone    bool        // loop returns for good
}

func (p *Pool[In, Out]) newPoolWorker(first work[In, Out]) *worker[In, Out] {
	w := &worker[In, Out]{pool: p, inbox: make(chan struct{}, 1), impl: p.handler, hand: first}
	if p.cfg.jobTimeout > 0 || p.cfg.maxStrays > 0 {
		w.takeSeat()
	}
	return w
}

func (w *worker[In, Out]) takeSeat() {
	if w.seat != nil {
		return
	}
	w.seat = &seat{ledger: &w.pool.ledger, grace: w.pool.cfg.grace}
	if w.pool.cfg.maxStrays > 0 {
		w.seat.writeOff = w.writeOff
	}
}

// loop runs what the worker is given until it is told to leave. A job that
// calls runtime.Goexit ends the goroutine, but not the worker: it goes on with
// a new one.
func (w *worker[In, Out]) loop() {
	defer func() {
		if !w.gone {
			w.afterGoexit()
			go w.loop()
		}
	}()
	for {
		if w.idle {
			if !w.warm {
				w.pool.workers <- w
			}
			<-w.inbox
			w.idle = false
		}
		switch {
		case w.hand.job != nil:
			w.exec(&w.hand.job.task, &w.hand.job.in)
			w.finishJob()
		case w.hand.source != nil:
			w.hand.source.run(w)
		case w.hand.leave:
			w.quit()
			return
		}
	}
}

// finishJob gives the job in the worker's hand its outcome, unless that has
// been decided before, and takes what comes next into the hand.
func (w *worker[In, Out]) finishJob() {
	p, j := w.pool, w.hand.job
	t := &j.task
	if t.late() {
		w.failLate(t)
	}
	t.leave() // can be the user's code, so it comes before the worker is free

	p.mu.Lock()
	if !t.resolved() {
		j.in, j.out = *new(In), w.out
		p.ended[w.verdict.kind]++
	}
	p.queue.remove(j)
	waiter := p.finish(t, &w.verdict)
	w.turn()
	p.mu.Unlock()
	if waiter != nil {
		waiter <- struct{}{} // has room: there is one token for each wait
	}
}

// fail makes v the outcome of what is in the hand.
func (w *worker[In, Out]) fail(v verdict) { w.out, w.verdict = *new(Out), v }

// failLate makes the end of t the outcome. It is not inlined, as failWith is not:
// handlers stand on the frames of their callers, on the small stacks of workers.
//
//go:noinline
func (w *worker[In, Out]) failLate(t *task) { w.fail(t.lateVerdict()) }

// failWith makes an error of user code the outcome.
//
//go:noinline
func (w *worker[In, Out]) failWith(t *task, err error) { w.fail(t.failure(err)) }

// turn ends the run in the worker's hand and takes what comes next into it: the
// next thing that waits, as long as the limit allows it, or else nothing. The
// mutex is held, and the worker should run no user code after it before it looks
// into its hand: from now on others count on it. (It ends the context of its stay
// with a batch or a Map, which is the user's code where a context of the user's
// own has an AfterFunc method.)
func (w *worker[In, Out]) turn() {
	p, last := w.pool, w.hand.source
	w.out, w.verdict = *new(Out), verdict{}
	if w.isStray() {
		w.hand = work[In, Out]{leave: true}
		w.leaveShare(last)
		return
	}
	if !w.vacate() {
		p.active--
	}
	p.admit()
	w.hand = work[In, Out]{}
	if w.broken {
		// Closing what is left of it may take long: another worker goes on.
		w.hand.leave = true
		w.leaveShare(last)
		p.leaving++
		p.tendDoor()
		p.poke()
		p.checkQuiet()
		return
	}
	next := p.claimWork(&w.hand)
	w.leaveShare(last)
	if next {
		p.tendDoor()
		return
	}
	w.idle = true
	if w.warm = p.warm == nil; w.warm {
		p.warm = w
	}
	p.idleSince = append(p.idleSince, p.since())
	if p.mustRetire() {
		p.poke()
	}
	p.checkQuiet()
}

// vacate ends a run that was on top of the limit, and returns false if the
// worker's run was not. The mutex is held.
func (w *worker[In, Out]) vacate() bool {
	if !w.hand.extra {
		return false
	}
	w.hand.extra = false
	w.pool.extra--
	if t := w.hand.lender; t != nil {
		w.hand.lender = nil
		t.loan.used = false
		w.pool.useLoan(t)
	}
	return true
}

// exec has user code handle the input at in, with t as its context, contains
// whatever that does, but for runtime.Goexit, and keeps the outcome. An input
// that is late is not handled.
func (w *worker[In, Out]) exec(t *task, in *In) {
	if t.lateToStart() {
		w.failLate(t)
		return
	}
	w.running = true
	if w.impl == nil {
		w.construct()
	}
	if w.verdict.err == nil {
		w.call(t, in)
	}
	w.leaveUserCode()
}

// leaveUserCode notes that the user's code is done with what is in the hand, and
// reports the panic in which it may have ended.
func (w *worker[In, Out]) leaveUserCode() {
	if w.caught != nil {
		w.pool.report(w.caught)
		w.caught = nil
	}
	w.running = false
}

// prepare does what comes before a job that can be interrupted or whose Worker
// has something to say; false if the job cannot be started.
func (w *worker[In, Out]) prepare(t *task) bool {
	if w.seat != nil {
		w.seat.begin(t, w.pool.cfg.jobTimeout)
	}
	if w.ready != nil {
		if err := w.ready(t); err != nil {
			w.failWith(t, err)
			return false
		}
	}
	if t.lateToStart() { // making the Worker and its Ready can take long
		w.failLate(t)
		return false
	}
	return true
}

// timely gives way to the outcome that WithJobTimeout gave an item of a batch.
func (w *worker[In, Out]) timely(t *task) {
	if w.pool.cfg.jobTimeout > 0 && t.resolved() {
		w.fail(verdict{kind: t.kind, err: t.err})
	}
}

// call calls the handler, if the job can still be started.
func (w *worker[In, Out]) call(t *task, in *In) {
	defer w.called(t)
	switch {
	case w.seat == nil && w.pool.newWorker == nil:
	case !w.prepare(t):
		return
	}
	if entered := w.seat == nil && t.enter() || w.seat != nil && w.seat.enter(t); !entered {
		w.failLate(t)
		return
	}
	input := *in
	if w.hand.job != nil {
		*in = *new(In) // the future may outlive the handler by far
	}
	var err error
	if w.out, err = w.impl.Process(t, input); err != nil {
		w.failWith(t, err)
	}
}

// called is deferred by what calls the handler: it contains a panic, and ends what
// others may do to the run.
func (w *worker[In, Out]) called(t *task) {
	if r := recover(); r != nil {
		w.panicked(r)
	}
	if w.seat != nil {
		w.seat.end()
		w.timely(t)
	}
}

// construct makes the Worker; if that fails, its error is the outcome.
func (w *worker[In, Out]) construct() {
	defer func() {
		if r := recover(); r != nil {
			w.panicked(r)
		}
	}()
	impl, err := w.pool.newWorker(w.pool.ctx)
	if err == nil && impl == nil {
		err = errors.New("dispatch: NewWorkers: newWorker returned a nil Worker")
	}
	if err != nil {
		w.fail(verdict{kind: failed, err: err})
		return
	}
	w.impl = impl
	if r, ok := impl.(interface{ Ready(context.Context) error }); ok {
		w.ready = r.Ready
		w.takeSeat()
	}
	if i, ok := impl.(interface{ Interrupt() }); ok {
		w.takeSeat()
		w.seat.hook = func() { w.pool.guard("Interrupt of a worker", i.Interrupt) }
	}
}

// dismiss closes the Worker, if it is this worker's own.
func (w *worker[In, Out]) dismiss() {
	if w.pool.newWorker == nil || w.impl == nil {
		return
	}
	impl := w.impl
	w.impl, w.ready = nil, nil
	if w.seat != nil {
		w.seat.hook = nil
	}
	if c, ok := impl.(interface{ Close() error }); ok {
		w.pool.guard("Close of a worker", func() {
			if err := c.Close(); err != nil {
				w.pool.log("dispatch: closing a worker failed", "error", err)
			}
		})
	}
}

// quit ends the worker.
func (w *worker[In, Out]) quit() {
	w.dismiss()
	p := w.pool
	p.mu.Lock()
	if w.isStray() {
		p.strays--
		p.strayRoom.Release(1)
	} else {
		p.workforce--
		p.leaving--
	}
	p.poke()
	w.gone = true
	p.mu.Unlock()
}

// afterGoexit gives what was in the worker's hand its outcome after user code
// ended the goroutine.
func (w *worker[In, Out]) afterGoexit() {
	if !w.running {
		return // it was a hook; the hand holds what comes next
	}
	w.running, w.broken = false, w.pool.newWorker != nil
	if w.caught != nil { // it was the panic handler
		w.caught = nil // and the panic is the outcome
	} else {
		w.fail(verdict{kind: failed, err: ErrGoexit})
	}
	if w.hand.job != nil {
		w.finishJob()
		return
	}
	w.timely(&w.share.task)
	w.hand.source.finish(w)
}
