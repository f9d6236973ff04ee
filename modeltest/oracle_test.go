package modeltest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"example.com/dispatch"
)

// never is a phase that never comes.
const never = math.MaxInt

// kind is the counter of Stats that an outcome belongs to.
type kind int

const (
	succeeded kind = iota
	failed
	panicked
	canceled
	timedOut
	dropped
	kinds
)

// A decision is one event that may decide a job's outcome. The first event decides; if
// several come in one phase, any of them may be the first.
type decision struct {
	from int // the first phase in which it may decide
	by   int // the last phase in which it may decide
	kind kind
	why  string
	want func(o outcome) bool
	ends bool // it ends a run from outside: the handler's context must say so
	told bool // the context says so in phase from
	only bool // it has no other effect: the handler makes the outcome

	cause func(err error) bool // accepts the cause that the handler sees; nil: same as want

	unseen bool // the model does not know whether it has happened, nor when
}

// decisions returns the events so far that may decide j's outcome. A running item of a
// group gets its outcome when its handler returns, and the handler makes it. An event
// that ends the group only reaches the handler through its context, unless the handler is
// past its limit, has given up, or may be a stray.
func (w *world) decisions(j *job) []decision {
	if g := j.group; g != nil && g.turnedAway != nil {
		return []decision{{from: j.asked, by: j.asked, kind: canceled, why: "BatchOf", want: func(o outcome) bool { return g.turnedAway(o.err) }}}
	}
	var ds []decision
	limit := w.runLimit(j)
	late := limit < j.ended // the pool drops what the handler returns
	atLimit := j.ended != 0 && limit <= j.ended
	tell := func(from, by int, k kind, why string, want func(outcome) bool) *decision {
		from = max(from, j.asked)
		d := decision{from: from, by: max(from, by), kind: k, why: why, want: want, ends: true, told: from == by}
		if j.item() && j.starts > 0 && j.started <= d.by {
			d.only = from != limit && !atLimit && !j.gaveUp && !w.pastGrace(j, from)
			if d.by = max(d.by, j.ended); j.ended == 0 {
				d.by = never
			}
		}
		if j.inline && j.started <= d.by { // its caller is answered when the handler returns
			if d.by = max(d.by, j.ended); j.ended == 0 {
				d.by = never
			}
		}
		ds = append(ds, d)
		return &ds[len(ds)-1]
	}

	if j.timed() {
		if at := w.phaseOf(w.limitAt(j, j.askedTime+j.limit)); at != never {
			tell(at, at, timedOut, "ProcessTimed", isTimeout(j.limit))
		}
	}
	if limit != never {
		tell(limit, limit, timedOut, "WithJobTimeout", isTimeout(ticks(w.jobTimeout)))
	}
	if c := j.ctx; w.doneAt(c) != 0 {
		tell(c.doneAt, c.doneAt, c.kind(), "context", func(o outcome) bool { return c.tells(o.err) })
	}
	if j.canceledAt != 0 {
		tell(j.canceledAt, j.canceledAt, canceled, "Cancel", isError(context.Canceled))
	}
	if w.stoppedAt() != 0 {
		tell(w.stopped, w.stopped, canceled, "Stop", w.isStop)
	}
	if g := j.group; g != nil {
		if g.canceled != 0 {
			tell(g.canceled, g.canceled, canceled, g.via.String(), isError(context.Canceled))
		}
		if from, by := g.tripped(w); from != 0 {
			stop := tell(from, by, canceled, "the batch's stop", func(o outcome) bool { return o.err == dispatch.ErrHalted })
			stop.cause = func(err error) bool { return g.haltedBy(err, j) }
		}
	}
	switch {
	case j.ended == 0 || late:
	case j.inline && !j.exits() && !j.ctx.silent && first(ds) < j.ended: // its context says so
	case !j.gaveUp:
		ds = append(ds, j.own())
	case j.ctx.silent: // the pool may not know yet that the context is done, which nobody tells
		ds = append(ds, decision{from: j.ended, by: j.ended, kind: failed, why: "handler", want: func(o outcome) bool { return givesNoReason(o.err) }})
	}
	if j.starts == 0 {
		ds = w.withoutRun(j, ds)
	}
	if g := j.group; g != nil && g.vague != nil && j.starts == 0 {
		ds = append(ds, decision{from: j.asked, by: never, kind: canceled, why: "BatchOf", want: func(o outcome) bool { return g.vague(o.err) }, unseen: true})
	}
	return ds
}

// runLimit returns the phase in which the run of j reached WithJobTimeout, or never.
func (w *world) runLimit(j *job) int {
	if w.jobTimeout == 0 || j.starts == 0 {
		return never
	}
	return w.phaseOf(w.limitAt(j, j.startTime+ticks(w.jobTimeout)))
}

// limitAt returns when a limit of j that ends at the time at takes effect: the deadline of
// the caller's context takes precedence, even if the context does not end at it.
func (w *world) limitAt(j *job, at time.Duration) time.Duration {
	if theirs, ok := j.ctx.plain().Deadline(); ok && theirs.Sub(w.epoch) == at && at > j.askedTime {
		return at + tick
	}
	return at
}

// pastGrace reports whether the handler of j may have been written off since something
// ended it in phase from.
func (w *world) pastGrace(j *job, from int) bool {
	end := w.now()
	if j.ended != 0 {
		end = w.clock[j.ended]
	}
	return w.strays > 0 && end >= w.clock[max(from, j.started)]+ticks(w.grace)
}

// causes reports whether the decision explains the cause that a handler sees.
func (d *decision) causes(err error) bool {
	if d.cause != nil {
		return d.cause(err)
	}
	return d.want(outcome{err: err})
}

// own returns the decision of j's handler itself.
func (j *job) own() decision {
	d := decision{from: j.ended, by: j.ended, why: "handler"}
	finish := j.body.finish
	if j.exits() {
		finish = exits
	}
	switch finish {
	case fails:
		d.kind, d.want = failed, func(o outcome) bool { return o.err == bodyError(j.id) }
	case panics:
		d.kind, d.want = panicked, func(o outcome) bool {
			var pe *dispatch.PanicError
			return errors.As(o.err, &pe) && pe.Value == j.panicValue() && len(pe.Stack) > 0
		}
	case exits:
		d.kind, d.want = failed, isError(dispatch.ErrGoexit)
	default:
		d.kind, d.want = succeeded, func(o outcome) bool { return o == outcome{value: answer(j.id)} }
	}
	return d
}

// exits reports whether the handler of j has ended its goroutine, or a job inside has.
func (j *job) exits() bool { return j.torn || j.body.finish == exits }

// withoutRun adds the events that may end a waiting job at a time that the model does not
// follow.
func (w *world) withoutRun(j *job, ds []decision) []decision {
	if w.overflow == dispatch.DropOldest && !j.item() {
		ds = append(ds, decision{from: j.asked, by: never, kind: dropped, why: "DropOldest", want: isError(dispatch.ErrDropped), unseen: true})
	}
	if w.flaky {
		ds = append(ds, decision{from: j.asked, by: never, kind: failed, why: "constructor", want: isError(errConstruct), unseen: true})
	}
	return ds
}

// verdict returns the decision that explains the outcome that a reader of j received.
func (w *world) verdict(j *job) (decision, error) {
	ds := w.decisions(j)
	last := deadline(ds)
	for _, d := range ds {
		if !d.only && d.from <= last && d.from <= j.settled && j.settled <= max(last, j.since) && d.want(j.outcome) {
			return d, nil
		}
	}
	var why strings.Builder
	for _, d := range ds {
		fmt.Fprintf(&why, "\n\t%s decides it from phase %d, by phase %d", d.why, d.from, d.by)
	}
	return decision{}, fmt.Errorf("%v: nothing explains this outcome at this phase%s", j, why.String())
}

// possible returns the decisions that may have decided j.
func (w *world) possible(j *job) []decision {
	ds := w.decisions(j)
	last := deadline(ds)
	n := 0
	for _, d := range ds {
		if !d.only && d.from <= last {
			ds[n] = d
			n++
		}
	}
	return ds[:n]
}

// deadline returns the phase by which the outcome has been decided.
func deadline(ds []decision) int {
	last := never
	for _, d := range ds {
		if !d.only {
			last = min(last, d.by)
		}
	}
	return last
}

// first returns the first phase in which an event that the model sees may decide the
// outcome.
func first(ds []decision) int {
	at := never
	for _, d := range ds {
		if !d.unseen && !d.only {
			at = min(at, d.from)
		}
	}
	return at
}

func isError(want error) func(outcome) bool {
	return func(o outcome) bool { return errors.Is(o.err, want) }
}

func isTimeout(limit time.Duration) func(outcome) bool {
	return func(o outcome) bool {
		// Just that: the cause of a sibling's end wraps the timeout of another job.
		te, ok := o.err.(*dispatch.TimeoutError)
		return ok && te.Limit == limit &&
			errors.Is(o.err, dispatch.ErrTimeout) && errors.Is(o.err, context.DeadlineExceeded) && te.Timeout()
	}
}
