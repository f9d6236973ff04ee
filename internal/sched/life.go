package sched

import "time"

// Drain refuses everything from now on, and has the dispatcher end the pool when
// what was accepted is done. The first call does it, also for the others, which return
// at once.
func (s *Scheduler) Drain() {
	if s.refuse(Draining, Outcome{}) {
		s.endRefusal()
	}
}

// Halt is Drain that lets nothing start any more and ends what there is with o:
// what runs is told. Stop, Shutdown and the end of the pool's context call it, on any
// goroutine. The first call says with what; it may be the one that overtakes a Drain. A
// later call does what the first has not come to yet, and does not wait for it, which may
// be in a hook: so when any of them returns, all that was accepted has been halted.
func (s *Scheduler) Halt(o Outcome) {
	first, on := s.refuse(Stopping, o), true
	if first {
		s.endRefusal()
	} else {
		if first, on = s.stop(&o); !on {
			return
		}
		s.closeGroups() // those that Drain, or the first call, has not come to
	}
	// The marker stands in the queue so that workers may take jobs out before and behind
	// it between two pieces. It has a stage that does not wait: nobody grants it a slot; and
	// a phase that is over, so that the walk of another call passes it by. Nothing comes in
	// any more, so the walk ends.
	marker := &Task{stage: released}
	marker.phase.Store(returned)
	s.lock()
	s.queue.insert(marker, nil)
	s.unlock()
	for s.haltJobs(marker, &o) {
	}
	// All groups stand in closingGroups by now, where haltGroups looks.
	for s.haltGroups(&o) {
	}
	if first && s.cfg.OnStop != nil {
		s.cfg.OnStop(o.Err) // now: what a constructor makes of it is no failure that halts a group
	}
	s.EndBackground()
}

// refuse takes the pool from Running to the state; false if it is not Running. What
// is left to be done counts as a background call: the pool does not end before. Of
// several calls at once the mutex lets one through. o is what a Halt ends with.
func (s *Scheduler) refuse(to State, o Outcome) bool {
	s.lock()
	defer s.unlock()
	if s.state != Running {
		return false
	}
	// What the intake has taken was accepted before the refusal. A pool that stayed
	// paused would never run what it is to drain.
	s.closeIntake()
	s.state, s.paused = to, false
	s.background++
	// Two units: endRefusal ends the first, and Halt, which goes on, the second.
	if to == Stopping {
		s.background++
		s.stopped = o
	}
	return true
}

// stop takes the pool from Draining to Stopping. If another Halt has done so, it is not
// the first, and gets the outcome of that; if the pool has ended, nothing is left to be
// done. Halt ends the unit of background.
func (s *Scheduler) stop(o *Outcome) (first, on bool) {
	s.lock()
	defer s.unlock()
	switch s.state {
	case Draining:
		s.state, s.stopped, first = Stopping, *o, true
	case Stopping:
		*o = s.stopped
	default:
		return false, false
	}
	s.background++
	return first, true
}

// endRefusal tells those who wait for room, and the groups, that the pool takes no
// more. It works in pieces, since both can be many. The state is set before, so
// neither a submitter nor a group comes in behind its back.
func (s *Scheduler) endRefusal() {
	for s.refuseBlocked() {
	}
	s.closeGroups()
	s.EndBackground()
}

// closeGroups tells the groups that the pool takes no more: a batch seals itself, for
// which it locks a mutex that comes before the scheduler's, so none is held here. Drain
// and a Halt that overtakes it may both be at it: each group goes to one of them.
func (s *Scheduler) closeGroups() {
	for groups := s.nextOpen(); len(groups) > 0; groups = s.nextOpen() {
		for _, g := range groups {
			g.source.PoolClosing()
		}
	}
}

// refuseBlocked refuses the jobs of some blocked submitters; false if there are no
// more.
func (s *Scheduler) refuseBlocked() bool {
	s.lock()
	defer s.unlock()
	for range piece {
		if s.blocked.empty() {
			return false
		}
		s.dismiss(s.blocked.head.elem, s.cfg.Errors.Closed)
	}
	return true
}

// nextOpen returns some of the groups that do not know that the pool takes no more. They
// go to the other list before they are told, where haltGroups finds them: a Halt on
// another goroutine misses none.
func (s *Scheduler) nextOpen() (groups []*Group) {
	s.lock()
	defer s.unlock()
	for len(groups) < piece && !s.open.empty() {
		g := s.open.head.elem
		s.open.remove(&g.openLink)
		g.closing = true
		s.closingGroups.push(&g.openLink, g)
		groups = append(groups, g)
	}
	return groups
}

// haltJobs ends some of the single jobs behind the marker, which it moves on; false
// if there are no more.
func (s *Scheduler) haltJobs(marker *Task, o *Outcome) bool {
	s.lock()
	defer s.unlock()
	for range piece {
		// The marker has stayed where it was, whatever has left since: what is behind it
		// has not been looked at.
		t := marker.next
		if t == nil {
			s.queue.remove(marker)
			return false
		}
		// A job that has not started leaves the queue here. One whose worker has just
		// decided is the worker's: nothing happens to it.
		s.complete(t, o)
		if marker.next == t { // it runs, and stays
			s.queue.remove(marker)
			s.queue.insert(marker, t)
		}
	}
	return true
}

// haltGroups halts some of the groups; false if there are no more. A group that has been
// halted before only leaves the list. Each one's outcomes are handed out as an effect,
// without the mutex.
func (s *Scheduler) haltGroups(o *Outcome) bool {
	s.lock()
	defer s.unlock()
	for range piece {
		if s.closingGroups.empty() {
			return false
		}
		g := s.closingGroups.head.elem
		s.closingGroups.remove(&g.openLink)
		g.halt(o)
	}
	return true
}

// callersEnded ends the members of a watch whose context is done. The context
// package calls it, on a goroutine of its own, once for all that share the context.
func (s *Scheduler) callersEnded(members []expired) {
	// asked has the outcomes of the piece at hand. User code is asked without the mutex,
	// and the piece is ended in one critical section.
	var asked []Outcome
	defer func() {
		// It has returned from the loop: all have been ended.
		if len(members) == 0 {
			return
		}
		// A context has ended the goroutine when it was asked for its reason. Its member
		// ends without one, with those that were asked before it; the rest, which may
		// have other contexts with the same Done channel, go on on a new goroutine.
		asked = append(asked, EndedWithoutReason())
		s.callerEnded(members[:len(asked)], asked)
		go s.callersEnded(members[len(asked):])
	}()
	for len(members) > 0 {
		asked = asked[:0]
		for _, m := range members[:min(piece, len(members))] {
			asked = append(asked, s.cfg.Guard.Ended(m.ctx))
		}
		s.callerEnded(members[:len(asked)], asked)
		members = members[len(asked):]
	}
}

// callerEnded ends members with their outcomes.
func (s *Scheduler) callerEnded(members []expired, outcomes []Outcome) {
	s.lock()
	defer s.unlock()
	for i := range members {
		members[i].callerEnded(&outcomes[i])
	}
}

// Wait blocks until nothing is queued or running, and returns true, or until the
// caller's context is done. A job that called it would wait for itself: Pool.Wait
// refuses those that it knows by their context.
func (s *Scheduler) Wait(done <-chan struct{}) bool {
	s.lock()
	s.closeIntake()
	if !s.unfinished() {
		s.unlock()
		return true
	}
	// One channel serves all that wait at the same time. While there is one the intake
	// stays closed (updateIntake): jobs that come meanwhile count, and are waited for.
	if s.quiescent == nil {
		s.quiescent = make(chan struct{})
	}
	quiescent := s.quiescent
	s.unlock()
	select {
	case <-quiescent:
		return true
	case <-done:
		return false
	}
}

// Resize sets the most jobs that run at once; false if the pool has ended. What follows
// is unlock's: more slots are granted, and workers at groups are called back where there
// are fewer. What has a slot keeps it, so inUse may be above the limit for a while.
func (s *Scheduler) Resize(n int) bool {
	s.lock()
	defer s.unlock()
	if s.state == Ended {
		return false
	}
	s.limit = n
	return true
}

// Pause has no job start until Resume. It does nothing on a pool that takes no more. The
// workers of what has been granted may not have come yet: without taking that back, a
// pool of many slots would start jobs long after Pause has returned.
func (s *Scheduler) Pause() {
	s.lock()
	defer s.unlock()
	if s.state != Running || s.paused {
		return
	}
	s.paused = true
	s.takeGrantsBack()
	// What a running job waits for goes on in a pause. While it had a slot of its own it
	// needed no lent one; now it waits, and would keep that job waiting until Resume.
	for w := range s.lending.all {
		s.useLoan(w.by) // for what had a slot until now
	}
}

// takeGrantsBack has all that was granted, and has no worker yet, wait again, in its old
// order: a job has not moved in the queue. What runs on top of the limit stays granted:
// a running job waits for it, or its submitter does.
func (s *Scheduler) takeGrantsBack() {
	for ; !s.ready.empty(); s.ready.pop() {
		switch w := s.ready.first(); {
		case w.Group != nil:
			// Without these slots the group wants some: it takes its turn again.
			w.Group.takeBack(w.count)
			w.Group.list()
		// Else it is withdrawn, and has given its slot back by itself.
		case w.Task.stage == granted:
			w.Task.stage = waiting
			s.granted--
			s.queued++
			s.inUse--
		}
	}
	s.queue.rewind()
}

// Resume ends a Pause. unlock grants what is free, as after any other change.
func (s *Scheduler) Resume() {
	s.lock()
	s.paused = false
	s.unlock()
}

// Idle tells whether nothing is queued or running. Pool.Wait asks it first: on a pool with
// nothing to do it returns nil also when its context is done.
func (s *Scheduler) Idle() bool {
	s.lock()
	defer s.unlock()
	s.closeIntake()
	return !s.unfinished()
}

// Closed tells whether the pool takes no more.
func (s *Scheduler) Closed() bool {
	s.lock()
	defer s.unlock()
	return s.state != Running
}

// BeginBackground has the end of the pool wait for a goroutine, until EndBackground. Its
// caller starts the goroutine only then: the end could come between.
func (s *Scheduler) BeginBackground() {
	s.lock()
	s.background++
	s.unlock()
}

// Limit returns the most jobs that run at once.
func (s *Scheduler) Limit() int {
	s.lock()
	defer s.unlock()
	return s.limit
}

// TakeUnstarted returns what Stop kept from running, once. Pool.Stop calls it
// after Halt, and reads the inputs without the mutex: no handler gets them any more.
func (s *Scheduler) TakeUnstarted() Unstarted {
	s.lock()
	defer s.unlock()
	unstarted := s.unstarted
	s.unstarted = Unstarted{}
	return unstarted
}

// Snapshot is what the scheduler counts, at one moment.
type Snapshot struct {
	State                       State
	Paused                      bool
	Workers, Idle, Strays       int
	Running, Queued, Blocked    int
	MaxRunning, MaxQueued       int
	Submitted, Rejected, GaveUp uint64
	Ended                       [Kinds]uint64
	Oldest                      time.Duration // when what waits and came first was submitted; 0: nothing waits
}

// oldest tells when that was submitted that waits and came first. It looks at the
// first of the groups, where they are many: the mutex is held. It takes 0 for no time,
// which is why the clock begins just before the first moment (Scheduler.epoch).
func (s *Scheduler) oldest() (oldest time.Duration) {
	note := func(added time.Duration) {
		if added > 0 && (oldest == 0 || added < oldest) {
			oldest = added
		}
	}
	if s.queue.first != nil {
		note(s.queue.first.Added())
	}
	for _, w := range s.ready.works[s.ready.head:] {
		// Withdrawn jobs are still in the ring. The first that is not came before those
		// behind it, so the others need not be looked at.
		if w.Task != nil && w.Task.stage == granted {
			note(w.Task.Added())
			break
		}
	}
	n := 0
	for _, groups := range []*list[Group]{&s.open, &s.closingGroups} {
		for g := range groups.all {
			if n++; n > piece {
				break
			}
			note(g.source.Oldest())
		}
	}
	return oldest
}

// Snapshot counts, for Stats. It waits for no job. What workers at groups have done without
// the mutex is reckoned from what they have claimed, so that a count is never behind what
// a caller has seen.
func (s *Scheduler) Snapshot() Snapshot {
	s.lock()
	defer s.unlock()
	s.closeIntake()
	now := Snapshot{
		State:      s.state,
		Paused:     s.paused,
		Workers:    s.workforce,
		Idle:       len(s.idleSince),
		Strays:     s.strays,
		Running:    s.running,
		Queued:     s.queued + s.granted + s.openItems,
		Blocked:    s.nblocked,
		MaxRunning: s.limit,
		MaxQueued:  s.room,
		Submitted:  s.submitted,
		Rejected:   s.rejected,
		GaveUp:     s.gaveUp,
		Ended:      s.ended,
	}
	if s.cfg.Timed {
		now.Oldest = s.oldest()
	}
	// openItems has all items whose outcome has not been counted: those that are being
	// handled, and those that have succeeded since, are moved to where they belong.
	for g := range s.busy.all {
		handling, uncounted := g.live()
		now.Running += handling
		now.Queued -= handling + uncounted
		now.Ended[Succeeded] += uint64(uncounted)
	}
	return now
}
