package sched

import (
	"slices"
	"time"
)

// Action is what the dispatcher does next.
type Action int

const (
	Again Action = iota // call Decide again
	Start               // start a worker for Decision.Worker
	Sleep               // until woken, or until Decision.Until
	Exit                // the pool is open and holds no worker
	End                 // the pool takes no more and holds nothing
)

// Decision is an Action together with what it needs.
type Decision struct {
	Action Action
	Worker *Worker
	Until  time.Duration // on the scheduler's clock; 0: no worker is about to be idle for too long
}

// Decide tells the dispatcher what to do next. newWorker makes a worker without a
// goroutine. It is called with the mutex held, so it calls no user code.
//
// The dispatcher's goroutine calls Decide in a loop, until Exit or End. Each call does
// one thing, so that submitters and workers get the mutex between two calls. The most
// urgent comes first: work for idle workers, then new workers, then workers that must
// leave, and the end of the pool only when nothing else is left.
func (s *Scheduler) Decide(newWorker func() *Worker) (d Decision) {
	s.lock()
	defer s.unlock()
	s.fill()
	if s.pair() || s.unfilled() {
		return Decision{Action: Again}
	}
	// Prestart has already taken a slot for each of them.
	if s.unmade > 0 {
		s.unmade--
		w := newWorker()
		w.Work = Work{Making: s.making}
		s.workforce++
		return Decision{Action: Start, Worker: w}
	}
	// If a worker is idle, pair gives it the work, or the worker that was called last
	// calls it. A returning worker takes the work itself: its job has been settled, so
	// it comes back at once.
	if len(s.idleSince) == 0 && s.returning == 0 && s.waits() {
		// The worker gets its work before its goroutine starts, so it needs no token.
		w := newWorker()
		s.takeFirst(w)
		s.workforce++
		s.idleSince = slices.Grow(s.idleSince, s.workforce) // here rather than on a worker's small stack
		return Decision{Action: Start, Worker: w}
	}
	now, later := s.surplus()
	switch {
	case now:
		w := s.claimSurplus()
		// From here until Quit the worker counts neither toward the minimum nor as
		// idle.
		s.leaving++
		w.Work = Work{Leave: true}
		s.after.wakeUp(w.inbox)
		return Decision{Action: Again}
	// Workers close what they own before they quit. background keeps the pool open for
	// calls on other goroutines. Unfinished jobs get a worker first.
	case s.state != Running && s.workforce == 0 && s.strays == 0 && s.background == 0 && !s.unfinished():
		s.state = Ended
		return Decision{Action: End}
	// An open pool that nobody uses keeps no goroutine: checkDispatcher starts the
	// dispatcher again in the next critical section that has something for it.
	case s.state == Running && s.workforce == 0:
		s.dispatching = false
		return Decision{Action: Exit}
	}
	// The dispatcher counts as asleep from here on, though it does not receive from the
	// channel yet: a change in between sends the token, for which there is room.
	s.asleep, s.timed = true, later > 0
	if s.wake == nil {
		s.wake = make(chan struct{}, 1)
	}
	return Decision{Action: Sleep, Until: later}
}

// Sleep waits to be woken, or until d.Until if that is not 0.
func (s *Scheduler) Sleep(d Decision) {
	if d.Until == 0 {
		<-s.wake
		return
	}
	if left := d.Until - s.Since(); s.timer == nil {
		s.timer = time.NewTimer(left)
	} else {
		s.timer.Reset(left)
	}
	select {
	case <-s.wake:
		// A timer that has been stopped leaves nothing in its channel (since Go 1.23).
		s.timer.Stop()
	case <-s.timer.C:
		s.lock()
		woken := !s.asleep
		s.asleep = false
		s.unlock()
		if woken {
			// A token that stayed would take the room of the next one, and block its
			// sender.
			<-s.wake // does not wait long: the token is on its way
		}
	}
}

// checkDispatcher wakes the dispatcher, or starts it, if it has something to do.
func (s *Scheduler) checkDispatcher() {
	// A dispatcher that is awake calls Decide again before it sleeps. The most
	// expensive check comes last, since every critical section comes here. After End
	// there is no dispatcher any more, and dispatching stays true.
	if s.dispatching && !s.asleep || s.state == Ended || !s.needsDispatcher() {
		return
	}
	// asleep turns false here, not when the dispatcher wakes: so there is one token for
	// each sleep, however many critical sections follow before the dispatcher runs.
	if s.dispatching {
		s.asleep = false
		s.after.wakeUp(s.wake)
		return
	}
	s.dispatching = true
	s.after.dispatch = true
}

// needsDispatcher reports whether something waits for a worker, an idle worker must
// leave, the dispatcher must set its timer for that, or the pool may have ended.
func (s *Scheduler) needsDispatcher() bool {
	idle := len(s.idleSince)
	switch {
	case s.unfilled() || s.unmade > 0:
		return true
	// A worker that was called looks again at all of this when it comes, and calls the
	// next idle worker itself. If none is idle, one must be started.
	case s.called > 0 && idle > 0:
		return false
	case s.waits():
		return s.returning == 0 // a returning worker takes the work
	case s.state != Running:
		return idle > 0 || s.workforce == 0 && s.strays == 0 && s.background == 0 && !s.unfinished()
	case idle == 0:
		return false
	}
	// A timer that is set fires before any worker has been idle too long, because it
	// was set for the oldest. Decide sets it again then.
	return s.crowded() || !s.timed && s.aboveMinimum()
}

// crowded reports whether there are more workers than slots. A caller that runs its own
// job has a slot and no worker. Granted work counts although its worker has not come:
// an idle worker is kept for it.
func (s *Scheduler) crowded() bool { return len(s.idleSince)+s.inUse-s.callers > s.limit }

// aboveMinimum reports whether a worker may leave after the idle timeout. If a Resize
// has set the limit below the minimum, the limit counts.
func (s *Scheduler) aboveMinimum() bool {
	return s.workforce-s.leaving > min(s.cfg.MinWorkers, s.limit)
}

// surplus reports whether an idle worker must leave now. If not, later is when one must
// (0: never, as things are).
func (s *Scheduler) surplus() (now bool, later time.Duration) {
	switch {
	// A worker on its way calls idle ones to what has been granted.
	case len(s.idleSince) == 0 || s.called > 0 && s.waits():
		return false, 0
	// A closed pool keeps no idle worker, whatever the minimum is. An open pool keeps
	// no more workers than it has slots for.
	case s.state != Running || s.crowded():
		return true, 0
	case !s.aboveMinimum():
		return false, 0
	}
	// The time belongs to the number of idle workers, not to any one of them:
	// claimSurplus chooses the worker that leaves.
	expires := saturate(s.idleSince[0], s.cfg.IdleTimeout)
	return expires <= s.Since(), expires
}
