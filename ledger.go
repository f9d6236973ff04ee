package dispatch

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"
)

// ledger is what a pool knows of its jobs and workers, apart from their types.
// One mutex guards all of it, so that whatever could race with something else
// (accept, claim, settle, lend, resize, stop) is one critical section; but for
// jobs that are left at the door (see there), which it hears of later. The ledger
// decides who meets whom, and the channels of the pool carry it out after the
// mutex is released. No user code runs while it is held, and nothing that could
// block: tokens go to channels that have room for them.
//
// What is written for every job stands together, here at the end and in Pool at
// the beginning: a worker on another core has to fetch it each time.
type ledger struct {
	epoch time.Time   // deadlines of jobs are counted from here
	busy  func() bool // whether a batch or a map has something to claim
	nudge func()      // has the dispatcher look again; mu is held

	// waiters gives single waits their channel and timer. It belongs to the
	// pool, so that a pool made in a synctest bubble uses that bubble's.
	waiters sync.Pool

	mu sync.Mutex // guards what follows

	state State         // Running -> Draining -> Stopping -> Ended; never back
	limit int           // places: most jobs that run at once
	room  int           // places in the queue beyond those
	quiet chan struct{} // closed when nothing is queued or running; nil while nobody waits for that

	strays  int // handlers written off
	errands int // what the end of the pool waits for besides workers: hooks, and ends of watches
	extra   int // runs on top of the limit: on a lent place, or by CallerRuns
	dead    int // of active and extra: jobs settled before their handler was entered
	active  int // places taken
	queued  int // single jobs that wait

	rejected, submitted uint64
	ended               [outcomes]uint64
}

// ErrStopped is the outcome of a job that Stop kept from running or canceled
// while it ran. It is also the cause that the job's context gives.
var ErrStopped = errors.New("dispatch: pool stopped")

// verdict is how a job ends.
type verdict struct {
	kind     outcome
	err      error
	limit    time.Duration // of a job that timed out: the error is made when it is known whether the job ran
	byCaller bool          // the caller's context was done
}

// since is the time on the ledger's clock.
func (l *ledger) since() time.Duration { return time.Since(l.epoch) }

// saturate returns t + d, or the end of time where that overflows.
func saturate(t, d time.Duration) time.Duration {
	if t > math.MaxInt64-d {
		return math.MaxInt64
	}
	return t + d
}

// settle ends t from outside its handler, unless it has ended before. What
// runs is told through its context, and keeps its place until it returns.
func (l *ledger) settle(t *task, v verdict) bool {
	l.mu.Lock()
	waiter, ok := l.decide(t, v)
	l.mu.Unlock()
	if ok {
		t.announce(waiter)
	}
	return ok
}

// decide is the part of settle that holds mu; t.announce must follow it.
func (l *ledger) decide(t *task, v verdict) (waiter chan struct{}, ok bool) {
	if t.phase.CompareAndSwap(offered, settling) {
		// Its caller's context was done before it was accepted, and now it
		// will not be: there is no outcome to count, and nobody to tell.
		t.end(&v, settled, false)
		return nil, false
	}
	switch {
	case t.phase.Load() > running:
		return nil, false
	case !t.phase.CompareAndSwap(accepted, settling): // its handler has been entered
		waiter = t.end(&v, settled, true)
	default:
		if t.claimed {
			l.dead++
			t.dead = true
		}
		t.job.forget()
		waiter = t.end(&v, settled, false)
	}
	if t.seat != nil {
		t.seat.interrupt(t)
	}
	if t.unwatch != nil {
		l.errands++ // announce ends it
	}
	if t.job != nil { // not the task of a batch, whose items are counted one by one
		l.ended[v.kind]++
		l.checkQuiet()
	}
	return waiter, true
}

// finish ends t because its worker is done with it, with v as its outcome unless
// that has been decided before. The mutex is held; the token of the waiter that
// is returned is to be given when it is released.
func (l *ledger) finish(t *task, v *verdict) (waiter chan struct{}) {
	switch t.phase.Load() {
	case accepted:
		return t.end(v, returned, false)
	case running:
		return t.end(v, returned, true)
	}
	if t.dead {
		l.dead--
	}
	t.phase.Store(returned)
	return nil
}

// endErrand notes that a goroutine of the pool's has done what it was out for.
func (l *ledger) endErrand() {
	l.mu.Lock()
	l.errands--
	if l.state != Running {
		l.nudge()
	}
	l.mu.Unlock()
}

// unfinished tells whether something is queued or running.
func (l *ledger) unfinished() bool {
	return l.queued+l.active+l.extra > l.dead || l.busy()
}

// checkQuiet wakes those in Pool.Wait once nothing is queued or running.
func (l *ledger) checkQuiet() {
	if l.quiet != nil && !l.unfinished() {
		close(l.quiet)
		l.quiet = nil
	}
}

// hasRoom tells whether one more single job may be accepted.
func (l *ledger) hasRoom() bool { return l.queued < l.room+max(l.limit-l.active, 0) }

// waiter is what one goroutine waits on for one thing at a time.
type waiter struct {
	ch    chan struct{} // one token: what was waited for has come
	timer *time.Timer   // stopped, while the waiter is not in use
}

func (l *ledger) getWaiter() *waiter {
	if w, ok := l.waiters.Get().(*waiter); ok {
		return w
	}
	return &waiter{ch: make(chan struct{}, 1)}
}

// putWaiter takes back a waiter whose channel is empty for good.
func (l *ledger) putWaiter(w *waiter) { l.waiters.Put(w) }

// start arms the timer and returns its channel.
func (w *waiter) start(d time.Duration) <-chan time.Time {
	if w.timer == nil {
		w.timer = time.NewTimer(d)
	} else {
		w.timer.Reset(d)
	}
	return w.timer.C
}

// contextVerdict is how a job ends whose caller's context is done.
func contextVerdict(ctx context.Context) verdict {
	v := verdict{kind: canceled, err: context.Cause(ctx), byCaller: true}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		v.kind = timedOut
	}
	return v
}
