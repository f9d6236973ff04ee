package main

import "slices"

// mutations are the faults that pools have had, put into this one.
var mutations = slices.Concat(meeting, room, ending, contexts, running, sharing, reading, streaming, lifecycle,
	bounding, pausing, draining, prestarting, blocking, inlining, watching, measuring, holes)

const (
	admission = "internal/sched/admission.go"
	ctx       = "internal/sched/context.go"
	guard     = "internal/sched/guard.go"
	group     = "internal/sched/group.go"
	life      = "internal/sched/life.go"
	nest      = "internal/sched/nest.go"
	next      = "internal/sched/next.go"
	queue     = "internal/sched/queue.go"
	scheduler = "internal/sched/scheduler.go"
	task      = "internal/sched/task.go"
	watch     = "internal/sched/watch.go"
	worker    = "internal/sched/worker.go"
)

// meeting: how jobs and workers come together.
var meeting = []mutation{
	{"nobody calls the dispatcher", scheduler, `	s.checkDispatcher()
`, ``, "a job is queued while a worker could take it"},
	{"nothing is granted at unlock", scheduler, `	s.fill()
	s.updateIntake()
`, `	s.updateIntake()
`, "what happens to a job does not depend on whether the dispatcher has run yet"},
	{"nobody looks at the intake", next, `	if s.queued == 0 && s.intake.isOpen {`, `	if false {`, "what was left in the intake is run"},
	{"the intake stays open", queue, `	i.isOpen = stay && came > 0
`, `	i.isOpen = true
`, "a job is left in the intake while a worker could take it"},
	{"the intake does not close", next, `	case !wait && s.intake.isOpen:
		s.closeIntake()
		s.fill()
`, `	case !wait && s.intake.isOpen:
`, "a job is left in the intake while a worker could take it"},
	{"Stats does not look at the intake", life, `	s.closeIntake()
	now := Snapshot{`, `	now := Snapshot{`, "Stats: what was accepted is submitted and queued"},
	{"the intake opens while Wait waits", next, ` && s.quiescent == nil && s.blocked.empty()
`, ` && s.blocked.empty()
`, "Wait waits for a job that came while it waited"},
	{"the intake opens beside a group", next, `		s.itemsIn == 0 && s.coming == 0 && s.groups.empty() && s.quiescent`, `		s.quiescent`, "single jobs take turns with groups"},
	{"a worker looks into its hand at once", worker, `	if w.parked {
		<-w.inbox`, `	if w.parked && w.Work == (Work{}) {
		<-w.inbox`, "one token for each claim"},
	{"the last idle worker is in the channel too", next, `		s.lastIdle = w
		return
	}
	s.stand(w)
`, `		s.lastIdle = w
	}
	s.stand(w)
`, "a worker has one job at a time"},
	{"one worker too many", next, `	return s.inUse < s.limit && !s.paused`, `	return s.inUse <= s.limit && !s.paused`, "G14: never more than N handlers"},
	{"last in, first out", next, `	t := s.queue.first
	s.queued--
`, `	t := s.queue.first
	for n := t; n != nil; n = n.next {
		if n.stage == waiting {
			t = n
		}
	}
	s.queued--
`, "jobs start in submit order"},
	{"groups first", next, `		s.turn = false
		s.grantGroup`, `		s.turn = true
		s.grantGroup`, "a batch does not starve single jobs"},
	{"single jobs first", next, `		s.turn = true
		s.grantJob(`, `		s.turn = false
		s.grantJob(`, "single jobs do not starve a batch"},
	{"one group first", next, `	s.groups.remove(&g.link) // to the end, if it wants more
	if g.wants() > 0 {
		s.groups.push(&g.link, g)
	}
`, `	if g.wants() <= 0 {
		s.groups.remove(&g.link)
	}
`, "batches take turns"},
	{"a group takes all that is free", next, `	if s.queued == 0 && s.groups.single() && s.blocked.empty() {
		n = `, `	if true {
		n = `, "groups and single jobs take turns"},
	{"a called worker does not call the next", next, `		w.called = false
		s.called--
`, `		w.called = false
`, "no input waits while a worker is idle"},
	{"a worker that is called to a job does not say that it has come", worker, `		if w.called && w.Work.Group == nil {`, `		if false {`, "a job is queued while a worker could take it"},
	{"every job wakes a worker", admission, `(awaited || s.called == 0)`, `true`, "a worker that is called calls the next"},
	{"an awaited job calls its worker", admission, `		if awaited {`, `		if false {`, "an awaited job is handed over though a worker is on its way"},
	{"idle workers leave although a called one would call them", "internal/sched/dispatch.go", ` || s.called > 0 && s.waits():`, `:`, "idle workers stay for what they are about to be called to"},
	{"what a running job waits for waits for the called worker", next, `	if s.called > 0 && s.immediate.empty() ||`, `	if s.called > 0 ||`, "what a running job waits for is called a worker at once"},
	{"an idle worker ends a registration", group, `		Go(end)
`, `		end()
`, "G17: a worker is idle only when it is"},
	{"workers go to jobs first", next, `		s.groupNext = true
`, ``, "jobs and groups take turns for workers"},
	{"workers go to groups first", next, `		s.groupNext = false
`, ``, "jobs and groups take turns for workers"},
	{"a granted job that ends leaves its place to nobody", queue, `	if q.granted == t {
		q.advanceGranted()
	}
`, ``, "what ends before it starts frees its slot at once"},
	{"a lent slot is taken for one within the limit", queue, ` && (t.stage != granted || t.overLimit) {`, ` && t.stage != granted {`, "work on top of the limit runs at once"},
	{"a job does not overtake a crowd", next, `		(s.queued > 0 || !s.blocked.empty() ||`, `		(!s.blocked.empty() ||`, "a single job does not wait for a whole batch"},
	{"a blocked submitter does not stop a crowd", next, `(s.queued > 0 || !s.blocked.empty() || s.inUse`, `(s.queued > 0 || s.inUse`, "a submitter that waits for room does not wait for a whole batch"},
	{"a crowd does not hear of Resize", next, ` || s.inUse > s.limit || s.paused || s.othersWant())`, ` || s.paused || s.othersWant())`, "G13: as jobs end downwards"},
	{"a crowd does not hear of other groups", next, ` || s.paused || s.othersWant())`, ` || s.paused)`, "batches take turns"},
	{"a worker does not give way", "group.go", `r.single || s.Preempt() {`, `r.single {`, "a batch does not starve others, and hears of Resize"},
	{"a careful worker does not give way", group, `	next = more && !s.preempt.Load() && s.state`, `	next = more && s.state`, "a batch does not starve others, and hears of Resize"},
	{"no theft between spans", "group.go", `		for range c.spans {
			if r.span`, `		for range 1 {
			if r.span`, "no input waits while a worker is idle"},
	{"slots of an exhausted group are kept", group, `		g.s.inUse -= g.coming
`, ``, "slots come back"},
	{"an exhausted group keeps its slots", "group.go", `			g.Exhausted()
`, ``, "no job waits while a slot is free"},
	{"a worker keeps the slot of what was settled", next, `	case w.Task != nil && w.Task.stage == released:
		s.returning--
`, `	case w.Task != nil && w.Task.stage == released:
		s.returning--
		s.inUse--
`, "a slot is given back once"},
	{"workers never expire", "internal/sched/dispatch.go", `	return s.crowded() || !s.timed && s.aboveMinimum()
`, `	return s.crowded()
`, "an idle pool holds no goroutine"},
	{"the minimum is not kept", "internal/sched/dispatch.go", `	case !s.aboveMinimum():
		return false, 0
`, ``, "WithMinWorkers"},
	{"surplus workers stay", "internal/sched/dispatch.go", `	case s.state != Running || s.crowded():
`, `	case s.state != Running:
`, "G13: fewer workers as jobs end"},
	{"a broken worker is counted on", next, `		w.Work.Leave = true
		s.leaving++
		return
`, `		w.Work.Leave = true
		return
`, "a worker that is being closed is not among those kept"},
}

// room: who is let in.
var room = []mutation{
	{"one place too many", admission, `s.state == Running && s.queued < s.room+`, `s.state == Running && s.queued <= s.room+`, "N workers and a queue of Q take N+Q jobs"},
	{"one place too few", admission, `s.state == Running && s.queued < s.room+`, `s.state == Running && s.queued+1 < s.room+`, "nobody is refused while a place is free"},
	{"handlers charged to the queue", admission, `s.queued < s.room+max(s.limit-s.inUse, 0)`, `s.queued+s.inUse < s.room+s.limit`, "after a Resize downwards the queue is still there"},
	{"the intake has too much room", next, `		s.intake.start(s.room - s.queued)
`, `		s.intake.start(s.room - s.queued + 1)
`, "N workers and a queue of Q take N+Q jobs"},
	{"the intake opens on a queue that is over-full", next, `!s.intake.isOpen && s.queued < s.room:`, `!s.intake.isOpen && s.queued != s.room:`, "a queue that holds too many takes no more"},
	{"the intake counts the room before the jobs that came", queue, `	i.came, i.room = 0, room-came
`, `	i.came, i.room = 0, room
`, "N workers and a queue of Q take N+Q jobs"},
	{"blocked submitters are forgotten", next, `		if !s.blocked.empty() && s.hasCapacity() {
			s.admitBlocked()
		} else if`, `		if`, "blocked submitters wake when there is room"},
	{"who comes later is let in first", admission, `	case s.hasCapacity() && s.blocked.empty():`, `	case s.hasCapacity():`, "submitters are let in in order"},
	{"a blocked job that was canceled is run", admission, `	if b.task.Resolved() {
		s.gaveUp++`, `	if false {
		s.gaveUp++`, "a job whose context ends while it waits for room is not accepted"},
	{"no second look after a wait for room", admission, `	if b.err == nil {
		s.complete(b.task, gone)
	}
	return b.err
`, `	if b.err == nil {
		s.complete(b.task, gone)
		return gone.Err
	}
	return b.err
`, "G2: refused and run at the same time"},
	{"room that came too late is not used up", admission, `	if b.err == nil {
		s.complete(b.task, gone)
	}
`, ``, "G4: a job whose context is done does not run"},
	{"the newest is dropped", admission, `		oldest := s.queue.first
		s.enqueue(t, a.Waits) // before the drop, so that nobody else takes the room it makes
`, `		s.enqueue(t, a.Waits)
		oldest := t
`, "DropOldest drops the oldest"},
	{"a job is dropped that has a slot", admission, `		oldest := s.queue.first
		s`, `		oldest := s.queue.head
		s`, "a job that has a slot is not dropped"},
	{"CallerRuns does not wait", "process.go", `	if a.Immediate {
		_ = j.task.Wait(ctx)
	}
`, ``, "CallerRuns: the caller waits"},
	{"a refused submit leaves its watch", "process.go", `		j.task.Unwatch()
		return nil, err
`, `		return nil, err
`, "a refused submit leaves no registration"},
	{"refusals are not counted", admission, `	s.rejected++
	return nil, s.cfg.Errors.QueueFull
}

// hasCapacity`, `	return nil, s.cfg.Errors.QueueFull
}

// hasCapacity`, "Stats.Rejected"},
	{"a canceled job keeps its room", task, `	case waiting:
		s.queued--
	case granted:`, `	case waiting:
		t.s.queued += 0
	case granted:`, "blocked submitters wake when a queued job was canceled"},
	{"a canceled job keeps its slot until its worker wakes", task, `	if t.stage == released || t.stage == withdrawn && !t.overLimit {`, `	if t.stage == withdrawn && !t.overLimit {`, "a slot is free when its job has been canceled"},
	{"a canceled job that was granted keeps its slot", task, `	if t.stage == released || t.stage == withdrawn && !t.overLimit {`, `	if t.stage == released {`, "a slot is free when its job has been canceled"},
}

// ending: how one job gets its one outcome.
var ending = []mutation{
	{"two decide an outcome", task, `	return t.phase.CompareAndSwap(running, completing) || t.phase.CompareAndSwap(accepted, completing)
`, `	t.phase.Store(completing)
	return true
`, "G2: exactly one outcome"},
	{"outcome counted twice", worker, `	if decided {
		if o.Kind != Succeeded {`, `	s.ended[o.Kind]++
	if decided {
		s.ended[o.Kind]--
		if o.Kind != Succeeded {`, "G2: exactly one outcome"},
	{"a settled job is entered", task, `func (t *Task) Enter() bool { return t.phase.CompareAndSwap(accepted, running) }`, `func (t *Task) Enter() bool { t.phase.CompareAndSwap(accepted, running); return true }`, "G4: done before the start, never runs"},
	{"a token is left in a waiter", task, `	if mine && !t.waitNoMore(w.Ch) {
		<-w.Ch // the token is on its way
	}
`, `	if mine {
		t.waitNoMore(w.Ch)
	}
`, "the next wait of somebody else ends at once"},
	{"a resolved future does not answer a done context", task, `	if t.Resolved() {
		return nil
	}
	s := t.s
`, `	s := t.s
`, "a resolved future answers whatever ctx says"},
	{"Done is not told", task, `	if t.extra != nil && t.extra.done != nil {
		t.s.after.add(closing(t.extra.done))
	}
`, ``, "Future.Done"},
	{"a waiter is not told of a cancel", task, `	t.tell()
	if t.exec != nil {`, `	if t.exec != nil {`, "G4: the caller gets its answer at once"},
	{"an interrupt is not passed on", task, `	if t.exec != nil {
		t.exec.interrupt(t)
	}
`, ``, "a Worker is interrupted"},
	{"a job whose context is done starts", ctx, `	if !t.endless && t.s.cfg.Guard.Err(c.caller) != nil {`, `	if false {`, "G4: done before the start, never runs"},
	{"a late result is taken", ctx, `	if c.deadline != 0 && t.s.Since() >= c.deadline {`, `	if false {`, "G6: a late result is dropped"},
	{"a late result of an item is taken", "worker.go", `if r.Task.Overran() {`, `if false {`, "G6: a late result is dropped"},
	{"an item gives way to the end of its batch", task, `	return t.Resolved() && t.ctx.deadline != 0 && t.s.Since() >= t.ctx.deadline
`, `	return t.Resolved() && t.ctx.deadline != 0
`, "an item that runs has its handler's outcome"},
	{"a cause that the handler returns", ctx, ` || errors.Is(err, o.Err) {`, ` {`, "a handler that returns the cause of its context has not failed"},
	{"a timeout comes early", task, `	return t.ctx.deadline - now
`, `	return t.ctx.deadline - now - 1
`, "G6: never early"},
	{"a timeout does not say that the job ran", task, `		t.err = t.s.cfg.Timeout(o.Limit, ran)
`, `		t.err = t.s.cfg.Timeout(o.Limit, false)
`, "TimeoutError.Ran"},
	{"a limit of zero is none", "timeout.go", `	if timeout <= 0 {
`, `	if timeout < 0 {
`, "G6: a limit of zero is a timeout"},
	{"the tie of WithJobTimeout with ProcessTimed", worker, `t.ctx.deadline <= due`, `t.ctx.deadline < due`, "the limit of the call is told where both pass at once"},
	{"a deadline of the caller's switches a limit off", ctx, `	return max(ours, saturate(theirs, slack))
`, `	return 1 << 62
`, "G6: a context that does not end at its deadline"},
	{"a deadline counts as canceled", guard, `			o.Kind = TimedOut
`, ``, "Stats: a caller's deadline counts as TimedOut"},
	{"an input is kept by a canceled job", "future.go", `	if !keep {
		j.in = *new(In)
	}
`, ``, "G14: nothing keeps an input alive"},
	{"an input is kept by a job that failed before its start", "worker.go", `		j.in, j.out = *new(In), w.out
`, `		j.out = w.out
`, "G14: nothing keeps an input alive"},
	{"an input is kept by a running job", "worker.go", `		*in = *new(In) // the future may outlive the handler by far
`, ``, "G14: nothing keeps an input alive"},
	{"an output is kept by a job that is used again", "process.go", `		c.out = *new(Out)
		p.idleJobs.Put(c)
`, `		p.idleJobs.Put(c)
`, "G14: nothing keeps an output alive"},
	{"a job that others have settled is used again", task, `	return t.phase.Load() == returned && !t.byOthers && !t.watching &&
`, `	return t.phase.Load() == returned &&
`, "G2: exactly one outcome"},
	{"a future keeps its caller's context", task, `	if t.job != nil && (t.stage == waiting || t.stage == withdrawn) {
		t.ctx = nil
	}
`, ``, "G14: a future keeps not its caller's context"},
}
