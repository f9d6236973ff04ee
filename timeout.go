package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrTimeout is what a *[TimeoutError] is, for errors.Is.
var ErrTimeout = errors.New("dispatch: timeout")

// TimeoutError is the outcome of a job that exceeded the limit of ProcessTimed
// or WithJobTimeout. It is both [ErrTimeout] and context.DeadlineExceeded to
// errors.Is. A job that exceeds the deadline of its caller's own context ends
// with that context's cause instead.
//
// If Ran, the handler may still be running: it was told through its context,
// and what it returns is dropped. Do not reuse what it may hold.
type TimeoutError struct {
	Limit time.Duration // the limit that was exceeded
	Ran   bool          // whether the handler had been entered
}

// Error says which limit was exceeded, and where the job was.
func (e *TimeoutError) Error() string {
	if e.Ran {
		return fmt.Sprintf("dispatch: job exceeded its limit of %v while it ran", e.Limit)
	}
	return fmt.Sprintf("dispatch: job exceeded its limit of %v before it ran", e.Limit)
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
// an Interrupt method is interrupted. A timeout of zero or less is exceeded
// already: the job does not run.
//
// The earliest of the caller's deadline, timeout and WithJobTimeout decides,
// and the error tells which: the cause of ctx, or a *TimeoutError with its
// limit.
func (p *Pool[In, Out]) ProcessTimed(ctx context.Context, in In, timeout time.Duration) (Out, error) {
	mustContext(ctx, "Pool.ProcessTimed")
	if timeout <= 0 {
		var zero Out
		return zero, &TimeoutError{Limit: timeout}
	}
	return p.process(ctx, in, timeout)
}

// seat is what others may know of a worker while it runs something, in pools
// that interrupt: those with WithJobTimeout or WithGrace, and Workers that have
// a Ready or an Interrupt method. All of it is guarded by ledger.mu.
//
// A run begins before Ready and ends after Process. Whatever is aimed at a run
// (its timeout, an interrupt, the end of its grace) carries the run's number or
// the time it is due, and is checked against the seat with the mutex held: it
// cannot reach the run that follows.
type seat struct {
	ledger *ledger
	task   *task         // what runs; nil between runs
	run    uint64        // the number of the last run
	due    time.Duration // when WithJobTimeout ends this run, on the ledger's clock; 0: never

	entered     bool          // Process has been entered and has not returned
	interrupted bool          // an Interrupt of this run has been asked for
	hooking     chan struct{} // of the Interrupt that has begun: closed when it is over
	stray       bool          // written off; the worker ends with this run

	hook     func()                                 // the worker's Interrupt; nil if it has none
	timer    *time.Timer                            // calls expire
	grace    time.Duration                          // with writeOff
	writeOff func(over context.Context, run uint64) // called when the grace has passed; nil without WithGrace
	pardon   func()                                 // ends the grace of the current run: its handler has returned
}

// begin notes that t runs from now on, at most for limit where that is above 0.
func (s *seat) begin(t *task, limit time.Duration) {
	now := s.ledger.since()
	due := saturate(now, limit)
	if limit == 0 || t.deadline != 0 && t.deadline <= due {
		due = 0
	} else if theirs, ok := t.caller.Deadline(); ok && theirs.Sub(s.ledger.epoch) <= due {
		due = 0 // the caller's deadline comes first, and its context tells
	}

	s.ledger.mu.Lock()
	if due != 0 && !t.resolved() { // else whoever has settled it reads them
		t.deadline, t.limit = due, limit
	}
	s.run++
	s.task, s.due, s.interrupted, s.hooking = t, due, false, nil
	t.seat = s
	s.ledger.mu.Unlock()

	switch {
	case due == 0:
	case s.timer == nil:
		s.timer = time.AfterFunc(limit, s.expire)
	default:
		s.timer.Reset(limit)
	}
}

// enter is task.enter for a run that others can interrupt from then on.
func (s *seat) enter(t *task) bool {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	if s.entered = t.enter(); s.entered && t.resolved() {
		s.interrupt(t) // it was settled before, and Process is yet to hear of it
	}
	return s.entered
}

// end notes that the run is over, and waits for an Interrupt that has begun.
func (s *seat) end() {
	s.ledger.mu.Lock()
	if s.task == nil { // it has not begun
		s.ledger.mu.Unlock()
		return
	}
	s.task.seat, s.task, s.entered = nil, nil, false
	hooking, pardon := s.hooking, s.pardon
	s.pardon = nil
	s.ledger.mu.Unlock()

	if s.due != 0 {
		s.timer.Stop()
	}
	if pardon != nil {
		pardon()
	}
	if hooking != nil {
		<-hooking
	}
}

// expire is called by the timer, which can be late: it looks at what runs now.
func (s *seat) expire() {
	now := s.ledger.since()
	s.ledger.mu.Lock()
	t := s.task
	if t == nil || s.due == 0 || now < s.due {
		s.ledger.mu.Unlock()
		return
	}
	waiter, ok := s.ledger.decide(t, verdict{kind: timedOut, limit: t.limit})
	s.ledger.mu.Unlock()
	if ok {
		t.announce(waiter)
	}
}

// interrupt tells the run of t that its job has been settled. The mutex is held.
func (s *seat) interrupt(t *task) {
	if s.task != t {
		return
	}
	run := s.run
	if s.hook != nil && s.entered && !s.interrupted {
		s.interrupted = true
		s.ledger.errands++
		go s.callHook(run)
	}
	if s.writeOff != nil && s.pardon == nil {
		over, end := context.WithCancel(context.Background())
		timer := time.AfterFunc(s.grace, func() { s.writeOff(over, run) })
		s.pardon = func() {
			timer.Stop()
			end()
		}
	}
}

// callHook calls the worker's Interrupt, on a goroutine of its own because it
// may block, unless the run has left Process before that goroutine got to it.
func (s *seat) callHook(run uint64) {
	defer s.ledger.endErrand()
	s.ledger.mu.Lock()
	if s.run != run || !s.entered {
		s.ledger.mu.Unlock()
		return
	}
	over := make(chan struct{})
	s.hooking = over
	s.ledger.mu.Unlock()

	defer close(over)
	s.hook()
}
