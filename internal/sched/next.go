package sched

// This file grants slots to waiting jobs and groups, and brings workers to those that
// have a slot.
//
// A slot is the right to run one job. A waiting job or group is granted one as soon as
// one is free, by the goroutine that frees the slot or brings the job. So at the end of
// each critical section either no slot is free or nothing waits, and what happens to a
// job does not depend on whether the dispatcher or a worker has run yet. A worker then
// comes to the granted work in one of three ways:
//
//	the submitter hands its job to an idle worker                    (handed over)
//	a worker that has finished takes what has been granted first     (followed on)
//	an idle worker is called to it, or the dispatcher starts one     (dispatched)
//
// One worker at a time is called: an idle one is given work and woken, and calls the next
// when it has come, before it runs anything. So a burst of short jobs wakes few workers,
// which stay warm, and work that takes long soon has a worker each. A job whose submitter
// waits for it is handed over without that, because its submitter brings no other
// meanwhile.

// Work is what a worker is given to do. The zero work is nothing.
type Work struct {
	Task   *Task   // a single job
	Group  *Group  // items of a group
	Making *Making // the worker is made before there is a job for it

	lender    *Context // the job on whose slot it runs; nil if on none
	count     int      // how many slots the group has been granted
	overLimit bool     // it runs on top of the limit
	slotless  bool     // its slot was given to others before a worker came to it
	Leave     bool     // the worker must leave
}

// clear makes the work nothing. A single job within the limit, the usual case, has one
// pointer to clear.
func (w *Work) clear() {
	if w.Task != nil && w.lender == nil {
		w.Task, w.overLimit = nil, false
	} else {
		*w = Work{}
	}
}

// free reports whether a slot is free and may be granted. None may be granted in a
// pause, nor once the pool stops, which ends all waiting jobs.
func (s *Scheduler) free() bool {
	return s.inUse < s.limit && !s.paused && s.state <= Draining
}

// fill accepts jobs of blocked submitters where there is room, and grants free slots to
// waiting jobs and groups. If there are many it does a piece, and the dispatcher does
// the rest. The submitters' jobs enter the queue first, so that they take their turn
// with what is granted in the same critical section.
func (s *Scheduler) fill() {
	// Nothing waits. An open intake may hold jobs that queued does not count.
	if s.queued == 0 && !s.intake.isOpen && s.groups.empty() && s.blocked.empty() {
		return
	}
	for range piece {
		if !s.blocked.empty() && s.hasCapacity() {
			s.admitBlocked()
		} else if !s.free() || !s.grantNext() {
			return
		}
	}
}

// unfilled reports whether fill has left something to do.
func (s *Scheduler) unfilled() bool {
	return !s.blocked.empty() && s.hasCapacity() || s.free() && s.queued > 0
}

// grantNext grants a slot to the next job or group. It returns false if nothing waits.
// If there are both single jobs and groups they take turns, and so do the groups among
// themselves.
func (s *Scheduler) grantNext() bool {
	s.dropExhausted()
	queued := s.anyQueued()
	switch {
	case !s.groups.empty() && (s.turn || !queued):
		s.turn = false
		s.grantGroup(s.groups.head.elem)
	case queued:
		s.turn = true
		s.grantJob(s.dequeue())
	default:
		return false
	}
	return true
}

// anyQueued reports whether a job waits for a slot, even in the intake. The intake may
// stay open: a job that has come takes the slot again.
func (s *Scheduler) anyQueued() bool {
	if s.queued == 0 && s.intake.isOpen {
		s.drainIntake(true)
	}
	return s.queued > 0
}

// dequeue takes the first waiting job, which is about to get a slot.
func (s *Scheduler) dequeue() *Task {
	t := s.queue.first
	s.queued--
	s.queue.claim(t)
	return t
}

// grantJob gives a slot to t, which is not waiting in the queue.
func (s *Scheduler) grantJob(t *Task) {
	s.queue.grant(t)
	s.inUse++
	s.granted++
}

// giveJob gives a slot to t, which is not waiting in the queue, and gives t to w. It
// does what grantJob and takeFirst would do together, if nothing granted comes before
// t.
func (s *Scheduler) giveJob(t *Task, w *Worker) {
	t.stage = handed
	s.inUse++
	s.running++
	w.Work.Task = t
}

// nothingGranted reports whether no granted work waits for a worker.
func (s *Scheduler) nothingGranted() bool {
	return s.queue.granted == nil && s.ready.empty() && s.immediate.empty()
}

// grantGroup grants g a slot, or all that g can use if nothing else waits.
func (s *Scheduler) grantGroup(g *Group) {
	n := 1
	// If something else waits, each grant is one turn. Otherwise turns would only cost
	// the group a critical section for each worker.
	if s.queued == 0 && s.groups.single() && s.blocked.empty() {
		n = max(min(s.limit-s.inUse, g.wants()), 1) // workers may have claimed items since dropExhausted looked
	}
	s.inUse += n
	s.coming += n
	g.coming += n
	s.ready.push(Work{Group: g, count: n})
	s.groups.remove(&g.link) // to the end, if it wants more
	if g.wants() > 0 {
		s.groups.push(&g.link, g)
	}
}

// dropExhausted takes groups off the front of the list that have nothing left to claim,
// because workers claim items without the mutex.
func (s *Scheduler) dropExhausted() {
	for !s.groups.empty() {
		g := s.groups.head.elem
		if g.wants() > 0 {
			return
		}
		s.groups.remove(&g.link)
	}
}

// waits reports whether granted work waits for a worker. Usually none does, and each
// critical section asks.
func (s *Scheduler) waits() bool { return !s.nothingGranted() && s.findGranted() }

// findGranted is waits for when something has been granted. It removes groups whose items
// other workers have claimed, and settled work on top of the limit: only their places in
// a ring are left, and nobody else has to search the rings. A pool that stops holds back
// all granted work. The dispatcher and pair call it before they find a worker for the
// work that it has found.
func (s *Scheduler) findGranted() bool {
	stops := s.state > Draining
	for ; !s.immediate.empty(); s.immediate.pop() {
		w := s.immediate.first()
		switch {
		// giveUp may return a loan, and so put more work behind this one, which is
		// still the first when it is popped.
		case w.Group != nil && w.Group.halted == nil, w.Group == nil && w.Task.stage != withdrawn:
			return !stops
		case w.Group != nil:
			w.Group.lent--
		}
		s.giveUp(w)
	}
	for ; !s.ready.empty(); s.ready.pop() {
		w := s.ready.first()
		// The group had an item for each slot when it was granted them. Other workers
		// may have claimed some since, and a worker would be woken for nothing.
		if w.count -= w.Group.takeBack(w.count - w.Group.source.Left(w.count)); w.count > 0 {
			return !stops
		}
	}
	return s.queue.granted != nil && !stops
}

// takeFirst puts into w.Work what waits has just found. It does not look again, because
// workers claim items meanwhile. Jobs and groups take turns for workers, as they do for
// slots.
func (s *Scheduler) takeFirst(w *Worker) {
	switch {
	// A running job waits for this work, and holds its own slot meanwhile.
	case !s.immediate.empty():
		w.Work = *s.immediate.first()
		s.immediate.pop()
		if t := w.Work.Task; t != nil {
			t.stage = handed
			s.granted--
			s.running++
		}
	case s.queue.granted != nil && (!s.groupNext || s.ready.empty()):
		s.groupNext = true
		s.takeGranted(w)
	default:
		s.groupNext = false
		w.Work = *s.ready.first()
		if s.ready.first().count--; s.ready.first().count == 0 {
			s.ready.pop()
		}
	}
}

// takeGranted gives w the first job that has a slot within the limit and no worker.
func (s *Scheduler) takeGranted(w *Worker) {
	w.Work.Task = s.queue.hand()
	s.granted--
	s.running++
}

// giveUp frees the slot of work that a worker has had. Work on top of the limit has no
// slot, and may have to return a loan. The slot of a released job has been freed by
// withdraw. The slot of an early job has come back with the worker, and is freed like
// any other.
func (s *Scheduler) giveUp(w *Work) {
	switch {
	case w.overLimit:
		s.over--
		if w.lender != nil {
			s.returnLoan(w.lender)
		}
	case w.Task != nil && w.Task.stage == released:
		s.returning--
	case w.slotless:
	default:
		s.inUse--
	}
}

// next gives w its next work, or makes it idle. From then on others count on w, so it
// runs no user code before it looks at w.Work.
func (s *Scheduler) next(w *Worker) {
	// abandon has given up the slot, and no longer counts the worker.
	if w.abandoned() {
		w.Work = Work{Leave: true}
		return
	}
	s.giveUp(&w.Work)
	w.Work.clear()
	if w.broken {
		// Closing the broken Worker may take long: another worker goes on.
		w.Work.Leave = true
		s.leaving++
		return
	}
	if s.follow(w) {
		return
	}
	// follow has left it to fill to decide whose turn it is. This slot is now among the
	// free ones.
	s.fill()
	if s.waits() {
		s.takeFirst(w)
		return
	}
	// From here on whoever finds w idle fills w.Work and sends a token: w must not look
	// at it before that (Await).
	w.parked = true
	s.idleSince = append(s.idleSince, s.Since())
	if s.lastIdle == nil {
		s.lastIdle = w
		return
	}
	s.stand(w)
}

// follow makes w follow on with the first job that has a slot and no worker, or else
// with the first that waits. It returns false if there is none, or if something else
// must be considered: a group, whose turn it may be; a blocked submitter that must be
// let in; or work on top of the limit, which comes first.
func (s *Scheduler) follow(w *Worker) bool {
	if !s.free() || !s.groups.empty() || !s.blocked.empty() || !s.ready.empty() || !s.immediate.empty() {
		return false
	}
	if s.queue.granted != nil {
		s.takeGranted(w)
		return true
	}
	if !s.anyQueued() {
		return false
	}
	s.turn = true
	s.giveJob(s.dequeue(), w)
	return true
}

// stand puts w into the worker channel. It makes the channel, and makes a larger one
// when it is full, with room for all workers. The mutex is held, so nobody receives
// from the old channel while stand empties it.
func (s *Scheduler) stand(w *Worker) {
	if len(s.workers) == cap(s.workers) {
		more := make(chan *Worker, max(2*cap(s.workers), 8))
		for range len(s.workers) {
			more <- <-s.workers
		}
		s.workers = more
	}
	s.workers <- w
}

// claimIdle takes an idle worker: the last that became idle, whose stack and cache are
// warm, or one from the worker channel. The caller has checked that there is one: an
// empty channel would block it with the mutex held.
func (s *Scheduler) claimIdle() *Worker {
	s.idleSince = s.idleSince[:len(s.idleSince)-1]
	if w := s.lastIdle; w != nil {
		s.lastIdle = nil
		return w
	}
	return <-s.workers
}

// claimSurplus takes an idle worker that must leave: one from the worker channel, or
// the last that became idle if the channel is empty. So the warm worker stays for the
// next job.
func (s *Scheduler) claimSurplus() *Worker {
	s.idleSince = s.idleSince[1:]
	if len(s.workers) > 0 {
		return <-s.workers
	}
	w := s.lastIdle
	s.lastIdle = nil
	return w
}

// pair calls an idle worker to granted work. If one is on its way, it calls the next when
// it has come, except to work on top of the limit, for which a running job waits.
func (s *Scheduler) pair() bool {
	if s.called > 0 && s.immediate.empty() || len(s.idleSince) == 0 || !s.waits() {
		return false
	}
	w := s.claimIdle()
	s.takeFirst(w)
	s.call(w)
	return true
}

// call wakes w, which has been given work. No other worker is called until it has come.
func (s *Scheduler) call(w *Worker) {
	w.called = true
	s.called++
	s.after.wakeUp(w.inbox)
}

// came notes that w has come, if it was called. The unlock of this critical section calls
// the next worker (pair).
func (s *Scheduler) came(w *Worker) {
	if w.called {
		w.called = false
		s.called--
	}
}

// updatePreempt asks workers that go through a group to come back while something else
// waits for them.
func (s *Scheduler) updatePreempt() {
	// A worker that goes on from item to item keeps its slot. It is called back if a
	// job or a submitter needs the slot, if the slot no longer exists, in a pause, and
	// for another group.
	crowd := s.itemsIn > 0 &&
		(s.queued > 0 || !s.blocked.empty() || s.inUse > s.limit || s.paused || s.othersWant())
	// Workers read it after each item, so it is written only when it changes.
	if crowd != s.preempt.Load() {
		s.preempt.Store(crowd)
	}
}

// othersWant reports whether a group wants a slot, unless it is the only one that does
// and workers are on it: then they would mostly be called back to the same group.
func (s *Scheduler) othersWant() bool {
	return !s.groups.empty() && (!s.groups.single() || s.groups.head.elem.active == 0)
}

// drainIntake moves the jobs in the intake to the queue. The intake may stay
// open if stay is true.
func (s *Scheduler) drainIntake(stay bool) {
	came := s.intake.drain(&s.queue, stay, s.room-s.queued)
	s.queued += came
	s.submitted += uint64(came)
}

// closeIntake moves the jobs in the intake to the queue, and closes the intake.
func (s *Scheduler) closeIntake() {
	if s.intake.isOpen {
		s.drainIntake(false)
	}
}

// updateIntake opens the intake while a new job can only wait, and closes it otherwise.
func (s *Scheduler) updateIntake() {
	// A new job can only wait while all of this holds. Every slot is taken. The pool
	// takes jobs, and would run them. No group has a worker, is about to get one, or
	// wants one, since the queue takes turns with groups and the scheduler must see
	// what is queued. Nobody waits for the end of all jobs, which would miss those in
	// the intake. No blocked submitter came first.
	wait := s.inUse >= s.limit && s.state == Running && !s.paused &&
		s.itemsIn == 0 && s.coming == 0 && s.groups.empty() && s.quiescent == nil && s.blocked.empty()
	switch {
	// A queue that is full, or more than full after a Resize, leaves no room for the
	// intake.
	case wait && !s.intake.isOpen && s.queued < s.room:
		s.intake.start(s.room - s.queued)
	case !wait && s.intake.isOpen:
		s.closeIntake()
		s.fill()
	}
}
