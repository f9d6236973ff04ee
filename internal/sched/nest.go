package sched

// A job that waits for its own pool lends its slot to what it waits for. One more
// worker, on top of the limit, takes that out of turn and runs it at once. The job's
// own goroutine would do as well, except that runtime.Goexit in the inner job would end
// the outer one. A job has one slot, so it has at most one such run at a time; if it
// waits for several things, from goroutines of its own, they take turns with the loan.
// So nothing that a job waits for can depend on a slot that the job itself holds, at
// any depth, and no loan makes the number of handlers that are running and not waiting
// exceed the limit.
//
// A loan belongs to the context of the job, by which the goroutines that wait know the
// job: its Task may have been reused for another job by then.

// loan is the loan of a job's slot. Guarded by the scheduler's mutex.
type loan struct {
	used  bool          // something runs on the slot now
	waits list[waitFor] // what the job waits for; what has used the loan last comes last
}

// waitFor is one thing that a job waits for.
type waitFor struct {
	what awaitable
	by   *Context      // the context of the job that waits
	link link[waitFor] // in loan.waits
	all  link[waitFor] // in Scheduler.lending
}

// awaitable is something that a job can wait for: another job, a group, or room in the
// queue.
type awaitable interface {
	// compensate makes the pool run a part of it that has not started, on the slot of
	// the job that lends. It returns false if there is none. The mutex is held.
	compensate(lender *Context) bool
}

// loan returns the loan of the job whose context is c; nil if its handler has returned.
// The mutex is held.
func (s *Scheduler) loan(c *Context) *loan {
	if c.over() { // its task may belong to another job by now
		return nil
	}
	return &c.task.more().loan
}

// lend notes that the job of c waits for x, until endLoan.
func (s *Scheduler) lend(c *Context, x awaitable) *waitFor {
	s.lock()
	defer s.unlock()
	return s.addLoan(c, x)
}

// addLoan is lend; the mutex is held.
func (s *Scheduler) addLoan(c *Context, x awaitable) *waitFor {
	w := &waitFor{what: x, by: c}
	if l := s.loan(c); l != nil {
		l.waits.push(&w.link, w)
		s.lending.push(&w.all, w)
		s.useLoan(c)
	}
	return w
}

// useLoan runs something on the slot of c's job, if the job waits for something that
// has not started, and nothing runs on the slot yet. The mutex is held.
func (s *Scheduler) useLoan(c *Context) {
	l := s.loan(c)
	if l == nil || l.used {
		return
	}
	for w := range l.waits.all {
		if w.what.compensate(c) {
			l.used = true
			l.waits.remove(&w.link)
			l.waits.push(&w.link, w) // the others come first next time
			return
		}
	}
}

// borrow takes the slot that c's job lends. It returns false if something runs on it
// already. The mutex is held.
func (s *Scheduler) borrow(c *Context) bool {
	l := s.loan(c)
	if l == nil || l.used {
		return false
	}
	l.used = true
	return true
}

// returnLoan notes that nothing runs on the slot of c's job any more. It lends the slot
// again if the job waits for something else that has not started. The mutex is held.
func (s *Scheduler) returnLoan(c *Context) {
	if l := s.loan(c); l != nil {
		l.used = false
		s.useLoan(c)
	}
}

// endLoan notes that a job no longer waits for w.
func (s *Scheduler) endLoan(w *waitFor) {
	s.lock()
	defer s.unlock()
	s.forgetLoan(w)
}

// forgetLoan is endLoan; the mutex is held.
func (s *Scheduler) forgetLoan(w *waitFor) {
	s.lending.remove(&w.all)
	if l := s.loan(w.by); l != nil {
		l.waits.remove(&w.link)
	}
}

// Lend makes the job of c lend its slot to the group, until end is called or the group
// is forgotten. If the group is over, nothing is lent.
func (g *Group) Lend(c *Context) (end func()) {
	g.s.lock()
	defer g.s.unlock()
	if !g.openLink.listed() {
		return func() {}
	}
	l := &groupLender{waitFor: g.s.addLoan(c, g)}
	g.lenders.push(&l.link, l)
	return func() {
		g.s.lock()
		defer g.s.unlock()
		g.lenders.remove(&l.link)
		g.s.forgetLoan(l.waitFor)
	}
}

// groupLender is a job that waits for a group.
type groupLender struct {
	*waitFor
	link link[groupLender] // in Group.lenders
}

// runOverLimit has a worker run w on top of the limit, on a lent slot or on none
// (CallerRuns). The mutex is held.
func (s *Scheduler) runOverLimit(w Work) {
	w.overLimit = true
	s.over++
	s.immediate.push(w)
}

// startOverLimit makes t run at once, on the slot of lender's job if lender is not nil.
// t is new, or is accepted and waits. The mutex is held.
func (s *Scheduler) startOverLimit(t *Task, lender *Context) {
	t.stage = granted
	t.overLimit = true
	s.granted++
	s.runOverLimit(Work{Task: t, lender: lender})
}

// acceptOverLimit accepts t, and makes it run at once as startOverLimit does. t stands
// in the queue, but does not wait there. The mutex is held.
func (s *Scheduler) acceptOverLimit(t *Task, lender *Context) {
	t.accept()
	s.submitted++
	s.startOverLimit(t, lender)
	s.queue.push(t)
}

// compensate runs the job if it still waits.
func (t *Task) compensate(lender *Context) bool {
	s := t.s
	if t.stage != waiting || t.phase.Load() != accepted {
		return false
	}
	s.closeIntake()
	s.queued--
	s.queue.claim(t)
	s.startOverLimit(t, lender)
	return true
}

// compensate runs an item, if the group has one to run.
func (g *Group) compensate(lender *Context) bool {
	if g.halted != nil || g.wants() <= 0 {
		return false
	}
	g.lent++
	g.s.runOverLimit(Work{Group: g, lender: lender, count: 1})
	return true
}

// compensate accepts and runs the job of a blocked submitter.
func (b *blockedSubmitter) compensate(lender *Context) bool {
	s := b.task.s
	if !b.link.listed() || s.state != Running || !b.task.accept() {
		return false
	}
	s.dismiss(b, nil)
	s.acceptOverLimit(b.task, lender)
	return true
}
