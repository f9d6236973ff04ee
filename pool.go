package dispatch

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// Pool runs jobs of one kind, each turning an In into an Out, on a bounded
// number of workers. For a handful of unlike closures golang.org/x/sync/errgroup
// is simpler; a pool pays where jobs are alike and many, or come for as long as
// the program runs.
//
// Any number of goroutines may use a pool at once, jobs of the pool included. A
// nil context is a mistake in the program: methods that take one panic, as those
// of the standard library do. In and Out travel in a channel (see
// [Batch.Results]), so together they must stay below 64 KiB; use pointers. Make one with [New] or [NewWorkers], and end it with Close, Shutdown or Stop;
// an open pool that has been idle for its idle timeout holds no goroutine.
type Pool[In, Out any] struct {
	ledger

	// Guarded by mu.
	queue     queue[In, Out]         // single jobs that wait or run
	blocked   list[blocked[In, Out]] // submitters that wait for room, in order
	sources   []source[In, Out]      // batches and maps with items to claim
	nextSrc   int                    // whose turn it is among sources
	turnSrc   bool                   // whose turn it is between sources and the queue
	urgent    []work[In, Out]        // runs that need no place, and wait for the dispatcher
	idleSince []time.Duration        // since when this many workers have not been needed, longest first; claimed from the end
	warm      *worker[In, Out]       // an idle worker that is claimed before those in the channel, while there is one

	dispatching bool                   // the dispatcher's goroutine lives
	asleep      bool                   // ... and waits for wake
	timed       bool                   // ... or for a worker to have been idle too long
	workforce   int                    // workers, strays not counted
	leaving     int                    // of these, how many have been told to leave
	open        list[Batch[In, Out]]   // batches that the end of the pool must seal
	maps        list[mapping[In, Out]] // maps that are not over
	unrun       []In                   // what never ran, for the next Stop to give back

	door door[In, Out]

	// heed asks workers that go through a batch or a Map without the mutex to look
	// at the ledger after each item. Written with the mutex held.
	heed atomic.Bool

	cfg       config
	newWorker func(context.Context) (Worker[In, Out], error)
	handler   Worker[In, Out] // shared by all workers; nil where newWorker makes one for each
	ctx       context.Context // of newWorker: done when the pool stops or ends
	cancelCtx context.CancelCauseFunc
	strayRoom *semaphore.Weighted // a unit for each stray that is allowed; nil without WithGrace
	done      chan struct{}       // closed by the dispatcher when the pool has ended

	// workers carries idle workers, but for the warm one. Written by each worker
	// that goes idle; read by whoever has claimed one in the ledger: a submitter
	// that hands its job over, or the dispatcher.
	workers chan *worker[In, Out]

	// wake gets one token for the dispatcher whenever asleep turns false.
	wake chan struct{}
}

// ErrClosed is returned for a job that was refused because the pool takes no
// more. The job will not run.
var ErrClosed = errors.New("dispatch: pool is closed")

// ErrInsideJob is returned by Wait and Shutdown when a job of the pool itself
// calls them, with its own context: the wait could never end.
var ErrInsideJob = errors.New("dispatch: a job cannot wait for its own pool to come to rest")

// New returns a pool that runs handler, as the options say. It starts no
// goroutine: the first job does. The error names the option that is wrong.
func New[In, Out any](handler Handler[In, Out], opts ...Option) (*Pool[In, Out], error) {
	if handler == nil {
		return nil, errors.New("dispatch: New: the handler must not be nil")
	}
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	p := newPool[In, Out](cfg)
	p.handler = handler
	return p, nil
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
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	if cfg.overflow == CallerRuns {
		return nil, errors.New("dispatch: NewWorkers: WithOverflow(CallerRuns) would need a worker beyond the limit")
	}
	p := newPool[In, Out](cfg)
	p.newWorker = newWorker
	return p, nil
}

// Must returns v, or panics with err if it is not nil. It is for pools made
// with options that are known to be right.
func Must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newPool[In, Out any](cfg config) *Pool[In, Out] {
	limit := min(cfg.workers, unlimited)
	p := &Pool[In, Out]{
		cfg:     cfg,
		done:    make(chan struct{}),
		workers: make(chan *worker[In, Out], min(limit, 1024)), // a worker that finds it full waits there, idle
		wake:    make(chan struct{}, 1),
	}
	p.ledger.limit = limit
	p.ledger.room = min(cfg.queue, unlimited)
	p.ledger.epoch = time.Now()
	p.ledger.busy, p.ledger.nudge = p.busy, p.poke
	p.ctx, p.cancelCtx = context.WithCancelCause(context.Background())
	if cfg.maxStrays > 0 {
		p.strayRoom = semaphore.NewWeighted(int64(cfg.maxStrays))
	}
	return p
}

// mustContext panics if ctx is nil, as the standard library does.
func mustContext(ctx context.Context, method string) {
	if ctx == nil {
		panic("dispatch: nil context given to " + method)
	}
}

// Process runs one job and returns its outcome. It blocks until then; with a
// full queue the [Overflow] policy says what happens. When ctx is done it
// returns at once with the cause of ctx: a job that has not started will not
// run, a running one is told through its context. It returns ErrClosed on a
// pool that takes no more. A panic of the handler is returned as a *[PanicError].
func (p *Pool[In, Out]) Process(ctx context.Context, in In) (Out, error) {
	mustContext(ctx, "Pool.Process")
	return p.process(ctx, in, 0)
}

// process is Process with a limit on the whole, unless timeout is 0.
func (p *Pool[In, Out]) process(ctx context.Context, in In, timeout time.Duration) (Out, error) {
	w := p.getWaiter()
	j := p.newJob(ctx, in)
	j.task.waiter = w.ch
	e := entry{policy: p.cfg.overflow, outer: p.enclosing(ctx), waits: true}
	if timeout != 0 {
		now := time.Now()
		if theirs, ok := ctx.Deadline(); !ok || theirs.Sub(now) > timeout {
			j.task.limit, j.task.deadline = timeout, saturate(now.Sub(p.epoch), timeout)
			e.limit, e.expired = timeout, w.start(timeout)
		}
	}
	err := p.accept(ctx, j, e)
	if err == nil {
		p.await(ctx, j, w, e)
		err = j.task.err
	}
	if e.expired != nil {
		w.timer.Stop()
	}
	p.putWaiter(w)
	return j.out, err
}

// await waits for the outcome of j, which it decides when ctx is done or the
// time is up. w is j's waiter.
func (p *Pool[In, Out]) await(ctx context.Context, j *job[In, Out], w *waiter, e entry) {
	if e.outer != nil {
		p.lend(e.outer, j)
		defer p.endLoan(e.outer, j)
	}
	done := ctx.Done()
	if done == nil && e.expired == nil {
		<-w.ch
		return
	}
	select {
	case <-w.ch:
		return
	case <-done:
		p.settle(&j.task, contextVerdict(ctx))
	case <-e.expired:
		p.settle(&j.task, verdict{kind: timedOut, limit: e.limit})
	}
	<-w.ch // whoever settled the job has sent the token or is about to
}

// Submit accepts one job and returns its future, without waiting for it. With a
// full queue the [Overflow] policy says what happens; the default is to block
// for room until ctx is done, and then to return its cause. On an error the job
// will not run. Later, ctx being done ends the job too, as for Process.
func (p *Pool[In, Out]) Submit(ctx context.Context, in In) (*Future[Out], error) {
	mustContext(ctx, "Pool.Submit")
	return p.submit(ctx, in, p.cfg.overflow)
}

// TrySubmit is Submit that never blocks: with a full queue it returns
// ErrQueueFull, whatever the policy.
func (p *Pool[In, Out]) TrySubmit(ctx context.Context, in In) (*Future[Out], error) {
	mustContext(ctx, "Pool.TrySubmit")
	return p.submit(ctx, in, Reject)
}

func (p *Pool[In, Out]) submit(ctx context.Context, in In, policy Overflow) (*Future[Out], error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	j := p.newJob(ctx, in)
	if ctx.Done() != nil {
		j.task.phase.Store(offered)
		j.task.unwatch = context.AfterFunc(ctx, func() { p.settle(&j.task, contextVerdict(ctx)) })
	}
	err := p.accept(ctx, j, entry{policy: policy, outer: p.enclosing(ctx)})
	if err != nil {
		if j.task.unwatch != nil {
			j.task.unwatch()
		}
		return nil, err
	}
	return &j.Future, nil
}

// newJob returns a job that is not accepted yet.
func (p *Pool[In, Out]) newJob(ctx context.Context, in In) *job[In, Out] {
	j := &job[In, Out]{pool: p, in: in}
	j.task.ledger, j.task.caller, j.task.job = &p.ledger, ctx, j
	return j
}
