package modeltest

import (
	"context"
	"errors"
	"slices"

	"example.com/dispatch"
)

// step makes the call that s encodes.
func (w *world) step(s step) {
	b := decodeBody(s.b, s.c, s.d, 0)
	w.calm = s.op <= opProcessTimed // the call is the first event of the phase
	switch s.op {
	case opSubmit:
		j := w.newJob(s.op, w.pick(s.a), b, nil)
		w.start(&call{name: "Submit", job: j}, func() { w.submit(j) })
	case opTrySubmit:
		j := w.newJob(s.op, w.pick(s.a), b, nil)
		w.start(&call{name: "TrySubmit", job: j, ready: always}, func() { w.trySubmit(j) })
	case opProcess:
		j := w.newJob(s.op, w.pick(s.a), b, nil)
		w.start(&call{name: "Process", job: j}, func() { w.process(j) })
	case opProcessTimed:
		j := w.newJob(s.op, w.pick(s.a), b, nil)
		j.limit = ticks(int(s.d)%9 - 1)
		w.start(&call{name: "ProcessTimed", job: j}, func() { w.processTimed(j) })
	case opCancel:
		w.cancel(int(s.a))
	case opCancelContext:
		if all := w.cancelable(); len(all) > 0 {
			all[int(s.a)%len(all)].cancel(errCause)
		}
	case opResize:
		w.resize(int(s.a) % 6)
	case opWait:
		w.wait(w.pick(s.a))
	case opShutdown:
		w.shutdown(int(s.a) % 12)
	case opStop:
		w.stop()
	case opClose:
		w.close()
	case opDrain:
		w.drain()
	case opPause:
		w.pausePool()
	case opResume:
		w.resumePool()
	case opPrestart:
		w.prestart(w.pick(s.a))
	case opEndLife:
		w.endLife()
	default:
		w.groupStep(s, b)
	}
}

func always() bool { return true }

// pick returns a new context, or one that is in use and may yet be canceled.
func (w *world) pick(a byte) *watched {
	if a >= 192 {
		if all := w.cancelable(); len(all) > 0 {
			return all[int(a)%len(all)]
		}
	}
	return w.newContext(a)
}

// submit submits j and follows its future. It returns whether j was accepted.
func (w *world) submit(j *job) bool {
	defer w.onThisGoroutine(j)()
	f, err := w.pool.Submit(j.ctx.plain(), j.id)
	return w.submitted(j, f, err)
}

func (w *world) trySubmit(j *job) bool {
	f, err := w.pool.TrySubmit(j.ctx.plain(), j.id)
	return w.submitted(j, f, err)
}

// submitted records the result of Submit.
func (w *world) submitted(j *job, f *dispatch.Future[int], err error) bool {
	if err != nil {
		w.refuse(j, err)
		return false
	}
	w.accept(j, f)
	if w.followed(j) {
		go func() {
			v, err := f.Wait(context.Background())
			w.settle(j, outcome{v, err}, j.asked)
		}()
	}
	return true
}

// read records the answer of j's future to a reader that does not have to wait and whose
// context is done: a resolved future answers all the same.
func (w *world) read(j *job, since int) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	v, err := j.future.Wait(ctx)
	w.settle(j, outcome{v, err}, since)
}

func (w *world) process(j *job) {
	defer w.onThisGoroutine(j)()
	v, err := w.pool.Process(j.ctx.plain(), j.id)
	w.answered(j, outcome{v, err})
}

func (w *world) processTimed(j *job) {
	defer w.onThisGoroutine(j)()
	v, err := w.pool.ProcessTimed(j.ctx.plain(), j.id, j.limit)
	w.answered(j, outcome{v, err})
}

// answered records what Process returned: that it refused the job, or the outcome.
func (w *world) answered(j *job, o outcome) {
	if errors.Is(o.err, dispatch.ErrClosed) || errors.Is(o.err, dispatch.ErrQueueFull) {
		w.refuse(j, o.err)
		return
	}
	w.settle(j, o, j.asked)
}

// cancel cancels a future. What it returns must agree with what is decided.
func (w *world) cancel(which int) {
	var all []*job
	for _, j := range w.jobs {
		if j.future != nil {
			all = append(all, j)
		}
	}
	if len(all) == 0 {
		return
	}
	j := all[which%len(all)]
	w.mu.Lock()
	before := j.canceledAt
	j.canceledAt = w.phase // if the grace is 0, another job may start before Cancel returns
	w.mu.Unlock()
	won := j.future.Cancel()
	w.mu.Lock()
	defer w.mu.Unlock()
	j.canceledAt = before
	ds := w.decisions(j)
	switch {
	case won && (j.settled != 0 && j.settled < w.phase || deadline(ds) < w.phase):
		w.failf("%v: Cancel claims to have decided it", j)
	case won:
		j.canceledAt = w.phase
	case first(ds) > w.phase && j.settled == 0 && !w.hidden(j):
		w.failf("%v: Cancel claims that it was decided already", j)
	}
}

// hidden reports whether j may have been decided by an event whose time the model does
// not follow.
func (w *world) hidden(j *job) bool {
	return j.starts == 0 && (w.flaky || w.overflow == dispatch.DropOldest && !j.item())
}

// resize changes the limit of workers. It must not wait for anything.
func (w *world) resize(n int) {
	w.mu.Lock()
	w.before = max(w.before, n) // more may start before Resize returns
	w.mu.Unlock()
	err := w.pool.Resize(n)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case n < 1 && err == nil:
		w.failf("Resize(%d) returned no error", n)
	case n >= 1 && err != nil && w.closed == 0:
		w.failf("Resize(%d) returned %v", n, err)
	case err == nil:
		w.limit, w.resized = n, true
		w.resizes++
	}
}

// wait waits until nothing is queued or running.
func (w *world) wait(c *watched) {
	idle := func() bool { return c.doneAt != 0 || w.idleNow() }
	w.start(&call{name: "Wait", ready: idle}, func() {
		err := w.pool.Wait(c.plain())
		w.mu.Lock()
		defer w.mu.Unlock()
		if err == nil {
			w.waited = w.phase
		} else if !c.tells(err) {
			w.failf("Wait returned %v", err)
		}
	})
}

// idleNow reports whether the model is sure that nothing is queued or running.
func (w *world) idleNow() bool {
	return !slices.ContainsFunc(w.jobs, func(j *job) bool { return j.running || w.pending(j) != no })
}

// busy reports whether the model is sure that something is queued or running.
func (w *world) busy() bool {
	return slices.ContainsFunc(w.jobs, func(j *job) bool { return j.running || w.pending(j) == yes })
}
