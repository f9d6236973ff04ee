package sched

import "time"

// Drain refuses everything from now on, and has the dispatcher end the pool when all
// accepted work is done. The first call does it for all; the others return at once.
func (s *Scheduler) Drain() {
	if s.refuse(Draining, Outcome{}) {
		s.endRefusal()
	}
}

// Halt is Drain, but it also starts nothing more, and ends everything that is left with
// the outcome o; running handlers are told. Stop, Shutdown and the end of the pool's
// context call it, on any goroutine. The first call decides the outcome; it may overtake a
// Drain. A later call does what the first has not reached yet, and does not wait for it,
// since the first may be in a hook. So when any call returns, all accepted work has been
// halted.
func (s *Scheduler) Halt(o Outcome) {
	first, on := s.refuse(Stopping, o), true
	if first {
		s.endRefusal()
	} else {
		if first, on = s.stop(&o); !on {
			return
		}
		s.closeGroups() // those that Drain, or the first call, has not reached
	}
	// The marker stands in the queue so that workers may take out jobs before and
	// behind it between two pieces. Its stage is not waiting, so nobody grants it a
	// slot. Its phase is returned, so the walk of another call passes it by. No more jobs
	// come in, so the walk ends.
	marker := &Task{stage: released}
	marker.phase.Store(returned)
	s.lock()
	s.queue.insert(marker, nil)
	s.unlock()
	for s.haltJobs(marker, &o) {
	}
	// All groups are in closingGroups by now, where haltGroups looks.
	for s.haltGroups(&o) {
	}
	if first && s.cfg.OnStop != nil {
		s.cfg.OnStop(o.Err) // only now: a constructor that fails because of it no longer halts a group
	}
	s.EndBackground()
}

// refuse takes the pool from Running to the given state. It returns false if the pool
// is not Running: of several concurrent calls one gets through. The work that is left
// counts as a background call, so that the pool does not end before it is done. o is the
// outcome of a Halt.
func (s *Scheduler) refuse(to State, o Outcome) bool {
	s.lock()
	defer s.unlock()
	if s.state != Running {
		return false
	}
	// The jobs in the intake were accepted before the refusal. A pool that stayed
	// paused would never run the jobs that it must drain.
	s.closeIntake()
	s.state, s.paused = to, false
	s.background++
	// Two units of background: endRefusal ends the first, and Halt, which goes on, the
	// second.
	if to == Stopping {
		s.background++
		s.stopped = o
	}
	return true
}

// stop takes the pool from Draining to Stopping. If another Halt has done so, first is
// false and o becomes the outcome of that Halt. If the pool has ended, on is false:
// nothing is left to do. Halt ends the unit of background.
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

// endRefusal tells blocked submitters and groups that the pool takes no more. It works
// in pieces, since there can be many of both. The state has been set before, so no
// submitter or group can come in behind its back.
func (s *Scheduler) endRefusal() {
	for s.refuseBlocked() {
	}
	s.closeGroups()
	s.EndBackground()
}

// closeGroups tells the groups that the pool takes no more. A batch then seals itself,
// for which it locks a mutex that comes before the scheduler's, so closeGroups holds
// none. Drain and a Halt that overtakes it may run closeGroups at the same time: each
// group goes to one of them.
func (s *Scheduler) closeGroups() {
	for groups := s.nextOpen(); len(groups) > 0; groups = s.nextOpen() {
		for _, g := range groups {
			g.source.PoolClosing()
		}
	}
}

// refuseBlocked refuses the jobs of some blocked submitters. It returns false if there
// are no more.
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

// nextOpen returns some of the groups that do not know yet that the pool takes no more.
// It moves them to closingGroups before they are told. haltGroups looks there, so that
// a Halt on another goroutine misses none.
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

// haltJobs ends some of the single jobs behind the marker, and moves the marker on. It
// returns false if there are no more.
func (s *Scheduler) haltJobs(marker *Task, o *Outcome) bool {
	s.lock()
	defer s.unlock()
	for range piece {
		// The marker has stayed in its place, whatever has left the queue since: the
		// jobs behind it have not been looked at.
		t := marker.next
		if t == nil {
			s.queue.remove(marker)
			return false
		}
		// A job that has not started leaves the queue here. If a worker has just
		// decided the outcome of its job, complete does nothing.
		s.complete(t, o)
		if marker.next == t { // it is running, and stays
			s.queue.remove(marker)
			s.queue.insert(marker, t)
		}
	}
	return true
}

// haltGroups halts some of the groups. It returns false if there are no more. A group
// that has been halted before only leaves the list. The outcomes of each group are
// handed out as an effect, without the mutex.
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

// callersEnded ends the members of a watch whose context is done. The context package
// calls it, on a goroutine of its own, once for all members that share the Done
// channel.
func (s *Scheduler) callersEnded(members []expired) {
	// asked has the outcomes of the current piece. User code is called without the
	// mutex, and the piece ends in one critical section.
	var asked []Outcome
	defer func() {
		// The loop has come to its end: all members have been ended.
		if len(members) == 0 {
			return
		}
		// A context has ended the goroutine when asked for its reason. Its member ends
		// without a reason, together with those that were asked before it. The rest,
		// which may have other contexts with the same Done channel, go on on a new
		// goroutine.
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

// callerEnded ends each member with its outcome.
func (s *Scheduler) callerEnded(members []expired, outcomes []Outcome) {
	s.lock()
	defer s.unlock()
	for i := range members {
		members[i].callerEnded(&outcomes[i])
	}
}

// Wait blocks until nothing is queued or running, and returns true, or until the
// caller's context is done, and returns false. A job that called it would wait for
// itself: Pool.Wait refuses the jobs that it recognizes by their context.
func (s *Scheduler) Wait(done <-chan struct{}) bool {
	s.lock()
	s.closeIntake()
	if !s.unfinished() {
		s.unlock()
		return true
	}
	// One channel serves all that wait at the same time. While it exists the intake
	// stays closed (updateIntake): jobs that come meanwhile are counted, and waited
	// for.
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

// Resize sets the most jobs that run at once. It returns false if the pool has ended.
// unlock does the rest: it grants more slots, or, if there are fewer, calls back
// workers from groups. A job that has a slot keeps it, so inUse may exceed the limit
// for a while.
func (s *Scheduler) Resize(n int) bool {
	s.lock()
	defer s.unlock()
	if s.state == Ended {
		return false
	}
	s.limit = n
	return true
}

// Pause lets no job start until Resume. It does nothing on a pool that takes no more.
// The workers for granted work may not have come yet: unless those grants were taken
// back, a pool of many slots would start jobs long after Pause has returned.
func (s *Scheduler) Pause() {
	s.lock()
	defer s.unlock()
	if s.state != Running || s.paused {
		return
	}
	s.paused = true
	s.takeGrantsBack()
	// Jobs that a running job waits for go on in a pause. While such a job had a slot
	// of its own it needed no lent one. Now it waits again, and would keep the running
	// job waiting until Resume.
	for w := range s.lending.all {
		s.useLoan(w.by) // for a job or group that had a slot until now
	}
}

// takeGrantsBack makes all granted work that has no worker yet wait again, in its old
// order: jobs have not moved in the queue. Work on top of the limit stays granted: a
// running job waits for it, or its submitter does.
func (s *Scheduler) takeGrantsBack() {
	// Without these slots the groups want some again, and take their turns.
	for ; !s.ready.empty(); s.ready.pop() {
		w := s.ready.first()
		w.Group.takeBack(w.count)
		w.Group.list()
	}
	n := s.queue.ungrant()
	s.granted -= n
	s.queued += n
	s.inUse -= n
}

// Resume ends a Pause. unlock grants the free slots, as after any other change.
func (s *Scheduler) Resume() {
	s.lock()
	s.paused = false
	s.unlock()
}

// Idle reports whether nothing is queued or running. Pool.Wait asks it first: on a pool
// with nothing to do Pool.Wait returns nil even if its context is done.
func (s *Scheduler) Idle() bool {
	s.lock()
	defer s.unlock()
	s.closeIntake()
	return !s.unfinished()
}

// Closed reports whether the pool takes no more.
func (s *Scheduler) Closed() bool {
	s.lock()
	defer s.unlock()
	return s.state != Running
}

// BeginBackground makes the end of the pool wait for a goroutine, until EndBackground.
// Its caller starts the goroutine only afterwards: otherwise the pool could end in
// between.
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

// TakeUnstarted returns the work that Stop kept from running, once. Pool.Stop calls it
// after Halt, and reads the inputs without the mutex: no handler gets them any more.
func (s *Scheduler) TakeUnstarted() Unstarted {
	s.lock()
	defer s.unlock()
	unstarted := s.unstarted
	s.unstarted = Unstarted{}
	return unstarted
}

// Snapshot holds the counts of the scheduler at one moment.
type Snapshot struct {
	State                       State
	Paused                      bool
	Workers, Idle, Strays       int
	Running, Queued, Blocked    int
	MaxRunning, MaxQueued       int
	Submitted, Rejected, GaveUp uint64
	Ended                       [Kinds]uint64
	Oldest                      time.Duration // when the waiting job or item that came first was submitted; 0: nothing waits
}

// oldest returns when the waiting job or item that came first was submitted. If there
// are many groups it looks only at the first of them, because the mutex is held. 0
// means no time, which is why the clock begins just before the first moment
// (Scheduler.epoch).
func (s *Scheduler) oldest() (oldest time.Duration) {
	note := func(added time.Duration) {
		if added > 0 && (oldest == 0 || added < oldest) {
			oldest = added
		}
	}
	if s.queue.first != nil {
		note(s.queue.first.Added())
	}
	// The first job that is granted came before those behind it.
	if s.queue.granted != nil {
		note(s.queue.granted.Added())
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

// Snapshot returns the counts for Stats. It waits for no job. What workers on groups
// have done without the mutex is computed from what they have claimed, so that no count
// is behind what a caller has seen.
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
	// openItems has all items whose outcome has not been counted. Those that are being
	// handled, and those that have succeeded since, are moved to the counts where they
	// belong.
	for g := range s.busy.all {
		handling, uncounted := g.live()
		now.Running += handling
		now.Queued -= handling + uncounted
		now.Ended[Succeeded] += uint64(uncounted)
	}
	return now
}
