package modeltest

import (
	"errors"
	"slices"

	"example.com/dispatch"
)

// waited is the result of one call of Batch.Wait.
type waited struct {
	outs []int
	err  error
}

// split undoes errors.Join.
func split(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err != nil {
		return []error{err}
	}
	return nil
}

// checkWaits compares the results of Wait with the outcomes that other readers got. Wait
// must return each item's own failure as an *ItemError, and the error of items that were
// canceled together once, unwrapped.
func (w *world) checkWaits() {
	for _, g := range w.groups {
		for _, got := range g.waits {
			if err := w.checkWait(g, got); err != nil {
				w.failf("group %d: Wait returned %v, %q: %v\n%s", g.id, got.outs, got.err, err, w.list())
			}
		}
	}
}

func (w *world) checkWait(g *group, got waited) error {
	if len(got.outs) != len(g.items) {
		return errors.New("there are more or fewer items")
	}
	if g.turnedAway != nil && len(g.items) == 0 {
		if errs := split(got.err); len(errs) != 1 || !g.turnedAway(errs[0]) {
			return errors.New("it was not accepted, and that is not said")
		}
		return nil
	}
	failures, common := g.parse(split(got.err))
	if failures[-1] != nil {
		return errors.New("an error is no item's")
	}
	explained, expected := common == nil, false // the common error
	for i, j := range g.items {
		own, shared := w.whose(j)
		told := failures[i]
		switch {
		case j.outcome.value != got.outs[i]:
			return errors.New("an output is another's")
		case told != nil && (!own || told != j.outcome.err):
			return errors.New("an item has failed that has not")
		case told == nil && own && !shared:
			return errors.New("a failure is left out")
		}
		if told == nil && shared && j.outcome.err != dispatch.ErrHalted {
			expected = true
			explained = explained || common == j.outcome.err
		}
	}
	switch {
	case !explained:
		return errors.New("no item was canceled with the common error")
	case expected && common == nil:
		return errors.New("the common error is left out")
	}
	return nil
}

// parse separates the items' failures from the error of the items that were canceled
// together. That error comes last, and may be an *ItemError of another batch.
func (g *group) parse(errs []error) (failures map[int]error, common error) {
	failures = map[int]error{}
	for i, err := range errs {
		e, ok := err.(*dispatch.ItemError)
		shared := slices.ContainsFunc(g.items, func(j *job) bool { return j.outcome.err == err })
		switch {
		case shared && i == len(errs)-1:
			common = err
		case ok && e.Index < len(g.items) && g.items[e.Index].outcome.err == e.Err:
			failures[e.Index] = e.Err
		default:
			failures[-1] = err
		}
	}
	return failures, common
}

// whose reports whether the error of j is its own, or one that it has in common with
// others. It may be either if a handler returns the error of a context that cannot say why
// it is done.
func (w *world) whose(j *job) (own, shared bool) {
	d, err := w.verdict(j)
	switch {
	case err != nil || j.outcome.err == nil:
		return false, false
	case j.ctx.silent && givesNoReason(j.outcome.err):
		return true, true
	case j.ctx.tells(j.outcome.err):
		return false, true // whoever else has an error like it
	case d.kind == canceled || d.kind == timedOut && d.why == "context":
		return false, true
	}
	return true, false
}
