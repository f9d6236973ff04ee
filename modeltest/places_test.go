package modeltest

import "example.com/dispatch"

// roomNow reports whether there is room before the first call of a phase. Later in the
// phase the model does not know. The caller holds mu.
func (w *world) roomNow() answerTo {
	if !w.calm {
		return unknown
	}
	w.calm = false
	return w.room()
}

// room reports whether the pool has room for a job when the bubble is at rest. The pool
// accepts a job for each idle worker, and more up to the length of the queue. A handler
// may run on a worker or in addition to the workers.
func (w *world) room() answerTo {
	if w.limit == dispatch.Unlimited {
		return yes
	}
	var running, queued struct{ least, most int }
	for _, j := range w.jobs {
		switch {
		case j.running:
			running.most++
			extra := j.onLoan || w.stray(j) || w.overflow == dispatch.CallerRuns && j.room != yes
			if !extra {
				running.least++
			}
		case j.item() || w.pending(j) == no:
		case w.pending(j) == yes && j.counted():
			queued.least++
			queued.most++
		default:
			queued.most++
		}
	}
	switch {
	case queued.most < w.queue+max(0, w.limit-running.most):
		return yes
	case queued.least >= w.queue+max(0, w.limit-running.least):
		return no
	default:
		return unknown
	}
}

// counted reports whether j, which has not started, is known to be accepted.
func (j *job) counted() bool {
	doneBefore := j.ctx.doneAt != 0 && j.ctx.doneAt <= j.asked
	return j.accepted != 0 || j.via == opProcess && j.room == yes && !doneBefore
}
