package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"example.com/dispatch/internal/sched"
)

// Pool runs jobs of one kind, each turning an In into an Out, on a bounded
// number of workers. For a handful of different closures golang.org/x/sync/errgroup
// is simpler; a pool pays if there are many similar jobs, or if they come for as
// long as the program runs.
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

// name is that of WithName.
func (p *Pool[In, Out]) name() string { return p.cfg.name }

// named returns err with the name of the pool, if that has one.
func (p *Pool[In, Out]) named(err error) error {
	if p.cfg.name == "" {
		return err
	}
	return &namedError{p.cfg.name, err}
}

// namedError is an error of a pool that has a name.
type namedError struct {
	pool string
	err  error
}

func (e *namedError) Error() string {
	return "dispatch: " + e.pool + ": " + strings.TrimPrefix(e.err.Error(), "dispatch: ")
}

func (e *namedError) Unwrap() error { return e.err }

// hooked tells whether hooks are to be told of each job.
func (p *Pool[In, Out]) hooked() bool { return p.tel != nil && len(p.tel.hooks) > 0 }

// report tells of a panic, as the options say.
func (p *Pool[In, Out]) report(e *PanicError) {
	if p.cfg.panicHandler != nil {
		p.guard("the panic handler", func() { p.cfg.panicHandler(e) })
	} else {
		p.logPanic("job", e)
	}
}

// guard calls user code that nobody waits for.
func (p *Pool[In, Out]) guard(what string, f func()) {
	if err := guard.Call(f); err != nil {
		p.logPanic(what, err)
	}
}

// logPanic logs a panic of the user's code, which guard has made an error.
func (p *Pool[In, Out]) logPanic(what string, err error) {
	e := err.(*PanicError) //nolint:errorlint // it is what guard makes
	msg, args := "dispatch: "+what+" panicked", []any{"panic", textOf(e.Value)}
	if p.cfg.logger == nil {
		// On a terminal a stack can be read in the message only: as an attribute it
		// is one quoted line.
		msg = fmt.Sprintf("%s: %v\n%s", msg, args[1], e.Stack)
	} else {
		args = append(args, "stack", string(e.Stack))
	}
	p.log(msg, args...)
}

// log writes a line that nobody else would give. A logger that panics is none.
func (p *Pool[In, Out]) log(msg string, args ...any) {
	logger := p.cfg.logger
	if logger == nil {
		logger = slog.Default()
	}
	if p.cfg.name != "" {
		args = append(args, "pool", p.cfg.name)
	}
	_ = guard.Call(func() { logger.Error(msg, args...) })
}
