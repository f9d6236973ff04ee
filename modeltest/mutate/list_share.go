package main

// sharing: groups, batches and maps.
var sharing = []mutation{
	{"an item is claimed twice", "group.go", `		if next >= end || s.next.CompareAndSwap(next, next+1) {
			return next, end
		}
`, `		if next < end {
			s.next.Store(next + 1)
		}
		return next, end
`, "G2: exactly one outcome"},
	{"a sealed batch with one item left is forgotten", "batch.go", `	return left == 0 || left == 1 && !b.sealed.Load() && b.results`, `	return left == 0 || left == 1 && b.results`, "G4, G11: its context and Stop reach the last item"},
	{"a batch whose results are awaited is forgotten", "batch.go", ` && !b.sealed.Load() && b.results.Load() == nil && `, ` && !b.sealed.Load() && `, "the end of a pool closes Results"},
	{"an Add to a sealed batch is watched", group, `	case n == 0:
		return nil, nil // otherwise a group that is over would be kept
`, ``, "G12: nothing stays registered with the caller's context"},
	{"a forgotten group keeps its watch", group, `		unused.stop()
	}
`, `	}
`, "G12: nothing stays registered with the caller's context"},
	{"a group forgotten meanwhile keeps its watch", "internal/sched/watch.go", `	if unused {
		stop()
	}
`, `	_ = unused
`, "G12: nothing stays registered with the caller's context"},
	{"a group is watched twice", "internal/sched/watch.go", `	if e, _ := m.watched(); e != nil {
		return nil
	}
	e, shared`, `	e, shared`, "G12: nothing stays registered with the caller's context"},
	{"a run's outcomes are not counted", group, `	g.count(done, 0, Succeeded)
	r.starting`, `	r.starting`, "Progress: Done is Total in the end"},
	{"progress forgets what is not counted", group, `	return g.total, g.counted + uncounted, g.failed
`, `	return g.total, g.counted + 0*uncounted, g.failed
`, "Progress: what has its outcome is done"},
	{"Stats forgets what is not counted", life, `		now.Ended[Succeeded] += uint64(uncounted)
`, ``, "Stats balances"},
	{"Stats counts items that run as queued", life, `		now.Queued -= handling + uncounted
`, `		now.Queued -= uncounted
`, "Stats balances"},
	{"an item of a done context starts", "group.go", `late && o.By != sched.ByPool {`, `late && false {`, "G4: done before the start, never runs"},
	{"an item's limit reaches the next", "group.go", ` || g.pool.sched.LimitsRuns()
`, `
`, "G5: items with a limit have a context each"},
	{"a run ends its context too late", "group.go", `	if !next {
		r.leave()
		w.slot.EndRun()
	}
`, `	if !next {
		w.slot.EndRun()
		r.leave()
	}
`, "G17: a worker counts as idle when it is"},
	{"a break does not cancel", "results.go", `			if !complete {
				b.Cancel() //`, `			if !complete && false {
				b.Cancel() //`, "a break cancels the rest"},
	{"only a handler's error stops", "batch.go", `	case o.Kind != sched.Succeeded && b.cfg.stopOnError:
`, `	case o.Kind == sched.Failed && b.cfg.stopOnError:
`, "StopOnError: a panic, a timeout"},
	{"the end of the context stops as a failure does", "batch.go", `b.cfg.stopOnError && o.By == sched.ByCaller:`, `b.cfg.stopOnError && o.By == sched.ByPool:`, "the end of the context is no failure"},
	{"the first success does not stop", "batch.go", `	case o.Kind == sched.Succeeded && b.cfg.stopOnSuccess:`, `	case false:`, "StopOnSuccess"},
	{"siblings are said to have failed", "batch.go", `			return ErrHalted
		}
	}
	return o.Err
`, `			return o.Err
		}
	}
	return o.Err
`, "siblings of a failure end with ErrHalted"},
	{"siblings are not told whose failure it was", "batch.go", `		return &sched.Outcome{Kind: sched.Canceled, Err: b.culprit.Load()}
`, `		return &sched.Outcome{Kind: sched.Canceled, Err: ErrHalted}
`, "the cause of siblings is the *ItemError"},
	{"Wait gives a common end item by item", "results.go", `o.Kind == sched.Canceled || o.Kind == sched.TimedOut && o.By == sched.ByCaller {`, `false {`, "Wait: a common end once"},
	{"Wait takes an item's limit for the batch's end", "results.go", ` || o.Kind == sched.TimedOut && o.By == sched.ByCaller {`, ` || o.Kind == sched.TimedOut {`, "Wait: an item's own limit is its own"},
	{"Wait says that halted items were canceled", "batch.go", `			case err != ErrHalted: //nolint`, `			default: //nolint`, "Wait: those that were halted have no error"},
	{"Wait loses the common end", "batch.go", `	if common != nil {
		errs = append(errs, common)
	}
`, ``, "Wait: a common end once"},
	{"progress is not told to the end", "results.go", `	more = !b.told || b.reported != now
`, `	more = !b.told
`, "OnProgress: a last call with Done == Total"},
	{"two goroutines tell of progress", "results.go", `	start := !b.reporting && !(b.told`, `	start := !(b.told`, "OnProgress is serialised"},
	{"a stray of a group is counted twice", group, `	if r.stray {
		return false, true
	}
`, ``, "G15: counters never fall"},
	{"a stray leaves its group twice", group, `	if r.stray {
		return
	}
	g, s`, `	g, s`, "G10: strays of groups"},
	{"a stray does not stop its batch", group, `	if halt := r.g.source.HaltAfter(r, &o); halt != nil {
		r.g.halt(halt)
	}
`, ``, "StopOnError: a timeout"},
	{"a failed Map goes on", "map.go", `	return &sched.Outcome{Kind: sched.Canceled, Err: &ItemError{Index: index, Err: o.Err}}
`, `	return nil
`, "the first error cancels the rest"},
	{"Map without its clone", "map.go", `		ins = slices.Clone(ins)
`, `		_ = slices.Clone[[]In]
`, "a Map that has returned leaves its inputs to the caller"},
	{"Map takes Stop for the end of its context", "map.go", `	return &ItemError{Index: max(m.First(), 0), Err: gone}
`, `	return &ItemError{Index: max(m.First(), 0), Err: m.HaltedWith().Err}
`, "Map returns the cause of its context"},
	{"Map blames an input that has succeeded", "map.go", `	m.watched, m.noting = caller.Done != nil, caller.Done != nil
`, `	m.watched = caller.Done != nil
`, "Map: an *ItemError of an input that has no outcome"},
}

// reading: Results and All.
var reading = []mutation{
	{"a full channel holds a worker", "results.go", `	select {
	case o.ch <- r:
		return true
	default:
		return false
	}
`, `	o.ch <- r
	return true
`, "G12: a slow reader of Results stops nobody"},
	{"results leave out what came before", "results.go", `			if c.takeToSend(i) {
				b.send(o, c, i)
			}
`, ``, "Results: every outcome, also those that were there before"},
	{"an outcome is sent twice", "results.go", `o != nil && !state.CompareAndSwap(bits, bits|sent) {`, `false {`, "Results: every outcome once"},
	{"an outcome overtakes those that wait", "results.go", `	if o.busy.Load() || !o.offer(b.result(c, i)) {
		b.sendLater(o, c, i)
	}
}

// offer`, `	if !o.offer(b.result(c, i)) {
		b.sendLater(o, c, i)
	}
}

// offer`, "Results: in the order in which they come"},
	{"the channel is not closed by the pump", "results.go", `			o.busy.Store(false)
			if b.over {
				close(o.ch)
			}
`, `			o.busy.Store(false)
`, "Results: closed when all have been received"},
	{"the pump does not hear of a cancel", "results.go", `			case <-o.canceled:
				o.offer(r) // sent only if there is room
`, `			case <-(chan struct{})(nil):
`, "G12: nothing stays after a cancel"},
	{"what was halted is not sent", "results.go", `	room := cap(o.ch)
`, `	room := 0
`, "Results: after a cancel, what fits"},
	{"a reader that waits is not told", "results.go", `	if b.awaited.Load() {
		b.tellReaders(c.first + i)
	}
`, ``, "All: each as soon as it can be given"},
	{"a reader that waits is not told of a halt", "results.go", `	b.tell(func(r *indexReader) bool { return r.decided() })
`, ``, "All: each as soon as it can be given"},
	{"one reader is told", "results.go", `	b.tell(func(r *indexReader) bool { return r.index == index })
`, `	one := false
	b.tell(func(r *indexReader) bool { first := r.index == index && !one; one = one || first; return first })
`, "two loops over All"},
	{"a reader does not look again", "results.go", `	if !c.decided(i) {
		return true
	}
`, `	if c.first+i >= 0 {
		return true
	}
`, "All: each as soon as it can be given"},
	{"Results does not keep the batch", "results.go", `	if !b.items.KeepOpen(func() bool { return b.items.left.Load() == 0 }) {
		b.Close()
	}
`, ``, "the end of a pool closes Results"},
	{"Results does not watch the context", "results.go", `	b.items.Watch(b.done)
	return o.ch
`, `	return o.ch
`, "the end of the context closes Results"},
	{"Results lends no slot", "results.go", `	if b.outer != nil {
		b.items.Lend(b.outer)
	}
`, ``, "G9: Results inside a job"},
}

// streaming: Stream and StreamChan.
var streaming = []mutation{
	{"a stream leaves its jobs", "stream.go", `	if s.open == 0 || s.HaltedWith() != nil {`, `	if true {`, "what a broken stream has not yielded is canceled"},
	{"a stream looks one too far ahead", "stream.go", `			for s.open == s.ahead || s.ready() {`, `			for s.open == s.ahead+1 || s.ready() {`, "bounded look-ahead"},
	{"a channel's stream looks one too far ahead", "stream.go", `			if s.open == s.ahead {
				source`, `			if s.open == s.ahead+1 {
				source`, "bounded look-ahead"},
	{"a stream ends at once when the pool closes", "stream.go", `	} else if s.drain() {
`, `	} else {
`, "Stream: every outcome of what it had accepted"},
	{"a stream takes its context's end for the pool's", "stream.go", `o != nil && o.By == sched.ByCaller {`, `o != nil && false {`, "Stream: ctx done gives its cause"},
	{"a stream does not hear of its context", "stream.go", `		case <-s.caller.Done:
			return s.abort()
		default:
`, `		default:
`, "Stream: ctx done, at once"},
	{"a silent channel hides the end of the pool", "stream.go", `	s.outbox.closed = true
	s.outbox.tell()
`, `	s.outbox.closed = true
`, "StreamChan ends promptly while its source is silent"},
	{"a token is left in the outbox", "stream.go", `		<-o.wake // the token is there
`, ``, "one token for each sleep"},
	{"an ordered stream yields what comes", "stream.go", `func (o *reorder[In, Out]) ready() bool { return len(o.here) > 0 && o.here[o.next%len(o.here)] }`, `func (o *reorder[In, Out]) ready() bool {
	for i := range o.here {
		if n := o.next + i; o.here[n%len(o.here)] {
			o.next = n
			return true
		}
	}
	return false
}`, "Stream: in the order of the inputs"},
	{"a stream lends no slot", "stream.go", `			endLoan = s.Lend(s.caller.Outer)
`, `			_ = s.caller.Outer
`, "G9: Stream inside a job"},
	{"a stream is not forgotten", "stream.go", `	defer s.Forget(nil, false)
`, ``, "G12, G14: nothing keeps a stream that is over"},
	{"a stream keeps its inputs", "stream.go", `	if !keep {
		c.ins[i] = *new(In)
	}
`, ``, "G14: a stream keeps nothing"},
}
