package modeltest

import (
	"errors"
	"fmt"
	"time"

	"example.com/dispatch"
)

// job is one input: how it was submitted, what the model knew then, and what the model
// has observed since. Phases are numbered from 1; 0 means "not yet". Everything is
// guarded by world.mu.
type job struct {
	id     int
	body   body
	via    op
	ctx    *watched
	value  any           // what ctx carries
	limit  time.Duration // of ProcessTimed
	parent *job          // the job that submitted it
	group  *group        // the batch, map or stream it is an item of; nil for a single job
	index  int           // in group

	// The submission.
	asked     int
	askedTime time.Duration
	room      answerTo // whether there was room, before the call
	refused   error    // the error of the call, if it did not accept the job
	accepted  int      // the phase from which the job is known to be accepted
	over      bool     // the call that it was part of has returned: nobody will report its outcome
	indirect  bool     // it is submitted by a second pool, and may never reach the first
	goroutine uint64   // the goroutine that made the call
	atOnce    bool     // it must run on that goroutine
	blocked   int      // submitters that waited for room, before the call; -1: unknown

	// The run.
	starts     int
	started    int
	startTime  time.Duration
	order      int // of starts, over the whole world
	running    bool
	ended      int
	gaveUp     bool     // the handler returned because its context was done
	handed     *watched // its context, if the body looks at it
	lending    bool     // inside a call that waits for its own pool
	lent       int      // the last phase in which it returned from such a call
	waiting    []*job   // for which jobs
	interrupts int      // of its Worker, while it ran
	onLoan     bool     // started while its parent waited
	inline     bool     // on the goroutine of its caller
	torn       bool     // a job inside has ended its goroutine
	endTime    time.Duration

	// The outcome.
	future     *dispatch.Future[int]
	canceledAt int // by Cancel
	settled    int // the phase in which a reader received it
	since      int // the reader waited for nothing else from this phase on
	outcome    outcome
	checked    bool // against the model; nothing more will happen to it

	told told // calls of the label function and the hooks
}

// outcome is an outcome as a reader receives it.
type outcome struct {
	value int
	err   error
}

func (o outcome) String() string {
	if o.err != nil {
		return fmt.Sprintf("error %q", o.err)
	}
	return fmt.Sprintf("value %d", o.value)
}

// same reports whether two readers received the same outcome. It compares errors as
// values, because the pool makes an outcome only once.
func (o outcome) same(other outcome) bool {
	return o.value == other.value && o.err == other.err
}

func (j *job) String() string {
	s := fmt.Sprintf("job %d by %v at phase %d (room: %v): %v;", j.id, j.via, j.asked, j.room, j.body)
	if j.parent != nil {
		s += fmt.Sprintf(" child of %d;", j.parent.id)
	}
	if j.group != nil {
		s += fmt.Sprintf(" item %d of group %d;", j.index, j.group.id)
	}
	if j.refused != nil {
		s += fmt.Sprintf(" refused: %v;", j.refused)
	}
	s += fmt.Sprintf(" accepted %d, started %d, ended %d, canceled %d, settled %d", j.accepted, j.started, j.ended, j.canceledAt, j.settled)
	if j.settled != 0 {
		s += fmt.Sprintf(": %v", j.outcome)
	}
	return s
}

// item reports whether j is an item of a batch, a map or a stream, which gets its
// outcome when its handler returns.
func (j *job) item() bool { return j.group != nil }

// followed and polled are the ways in which the model learns the outcome of a future.
// Some futures are not read before the end, but only if their end is predictable.
func (w *world) followed(j *job) bool { return j.future != nil && j.id%3 == 0 }

func (w *world) polled(j *job) bool {
	return j.future != nil && (j.id%3 == 1 || j.id%3 == 2 && (w.flaky || w.overflow == dispatch.DropOldest))
}

// timed reports whether the job has a limit of its own.
func (j *job) timed() bool { return j.via == opProcessTimed }

// newJob makes a job that is about to be submitted with c.
func (w *world) newJob(via op, c *watched, b body, parent *job) *job {
	w.mu.Lock()
	defer w.mu.Unlock()
	j := &job{
		id: len(w.jobs), body: b, via: via, ctx: c, value: c.Value(valueKey{}), parent: parent,
		asked: w.phase, askedTime: w.now(), blocked: -1,
	}
	if w.calm {
		j.blocked = w.last.Blocked
		j.atOnce = w.inline && via == opProcess && w.doneAt(c) == 0 && w.inlineNow()
	}
	j.room = w.roomNow()
	w.rename(j)
	w.jobs = append(w.jobs, j)
	c.users = append(c.users, j)
	return j
}

// refuse records that the call did not accept j.
func (w *world) refuse(j *job, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	j.refused = err
	w.stoppedAt()
	if j.starts > 0 || j.told.ends > 0 {
		w.failf("%v: refused, but it ran, or its end was told", j)
	}
	switch {
	case errors.Is(err, dispatch.ErrClosed), errors.Is(err, dispatch.ErrStopped):
		if w.closed == 0 {
			w.failf("%v: refused by an open pool", j)
		}
	case errors.Is(err, dispatch.ErrQueueFull):
		if j.room == yes && w.closed == 0 {
			w.failf("%v: refused while a place was free\n%s", j, w.list())
		}
		if w.maxBlocked != dispatch.Unlimited && j.via != opTrySubmit {
			w.checkTurnedAway(j)
		} else if j.via != opTrySubmit && w.overflow != dispatch.Reject && !(w.overflow == dispatch.DropOldest && w.queue == 0) {
			w.failf("%v: refused against the policy", j)
		}
	case j.ctx.over():
		if !j.ctx.tells(err) {
			w.failf("%v: refused with another error than the context's cause", j)
		}
	default:
		w.failf("%v: refused for no reason", j)
	}
}

// accept records that the call accepted j.
func (w *world) accept(j *job, f *dispatch.Future[int]) {
	w.mu.Lock()
	defer w.mu.Unlock()
	j.accepted, j.future = w.phase, f
	if w.closed != 0 && w.closed < j.asked {
		w.failf("%v: accepted after the pool was closed in phase %d", j, w.closed)
	}
	if c := j.ctx; c.doneAt != 0 && c.doneAt < j.asked && !c.lies() {
		w.failf("%v: accepted though its context was done", j)
	}
	if j.room == no && (j.via == opTrySubmit || w.overflow == dispatch.Reject) {
		w.failf("%v: accepted while no place was free\n%s", j, w.list())
	}
}

// settle records the outcome that a reader received. If the reader waited for nothing
// else from phase since on, the phase must fit; otherwise since is never.
func (w *world) settle(j *job, o outcome, since int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if j.settled != 0 {
		if !j.outcome.same(o) {
			w.failf("%v: another reader was told %v", j, o)
		}
		return
	}
	j.settled, j.since, j.outcome = w.phase, since, o
}

// pending reports whether j waits for a worker, as far as the model knows. The answer no
// is certain.
func (w *world) pending(j *job) answerTo {
	if j.starts > 0 || j.refused != nil || j.settled != 0 || j.over || j.waitsInAdd() {
		return no
	}
	ds := w.decisions(j)
	switch {
	case deadline(ds) <= w.phase:
		return no
	case first(ds) <= w.phase || w.hidden(j) && j.group != nil || j.indirect || j.group != nil && j.group.vague != nil:
		return unknown
	case j.via == opStream && w.closed != 0 && j.accepted == 0:
		return unknown // it may have been taken and refused
	default:
		return yes
	}
}

// answerTo is the model's answer to a question: yes, no or unknown.
type answerTo int

const (
	unknown answerTo = iota
	yes
	no
)

func (a answerTo) String() string { return [...]string{"unknown", "yes", "no"}[a] }

// panicValue returns the value with which the job panics: an error or a string.
func (j *job) panicValue() any {
	if j.id%2 == 0 {
		return bodyError(j.id)
	}
	return "no error"
}
