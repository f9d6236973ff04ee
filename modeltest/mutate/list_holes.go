package main

// holes: what the tests once did not see, where the lists beside it do not have it.
var holes = []mutation{
	{"nobody asks workers back from a group", scheduler, `	s.pair()
	s.updatePreempt()
`, `	s.pair()
`, "single jobs take turns with groups"},
	{"workers at a group do not hear of a pause", next, ` || s.inUse > s.limit || s.paused ||`, ` || s.inUse > s.limit ||`, "a paused pool starts nothing"},
	{"the intake opens while a group waits", next, `s.coming == 0 && s.groups.empty() && s.quiescent`, `s.coming == 0 && s.quiescent`, "single jobs take turns with groups"},
	{"the intake opens while a worker is at a group", next, `		s.itemsIn == 0 && s.coming == 0`, `		s.coming == 0`, "single jobs take turns with groups"},
	{"the intake opens while a worker is called to a group", next, `		s.itemsIn == 0 && s.coming == 0`, `		s.itemsIn == 0`, "single jobs take turns with groups"},
	{"the intake is not looked after at unlock", scheduler, `	s.fill()
	s.updateIntake()
`, `	s.fill()
`, "what was left in the intake is run"},
	{"a broken worker keeps its slot", next, `	s.giveUp(&w.Work)
	w.Work.clear()
	if w.broken {`, `	if !w.broken {
		s.giveUp(&w.Work)
	}
	w.Work.clear()
	if w.broken {`, "G8: nobody waits while a broken worker is closed"},
	{"a broken worker takes what comes next", next, `		w.Work.Leave = true
		s.leaving++
		return
	}
	if s.follow(w) {`, `		w.Work.Leave = true
		s.leaving++
	}
	if s.follow(w) {`, "G8: a broken worker is closed"},
	{"a job that was canceled while it waited counts on", task, `	case waiting:
		s.queued--
`, `	case waiting:
`, "Wait does not wait for it"},
	{"Stats counts workers whose item has ended", group, `handling = min(g.holding, claimed)`, `handling = g.active`, "Stats balances"},
	{"a job overtakes what fill has left", admission, `	case !s.free() || s.queued > 0:
`, `	case !s.free():
`, "jobs start in the order in which they were accepted"},
	{"what has a slot gets its worker out of order", queue, `	t := q.granted
	t.stage = handed
`, `	t := q.granted
	if t.next != nil && t.next.stage == granted {
		t = t.next
	}
	t.stage = handed
`, "jobs start in the order in which they were accepted"},
	{"a job is handed over although something waits for a worker", admission, ` && (awaited || s.called == 0) && s.nothingGranted():`, ` && (awaited || s.called == 0):`, "an item is not overtaken by a job on its way to an idle worker"},
	{"a worker goes on with a job although a group waits", next, `	if !s.free() || !s.groups.empty() || !s.blocked.empty() ||`, `	if !s.free() || !s.blocked.empty() ||`, "single jobs take turns with groups"},
	{"a worker goes on with a job although others have a slot", next, `	if s.queue.granted != nil {
		s.takeGranted(w)`, `	if s.queue.granted != nil && !s.anyQueued() {
		s.takeGranted(w)`, "jobs start in the order in which they were accepted"},
	{"a worker goes on with a job although a group has a slot", next, ` || !s.ready.empty() || !s.immediate.empty() {
		return false`, ` || !s.immediate.empty() {
		return false`, "single jobs take turns with groups"},
	{"a worker goes on with a job although a running one waits for other work", next, ` || !s.ready.empty() || !s.immediate.empty() {
		return false`, ` || !s.ready.empty() {
		return false`, "work on top of the limit runs at once"},
	{"a worker goes on without a free slot", next, `	if !s.free() || !s.groups.empty() || !s.blocked.empty() ||`, `	if !s.groups.empty() || !s.blocked.empty() ||`, "G13: Resize takes effect as running jobs end"},
	{"a worker goes on with jobs, and never with groups", next, `	s.turn = true
	s.giveJob(s.dequeue(), w)`, `	s.giveJob(s.dequeue(), w)`, "single jobs take turns with groups"},
	{"an inline job overtakes a job that has a slot", worker, `s.queued+s.granted+s.coming > 0`, `s.queued+s.coming > 0`, "WithInline: where nothing waits"},
	{"an inline job overtakes an item that has a slot", worker, `s.queued+s.granted+s.coming > 0`, `s.queued+s.granted > 0`, "WithInline: where nothing waits"},
	{"an inline job overtakes what has a lent slot", worker, `|| !s.immediate.empty() || !s.groups`, `|| !s.groups`, "WithInline: where nothing waits"},
	{"an inline job runs in a paused pool", worker, `	case s.paused || s.inUse >= s.limit ||`, `	case s.inUse >= s.limit ||`, "a paused pool starts nothing"},
	{"the intake opens for a queue that holds too many", next, `!s.intake.isOpen && s.queued < s.room:`, `!s.intake.isOpen && s.queued != s.room:`, "a queue takes no more than it has room for"},
	{"a group that is over keeps its lenders", group, `		g.lenders.remove(&l.link)
		s.forgetLoan`, `		s.forgetLoan`, "G14: no batch is kept by the job that has read it"},
	{"a job that is brought forward keeps its room", nest, `	s.queued--
	s.queue.claim(t)
	s.startOverLimit`, `	s.queue.claim(t)
	s.startOverLimit`, "who waits for room is let in"},
	{"a loan brings in a job whose context is done", nest, ` || s.state != Running || !b.task.accept() {`, ` || s.state != Running {`, "a job whose context ends while it waits for room is not accepted"},
	{"a loan brings in a job that is in", nest, `	if !b.link.listed() || s.state`, `	if s.state`, "a job is accepted once"},
	{"a loan brings in a job of a pool that has closed", nest, ` || s.state != Running || !b.task`, ` || !b.task`, "G11: a pool that closes takes no more"},
	{"a loan brings forward a job that was canceled", nest, `	if t.stage != waiting || t.phase.Load() != accepted {`, `	if t.stage != waiting {`, "G4: a canceled job never runs"},
	{"a loan brings forward a job that has a slot", nest, `	if t.stage != waiting || t.phase.Load() != accepted {`, `	if t.phase.Load() != accepted {`, "a job has one slot"},
	{"an idle worker keeps its run", group, `	w.run = nil
	r.Task.phase.Store(returned)`, `	r.Task.phase.Store(returned)`, "G14: nothing is kept by an idle worker"},
	{"an idle worker keeps the job that it has executed", worker, `	e.task, e.endGrace = nil, nil
`, `	e.endGrace = nil
`, "G10: the grace of a worker that is idle does not abandon it"},
	{"the ring keeps what is gone", queue, `	r.works[r.head] = Work{}
	if r.head++;`, `	if r.head++;`, "G14: nothing is kept of what was delivered"},
	{"the ring keeps what it has moved", queue, `		clear(r.works[n:])
`, ``, "G14: nothing is kept of what was delivered"},
	{"an item of a halted group is started", group, `	if r.Task.Resolved() {
		return false
	}
	r.starting = false
	if w.exec`, `	r.starting = false
	if w.exec`, "G4: a canceled batch starts nothing"},
	{"a call with the context of a job that has returned comes from within it", admission, `c.task.s == s && !c.over() {`, `c.task.s == s {`, "a call with such a context is any other's"},
	{"a job that has returned lends its slot", nest, `	if c.over() { // its`, `	if false { // its`, "G9: the loan of a job is over when its handler returns"},
	{"a job whose context was asked for Done never returns", ctx, `	return std == &finished || std != nil && std.returned.Load()`, `	return std == &finished`, "G9: the loan of a job is over when its handler returns"},
}
