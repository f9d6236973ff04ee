package main

// bounding: MaxRunning, MaxPending and BatchOf.
var bounding = []mutation{
	{"one item more than MaxRunning", group, `	room := g.most - g.active - coming
`, `	room := g.most - g.active - coming + 1
`, "MaxRunning: never more than n items at once"},
	{"MaxRunning forgets the workers that come", group, `	room := g.most - g.active - coming
`, `	room := g.most - g.active
`, "MaxRunning: never more than n items at once"},
	{"a batch at its bound lends no slot when an item ends", group, `	g.useLoans() // loans that the group could not use at its limit

`, ``, "G9: a bounded batch inside a job"},
	{"a batch at its bound does not ask again", group, `	s.groups.remove(&g.link) // to the end: it is another group's turn
	g.list()
`, `	s.groups.remove(&g.link) // to the end: it is another group's turn
`, "MaxRunning: the next item starts when one ends"},
	{"one item more than MaxPending", "batch.go", `b.cfg.maxPending-(total-done), len(ins))`, `b.cfg.maxPending-(total-done)+1, len(ins))`, "MaxPending: Total - Done is n at most"},
	{"MaxPending counts what is done", "batch.go", `b.cfg.maxPending-(total-done), len(ins))`, `b.cfg.maxPending-total+0*done, len(ins))`, "MaxPending: an outcome makes room"},
	{"an Add that waits lends no slot", "batch.go", `	if b.outer != nil {
		defer b.items.Lend(b.outer)()
	}
	<-b.room
`, `	<-b.room
`, "G9: an Add that waits for room inside a job"},
	{"two calls of Add wait at once", "batch.go", `	b.adder <- struct{}{}
	defer func() { <-b.adder }()
`, ``, "MaxPending: Total - Done is n at most, whoever adds"},
	{"BatchOf stays open", "batch.go", `			b.items.Watch(b.done)
			b.Close()
			return b
`, `			b.items.Watch(b.done)
			return b
`, "BatchOf: the batch is sealed"},
	{"what BatchOf did not accept counts as submitted", group, `	g.total, g.counted, g.failed = n, n, n
`, `	g.total, g.counted, g.failed = n, n, n
	g.s.submitted += uint64(n)
`, "BatchOf: what is not accepted is not in Stats"},
	{"Done seals", "batch.go", `	b.awaitedEnd.Store(true)
`, `	b.awaitedEnd.Store(true)
	b.Close()
`, "Done does not seal"},
}

// pausing: Pause and Resume.
var pausing = []mutation{
	{"a pause grants slots", next, `	return s.inUse < s.limit && !s.paused && s.state`, `	return s.inUse < s.limit && s.state`, "a paused pool starts nothing"},
	{"a pause does not reach what has a slot", life, `	s.takeGrantsBack()
`, ``, "a paused pool starts nothing"},
	{"a pause holds back what running jobs wait for", life, `		s.useLoan(w.by) // for a job or group that had a slot until now
`, `		_ = w
`, "Pause: what runs goes on, and what it waits for"},
	{"a pause turns the order of jobs", queue, `	q.first = q.head
	q.advance()
`, `	q.advance()
`, "jobs start in submit order"},
	{"a pause does not reach a crowd", next, ` || s.inUse > s.limit || s.paused || s.othersWant())`, ` || s.inUse > s.limit || s.othersWant())`, "a paused pool starts nothing"},
	{"a pause on a closed pool", life, `	if s.state != Running || s.paused {`, `	if s.paused {`, "Pause does nothing on a pool that takes no more"},
	{"Resume does nothing", life, `	s.lock()
	s.paused = false
	s.unlock()
`, `	s.lock()
	s.unlock()
`, "Resume starts what waits"},
	{"the end leaves a pool paused", life, `	s.state, s.paused = to, false
`, `	s.state = to
`, "Drain, Close and Shutdown resume"},
	{"CallerRuns runs in a pause", admission, `a.Policy == CallerRuns && s.paused:`, `false:`, "CallerRuns waits for room in a pause"},
	{"an inline call in a pause", worker, `	case s.paused || s.inUse >= s.limit`, `	case s.inUse >= s.limit`, "a paused pool starts nothing"},
	{"Stats does not say that it is paused", life, `		Paused:     s.paused,
`, ``, "Stats.Paused"},
}

// draining: Drain, and the context of WithContext.
var draining = []mutation{
	{"Drain stops", life, `	if s.refuse(Draining, Outcome{}) {
`, `	if s.refuse(Stopping, Outcome{}) {
`, "Drain runs all that was accepted"},
	{"Drain waits", "life.go", `	p.sched.Drain()
}

// Pause keeps`, `	p.sched.Drain()
	<-p.done
}

// Pause keeps`, "Drain does not wait"},
	{"Drain does not tell the groups", life, `	if s.refuse(Draining, Outcome{}) {
		s.endRefusal()
`, `	if s.refuse(Draining, Outcome{}) {
		for s.refuseBlocked() {
		}
		s.EndBackground()
`, "Drain seals batches"},
	{"the end of the pool's context is a plain Stop", "life.go", `Err: p.named(&lifeError{cause}), By`, `Err: ErrStopped, By`, "WithContext: the outcome is the cause, too"},
	{"the end of the pool's context is no Stop", "life.go", `[]error{ErrStopped, e.cause}`, `[]error{e.cause}`, "WithContext: the outcome is ErrStopped, too"},
	{"a pool whose context is done is open", "life.go", `		p.stopFor(caller.Err)
		return
`, `		return
`, "WithContext: done already"},
	{"a pool does not hear of its context", "life.go", `		defer func() { p.stopFor(gone.Err) }() // deferred`, `		defer func() { _ = gone.Err }() // deferred`, "WithContext: its end stops the pool"},
	{"a pool stays registered with its context", "dispatcher.go", `	if p.unwatch != nil {
		p.unwatch()
	}
`, ``, "G12: nothing stays registered with the pool's context"},
	{"what the pool's context has stopped is not given back", "life.go", `Err: p.named(&lifeError{cause}), By: sched.ByPool}`, `Err: &lifeError{cause}}`, "WithContext: the next Stop gives back what never ran"},
}

// prestarting: Prestart.
var prestarting = []mutation{
	{"Prestart makes nothing", "internal/sched/making.go", `	n := min(s.cfg.MinWorkers, s.limit) - (s.workforce - s.leaving)
`, `	n := 0
`, "Prestart makes the minimum"},
	{"Prestart makes one too few", "internal/sched/making.go", `	n := min(s.cfg.MinWorkers, s.limit) - (s.workforce - s.leaving)
`, `	n := min(s.cfg.MinWorkers, s.limit) - (s.workforce - s.leaving) - 1
`, "Prestart makes the minimum"},
	{"Prestart does not see who is there", "internal/sched/making.go", `	n := min(s.cfg.MinWorkers, s.limit) - (s.workforce - s.leaving)
`, `	n := min(s.cfg.MinWorkers, s.limit)
`, "Prestart starts what the minimum is short of"},
	{"Prestart goes beyond the limit", "internal/sched/making.go", `	n := min(s.cfg.MinWorkers, s.limit) - (s.workforce`, `	n := s.cfg.MinWorkers - (s.workforce`, "after a Resize below the minimum, the limit counts"},
	{"Prestart loses the error", "internal/sched/making.go", `		if m.err == nil {
			m.err = err
		}
`, ``, "Prestart returns the first error"},
	{"Prestart on a closed pool", "internal/sched/making.go", `	if s.state != Running {
		return nil, s.cfg.Errors.Closed
	}
	if s.making`, `	if s.state == Ended {
		return nil, s.cfg.Errors.Closed
	}
	if s.making`, "Prestart: s.cfg.Errors.Closed"},
	{"a worker that could not be made stays", "internal/sched/making.go", `		w.broken = true
		if m.err`, `		if m.err`, "Prestart: a failed worker leaves"},
	{"being made takes no place", "internal/sched/making.go", `	s.unmade = n
	s.inUse += n
`, `	s.unmade = n
	s.inUse += 0
`, "being made takes a place"},
}

// blocking: WithMaxBlocked, and what Stats says of those who wait.
var blocking = []mutation{
	{"one submitter too many may wait", admission, `	if s.nblocked >= s.cfg.MaxBlocked && !a.nested() {
`, `	if s.nblocked > s.cfg.MaxBlocked && !a.nested() {
`, "WithMaxBlocked"},
	{"a job that waits for its own pool is turned away", admission, `s.cfg.MaxBlocked && !a.nested() {`, `s.cfg.MaxBlocked {`, "G9: WithMaxBlocked turns no nested job away"},
	{"who is turned away is not counted", admission, `		s.rejected++
		return nil, s.cfg.Errors.QueueFull
	}
	b :=`, `		return nil, s.cfg.Errors.QueueFull
	}
	b :=`, "WithMaxBlocked: Stats.Rejected"},
	{"who waits no more is still counted", admission, `	s.blocked.remove(&b.link)
	s.nblocked--
	b.err = err
`, `	s.blocked.remove(&b.link)
	b.err = err
`, "Stats.Blocked"},
	{"who gives up is not counted", admission, `		s.gaveUp++
		b.task`, `		b.task`, "Stats.GaveUp"},
	{"who gives up as room is made is not counted", admission, `		s.gaveUp++
		s.dismiss(b, b.task.err)`, `		s.dismiss(b, b.task.err)`, "Stats.GaveUp"},
	{"who gives up is still counted as waiting", admission, `		s.nblocked--
		s.gaveUp++
`, `		s.gaveUp++
`, "Stats.Blocked"},
}

// inlining: WithInline.
var inlining = []mutation{
	{"nothing runs inline", worker, `	case s.state != Running:
		return false
	case a.Outer != nil:`, `	case true:
		return false
	case a.Outer != nil:`, "Process runs on its caller's goroutine"},
	{"ProcessTimed runs inline", "process.go", `	if timeout != 0 {
		a.Limit, a.Expired = timeout, c.start(c.task.Limit(timeout))
	} else if p.cfg.inline {`, `	if timeout != 0 {
		a.Limit, a.Expired = timeout, c.start(c.task.Limit(timeout))
	}
	if p.cfg.inline {`, "ProcessTimed never runs inline"},
	{"an inline call past the limit", worker, `	case s.paused || s.inUse >= s.limit ||`, `	case s.paused || s.inUse > s.limit ||`, "G14: never more than N handlers"},
	{"an inline call takes no place", worker, `		s.inUse++
		s.callers++
	}
	t.stage`, `		s.callers++
	}
	t.stage`, "G14: never more than N handlers"},
	{"an inline call keeps its place", worker, `	s.giveUp(&w.Work)
	w.Work = Work{}
}

// Execution`, `	w.Work = Work{}
}

// Execution`, "the place of an inline call is for others when it returns"},
	{"a nested inline call takes a place of its own", worker, `	case a.Outer != nil:
		if !s.borrow`, `	case false:
		if !s.borrow`, "G9: a nested inline call runs on the place of its job"},
	{"the place of a nested inline call is lost", worker, `		w.Work.overLimit, w.Work.lender = true, a.Outer
`, `		w.Work.overLimit = true
`, "G9: the second of several children"},
	{"callers cost idle workers", "internal/sched/dispatch.go", `len(s.idleSince)+s.inUse-s.callers > s.limit }`, `len(s.idleSince)+s.inUse > s.limit }`, "places of callers cost no idle worker"},
	{"a Goexit of an inline handler is lost", "process.go", `			w.exited()
`, ``, "G8: an inline job counts as ErrGoexit"},
	{"an inline handler is late and is not judged", "process.go", `	w.judge(&c.task)
	w.finishInline`, `	w.finishInline`, "the caller of an inline run gets the cause"},
}
