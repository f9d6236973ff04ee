package modeltest

import (
	"context"
	"math"
	"runtime"
	"slices"
	"time"

	"example.com/dispatch"
)

// handle is the pool's handler: it performs the body of the job with that number.
func (w *world) handle(ctx context.Context, id int) (int, error) {
	j := w.enter(ctx, id)
	whole := false
	defer func() { w.leave(j, whole) }() // also if it panics or ends the goroutine

	gaveUp := false
	manner := j.body.manner
	if manner == polls && j.ctx.silent {
		manner = watches // calling the context's methods would panic
	}
	switch manner {
	case sleeps:
		time.Sleep(ticks(j.body.ticks))
	case watches:
		timer := time.NewTimer(ticks(j.body.ticks))
		defer timer.Stop()
		select {
		case <-ctx.Done():
			gaveUp = true
		case <-timer.C:
		}
	case polls:
		for range j.body.ticks {
			time.Sleep(tick)
			if gaveUp = context.Cause(ctx) != nil; gaveUp {
				break
			}
		}
	case nests:
		w.nest(ctx, j)
	case acts:
		w.act(ctx, j)
	}
	if gaveUp && j.body.finish == returns {
		w.mu.Lock()
		j.gaveUp = true
		w.mu.Unlock()
		return 0, ctx.Err()
	}
	whole = true
	switch j.body.finish {
	case fails:
		return 0, bodyError(id)
	case panics:
		w.mu.Lock()
		w.expected++
		w.mu.Unlock()
		panic(j.panicValue())
	case exits:
		runtime.Goexit()
	}
	return answer(id), nil
}

// enter records that the job with that number starts, and checks that it may.
func (w *world) enter(ctx context.Context, id int) *job {
	deadline, hasDeadline := ctx.Deadline()
	w.mu.Lock()
	defer w.mu.Unlock()
	j := w.jobs[id]
	w.order++
	j.starts, j.order, j.running = j.starts+1, w.order, true
	j.started, j.startTime = w.phase, w.now()
	j.onLoan = j.parent != nil && (j.parent.lending || j.parent.lent == w.phase)
	j.inline = w.inline && j.goroutine == goroutine()
	if j.body.manner != sleeps && (j.body.manner != polls || j.ctx.silent) {
		j.handed = j.ctx.inherit(ctx)
		w.contexts = append(w.contexts, j.handed)
	}

	switch {
	case j.starts > 1:
		w.failf("%v: started a second time", j)
	case j.refused != nil:
		w.failf("%v: started though it was refused", j)
	case j.settled != 0 && j.settled < w.phase:
		w.failf("%v: started after it was settled", j)
	case w.ended != 0:
		w.failf("%v: started after the end", j)
	case w.stopped != 0 && w.stopped < w.phase:
		w.failf("%v: started after Stop in phase %d", j, w.stopped)
	case ctx.Value(valueKey{}) != j.value:
		w.failf("%v: its context carries %v, not %v", j, ctx.Value(valueKey{}), j.value)
	}
	theirs, ok := j.ctx.plain().Deadline()
	if ok && (!hasDeadline || deadline.After(theirs)) {
		w.failf("%v: its context does not carry the caller's deadline", j)
	}
	if hasDeadline && deadline.Before(w.ownDeadline(j)) && (!ok || deadline.Before(theirs)) {
		w.failf("%v: its context's deadline is too early", j)
	}
	w.checkLimit(j)
	w.checkPaused(j)
	w.checkInline(j)
	w.checkBounds(j)
	w.checkHooked(j, ctx)
	return j
}

// ownDeadline returns the earliest deadline that the pool itself may give j.
func (w *world) ownDeadline(j *job) time.Time {
	d := time.Duration(math.MaxInt64)
	if j.timed() {
		d = j.askedTime + j.limit
	}
	if w.jobTimeout > 0 {
		d = min(d, j.startTime+ticks(w.jobTimeout))
	}
	return w.epoch.Add(d)
}

// leave records that the handler of j returns. whole is false if an inline job inside it
// has ended its goroutine.
func (w *world) leave(j *job, whole bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	j.running, j.ended, j.endTime, j.torn = false, w.phase, w.now(), !whole
}

// checkLimit checks, as j starts, that no more handlers run than may: as many
// as there are workers, one more for each job that waits for the pool it runs
// on, as many strays as WithGrace allows, and those that CallerRuns adds.
func (w *world) checkLimit(j *job) {
	limit := max(w.limit, w.before)
	if limit == dispatch.Unlimited || w.resized && (j.onLoan || w.overflow == dispatch.CallerRuns) {
		return // a lent place is on top of what a shrunk pool still runs
	}
	running, strays := 0, 0
	for _, q := range w.jobs {
		if !q.running {
			continue
		}
		running++
		if q.lending {
			limit++
		}
		switch {
		case q.onLoan && !(q.parent.lending && slices.Contains(q.parent.waiting, q)):
			limit++ // the parent of this job has stopped waiting for it
		case w.overflow == dispatch.CallerRuns && q.group == nil && q.room != yes:
			limit++
		case w.stray(q):
			strays++
		}
	}
	if limit += min(strays, w.strays); running > limit {
		w.failf("%v: %d handlers run at once, and %d may\n%s", j, running, limit, w.list())
	}
}

// stray reports whether j's handler has been interrupted for longer than the
// pool's grace.
func (w *world) stray(j *job) bool {
	if w.strays == 0 || !j.running {
		return false
	}
	at := never
	for _, d := range w.decisions(j) {
		if d.ends {
			at = min(at, d.from)
		}
	}
	return at <= w.phase && w.now() >= w.clock[at]+ticks(w.grace)
}

// act makes one call from inside a job, which does not wait for its result.
func (w *world) act(ctx context.Context, j *job) {
	seed := int(j.body.seed)
	if w.bold && seed%2 == 1 {
		w.actBoldly(j, seed/2)
		time.Sleep(ticks(j.body.ticks))
		return
	}
	switch seed % 7 {
	case 0, 1:
		w.trySubmit(w.newJob(opTrySubmit, w.newContext(byte(seed)), j.body.child(0), j))
	case 2:
		w.resize(1 + seed/7%4)
	case 3:
		if err := w.pool.Wait(ctx); err != dispatch.ErrInsideJob && !j.handed.over() {
			w.fail("%v: Wait inside a job returned %v", j, err)
		}
	case 4:
		w.markClosed(nil)
		switch err := w.pool.Shutdown(ctx); {
		case err == dispatch.ErrInsideJob:
		case j.handed.tells(err):
			w.spend() // its budget was spent before it began
		default:
			w.fail("%v: Shutdown inside a job returned %v", j, err)
		}
	case 5:
		w.pool.Stats()
	case 6:
		if seed > 200 {
			w.stop()
		}
	}
	time.Sleep(ticks(j.body.ticks))
}
