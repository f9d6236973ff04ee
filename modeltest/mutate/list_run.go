package main

// running: workers, interrupts, strays and lent places.
var running = []mutation{
	{"Goexit loses the worker", "worker.go", `			w.afterGoexit()
			go w.loop()
`, `			w.afterGoexit()
`, "G8: the worker is replaced"},
	{"Goexit reads as success", "worker.go", `verdict{kind: failed, err: ErrGoexit}`, `verdict{}`, "G8: ErrGoexit"},
	{"a panic loses its stack", "panic.go", `&PanicError{Value: r, Stack: debug.Stack()}`, `&PanicError{Value: r}`, "G7: the panicking goroutine's stack"},
	{"a panic is not reported", "worker.go", `		w.pool.report(w.caught)
`, ``, "G7: a panic that nobody waits for is not lost"},
	{"an interrupt for whatever runs", "timeout.go", `	if s.run != run || !s.entered {
`, `	if !s.entered {
`, "G5: interrupts stay with their job"},
	{"an interrupt outlives its job", "timeout.go", `	if hooking != nil {
		<-hooking
	}
`, `	_ = hooking
`, "G5: over before the worker's next call"},
	{"a timer for whatever runs", "timeout.go", `	if t == nil || s.due == 0 || now < s.due {
`, `	if t == nil || now < 0 {
`, "G5: a limit of job A is never seen by job B"},
	{"no interrupt", "timeout.go", `		s.interrupted = true
		s.ledger.errands++
		go s.callHook(run)
`, `		s.interrupted = true
`, "a Worker is interrupted"},
	{"the grace of another run", "stray.go", `w.seat.task == nil || w.seat.run != run`, `w.seat.task == nil`, "G5, G10: a grace that is over does not write off the next run"},
	{"strays are not paid back", "worker.go", `		p.strays--
		p.strayRoom.Release(1)
`, `		p.strays--
`, "G10: at most so many strays at a time, not in all"},
	{"a stray keeps its place", "stray.go", `	if !w.vacate() {
		p.active--
	}
`, `	w.vacate()
`, "G10: a new worker takes its place"},
	{"no place is lent", "nest.go", `	for i, x := range t.loan.waits {
		if x.forward(t) {
`, `	for i, x := range t.loan.waits {
		if false && x.forward(t) {
`, "G9: nesting cannot deadlock"},
	{"a place is lent twice", "nest.go", `			t.loan.used = true
			// The others`, `			// The others`, "G14: one more run for a job that waits"},
	{"a lent place is not used again", "worker.go", `		t.loan.used = false
		w.pool.useLoan(t)
`, `		t.loan.used = false
`, "G9: the second of several children"},
	{"nesting ends at another pool", "nest.go", `		ctx = t.caller
	}
`, `		return nil
	}
`, "G9: also through a second pool and back"},
	{"a Worker is not closed", "worker.go", `func (w *worker[In, Out]) quit() {
	w.dismiss()
`, `func (w *worker[In, Out]) quit() {
`, "Close is called after a Worker's last job"},
	{"a broken Worker goes on", "worker.go", `w.broken = false, w.pool.newWorker != nil`, `w.broken = false, false`, "a Worker whose Process called Goexit is replaced"},
}

// sharing: batches, maps and streams.
var sharing = []mutation{
	{"a sealed batch with one item left is forgotten", "deliver.go", `!b.sealed && b.progress.Done == b.progress.Total &&`, `b.left.Load() == 1 &&`,
		"G4, G11: its context and Stop reach the last item"},
	{"results leave out what came before", "deliver.go", `		if it.state.CompareAndSwap(told, sent) {
			o.results`, `		if false {
			o.results`, "Results: every outcome, also those that were there before"},
	{"an outcome is sent twice", "deliver.go", `o != nil && !it.state.CompareAndSwap(told, sent)`, `false`, "Results: every outcome once"},
	{"an outcome overtakes those that wait", "deliver.go", `o != nil && (o.busy.Load() || !o.offer(it))`, `o != nil && !o.offer(it)`, "Results: in the order in which they come"},
	{"a stay's outcomes are not counted", "deliver.go", `	b.progress.Done += n
	return n
`, `	return n
`, "Progress: Done is Total in the end"},
	{"progress forgets what is not counted", "share.go", `	return handling, claimed - handling
`, `	return handling, 0
`, "Progress: what has its outcome is done"},
	{"a lent place is kept", "share.go", ` && !w.hand.extra`, ``, "G14: a loan ends with the wait"},
	{"the pool ends before its batches", "lifecycle.go", `	p.errands++
	p.poke()
	p.mu.Unlock()

	p.cancelCtx(ErrStopped)
	for _, announce := range announces {
		announce()
	}
	p.endErrand()
`, `	p.poke()
	p.mu.Unlock()

	p.cancelCtx(ErrStopped)
	for _, announce := range announces {
		announce()
	}
`, "G12: no registration after Done"},
	{"an item is claimed twice", "item.go", `		if c.next.CompareAndSwap(i, i+1) {
`, `		c.next.Store(i + 1)
		if true {
`, "G2: exactly one outcome"},
	{"a reader that comes late is not told", "deliver.go", `	if b.awaited.Load() {
		b.tellReaders(it)
	}
`, ``, "All: each as soon as it can be given"},
	{"a break does not cancel", "batch.go", `			if !complete {
				b.Cancel() //`, `			if !complete && false {
				b.Cancel() //`, "a break cancels the rest"},
	{"one reader is told", "batch.go", `		if r.index != it.index {
			return false
		}
`, `		if r.index != it.index || r != b.readers[0] {
			return false
		}
`, "two loops over All"},
	{"only a handler's error stops", "deliver.go", `kind != succeeded && b.cfg.stopOnError`, `kind == failed && b.cfg.stopOnError`, "StopOnError: a panic, a timeout"},
	{"the first success does not stop", "deliver.go", `kind == succeeded && b.cfg.stopOnSuccess || `, ``, "StopOnSuccess"},
	{"an item's limit reaches the next", "share.go", `w.hand.source == last && w.pool.cfg.jobTimeout == 0`, `w.hand.source == last`, "G5: items with a limit have a context each"},
	{"progress is not told to the end", "progress.go", `	more = !b.told || b.reported != now
`, `	more = !b.told
`, "OnProgress: a last call with Done == Total"},
	{"a stray of a Map is counted twice", "map.go", `	if !w.isStray() {
		m.crew.hands--
	}
`, `	m.crew.hands--
`, "G15: counters never fall"},
	{"a failed Map goes on", "map.go", `	_, announce = m.halt(verdict{kind: canceled, err: context.Canceled})
	return announce
`, `	return nothing
`, "the first error cancels the rest"},
	{"a stream leaves its jobs", "stream.go", `		defer s.cancel()
`, ``, "what a broken stream has not yielded is canceled"},
	{"a stream runs ahead", "stream.go", `len(s.futures) == ahead`, `len(s.futures) == 1000*ahead`, "bounded look-ahead"},
	{"a stream ends at once when the pool closes", "stream.go", `		for s.ctx.Err() == nil && len(s.futures) > 0 {`, `		for false {`, "G11: Close runs all that was accepted"},
}

// lifecycle: the end of a pool.
var lifecycle = []mutation{
	{"Close leaves the blocked", "lifecycle.go", `	for b := range p.blocked.all {
		p.dismiss(b, ErrClosed)
	}
`, ``, "G11: each submit is run or refused"},
	{"Close does not seal", "lifecycle.go", `		seals = append(seals, b.seal())
`, `		_ = b
`, "the end of a pool seals its batches"},
	{"Stop leaves the queue", "lifecycle.go", `	for j := range p.queue.jobs.all {
`, `	for j := range p.queue.jobs.all {
		if !j.task.claimed {
			break
		}
`, "G11: Stop lets nothing start"},
	{"Stop leaves maps", "lifecycle.go", `	for m := range p.maps.all {
`, `	for m := range p.maps.all {
		break
`, "G11: Stop lets nothing start"},
	{"Stop loses inputs", "future.go", `	if p.state == Stopping {
`, `	if false {
`, "G11: Stop gives back what never ran"},
	{"Stop gives back twice", "lifecycle.go", `	p.unrun = nil
`, ``, "each input is given back once"},
	{"a closed pool accepts", "room.go", `	case p.state != Running:
		p.mu.Unlock()
		return ErrClosed
	case j.task`, `	case p.state == Ended:
		p.mu.Unlock()
		return ErrClosed
	case j.task`, "submit after Close: ErrClosed, at once"},
	{"the end does not wait for strays", "dispatcher.go", ` && p.strays == 0`, ``, "Close waits for strays too"},
	{"the end does not wait for hooks", "dispatcher.go", ` && p.errands == 0`, ``, "G12: no goroutine after Done"},
	{"Wait is not woken", "worker.go", `	if p.mustRetire() {
		p.poke()
	}
	p.checkQuiet()
`, `	if p.mustRetire() {
		p.poke()
	}
`, "Wait returns when nothing is queued or running"},
	{"Wait forgets what runs", "ledger.go", `	return l.queued+l.active+l.extra > l.dead || l.busy()
`, `	return l.queued > 0 || l.busy()
`, "Wait returns when nothing is queued or running"},
}
