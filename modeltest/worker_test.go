package modeltest

import (
	"context"
	"errors"
	"runtime"

	"example.com/dispatch"
)

// errConstruct is the error of a constructor that fails.
var errConstruct = errors.New("no worker today")

// fleet counts the Workers of a stateful pool.
type fleet struct {
	asked, made, closed int
	prestarted          int // the last phase in which Prestart has returned nil
}

// modelWorker is a Worker that checks what the pool promises Workers.
type modelWorker struct {
	w *world

	// Guarded by world.mu.
	state        workerState
	job          *job // the last one
	early        int  // interrupts that came while the next job was about to enter Process
	interrupting bool
}

// workerState is fresh at first, then asked, ready, busy and done for each job, and closed
// at the end.
type workerState int

const (
	workerFresh workerState = iota
	workerAsked
	workerReady
	workerBusy
	workerDone
	workerClosed
)

func (w *world) newWorker(ctx context.Context) (dispatch.Worker[int, int], error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fleet.asked++
	if w.flaky && w.fleet.asked%3 == 0 {
		return nil, errConstruct
	}
	w.fleet.made++
	return &modelWorker{w: w}, nil
}

// move checks that the worker may go to the given state.
func (mw *modelWorker) move(call string, to workerState, from ...workerState) {
	mw.w.mu.Lock()
	defer mw.w.mu.Unlock()
	mw.moveLocked(call, to, from...)
}

func (mw *modelWorker) moveLocked(call string, to workerState, from ...workerState) {
	legal := false
	for _, f := range from {
		legal = legal || mw.state == f
	}
	if !legal {
		mw.w.failf("%s called on a worker in the state %d", call, mw.state)
	}
	if mw.interrupting && to != workerDone && to != workerBusy {
		mw.w.failf("%s called during Interrupt", call)
	}
	// A Start hook that ends the goroutine runs between the two.
	if mw.early > 0 && to != workerBusy && mw.w.watching != rudeHooks {
		mw.w.failf("a worker was interrupted for a job that it never processed")
	}
	mw.state = to
}

func (mw *modelWorker) Ready(context.Context) error {
	// A job that was settled after Ready never reaches Process.
	mw.move("Ready", workerAsked, workerFresh, workerReady, workerDone)
	runtime.Gosched()
	mw.move("the return from Ready", workerReady, workerAsked)
	return nil
}

func (mw *modelWorker) Process(ctx context.Context, id int) (int, error) {
	// The state and the job change together, because an Interrupt may come at any moment.
	mw.w.mu.Lock()
	mw.moveLocked("Process", workerBusy, workerReady)
	defer mw.move("the return from Process", workerDone, workerBusy)
	mw.job = mw.w.jobs[id]
	mw.job.interrupts, mw.early = mw.early, 0
	mw.w.mu.Unlock()
	return mw.w.handle(ctx, id)
}

// Interrupt may overlap with the beginning or the end of Process.
func (mw *modelWorker) Interrupt() {
	w := mw.w
	w.mu.Lock()
	switch j := mw.job; {
	case mw.state == workerReady && mw.early == 0:
		mw.early++
	case j == nil || mw.state != workerBusy && mw.state != workerDone:
		w.failf("Interrupt called on a worker in the state %d", mw.state)
	case j.interrupts > 0:
		w.failf("%v: interrupted a second time", j)
	case j.ended != 0 && j.ended < w.phase:
		w.failf("%v: interrupted after its end", j)
	default:
		j.interrupts++
	}
	mw.interrupting = true
	w.mu.Unlock()

	runtime.Gosched() // lets the next call run, if it does not wait as it should

	w.mu.Lock()
	mw.interrupting = false
	w.mu.Unlock()
}

func (mw *modelWorker) Close() error {
	mw.move("Close", workerClosed, workerFresh, workerReady, workerDone)
	mw.w.mu.Lock()
	defer mw.w.mu.Unlock()
	mw.w.fleet.closed++
	return nil
}

// checkInterrupted checks that j, which runs on a Worker, has been interrupted
// if something has ended it since it started, and only then.
func (w *world) checkInterrupted(j *job) {
	ended, may := never, false
	for _, d := range w.decisions(j) {
		if d.told {
			ended = min(ended, d.from)
		}
		may = may || d.from <= w.phase
	}
	switch {
	case ended > j.started && ended <= w.phase && j.interrupts == 0:
		w.failf("%v: ended while it runs, and its worker was not interrupted\n%s", j, w.list())
	case !may && j.interrupts > 0:
		w.failf("%v: its worker was interrupted for no reason", j)
	}
}
