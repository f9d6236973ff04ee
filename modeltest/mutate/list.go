package main

import "slices"

// mutations are the faults that pools have had, put into this one.
var mutations = slices.Concat(meeting, ending, running, sharing, lifecycle)

// meeting: how jobs and workers come together.
var meeting = []mutation{
	{"no wake-up for a queued job", "room.go", `	p.queued++
	if p.active < p.limit {
		p.poke()
	}
`, `	p.queued++
`, "a job is queued while a worker could take it"},
	{"no wake-up by Resize", "lifecycle.go", `	p.checkCrowd()
	p.poke()
	p.mu.Unlock()
	return nil
`, `	p.checkCrowd()
	p.mu.Unlock()
	return nil
`, "G13: more places are used at once"},
	{"no room after a run", "worker.go", `	p.admit()
	if w.broken {
`, `	if w.broken {
`, "blocked submitters wake when a job has ended"},
	{"no room after a cancel", "future.go", `		p.queued--
		p.admit()
	} else {
`, `		p.queued--
	} else {
`, "blocked submitters wake when a queued job was canceled"},
	{"one place too many", "ledger.go", `l.queued < l.room+max(l.limit-l.active, 0)`, `l.queued <= l.room+max(l.limit-l.active, 0)`,
		"N workers and a queue of Q take N+Q jobs"},
	{"one place too few", "ledger.go", `l.queued < l.room+max(l.limit-l.active, 0)`, `l.queued+1 < l.room+max(l.limit-l.active, 0)`,
		"nobody is refused while a place is free"},
	{"handlers charged to the queue", "ledger.go", `l.queued < l.room+max(l.limit-l.active, 0)`, `l.queued+l.active < l.room+l.limit`,
		"after a Resize downwards the queue is still there"},
	{"one worker too many", "dispatcher.go", `	if p.active < p.limit {
		if w, ok = p.claim(); ok {
`, `	if p.active <= p.limit {
		if w, ok = p.claim(); ok {
`, "G14: never more than N handlers"},
	{"last in, first out", "dispatcher.go", `j := p.queue.head.elem`, `j := p.queue.tail.elem`, "jobs start in submit order"},
	{"the newest is dropped", "room.go", `		old := p.queue.head.elem
		p.submitted++
`, `		old := p.queue.tail.elem
		p.submitted++
`, "DropOldest drops the oldest"},
	{"batches first", "dispatcher.go", `		p.turnSrc = false
`, `		p.turnSrc = true
`, "a batch does not starve single jobs"},
	{"single jobs first", "dispatcher.go", `		p.turnSrc = true
		return work[In, Out]{job: j}, true
`, `		p.turnSrc = false
		return work[In, Out]{job: j}, true
`, "single jobs do not starve a batch"},
	{"one batch first", "dispatcher.go", `			p.nextSrc++
			return w, true
`, `			return w, true
`, "batches take turns"},
	{"a Map does not give way", "map.go", `		ok := !m.pool.heed.Load()
`, `		ok := true
`, "a Map does not starve others, and hears of Resize"},
	{"no theft between spans", "map.go", `	for range m.spans {
		if index, ok = m.spans[s].claim(); ok {
`, `	for range 1 {
		if index, ok = m.spans[s].claim(); ok {
`, "no input waits while a worker is idle"},
	{"a full channel holds a worker", "deliver.go", `b.sent < cap(b.results)`, `b.sent <= cap(b.results)`,
		"G12: a slow reader of Results stops nobody"},
	{"workers never expire", "dispatcher.go", ` || !p.timed && p.aboveMinimum()`, ``, "an idle pool holds no goroutine"},
	{"the minimum is not kept", "dispatcher.go", `	case !p.aboveMinimum():
		return false, 0
`, ``, "WithMinWorkers"},
}

// ending: how one job gets its one outcome.
var ending = []mutation{
	{"outcome counted twice", "worker.go", `	if !t.resolved() {
		j.in, j.out = *new(In), out
`, `	if true {
		j.in, j.out = *new(In), out
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
	{"a late result is taken", "worker.go", `		*out, *v = *new(Out), verdict{kind: t.kind, err: t.err}
`, ``, "G6: a late result is dropped"},
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
