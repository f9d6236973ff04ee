package modeltest

import "example.com/dispatch"

// checkTurnedAway checks a job that was refused because the maximum number of submitters
// waits for room. A submitter that is itself a job of the pool is not refused.
func (w *world) checkTurnedAway(j *job) {
	nested := j.parent != nil && (j.via == opProcess || j.via == opProcessTimed)
	if nested || j.blocked >= 0 && j.blocked < w.maxBlocked {
		w.failf("%v: it was turned away, while %d submitters waited for room and %d may\n%s", j, j.blocked, w.maxBlocked, w.list())
	}
}

// checkBlockedStats compares the number of blocked submitters with the model, and the
// limits in Stats with those that are set.
func (w *world) checkBlockedStats(s dispatch.Stats) {
	sure, maybe, nested := 0, 0, 0
	pending, perhaps := 0, 0
	for c := range w.calls {
		j := c.job
		switch {
		case j == nil || j.starts > 0 || j.refused != nil || j.accepted != 0:
		case j.via == opSubmit && w.overflow == dispatch.Block:
			sure++
		default:
			maybe++
		}
	}
	for _, j := range w.jobs {
		if j.parent != nil && j.parent.running && j.starts == 0 {
			nested++
		}
		switch w.pending(j) {
		case yes:
			pending++
		case unknown:
			perhaps++
		}
	}
	if s.Blocked < sure || s.Blocked > sure+maybe+nested {
		w.failf("Stats counts %d submitters that wait for room, expected %d to %d\n%s", s.Blocked, sure, sure+maybe+nested, w.list())
	}
	if n := s.Queued + s.Blocked; n < pending || n > pending+perhaps {
		w.failf("Stats counts %d queued and %d blocked, and from %d to %d wait\n%s", s.Queued, s.Blocked, pending, pending+perhaps, w.list())
	}
	if w.maxBlocked != dispatch.Unlimited && s.Blocked > w.maxBlocked+nested {
		w.failf("%d submitters wait for room, and %d may\n%s", s.Blocked, w.maxBlocked, w.list())
	}
	if s.MaxRunning != w.limit || s.MaxQueued != w.queue {
		w.failf("Stats says that %d may run and %d may wait; the limits are %d and %d", s.MaxRunning, s.MaxQueued, w.limit, w.queue)
	}
}

// checkGaveUp compares, after the end, the number of submitters that have given up their
// wait for room with the model. Process does not say whether its job was accepted.
func (w *world) checkGaveUp(s dispatch.Stats) {
	sure, maybe := uint64(0), uint64(0)
	for _, j := range w.jobs {
		switch {
		case j.group != nil || j.starts > 0 || j.ctx.doneAt != 0 && j.ctx.doneAt < j.asked:
		case j.via == opSubmit && j.refused != nil && j.ctx.doneAt > j.asked && j.ctx.tells(j.refused):
			sure++
		case j.refused != nil && j.ctx.tells(j.refused), j.refused == nil && j.accepted == 0 && !j.counted():
			maybe++
		}
	}
	if s.GaveUp < sure || s.GaveUp > sure+maybe {
		w.failf("Stats counts %d that gave up, expected %d to %d\n%s", s.GaveUp, sure, sure+maybe, w.list())
	}
}
