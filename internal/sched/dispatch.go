package sched

import (
	"slices"
	"time"
)

// Action is what the dispatcher does next.
type Action int

const (
	Again Action = iota // nothing but to ask again
	Start               // start a worker for Decision.Worker
	Sleep               // until woken, or until Decision.Until
	Exit                // the pool is open and holds no worker
	End                 // the pool takes no more and holds nothing
)

// Decision is what the dispatcher does next.
type Decision struct {
	Action Action
	Worker *Worker
	Until  time.Duration // on the scheduler's clock; 0: no worker is going to be idle too long
}

// Decide tells the dispatcher what is next. newWorker makes a worker without a
// goroutine. It is called with the mutex held, so it calls no user code.
//
// The dispatcher's goroutine calls it in a loop, until Exit or End. Each call does one
// thing: between two of them submitters and workers get the mutex. The order is that
// of need: what idle workers can do, then new workers, then workers that are to go,
// and the end of the pool only when nothing else is left.
func (s *Scheduler) Decide(newWorker func() *Worker) (d Decision) {
	s.lock()
	defer s.unlock()
	s.fill()
	if s.pair() || s.unfilled() {
		return Decision{Action: Again}
	}
	// Prestart has taken a slot for each of them already.
	if s.unmade > 0 {
		s.unmade--
		w := newWorker()
		w.Work = Work{Making: s.making}
		s.workforce++
		return Decision{Action: Start, Worker: w}
	}
	// While there is an idle worker, pair gives it the work, or the worker that was
	// called last calls it. One that is returning takes the work itself: its job
	// has been settled, so it comes back at once.
	if len(s.idleSince) == 0 && s.returning == 0 && s.waits() {
		// The worker has its work before its goroutine starts, so it needs no token.
		w := newWorker()
		s.takeFirst(w)
		s.workforce++
		s.idleSince = slices.Grow(s.idleSince, s.workforce) // here, not on a worker's small stack
		return Decision{Action: Start, Worker: w}
	}
	now, later := s.surplus()
	switch {
	case now:
		w := s.claimSurplus()
		// From here to Quit the worker does not count, neither for the minimum nor as idle.
		s.leaving++
		w.Work = Work{Leave: true}
		s.after.wakeUp(w.inbox)
		return Decision{Action: Again}
	// Workers have closed what is theirs before they quit. background holds the
	// pool open for calls that run apart; what is unfinished gets a worker first.
	case s.state != Running && s.workforce == 0 && s.strays == 0 && s.background == 0 && !s.unfinished():
		s.state = Ended
		return Decision{Action: End}
	// An open pool that nobody uses keeps no goroutine: the next critical section
	// that has something for the dispatcher starts it again (checkDispatcher).
	case s.state == Running && s.workforce == 0:
		s.dispatching = false
		return Decision{Action: Exit}
	}
	// It is asleep from here on, though it has not come to the channel yet: what
	// changes meanwhile sends the token, for which there is room.
	s.asleep, s.timed = true, later > 0
	if s.wake == nil {
		s.wake = make(chan struct{}, 1)
	}
	return Decision{Action: Sleep, Until: later}
}

// Sleep waits to be woken, or until the time of d, if it is not 0.
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
			// A token that stayed would take the room of the next one, and block
			// whoever sends that.
			<-s.wake // at this very moment: the token is on its way
		}
	}
}

// checkDispatcher wakes the dispatcher, or starts it, where it has something to do.
func (s *Scheduler) checkDispatcher() {
	// A dispatcher that is awake asks Decide again before it sleeps. The question
	// that costs most comes last, since each critical section comes here. After End
	// there is no dispatcher any more, and dispatching stays true.
	if s.dispatching && !s.asleep || s.state == Ended || !s.needsDispatcher() {
		return
	}
	// asleep turns false here, and not when the dispatcher wakes: so there is one
	// token for each sleep, however many critical sections follow before it runs.
	if s.dispatching {
		s.asleep = false
		s.after.wakeUp(s.wake)
		return
	}
	s.dispatching = true
	s.after.dispatch = true
}

// needsDispatcher tells whether something waits for a worker, an idle worker is to
// go, the dispatcher must set its timer for that, or the pool may have ended.
func (s *Scheduler) needsDispatcher() bool {
	idle := len(s.idleSince)
	switch {
	case s.unfilled() || s.unmade > 0:
		return true
	case s.waits():
		// A worker that is returning takes it. A worker that was called to a group
		// calls the next idle one itself; where none is idle, one has to be started.
		return s.returning == 0 && (s.called == 0 || idle == 0)
	case s.state != Running:
		return idle > 0 || s.workforce == 0 && s.strays == 0 && s.background == 0 && !s.unfinished()
	case idle == 0:
		return false
	}
	// A timer that is set rings before this worker has been idle too long: the first
	// is the oldest. Decide sets it anew then.
	return s.crowded() || !s.timed && s.aboveMinimum()
}

// crowded tells whether there are more workers than slots. Callers that run their
// job themselves have a slot and no worker. What has been granted a slot is counted
// although its worker has not come: an idle one is kept for it.
func (s *Scheduler) crowded() bool { return len(s.idleSince)+s.inUse-s.callers > s.limit }

// aboveMinimum tells whether a worker may go after the idle timeout. A limit below the
// minimum, after a Resize, is what counts.
func (s *Scheduler) aboveMinimum() bool {
	return s.workforce-s.leaving > min(s.cfg.MinWorkers, s.limit)
}

// surplus tells whether an idle worker should go now, or else when it should
// (0: not as things are).
func (s *Scheduler) surplus() (now bool, later time.Duration) {
	switch {
	case len(s.idleSince) == 0:
		return false, 0
	// A closed pool keeps no idle worker, whatever the minimum; an open one keeps no
	// more workers than it has slots for.
	case s.state != Running || s.crowded():
		return true, 0
	case !s.aboveMinimum():
		return false, 0
	}
	// The time belongs to the number of idle workers, and not to one of them: which of
	// them goes is for claimSurplus to say.
	expires := saturate(s.idleSince[0], s.cfg.IdleTimeout)
	return expires <= s.Since(), expires
}
