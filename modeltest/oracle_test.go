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

// never is a phase that does not come.
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

// A decision is one thing that may decide a job's outcome. Whichever comes
// first decides; where several come in one phase, any of them may have.
type decision struct {
	from int // the first phase in which it may decide
	by   int // the phase in which it has decided at the latest
	kind kind
	why  string
	want func(o outcome) bool
	ends bool // it ends a run from outside: the handler is to be told through its context
	told bool // ... in phase from

	unseen bool // the model does not know whether it has happened, nor when
}

// decisions lists what has happened so far that may decide j's outcome. What
// ends a running item of a batch may be told when its handler returns; its
// decisions have a span.
func (w *world) decisions(j *job) []decision {
	var ds []decision
	tell := func(from, by int, k kind, why string, want func(outcome) bool) {
		from = max(from, j.asked)
		d := decision{from: from, by: max(from, by), kind: k, why: why, want: want, ends: true, told: from == by}
		if j.item() && j.starts > 0 && j.started <= d.by {
			if j.ended == 0 {
				d.by = never
			} else {
				d.by = max(d.by, j.ended)
			}
		}
		ds = append(ds, d)
	}

	late := false // past a limit: what the handler returns is dropped
	if j.timed() {
		if at := w.phaseOf(j.askedTime + j.limit); at != never {
			tell(at, at, timedOut, "ProcessTimed", isTimeout(j.limit))
		}
	}
	if at := w.runLimit(j); at != never {
		tell(at, at, timedOut, "WithJobTimeout", isTimeout(ticks(w.jobTimeout)))
		late = at < j.ended
	}
	if c := j.ctx; w.doneAt(c) != 0 {
		tell(c.doneAt, c.doneAt, kindOf(c), "context", func(o outcome) bool { return c.tells(o.err) })
	}
	if j.canceledAt != 0 {
		tell(j.canceledAt, j.canceledAt, canceled, "Cancel", isError(context.Canceled))
	}
	if w.stoppedAt() != 0 {
		tell(w.stopped, w.stopped, canceled, "Stop", isError(dispatch.ErrStopped))
	}
	if g := j.group; g != nil {
		if g.canceled != 0 {
			tell(g.canceled, g.canceled, canceled, g.via.String(), isError(context.Canceled))
		}
		if from, by := g.tripped(w); from != 0 {
			tell(from, by, canceled, "the batch's stop", isError(context.Canceled))
		}
	}
	if j.ended != 0 && !late && !j.gaveUp {
		ds = append(ds, j.own())
	}
	if j.starts == 0 {
		ds = w.withoutRun(j, ds)
	}
	return ds
}

// runLimit is the phase in which the run of j reached WithJobTimeout, if that
// has come.
func (w *world) runLimit(j *job) int {
	if w.jobTimeout == 0 || j.starts == 0 {
		return never
	}
	return w.phaseOf(j.startTime + ticks(w.jobTimeout))
}

// own is the decision of j's handler itself.
func (j *job) own() decision {
	d := decision{from: j.ended, by: j.ended, why: "handler"}
	switch j.body.finish {
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

// withoutRun adds what may happen to a job that waits, at a time that the model
// does not follow.
func (w *world) withoutRun(j *job, ds []decision) []decision {
	if w.overflow == dispatch.DropOldest && !j.item() {
		ds = append(ds, decision{from: j.asked, by: never, kind: dropped, why: "DropOldest", want: isError(dispatch.ErrDropped), unseen: true})
	}
	if w.flaky {
		ds = append(ds, decision{from: j.asked, by: never, kind: failed, why: "constructor", want: isError(errConstruct), unseen: true})
	}
	return ds
}

// verdict is the decision that explains what a reader of j was told.
func (w *world) verdict(j *job) (decision, error) {
	ds := w.decisions(j)
	last := deadline(ds)
	for _, d := range ds {
		if d.from <= last && d.from <= j.settled && j.settled <= max(last, j.since) && d.want(j.outcome) {
			return d, nil
		}
	}
	var why strings.Builder
	for _, d := range ds {
		fmt.Fprintf(&why, "\n\t%s decides it from phase %d, by phase %d", d.why, d.from, d.by)
	}
	return decision{}, fmt.Errorf("%v: nothing explains this outcome at this phase%s", j, why.String())
}

// possible lists the decisions that may have decided j.
func (w *world) possible(j *job) []decision {
	ds := w.decisions(j)
	last := deadline(ds)
	n := 0
	for _, d := range ds {
		if d.from <= last {
			ds[n] = d
			n++
		}
	}
	return ds[:n]
}

// deadline is the phase by which the outcome has been decided.
func deadline(ds []decision) int {
	last := never
	for _, d := range ds {
		last = min(last, d.by)
	}
	return last
}

// first is the phase from which the outcome may be decided, by something that
// the model sees.
func first(ds []decision) int {
	at := never
	for _, d := range ds {
		if !d.unseen {
			at = min(at, d.from)
		}
	}
	return at
}

// tells tells whether err is why the context is done.
func (c *watched) tells(err error) bool {
	return c.Err() != nil && err == context.Cause(c)
}

func kindOf(c *watched) kind {
	if errors.Is(c.Err(), context.DeadlineExceeded) {
		return timedOut
	}
	return canceled
}

func isError(want error) func(outcome) bool {
	return func(o outcome) bool { return errors.Is(o.err, want) }
}

func isTimeout(limit time.Duration) func(outcome) bool {
	return func(o outcome) bool {
		var te *dispatch.TimeoutError
		return errors.As(o.err, &te) && te.Limit == limit &&
			errors.Is(o.err, dispatch.ErrTimeout) && errors.Is(o.err, context.DeadlineExceeded) && te.Timeout()
	}
}
