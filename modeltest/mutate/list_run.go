package main

// contexts: what the pool has to do with the contexts of others, and its own.
var contexts = []mutation{
	{"a panic of a context is not contained", guard, `		if returned {
			return
		}
		// A nil`, `		if returned || !returned {
			return
		}
		// A nil`, "G7: a panic in a context is contained"},
	{"panic(nil) reads as success", guard, `		if r == nil {
			r = new(runtime.PanicNilError)
		}
		err = g(r, debug.Stack())
`, `		if r == nil {
			return
		}
		err = g(r, debug.Stack())
`, "G7: panic(nil)"},
	{"a context that lies makes a success", guard, `	case o.Err == nil:
		o.Err = errNoReason
	}
	return o
`, `	}
	return o
`, "G7: a context that lies makes an error"},
	{"the context package hears that a done context has no error", guard, `	if err == nil {
		return errNoReason
	}
	return err
`, `	return err
`, "G7: a context that lies"},
	{"a caller's deadline reaches the context package", guard, `func (c shield) Deadline() (time.Time, bool) { return time.Time{}, false }`, `func (c shield) Deadline() (time.Time, bool) { return c.user.Deadline() }`, "G6: whatever the caller's context does"},
	{"an AfterFunc that panics is not replaced", guard, `	if stop == nil {
		return context.AfterFunc(c.shield, f)
	}
`, `	if stop == nil {
		return func() bool { return false }
	}
`, "G4, G7: a job whose context cannot register"},
	{"Done after the return makes a context that does not end", ctx, `	case std == &finished:
		std = c.canceled(nil, false)
`, `	case std == &finished:
		std = c.derive()
`, "G3: done whenever Done is asked for"},
	{"a context that was made too late stays", ctx, `		if !c.std.CompareAndSwap(nil, std) {
			std.cancel(nil)
			return c.live()
		}
`, `		if !c.std.CompareAndSwap(nil, std) {
			return c.live()
		}
`, "G12: nothing stays registered with the caller's context"},
	{"the context does not say why", ctx, `		std = c.canceled(o.Err, o.Kind == TimedOut)
`, `		std = c.canceled(nil, o.Kind == TimedOut)
`, "G3: context.Cause says which"},
	{"a live context does not say why", ctx, `	default:
		std.cancel(o.Err)
	}
}
`, `	default:
		std.cancel(nil)
	}
}
`, "G3: context.Cause says which"},
	{"a timeout is not DeadlineExceeded to the handler", ctx, `	case std.timeout != nil && o.Kind == TimedOut:`, `	case false:`, "the handler's Err is DeadlineExceeded after a limit"},
	{"a context does not end with its handler", ctx, `	if c.std.CompareAndSwap(nil, &finished) {
		return
	}
`, `	if c.std.CompareAndSwap(nil, &finished) || o == nil {
		return
	}
`, "G3: done once the handler has returned"},
	{"a registration is kept by a settled job", task, `	s.watches.remove((*Task)(t))
	s.lock()
	(*Task)(t)`, `	s.lock()
	(*Task)(t)`, "G12: nothing stays registered with the caller's context"},
	{"a registration is kept by a run", task, `	if t.watching {
		t.s.watches.remove(t)
	}
}

// Watch has`, `}

// Watch has`, "G12: nothing stays registered with the caller's context"},
	{"a registration is kept that nobody needs", watch, `	if e := w.leave(m); e != nil {
		e.stop()
	}
`, `	w.leave(m)
`, "G12: nothing stays registered with the caller's context"},
	{"a job leaves its watch to another", watch, `	e.members[index] = e.members[last]
	e.members[index].setWatch(e, index)
`, `	e.members[index] = e.members[last]
`, "G4: each job hears of its own context"},
	{"each job registers by itself", watch, `	e, shared := w.byDone[done]
`, `	e, shared := w.byDone[nil]
`, "G14: jobs that share a context share one registration"},
	{"the end of a context is told to a piece of its jobs", life, `		s.callerEnded(members[:len(asked)], asked)
		members = members[len(asked):]
	}
}
`, `		s.callerEnded(members[:len(asked)], asked)
		members = nil
	}
}
`, "G4: each job hears of its own context"},
	{"a context that ends the goroutine leaves the others", life, `		go s.callersEnded(members[len(asked):])
`, ``, "G7: a Goexit in a context is contained"},
	{"a handler may find no enclosing job", ctx, `	if key == (insideKey{}) {
		return c
	}
`, ``, "G9: nesting cannot deadlock"},
	{"nesting ends at another pool", admission, `		ctx = c.caller
`, `		return nil
`, "G9: also through a second pool and back"},
}

// running: workers, interrupts, strays and lent slots.
var running = []mutation{
	{"Goexit loses the worker", "worker.go", `		if w.state != gone {
			sched.Go(w.loop)
		}
`, ``, "G8: the worker is replaced"},
	{"Goexit reads as success", "worker.go", `	w.fail(sched.Outcome{Kind: sched.Failed, Err: ErrGoexit})
`, ``, "G8: ErrGoexit"},
	{"a panic loses its stack", "worker.go", `&PanicError{Value: r, Stack: debug.Stack()}`, `&PanicError{Value: r}`, "G7: the panicking goroutine's stack"},
	{"a panic is not reported", "worker.go", `		w.pool.report(w.caught)
`, ``, "G7: a panic that nobody waits for is not lost"},
	{"the value of a panic is printed in the open", "panic.go", `	guard.Apart(func() { text = fmt.Sprint(value) })
`, `	text = fmt.Sprint(value)
`, "G7: the String of a panic's value"},
	{"an interrupt for whatever runs", worker, `	if e.generation != i.generation || !e.entered {`, `	if !e.entered {`, "G5: interrupts stay with their job"},
	{"an interrupt outlives its job", worker, `		<-interrupts
`, ``, "G5: over before the worker's next call"},
	{"a timer for whatever runs", worker, `t != nil && e.due != 0 && now >= e.due {`, `t != nil {`, "G5: a limit of job A is never seen by job B"},
	{"no interrupt", worker, `		e.s.after.add(&interruption{e, e.generation})
`, `		e.s.background--
`, "a Worker is interrupted"},
	{"the grace of another run", worker, `	if e.task == nil || e.generation != generation {`, `	if e.task == nil {`, "G5, G10: a grace that is over does not write off the next run"},
	{"the grace goes on after the return", worker, `	if endGrace != nil {
		endGrace()
	}
`, ``, "G12: no timer of ours"},
	{"strays are not paid back", worker, `		s.strays--
		s.strayRoom.Release(1)
`, `		s.strays--
`, "G10: at most so many strays at a time, not in all"},
	{"a stray keeps its slot", worker, `	s.giveUp(&w.Work)
	if w.run`, `	if w.run`, "G10: a new worker takes its place"},
	{"a stray is still among the workers", worker, `	s.strays++
	s.workforce--
`, `	s.strays++
`, "Stats: strays are not workers"},
	{"a stray counts as running", worker, `			s.running--
		}
		t.stage = early // it`, `		}
		t.stage = early // it`, "Wait does not wait for strays"},
	{"no slot is lent", nest, `		if w.what.compensate(c) {`, `		if false {`, "G9: nesting cannot deadlock"},
	{"a slot is lent twice", nest, `			l.used = true
			l.waits.remove(&w.link)`, `			l.waits.remove(&w.link)`, "G14: one more run for a job that waits"},
	{"a lent slot is not used again", nest, `		l.used = false
		s.useLoan(c)
`, `		l.used = false
`, "G9: the second of several children"},
	{"a lent slot is not given back", nest, `		l.used = false
		s.useLoan(c)
`, `		s.useLoan(c)
`, "G9: the second of several children"},
	{"a loan goes on after the wait", nest, `	if l := s.loan(w.by); l != nil {
		l.waits.remove(&w.link)
	}
}

// Lend`, `}

// Lend`, "G14: a loan ends with the wait"},
	{"a blocked submitter is not lent a slot", admission, `		b.loan = s.addLoan(a.Outer, b)
`, `		b.loan = &waitFor{what: b, by: a.Outer}
`, "G9: a job that submits to its full pool"},
	{"an added item gets no lent slot", group, `		g.s.useLoan(l.by)
`, `		_ = l
`, "G9: an item that is added while a job waits"},
	{"a lent slot is kept by a run", "group.go", `		r.single = w.slot.OverLimit() || careful`, `		r.single = careful`, "G14: a loan ends with the wait"},
	{"lenders are not forgotten", group, `	for l := range g.lenders.all {
		g.lenders.remove(&l.link)
		s.forgetLoan(l.waitFor)
	}
`, ``, "G14: no batch is kept by the job that has read it"},
	{"a Worker is not closed", "worker.go", `func (w *worker[In, Out]) quit() {
	w.dismiss()
`, `func (w *worker[In, Out]) quit() {
`, "Close is called after a Worker's last job"},
	{"a broken Worker goes on", "worker.go", `			w.slot.Broken() // what`, `			_ = 0 // what`, "a Worker whose Process called Goexit is replaced"},
	{"an idle worker keeps its work", next, `		*w = Work{}
	}
}`, `		*w = Work{Group: w.Group}
	}
}`, "G14: no item is kept by an idle worker"},
	{"a worker keeps its outcome", "worker.go", `	w.out = *new(Out)
	if w.outcome.Kind`, `	if w.outcome.Kind`, "G14: nothing keeps an output alive"},
	{"Ready's error is lost", "worker.go", `			w.failWith(t, err)
			return false
`, `			return false
`, "the error of Ready is the outcome"},
	{"a pool's goroutine has its caller's labels", scheduler, `		pprof.SetGoroutineLabels(context.Background())
`, ``, "goroutines of the pool have no labels"},
}

// lifecycle: the end of a pool.
var lifecycle = []mutation{
	{"Close leaves the blocked", life, `		s.dismiss(s.blocked.head.elem, s.cfg.Errors.Closed)
	}
	return true
`, `		return false
	}
	return true
`, "G11: each submit is run or refused"},
	{"Close does not seal", life, `			g.source.PoolClosing()
`, `			_ = g
`, "the end of a pool seals its batches"},
	{"Stop leaves the queue", life, `	for s.haltJobs(marker, &o) {
	}
`, ``, "G11: Stop lets nothing start"},
	{"Stop ends a piece of the queue", life, `	for s.haltJobs(marker, &o) {
	}
`, `	s.haltJobs(marker, &o)
`, "G11: Stop lets nothing start"},
	{"Stop leaves groups", life, `	for s.haltGroups(&o) {
	}
`, ``, "G11: Stop lets nothing start"},
	{"Stop loses single jobs", task, `	if keep {
		s.unstarted`, `	if false {
		s.unstarted`, "G11: Stop gives back what never ran"},
	{"Stop gives back what others have ended", task, `	keep := t.by == ByPool`, `	keep := s.state == Stopping`, "Stop gives back what it has ended"},
	{"Stop loses what waits in groups", group, `	if o.By == ByPool && n > 0 {
`, `	if false {
`, "G11: Stop gives back what never ran"},
	{"Stop loses items that it meets in Ready", group, `			s.unstarted.Runs = append(s.unstarted.Runs, r)
`, ``, "G11: also those that it met in Ready"},
	{"Stop gives back a stream's input too late", "group.go", `		g.owner.deliver(c, i, refused)
`, `		g.owner.deliver(c, i, false)
`, "G11: Stop gives back what never ran"},
	{"Stop gives back twice", life, `	s.unstarted = Unstarted{}
`, ``, "each input is given back once"},
	{"a job brought forward is given back out of order", queue, `	t.stage = granted
	if q.first == t {
		q.advance()
	}
`, `	q.remove(t)
	t.stage = granted
	q.push(t)
`, "Stop gives back in submit order"},
	{"a closed pool accepts", admission, `	case s.state != Running:
		return nil, s.cfg.Errors.Closed
	case t.Resolved():`, `	case s.state == Ended:
		return nil, s.cfg.Errors.Closed
	case t.Resolved():`, "submit after Close: s.cfg.Errors.Closed, at once"},
	{"a closed pool takes items", group, `	case s.state != Running:
		return nil, s.cfg.Errors.Closed
	case g.halted`, `	case s.state == Ended:
		return nil, s.cfg.Errors.Closed
	case g.halted`, "Add after Close: s.cfg.Errors.Closed"},
	{"a stopped pool grants slots", next, ` && !s.paused && s.state <= Draining
`, ` && !s.paused
`, "G11: Stop lets nothing start"},
	{"the end does not wait for strays", "internal/sched/dispatch.go", ` && s.workforce == 0 && s.strays == 0 && s.background == 0 && !s.unfinished():
		s.state = Ended`, ` && s.workforce == 0 && s.background == 0 && !s.unfinished():
		s.state = Ended`, "Close waits for strays too"},
	{"the end does not wait for hooks", "internal/sched/dispatch.go", ` && s.workforce == 0 && s.strays == 0 && s.background == 0 && !s.unfinished():
		s.state = Ended`, ` && s.workforce == 0 && s.strays == 0 && !s.unfinished():
		s.state = Ended`, "G12: no goroutine after Done"},
	{"Wait is not woken", scheduler, `	s.checkQuiescent() // last: the others remove withdrawn jobs
`, ``, "Wait returns when nothing is queued or running"},
	{"Wait forgets what runs", scheduler, `	if s.queued+s.granted+s.running+s.itemsIn+s.coming > 0`, `	if s.queued+s.granted+s.itemsIn+s.coming > 0`, "Wait returns when nothing is queued or running"},
	{"Wait forgets what has a slot", scheduler, `	if s.queued+s.granted+s.running+s.itemsIn+s.coming > 0`, `	if s.queued+s.running+s.itemsIn+s.coming > 0`, "Wait returns when nothing is queued or running"},
	{"Wait forgets items", scheduler, `s.running+s.itemsIn+s.coming > 0`, `s.running+s.coming > 0`, "Wait returns when nothing is queued or running"},
	{"Shutdown does not become Stop", "life.go", `	p.halt()
	if caller.Err != nil {`, `	if caller.Err != nil {`, "Shutdown: when ctx ends it becomes Stop"},
	{"Shutdown inside a job waits", "life.go", `	if caller.Outer != nil {
		return ErrInsideJob
	}
`, ``, "Shutdown inside a job returns ErrInsideJob"},
	{"a constructor's context goes on", "dispatcher.go", `	p.cancelCtx(ErrClosed)
`, ``, "newWorker's context is done when the pool ends"},
	{"the end of all is done in one piece", scheduler, `const piece = 128
`, `const piece = 1 << 30
`, "G17: nobody waits long for the pool itself"},
}
