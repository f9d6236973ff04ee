package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"time"

	"example.com/dispatch/internal/sched"
)

// Unlimited, given to [WithWorkers] or [Pool.Resize], lets every job start at
// once on a worker of its own; idle workers are still reused and still expire.
// Given to [WithQueue], it lets any number of jobs wait.
const Unlimited = math.MaxInt

// The defaults of the options.
const (
	defaultQueue       = 1024
	defaultIdleTimeout = 10 * time.Second
)

// Option configures a pool; see the functions named With. An option is not
// generic, so that New can infer In and Out from the handler.
type Option func(*config) error

type config struct {
	name         string
	workers      int
	minWorkers   int
	idleTimeout  time.Duration
	queue        int
	overflow     Overflow
	jobTimeout   time.Duration // 0: none
	grace        time.Duration
	maxStrays    int          // 0: handlers are never written off
	logger       *slog.Logger // nil: slog.Default() at the time of logging
	panicHandler func(*PanicError)
	maxBlocked   int
	inline       bool
	ctx          context.Context // of the pool's life; nil: it has none
	telemetry    bool
	label        any // a func(In) string; nil: none
	hooks        []Hooks
}

// set sets the configuration of zero memory. It takes the pool's own, because what an
// option is given is on the heap.
func (c *config) set(opts []Option) error {
	*c = config{
		workers:     runtime.GOMAXPROCS(0),
		idleTimeout: defaultIdleTimeout,
		queue:       defaultQueue,
		maxBlocked:  Unlimited,
	}
	for i, opt := range opts {
		if opt == nil {
			return fmt.Errorf("dispatch: option %d is nil", i)
		}
		if err := opt(c); err != nil {
			return err
		}
	}
	if c.minWorkers > c.workers {
		return fmt.Errorf("dispatch: WithMinWorkers(%d) is above the limit of %d workers", c.minWorkers, c.workers)
	}
	if c.maxBlocked != Unlimited && c.overflow != Block {
		return fmt.Errorf("dispatch: WithMaxBlocked(%d) is of use with WithOverflow(Block) only", c.maxBlocked)
	}
	if c.inline && c.maxStrays > 0 {
		return errors.New("dispatch: WithInline cannot be combined with WithGrace: a caller's goroutine cannot be written off")
	}
	if c.inline && c.jobTimeout > 0 {
		return errors.New("dispatch: WithInline cannot be combined with WithJobTimeout: a caller is answered when its handler returns")
	}
	return nil
}

// WithName names the pool in [Stats], in its log lines and in the texts of its errors:
// "dispatch: thumbnails: queue is full". Such errors are wrapped: compare them with
// errors.Is.
func WithName(name string) Option {
	return func(c *config) error {
		c.name = name
		return nil
	}
}

// WithWorkers sets the most jobs that run at once: at least 1, or [Unlimited].
// The default is runtime.GOMAXPROCS(0), read when the pool is made.
func WithWorkers(n int) Option {
	return func(c *config) error {
		if n < 1 {
			return fmt.Errorf("dispatch: WithWorkers(%d): the limit must be at least 1", n)
		}
		c.workers = n
		return nil
	}
}

// WithMinWorkers keeps n workers once they have been started, however long
// they are idle. The default is 0: an idle pool holds no goroutine. It is an
// error if n is negative or above the limit of workers; after a Resize below
// n, the limit counts.
func WithMinWorkers(n int) Option {
	return func(c *config) error {
		if n < 0 {
			return fmt.Errorf("dispatch: WithMinWorkers(%d): must not be negative", n)
		}
		c.minWorkers = n
		return nil
	}
}

// WithIdleTimeout sets how long a worker that is not needed is kept. A pool
// that needed at most k workers at any moment of that time keeps k (or the
// minimum, if that is more). The default is 10 s; 0 keeps none.
func WithIdleTimeout(d time.Duration) Option {
	return func(c *config) error {
		if d < 0 {
			return fmt.Errorf("dispatch: WithIdleTimeout(%v): must not be negative", d)
		}
		c.idleTimeout = d
		return nil
	}
}

// WithQueue sets how many accepted single jobs may wait beyond those that a
// worker can take now: the pool accepts workers + n of them. The default is
// 1024; [Unlimited] is allowed. With 0 a job is taken only if a worker can take
// it now. A batch's items wait in the batch and do not count.
func WithQueue(n int) Option {
	return func(c *config) error {
		if n < 0 {
			return fmt.Errorf("dispatch: WithQueue(%d): must not be negative", n)
		}
		c.queue = n
		return nil
	}
}

// Overflow says what Process, ProcessTimed and Submit do when the queue is
// full. TrySubmit does not follow it: it returns ErrQueueFull.
type Overflow int

const (
	// Block waits for room; the caller's context ends the wait. Waiting
	// submitters are served in order. The default.
	Block = Overflow(sched.Block)
	// Reject refuses the job with ErrQueueFull.
	Reject = Overflow(sched.Reject)
	// DropOldest accepts the new job and drops the one that has waited longest,
	// which ends with ErrDropped. If no job waits (a queue of 0) there is none
	// to drop, and the new job gets ErrQueueFull.
	DropOldest = Overflow(sched.DropOldest)
	// CallerRuns runs the job at once, on top of the limit, while its
	// submitter waits for the outcome, in Submit too. The job has a goroutine
	// of its own, so that a deadline, a cancel or runtime.Goexit reaches it
	// as it would on a worker. NewWorkers refuses this policy.
	CallerRuns = Overflow(sched.CallerRuns)
)

// WithMaxBlocked sets how many submitters may wait for room under the policy Block:
// further ones get ErrQueueFull. Jobs of the pool itself may wait in addition. The default is [Unlimited]. New refuses it with another policy.
func WithMaxBlocked(n int) Option {
	return func(c *config) error {
		if n < 0 {
			return fmt.Errorf("dispatch: WithMaxBlocked(%d): must not be negative", n)
		}
		c.maxBlocked = n
		return nil
	}
}

// WithContext stops the pool when ctx is done, as Stop does: the jobs that this
// ends get an error that is both [ErrStopped] and the cause of ctx to errors.Is,
// and a call of Stop returns the inputs that never ran. The context of newWorker
// descends from ctx; those of handlers descend from their callers' contexts. It is
// no graceful end: for that see [Pool.Shutdown]. With a ctx that
// is done already, New returns a pool that has been stopped.
func WithContext(ctx context.Context) Option {
	return func(c *config) error {
		if ctx == nil {
			return errors.New("dispatch: WithContext(nil): the context must not be nil")
		}
		c.ctx = ctx
		return nil
	}
}

// WithInline has Process run its handler on the caller's goroutine if the job can
// start at once: the pool is neither paused nor full, and nothing waits. A job that
// calls Process of its own pool runs the inner one on its own goroutine too. It is
// for short handlers that compute: it saves the goroutine switches to a worker and
// back, which cost more than such a handler.
//
// Two things change for such a call. Its caller is answered only when the handler
// returns: if the caller's context ends or the pool stops meanwhile, only the
// handler's context says so. And runtime.Goexit in the handler ends the caller's
// goroutine, as in a plain call. All else is the same: the limit, Stats, panics,
// Close. ProcessTimed, Submit, Map, batches and streams run on workers.
// New refuses it with WithGrace and WithJobTimeout, and NewWorkers refuses it.
func WithInline() Option {
	return func(c *config) error {
		c.inline = true
		return nil
	}
}

// ErrQueueFull is returned for a job that was refused because the queue was
// full. The job will not run.
var ErrQueueFull = sched.ErrQueueFull

// ErrDropped is the outcome of a queued job that made room for a newer one
// under the policy DropOldest.
var ErrDropped = sched.ErrDropped

// WithOverflow sets the policy for a full queue. The default is Block.
func WithOverflow(o Overflow) Option {
	return func(c *config) error {
		if o < Block || o > CallerRuns {
			return fmt.Errorf("dispatch: WithOverflow(%d): no such policy", o)
		}
		c.overflow = o
		return nil
	}
}

// WithJobTimeout limits the run of every job; its wait in the queue does not
// count. A job that runs into it ends with a *[TimeoutError] and its context is
// done, but its handler keeps the worker until it returns (see WithGrace). The
// default, and 0, is no limit.
func WithJobTimeout(d time.Duration) Option {
	return func(c *config) error {
		if d < 0 {
			return fmt.Errorf("dispatch: WithJobTimeout(%v): must not be negative", d)
		}
		c.jobTimeout = d
		return nil
	}
}

// WithGrace writes off handlers that ignore their context: one that has
// not returned d after its job was interrupted (by a cancel, a timeout or Stop)
// becomes a stray, and a new worker takes its place. There are at most
// maxStrays strays at a time; further ones wait for their turn. A stray's
// goroutine ends when its handler returns, and Close waits for it.
func WithGrace(d time.Duration, maxStrays int) Option {
	return func(c *config) error {
		if d < 0 {
			return fmt.Errorf("dispatch: WithGrace(%v, %d): the time must not be negative", d, maxStrays)
		}
		if maxStrays < 1 {
			return fmt.Errorf("dispatch: WithGrace(%v, %d): the number of strays must be at least 1", d, maxStrays)
		}
		c.grace, c.maxStrays = d, maxStrays
		return nil
	}
}

// WithLogger sets where the pool logs what would otherwise go unnoticed: panics of
// jobs (unless WithPanicHandler takes them), panics of hooks, and errors of a
// Worker's Close. The stack of a panic is an attribute. The default is
// slog.Default(), read when there is something to log, and with the stack in the
// message, where it can be read on a terminal.
func WithLogger(l *slog.Logger) Option {
	return func(c *config) error {
		if l == nil {
			return errors.New("dispatch: WithLogger(nil): the logger must not be nil")
		}
		c.logger = l
		return nil
	}
}

// WithPanicHandler has the pool call f with every panic of a job instead of
// logging it, before the outcome is delivered. Calls may come from several
// goroutines at once.
func WithPanicHandler(f func(*PanicError)) Option {
	return func(c *config) error {
		if f == nil {
			return errors.New("dispatch: WithPanicHandler(nil): the handler must not be nil")
		}
		c.panicHandler = f
		return nil
	}
}

// WithTelemetry has the pool read the clock for each job, and record what it does:
// the times in [Stats], [Pool.Running] and [Pool.Failures], the profiler labels
// "dispatch.pool" and "dispatch.worker" on the goroutines of its workers, and a
// region of the execution tracer for each handler, named after the pool. Without this
// option none of it costs anything.
func WithTelemetry() Option {
	return func(c *config) error {
		c.telemetry = true
		return nil
	}
}

// WithLabel has label describe the inputs in [Job]; without it no input is ever
// shown. label is called once for each job, outside of any lock, by several goroutines
// at once. It implies [WithTelemetry]. New returns an error if In is not the type of
// the pool's inputs.
func WithLabel[In any](label func(in In) string) Option {
	return func(c *config) error {
		if label == nil {
			return errors.New("dispatch: WithLabel(nil): the function must not be nil")
		}
		c.telemetry, c.label = true, label
		return nil
	}
}

// WithHooks has the pool call h for each job. Given several times, all are called:
// Start in that order, Done in the reverse one. It implies [WithTelemetry]. The items
// of batches and Maps are then handled one by one, which costs more.
func WithHooks(h Hooks) Option {
	return func(c *config) error {
		c.telemetry = true
		c.hooks = append(c.hooks, h)
		return nil
	}
}
