package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"time"

	"example.com/dispatch"
)

// job is an input: it says what its handler does.
type job struct {
	n     int
	asked time.Time
	work  time.Duration
	fate  fate
	heeds bool // its context, while it works
	depth int  // of the jobs that it waits for
}

type fate int

const (
	returns fate = iota
	fails
	panics
	exits
)

var (
	errFailed    = errors.New("the job failed")
	errConstruct = errors.New("no worker")
)

// newJob makes a job of one kind or another; one in 30 ends badly.
func newJob(random *rand.Rand) job {
	j := job{n: random.IntN(1 << 20), work: time.Duration(random.ExpFloat64() * float64(10*time.Microsecond)), heeds: random.IntN(2) == 0}
	if f := random.IntN(90); f < 3 {
		j.fate = fails + fate(f)
	}
	j.asked = time.Now()
	return j
}

func newJobs(random *rand.Rand, n int) []job {
	jobs := make([]job, n)
	for i := range jobs {
		jobs[i] = newJob(random)
	}
	return jobs
}

// rig is one pool under load.
type rig struct {
	name    string
	pool    *dispatch.Pool[job, int]
	monitor *monitor
	most    int                                 // workers
	strict  bool                                // no strays, no CallerRuns, no nesting: never more than most at work at once
	inline  bool                                // its callers run their jobs themselves
	told    [dispatch.Dropped + 1]atomic.Uint64 // outcomes that the hooks were told of
	hooked  bool
	busy    atomic.Int64
	ran     atomic.Int64 // handlers entered
}

// handle is the handler of all pools.
func (r *rig) handle(ctx context.Context, j job) (int, error) {
	began := time.Now()
	r.monitor.queueWait.record(began.Sub(j.asked))
	r.ran.Add(1)
	if n := r.busy.Add(1); r.strict && n > int64(r.most) {
		r.monitor.fault("%s: %d handlers at work on at most %d workers", r.name, n, r.most)
	}
	defer r.busy.Add(-1)
	if j.depth > 0 {
		if err := r.nest(ctx, j); err != nil {
			return 0, err
		}
	}
	for worked := time.Now(); time.Since(worked) < j.work && !(j.heeds && ctx.Err() != nil); {
		// at work
	}
	r.monitor.runTime.record(time.Since(began))
	switch j.fate {
	case fails:
		return 0, errFailed
	case panics:
		panic(errFailed)
	case exits:
		runtime.Goexit()
	}
	return 2 * j.n, ctx.Err()
}

// nest runs two jobs on the same pool, and waits for them.
func (r *rig) nest(ctx context.Context, j job) error {
	child := job{n: j.n, asked: time.Now(), work: j.work, depth: j.depth - 1}
	if _, err := r.pool.Process(ctx, child); err != nil {
		return err
	}
	outs, err := r.pool.Map(ctx, []job{child, child})
	if err == nil && len(outs) != 2 {
		r.monitor.fault("%s: Map returned %d outputs of 2", r.name, len(outs))
	}
	return err
}

// judge checks that an outcome is one that the job can have. If the caller may end the
// job, more outcomes are possible.
func (r *rig) judge(j job, out int, err error) {
	var pe *dispatch.PanicError
	switch {
	case err == nil && out == 2*j.n && j.fate == returns:
	case errors.Is(err, errFailed) && (j.fate == fails || j.fate == panics && errors.As(err, &pe)):
	case errors.Is(err, dispatch.ErrGoexit) && (j.fate == exits || r.hooked): // a hook may be what ended it
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
	case errors.Is(err, dispatch.ErrQueueFull), errors.Is(err, dispatch.ErrDropped):
	case errors.Is(err, dispatch.ErrStopped), errors.Is(err, dispatch.ErrClosed), errors.Is(err, errConstruct):
	default:
		r.monitor.fault("%s: job %+v ended with %d, %v", r.name, j, out, err)
	}
}

// soakWorker is a Worker with state; its calls must not overlap.
type soakWorker struct {
	rig    *rig
	inside atomic.Int32
	closed atomic.Bool
}

func (w *soakWorker) enter(call string) func() {
	if w.inside.Add(1) != 1 || w.closed.Load() {
		w.rig.monitor.fault("%s: %s during another call, or after Close", w.rig.name, call)
	}
	return func() { w.inside.Add(-1) }
}

func (w *soakWorker) Ready(context.Context) error {
	defer w.enter("Ready")()
	return nil
}

func (w *soakWorker) Process(ctx context.Context, j job) (int, error) {
	defer w.enter("Process")()
	return w.rig.handle(ctx, j)
}

// Interrupt may meet Process, but not Close.
func (w *soakWorker) Interrupt() {
	if w.closed.Load() {
		w.rig.monitor.fault("%s: Interrupt after Close", w.rig.name)
	}
}

func (w *soakWorker) Close() error {
	defer w.enter("Close")()
	w.closed.Store(true)
	return nil
}
