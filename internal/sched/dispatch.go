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
// goroutine.
func (s *Scheduler) Decide(newWorker func() *Worker) (d Decision) {
	s.lock()
	defer s.unlock()
	s.fill()
	if s.pair() || s.unfilled() {
		return Decision{Action: Again}
	}
	if s.unmade > 0 {
		s.unmade--
		w := newWorker()
		w.Work = Work{Making: s.making}
		s.workforce++
		return Decision{Action: Start, Worker: w}
	}
	if len(s.idleSince) == 0 && s.returning == 0 && s.waits() {
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
		s.leaving++
		w.Work = Work{Leave: true}
		s.after.wakeUp(w.inbox)
		return Decision{Action: Again}
	case s.state != Running && s.workforce == 0 && s.strays == 0 && s.background == 0 && !s.unfinished():
		s.state = Ended
		return Decision{Action: End}
	case s.state == Running && s.workforce == 0:
		s.dispatching = false
		return Decision{Action: Exit}
	}
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
		s.timer.Stop()
	case <-s.timer.C:
		s.lock()
		woken := !s.asleep
		s.asleep = false
		s.unlock()
		if woken {
			<-s.wake // at this very moment: the token is on its way
		}
	}
}

// checkDispatcher wakes the dispatcher, or starts it, where it has something to do.
func (s *Scheduler) checkDispatcher() {
	if s.dispatching && !s.asleep || s.state == Ended || !s.needsDispatcher() {
		return
	}
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
	case !s.nothingGranted() && s.waits():
		return s.returning == 0 && (s.called == 0 || idle == 0)
	case s.state != Running:
		return idle > 0 || s.workforce == 0 && s.strays == 0 && s.background == 0 && !s.unfinished()
	case idle == 0:
		return false
	}
	return s.crowded() || !s.timed && s.aboveMinimum()
}

// crowded tells whether there are more workers than slots. Callers that run their
// job themselves have a slot and no worker.
func (s *Scheduler) crowded() bool { return len(s.idleSince)+s.inUse-s.callers > s.limit }

func (s *Scheduler) aboveMinimum() bool {
	return s.workforce-s.leaving > min(s.cfg.MinWorkers, s.limit)
}

// surplus tells whether an idle worker should go now, or else when it should
// (0: not as things are).
func (s *Scheduler) surplus() (now bool, later time.Duration) {
	switch {
	case len(s.idleSince) == 0:
		return false, 0
	case s.state != Running || s.crowded():
		return true, 0
	case !s.aboveMinimum():
		return false, 0
	}
	expires := saturate(s.idleSince[0], s.cfg.IdleTimeout)
	return expires <= s.Since(), expires
}
