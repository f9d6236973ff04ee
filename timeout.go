package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrTimeout matches every *[TimeoutError] in errors.Is.
var ErrTimeout = errors.New("dispatch: timeout")

// TimeoutError is the outcome of a job that exceeded the limit of ProcessTimed
// or WithJobTimeout. It is both [ErrTimeout] and context.DeadlineExceeded to
// errors.Is. A job that exceeds the deadline of its caller's own context ends
// with that context's cause instead.
//
// If Ran, the handler may still be running: it was told through its context,
// and what it returns is dropped. Do not reuse its input, which it may still use.
type TimeoutError struct {
	Pool  string        // the name of the pool, if it has one
	Limit time.Duration // the limit that was exceeded
	Ran   bool          // whether the handler had been entered
}

// Error says which limit was exceeded, and where the job was.
func (e *TimeoutError) Error() string {
	pool, when := "", "before it ran"
	if e.Pool != "" {
		pool = e.Pool + ": "
	}
	if e.Ran {
		when = "while it ran"
	}
	return fmt.Sprintf("dispatch: %sjob exceeded its limit of %v %s", pool, e.Limit, when)
}

// Is reports whether target is ErrTimeout or context.DeadlineExceeded.
func (e *TimeoutError) Is(target error) bool {
	return target == ErrTimeout || target == context.DeadlineExceeded
}

// Timeout reports true, as net.Error asks for.
func (e *TimeoutError) Timeout() bool { return true }

// ProcessTimed is Process with a limit on the whole: the wait for room, the
// wait in the queue and the run. When timeout has passed it returns at once
// with a *[TimeoutError], the handler's context is done, and a Worker that has
// an Interrupt method is interrupted. A timeout of zero or less has passed
// already: the job does not run.
//
// The earliest of the caller's deadline, timeout and WithJobTimeout decides,
// and the error tells which: the cause of ctx, or a *TimeoutError with its
// limit.
func (p *Pool[In, Out]) ProcessTimed(ctx context.Context, in In, timeout time.Duration) (Out, error) {
	p.check(ctx, "Pool.ProcessTimed")
	if timeout <= 0 {
		var zero Out
		return zero, p.newTimeoutError(timeout, false)
	}
	return p.process(ctx, in, timeout)
}

func (p *Pool[In, Out]) newTimeoutError(limit time.Duration, ran bool) error {
	return &TimeoutError{Pool: p.name(), Limit: limit, Ran: ran}
}
