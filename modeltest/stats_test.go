package modeltest

import (
	"errors"
	"fmt"

	"example.com/dispatch"
)

// checkStats compares Stats, taken when nothing moved, with the model.
func (w *world) checkStats(s dispatch.Stats) {
	running, queued, maybe, past := 0, 0, 0, false
	for _, j := range w.jobs {
		switch {
		case j.running:
			running++
			past = past || !j.item() && (w.runsPast(j) || j.settled != 0)
		case w.pending(j) == yes && j.counted():
			queued++
		case w.pending(j) != no:
			maybe++
		}
	}
	if s.Running+s.Strays != running {
		w.failf("Stats counts %d running and %d strays, and %d handlers run\n%s", s.Running, s.Strays, running, w.list())
	}
	if s.Queued < queued || s.Queued > queued+maybe {
		w.failf("Stats counts %d queued, expected %d to %d\n%s", s.Queued, queued, queued+maybe, w.list())
	}
	if sum := accounted(s); !past && s.Submitted != sum {
		w.failf("Stats does not balance: %d submitted, %d accounted for: %+v\n%s", s.Submitted, sum, s, w.list())
	}
	if s.Strays > w.strays || s.Idle > s.Workers || s.Workers < 0 || s.Idle < 0 {
		w.failf("Stats is impossible: %+v", s)
	}
	if err := fell(w.last, s); err != nil {
		w.failf("%v", err)
	}
	w.last = s
	w.checkState(s.State)
}

// runsPast reports whether the running handler of j has gone on past the job's outcome.
func (w *world) runsPast(j *job) bool {
	ds := w.decisions(j)
	return deadline(ds) <= w.phase || j.inline && first(ds) <= w.phase
}

// accounted returns the sum that must equal Stats.Submitted as long as no handler
// runs past its job's outcome.
func accounted(s dispatch.Stats) uint64 {
	return s.Succeeded + s.Failed + s.Panicked + s.Canceled + s.TimedOut + s.Dropped + uint64(s.Queued) + uint64(s.Running)
}

// fell describes a counter that decreased or a state that went back.
func fell(before, after dispatch.Stats) error {
	b, a := counters(before), counters(after)
	for i := range b {
		if a[i] < b[i] {
			return fmt.Errorf("a counter of Stats fell: %+v, then %+v", before, after)
		}
	}
	if after.State < before.State {
		return fmt.Errorf("the state went back from %v to %v", before.State, after.State)
	}
	return nil
}

func counters(s dispatch.Stats) [8]uint64 {
	return [...]uint64{s.Submitted, s.Succeeded, s.Failed, s.Panicked, s.Canceled, s.TimedOut, s.Dropped, s.Rejected}
}

func (w *world) checkState(s dispatch.State) {
	switch {
	case w.ended != 0 && s != dispatch.Ended,
		w.ended == 0 && s == dispatch.Ended,
		w.stopped != 0 && s < dispatch.Stopping,
		w.stopped == 0 && s == dispatch.Stopping,
		w.closed != 0 && s < dispatch.Draining,
		w.closed == 0 && s != dispatch.Running:
		w.failf("the state is %v; closed in phase %d, stopped in %d, ended in %d", s, w.closed, w.stopped, w.ended)
	}
}

// checkTotals compares the counters of a pool that has ended with the jobs' outcomes. An
// outcome that nobody received counts as any outcome that is possible.
func (w *world) checkTotals(s dispatch.Stats) {
	var sure, maybe [kinds]uint64
	var submitted, perhaps, rejected uint64
	for _, j := range w.jobs {
		known := j.starts > 0 || j.accepted != 0 || j.counted()
		switch {
		case errors.Is(j.refused, dispatch.ErrQueueFull):
			rejected++
			continue
		case j.refused != nil:
			continue
		case known:
			submitted++
		default:
			perhaps++ // Process, Map and Stream do not say
		}
		vague := j.ctx.silent && j.settled != 0 && givesNoReason(j.outcome.err)
		if d, err := w.verdict(j); !vague && j.settled != 0 && err == nil && known && (j.via != opMap || d.kind == succeeded) {
			sure[d.kind]++
			continue
		}
		for _, d := range w.possible(j) {
			maybe[d.kind]++
		}
		if j.over {
			maybe[canceled]++ // by the call that it was part of
		}
		if j.indirect && j.inline {
			maybe[canceled]++ // as the other pool ends the context of its job
			maybe[timedOut]++
		}
	}
	got := counters(s)
	for k := range kinds {
		if n := got[1+k]; n < sure[k] || n > sure[k]+maybe[k] {
			w.failf("Stats counts %+v: kind %d should be from %d to %d\n%s", s, k, sure[k], sure[k]+maybe[k], w.list())
		}
	}
	if s.Submitted < submitted || s.Submitted > submitted+perhaps {
		w.failf("Stats counts %d submitted, expected %d to %d\n%s", s.Submitted, submitted, submitted+perhaps, w.list())
	}
	if s.Rejected != rejected {
		w.failf("Stats counts %d rejected, and there were %d\n%s", s.Rejected, rejected, w.list())
	}
	if s.Submitted != accounted(s) || s.Running != 0 || s.Queued != 0 || s.Strays != 0 || s.Workers != 0 {
		w.failf("Stats of an ended pool: %+v", s)
	}
}
