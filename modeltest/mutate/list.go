package main

import "slices"

// mutations are the faults that pools have had, put into this one.
var mutations = slices.Concat(meeting, ending, running, sharing, lifecycle)

// meeting: how jobs and workers come together.
var meeting = []mutation{
	{"no wake-up for a queued job", "door.go", `		if p.queued > 0 {
			p.poke()
		}
`, ``, "a job is queued while a worker could take it"},
	{"nobody looks at the door", "dispatcher.go", `p.queued == 0 && p.door.unlocked {`, `false {`, "what was left at the door is run"},
	{"the door stays open", "door.go", `	d.unlocked = stay && d.came > 0
`, `	d.unlocked = true
`, "a job is left at the door while a worker could take it"},
	{"the door has too much room", "door.go", `	default:
		d.mu.Lock()
		d.room = p.room - p.queued
`, `	default:
		d.mu.Lock()
		d.room = p.room
`, "N workers and a queue of Q take N+Q jobs"},
	{"Stats does not look at the door", "stats.go", `	defer p.mu.Unlock()
	p.shutDoor()
`, `	defer p.mu.Unlock()
`, "Stats: what was accepted is submitted and queued"},
	{"Close does not look at the door", "lifecycle.go", `	p.shutDoor()
	p.state = Draining
`, `	p.state = Draining
`, "G11: a submit after Close is refused"},
	{"Wait does not look at the door", "lifecycle.go", `	p.mu.Lock()
	p.shutDoor()
	if !p.unfinished() {`, `	p.mu.Lock()
	if !p.unfinished() {`, "Wait returns when nothing is queued or running, and no later"},
	{"a worker looks into its hand at once", "worker.go", `		if w.idle {
			if !w.warm`, `		if w.idle && w.hand.job == nil {
			if !w.warm`, "one token for each claim"},
	{"the warm worker is in the channel too", "worker.go", `			if !w.warm {
				w.pool.workers <- w
			}
`, `			w.pool.workers <- w
`, "a worker has one job at a time"},
	{"no wake-up by Resize", "lifecycle.go", `	p.checkCrowd()
	p.poke()
	p.mu.Unlock()
	return nil
`, `	p.checkCrowd()
	p.mu.Unlock()
	return nil
`, "G13: more places are used at once"},
	{"no room after a run", "worker.go", `	p.admit()
	w.hand = work[In, Out]{}
`, `	w.hand = work[In, Out]{}
`, "blocked submitters wake when a job has ended"},
	{"no room after a cancel", "future.go", `		p.queued--
		p.admit()
	}
}
`, `		p.queued--
	}
}
`, "blocked submitters wake when a queued job was canceled"},
	{"one place too many", "ledger.go", `l.queued < l.room+max(l.limit-l.active, 0)`, `l.queued <= l.room+max(l.limit-l.active, 0)`,
		"N workers and a queue of Q take N+Q jobs"},
	{"one place too few", "ledger.go", `l.queued < l.room+max(l.limit-l.active, 0)`, `l.queued+1 < l.room+max(l.limit-l.active, 0)`,
		"nobody is refused while a place is free"},
	{"handlers charged to the queue", "ledger.go", `l.queued < l.room+max(l.limit-l.active, 0)`, `l.queued+l.active < l.room+l.limit`,
		"after a Resize downwards the queue is still there"},
	{"one worker too many", "dispatcher.go", `p.active < p.limit && p.claim(w)`, `p.active <= p.limit && p.claim(w)`, "G14: never more than N handlers"},
	{"last in, first out", "dispatcher.go", `j := p.queue.first.elem`, `j := p.queue.jobs.tail.elem`, "jobs start in submit order"},
	{"the newest is dropped", "room.go", `		old := p.queue.first.elem
		p.submitted++
`, `		old := p.queue.jobs.tail.elem
		p.submitted++
`, "DropOldest drops the oldest"},
	{"batches first", "dispatcher.go", `		p.turnSrc = false
`, `		p.turnSrc = true
`, "a batch does not starve single jobs"},
	{"single jobs first", "dispatcher.go", `		p.turnSrc = true
		w.job = j
`, `		p.turnSrc = false
		w.job = j
`, "single jobs do not starve a batch"},
	{"one batch first", "dispatcher.go", `			p.nextSrc++
			return true
`, `			return true
`, "batches take turns"},
	{"a Map does not give way", "map.go", `		ok := !m.pool.heed.Load()
`, `		ok := true
`, "a Map does not starve others, and hears of Resize"},
	{"no theft between spans", "map.go", `	for range m.spans {
		if index, ok = m.spans[s].claim(); ok {
`, `	for range 1 {
		if index, ok = m.spans[s].claim(); ok {
`, "no input waits while a worker is idle"},
	{"a batch does not give way", "deliver.go", `if b.pool.heed.Load() || t.resolved() {`, `if t.resolved() {`,
		"a batch does not starve others, and hears of Resize"},
	{"a full channel holds a worker", "deliver.go", `	select {
	case o.results <- it.result():
		return true
	default:
		return false
	}
`, `	o.results <- it.result()
	return true
`,
		"G12: a slow reader of Results stops nobody"},
	{"workers never expire", "dispatcher.go", ` || !p.timed && p.aboveMinimum()`, ``, "an idle pool holds no goroutine"},
	{"the minimum is not kept", "dispatcher.go", `	case !p.aboveMinimum():
		return false, 0
`, ``, "WithMinWorkers"},
}

// ending: how one job gets its one outcome.
var ending = []mutation{
	{"outcome counted twice", "worker.go", `	if !t.resolved() {
		j.in, j.out = *new(In), w.out
`, `	if true {
		j.in, j.out = *new(In), w.out
`, "G2: exactly one outcome"},
	{"a token is left in a waiter", "future.go", `		if signal == w.ch && !mine {
			<-w.ch // on its way
		}
`, ``, "the next wait of somebody else ends at once"},
	{"no second look after a wait for room", "room.go", `	if waits {
		return gone.err
	}
`, `	if waits || true {
		return gone.err
	}
`, "G2: refused and run at the same time"},
	{"a done context starts a job", "context.go", `	return t.late() && (`, `	return false && (`, "G4: done before the start, never runs"},
	{"a registration is kept by a queued job", "context.go", `		t.unwatch()
		t.ledger.endErrand()
`, `		t.ledger.endErrand()
`, "G12: nothing stays registered with the caller's context"},
	{"a registration is kept by a run", "context.go", `		std.cancel(t.cause())
	}
	if t.unwatch != nil {
		t.unwatch()
	}
`, `		std.cancel(t.cause())
	}
`, "G12: nothing stays registered with the caller's context"},
	{"a settled job's context is not looked at again", "context.go", `	if t.resolved() {
		std.cancel(t.cause())
	}
	return std
`, `	return std
`, "G3: the handler is told, however late it asks"},
	{"the context does not say why", "context.go", `	if t.resolved() && (t.kind == canceled || t.kind == timedOut) {
		return t.err
	}
	return nil
`, `	return nil
`, "G3: context.Cause says which"},
	{"a timeout comes early", "pool.go", `w.start(timeout)`, `w.start(timeout-1)`, "G6: never early"},
	{"a limit of zero is none", "timeout.go", `	if timeout <= 0 {
`, `	if timeout < 0 {
`, "G6: a limit of zero is a timeout"},
	{"a deadline counts as canceled", "ledger.go", `		v.kind = timedOut
	}
	return v
`, `	}
	return v
`, "Stats: a caller's deadline counts as TimedOut"},
	{"a late result is taken", "worker.go", `		w.fail(verdict{kind: t.kind, err: t.err})
	}
}
`, `	}
}
`, "G6: a late result is dropped"},
	{"a handler that asks late is told another reason", "context.go", `	if std == nil && t.claimed && !t.byCaller {
`, `	if false {
`, "G3: context.Cause says which"},
	{"what waits is told last", "context.go", `	if waiter != nil {
		waiter <- struct{}{} // has room: there is one token for each wait
	}
	if t.unwatch != nil {
		t.unwatch()
		t.ledger.endErrand()
	}
`, `	if t.unwatch != nil {
		t.unwatch()
		t.ledger.endErrand()
	}
`, "a waiter is told"},
}
