package sched

// How slots come to what waits, and workers to what has a slot.
//
// A slot is the right to run one job. What waits is granted one as soon as one is
// free, by whoever frees it or comes with the job: so at the end of each critical
// section either no slot is free or nothing waits, and what happens to a job does
// not depend on whether the dispatcher or a worker has run yet. Then a worker
// turns to what has been granted:
//
//	the submitter hands its job to an idle worker                    (handed over)
//	a worker that has finished takes what has been granted first     (followed on)
//	the dispatcher pairs the rest with idle workers, or starts some  (dispatched)

// Work is what a worker is given to do. The zero work is nothing.
type Work struct {
	Task   *Task   // a single job
	Group  *Group  // or items of a group
	Making *Making // or to be made before there is a job

	lender    *Context // it runs on the slot of this job, if it is not nil
	count     int      // of a group that has been granted several slots
	overLimit bool     // it runs on top of the limit
	slotless  bool     // its slot was given to others, before a worker turned to it
	Leave     bool     // the end of the worker
}

// clear makes the work nothing. A single job within the limit, the usual case, has
// one pointer.
func (w *Work) clear() {
	if w.Task != nil && w.lender == nil {
		w.Task, w.overLimit = nil, false
	} else {
		*w = Work{}
	}
}

// free tells whether a slot is free, and may be granted: not in a pause, and not once the
// pool stops, which ends what waits.
func (s *Scheduler) free() bool {
	return s.inUse < s.limit && !s.paused && s.state <= Draining
}

// fill accepts jobs of blocked submitters where there is room, and grants what is
// free to what waits: a piece of it where that is much; the dispatcher does the rest.
// Jobs of submitters come into the queue first, so that they take their turn with what
// is granted in the same critical section.
func (s *Scheduler) fill() {
	// Nothing waits. While the intake is open, jobs may be in it that queued does not
	// count.
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

// unfilled tells whether fill has left something to be done.
func (s *Scheduler) unfilled() bool {
	return !s.blocked.empty() && s.hasCapacity() || s.free() && s.queued > 0
}

// grantNext grants a slot to what comes next; false if nothing waits. While there
// are both single jobs and groups, they take turns, and so do the groups among
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

// anyQueued tells whether a job waits for a slot, also in the intake, which may stay
// open: the slot is taken again by what has come.
func (s *Scheduler) anyQueued() bool {
	if s.queued == 0 && s.intake.isOpen {
		s.drainIntake(true)
	}
	return s.queued > 0
}

// dequeue takes the first job that waits, which is about to have a slot.
func (s *Scheduler) dequeue() *Task {
	t := s.queue.first
	s.queued--
	s.queue.claim(t)
	return t
}

// grantJob gives a slot to t, which does not wait in the queue.
func (s *Scheduler) grantJob(t *Task) {
	t.stage = granted
	s.inUse++
	s.granted++
	s.ready.push(Work{Task: t})
}

// giveJob gives a slot to t, which does not wait in the queue, and t to w: what
// grantJob and takeFirst would do together, where nothing that was granted comes first.
func (s *Scheduler) giveJob(t *Task, w *Worker) {
	t.stage = handed
	s.inUse++
	s.running++
	w.Work.Task = t
}

// nothingGranted tells whether nothing has been granted that waits for a worker.
func (s *Scheduler) nothingGranted() bool { return s.ready.empty() && s.immediate.empty() }

// grantGroup gives a slot to g; or all that g can use, where nothing else waits.
func (s *Scheduler) grantGroup(g *Group) {
	n := 1
	// Where something else waits, each grant is one turn. Else turns would only cost the
	// group a critical section for each worker.
	if s.queued == 0 && s.groups.single() && s.blocked.empty() {
		n = max(min(s.limit-s.inUse, g.wants()), 1) // workers have claimed items since it was asked
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

// dropExhausted takes groups out of the front of the list that have nothing left
// to claim, which workers claim without the mutex.
func (s *Scheduler) dropExhausted() {
	for !s.groups.empty() {
		g := s.groups.head.elem
		if g.wants() > 0 {
			return
		}
		s.groups.remove(&g.link)
	}
}

// waits tells whether something has been granted that a worker is to turn to. Mostly
// nothing has, and each critical section asks.
func (s *Scheduler) waits() bool { return !s.nothingGranted() && s.findGranted() }

// findGranted is waits where something has been granted. It
// takes out what has been settled, and what other workers have claimed. A pool that
// stops holds all of it back. The dispatcher and pair ask it before they find a worker
// for what it has found; it takes out here what has left nothing behind but its place
// in a ring, so that nobody else has to search the rings.
func (s *Scheduler) findGranted() bool {
	stops := s.state > Draining
	for ; !s.immediate.empty(); s.immediate.pop() {
		w := s.immediate.first()
		switch {
		// A loan that giveUp returns may put more work behind this one, which is still the
		// first when it is popped.
		case w.Group != nil && w.Group.halted == nil, w.Group == nil && w.Task.stage != withdrawn:
			return !stops
		case w.Group != nil:
			w.Group.lent--
		}
		s.giveUp(w)
	}
	for ; !s.ready.empty(); s.ready.pop() {
		w := s.ready.first()
		switch {
		case w.Group == nil && w.Task.stage != withdrawn:
			return !stops
		case w.Group == nil:
			continue
		}
		// The group had an item for each slot when it was granted them; other workers have
		// claimed some since, and a worker would be woken for nothing.
		if w.count -= w.Group.takeBack(w.count - w.Group.source.Left(w.count)); w.count > 0 {
			return !stops
		}
	}
	return false
}

// takeFirst puts into w what waits has just found. (It does not look again: workers
// claim items meanwhile.)
func (s *Scheduler) takeFirst(w *Worker) {
	// A running job waits for what is there, and holds its own slot meanwhile.
	from := &s.immediate
	if from.empty() {
		from = &s.ready
	}
	w.Work = *from.first()
	if t := w.Work.Task; t != nil {
		t.stage = handed
		s.granted--
		s.running++
	} else if from.first().count--; from.first().count > 0 {
		return
	}
	from.pop()
}

// giveUp frees the slot of what a worker has had in hand: what ran on top of the limit
// has none and may owe a loan; the slot of a released job has been freed by withdraw; one
// that was early has come back with the worker, and is freed as any other.
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

// next has w take what comes next, or go idle. From then on others count on it, so
// it runs no user code before it looks into its hand.
func (s *Scheduler) next(w *Worker) {
	// abandon has given up the slot, and taken the worker off the count.
	if w.abandoned() {
		w.Work = Work{Leave: true}
		return
	}
	s.giveUp(&w.Work)
	w.Work.clear()
	if w.broken {
		// Closing what is left of it may take long: another worker goes on.
		w.Work.Leave = true
		s.leaving++
		return
	}
	if s.follow(w) {
		return
	}
	// follow has left it to fill whose turn the slot is, with this one among the free.
	s.fill()
	if s.waits() {
		s.takeFirst(w)
		return
	}
	// Whoever finds w idle from here on fills its hand and sends a token: w must not look
	// before that (Await).
	w.parked = true
	s.idleSince = append(s.idleSince, s.Since())
	if s.lastIdle == nil {
		s.lastIdle = w
		return
	}
	s.stand(w)
}

// follow has w follow on with the first job that waits, if nothing else does; false
// if more is to be looked at: a group, whose turn it may be; a submitter that is to be
// let in; or what was granted before, and comes first.
func (s *Scheduler) follow(w *Worker) bool {
	if !s.free() || !s.groups.empty() || !s.blocked.empty() || !s.nothingGranted() || !s.anyQueued() {
		return false
	}
	s.turn = true
	s.giveJob(s.dequeue(), w)
	return true
}

// stand puts w into the worker channel, which is made, and made anew, with room for
// all. The mutex is held, so nobody receives from the old one while it is emptied.
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
// warm, or one out of the worker channel. Who calls it has seen that there is one: an
// empty channel would block it with the mutex held.
func (s *Scheduler) claimIdle() *Worker {
	s.idleSince = s.idleSince[:len(s.idleSince)-1]
	if w := s.lastIdle; w != nil {
		s.lastIdle = nil
		return w
	}
	return <-s.workers
}

// claimSurplus takes an idle worker that is to leave: out of the worker channel,
// or else the last. So the one that is warm stays for the next job.
func (s *Scheduler) claimSurplus() *Worker {
	s.idleSince = s.idleSince[1:]
	if len(s.workers) > 0 {
		return <-s.workers
	}
	w := s.lastIdle
	s.lastIdle = nil
	return w
}

// pair hands what has been granted to an idle worker, once for each critical
// section. A worker that is called to a group calls the next when it begins: so a
// group of cheap items wakes few.
func (s *Scheduler) pair() bool {
	if s.called > 0 || len(s.idleSince) == 0 || !s.waits() {
		return false
	}
	w := s.claimIdle()
	s.takeFirst(w)
	if w.Work.Group != nil {
		w.called = true
		s.called++
	}
	s.after.wakeUp(w.inbox)
	return true
}

// updatePreempt asks the workers that go through a group to come back while
// something else waits for them.
func (s *Scheduler) updatePreempt() {
	// A worker that goes on from item to item keeps its slot. It is asked back for: a job,
	// or a submitter, that the slot is for; a slot that is not there any more; a pause;
	// another group.
	crowd := s.itemsIn > 0 &&
		(s.queued > 0 || !s.blocked.empty() || s.inUse > s.limit || s.paused || s.othersWant())
	// Workers read it after each item: it is written when it changes, and not each time.
	if crowd != s.preempt.Load() {
		s.preempt.Store(crowd)
	}
}

// othersWant tells whether a group wants a slot that is not the only one that
// workers are at. If one alone wants slots, and workers are at it, they would mostly be
// asked back to the same group.
func (s *Scheduler) othersWant() bool {
	return !s.groups.empty() && (!s.groups.single() || s.groups.head.elem.active == 0)
}

// drainIntake has the queue take what has come in. It stays open if it may.
func (s *Scheduler) drainIntake(stay bool) {
	came := s.intake.drain(&s.queue, stay, s.room-s.queued)
	s.queued += came
	s.submitted += uint64(came)
}

// closeIntake has the queue take what has come in, and closes the intake.
func (s *Scheduler) closeIntake() {
	if s.intake.isOpen {
		s.drainIntake(false)
	}
}

// updateIntake opens the intake while jobs can only wait, and closes it else.
func (s *Scheduler) updateIntake() {
	// A job can do nothing but wait while: every slot is taken; the pool takes jobs, and
	// would run them; no group has a worker, is about to get one, or wants one, since the
	// queue takes turns with it and the scheduler must see what is queued; nobody waits
	// for the end of all jobs, which those in the intake would miss; and no submitter
	// came first.
	wait := s.inUse >= s.limit && s.state == Running && !s.paused &&
		s.itemsIn == 0 && s.coming == 0 && s.groups.empty() && s.quiescent == nil && s.blocked.empty()
	switch {
	// A queue that is full, or over-full after a Resize, leaves no room for it.
	case wait && !s.intake.isOpen && s.queued < s.room:
		s.intake.start(s.room - s.queued)
	case !wait && s.intake.isOpen:
		s.closeIntake()
		s.fill()
	}
}
