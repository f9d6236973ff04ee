package sched

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// machine is a scheduler that a test drives by hand: the test plays the submitters, the
// dispatcher and the workers, one after another, and moves the clock. So what happens
// depends on nothing but the order of the test's calls.
type machine struct {
	*Scheduler
	t    testing.TB
	live []*Worker // workers that have not ended, strays included, in the order in which they were started
}

var errTimeout = errors.New("timeout")

func newMachine(t testing.TB, cfg Config) *machine {
	cfg.Guard = func(value any, _ []byte) error { return fmt.Errorf("panic: %v", value) }
	cfg.Timeout = func(time.Duration, bool) error { return errTimeout }
	cfg.OnStop = func(error) {}
	cfg.Dispatch = func() {} // the test calls Decide itself
	if cfg.IdleTimeout == 0 {
		cfg.IdleTimeout = time.Hour
	}
	if cfg.MaxBlocked == 0 {
		cfg.MaxBlocked = Unlimited
	}
	if cfg.Grace == 0 {
		cfg.Grace = time.Hour // the test calls abandon itself
	}
	return &machine{Scheduler: New(cfg), t: t}
}

// advance moves the clock.
func (m *machine) advance(d time.Duration) { m.epoch = m.epoch.Add(-d) }

// testJob is a job with a number.
type testJob struct {
	Task
	ctx       Context
	id        int
	withdrawn int  // calls of Withdrawn
	kept      bool // whether the last of them kept the input
	token     chan struct{}
}

// Withdrawn implements Job.
func (j *testJob) Withdrawn(keep bool) Effect {
	j.withdrawn++
	j.kept = keep
	return nil
}

func (m *machine) newJob(id int, caller context.Context) *testJob {
	j := &testJob{id: id, token: make(chan struct{}, 1)}
	j.Init(m.Scheduler, j, &j.ctx, caller)
	j.Await(j.token)
	return j
}

// admission is Accept, except that it does not wait for room.
func (m *machine) admission(j *testJob, a *Admission) (*blockedSubmitter, error) {
	if !a.nested() && m.intake.offer(&j.Task) {
		return nil, nil
	}
	m.lock()
	defer m.unlock()
	m.closeIntake()
	return m.admit(&j.Task, a)
}

// submit makes the pool accept a job whose submitter waits for its outcome.
func (m *machine) submit(id int) *testJob {
	m.t.Helper()
	j := m.newJob(id, context.Background())
	b, err := m.admission(j, &Admission{Policy: Reject, Waits: true})
	require.NoError(m.t, err)
	require.Nil(m.t, b)
	return j
}

// submits makes the pool accept jobs with the numbers from 1 to n.
func (m *machine) submits(n int) (jobs []*testJob) {
	m.t.Helper()
	for id := range n {
		jobs = append(jobs, m.submit(id+1))
	}
	return jobs
}

// try submits a job. It returns the blocked submitter if the job must wait for room,
// and the error if it is refused.
func (m *machine) try(id int, p Policy) (*testJob, *blockedSubmitter, error) {
	j := m.newJob(id, context.Background())
	b, err := m.admission(j, &Admission{Policy: p})
	return j, b, err
}

// waiting returns the numbers of the jobs that wait for a slot, in order.
func (m *machine) waiting() (ids []int) {
	for _, q := range []*queue{&m.queue, &m.intake.jobs} {
		for t := q.head; t != nil; t = t.next {
			if t.stage == waiting {
				ids = append(ids, t.job.(*testJob).id)
			}
		}
	}
	return ids
}

// grantedJobs returns the numbers of the jobs that have a slot and no worker, in order.
func (m *machine) grantedJobs() (ids []int) {
	for _, w := range m.immediate.works[m.immediate.head:] {
		if w.Task != nil && w.Task.stage == granted {
			ids = append(ids, w.Task.job.(*testJob).id)
		}
	}
	for t := m.queue.head; t != nil; t = t.next {
		if t.stage == granted && !t.overLimit {
			ids = append(ids, t.job.(*testJob).id)
		}
	}
	return ids
}

// inHand returns the numbers of the jobs that workers have, in the order of the
// workers.
func (m *machine) inHand() (ids []int) {
	for _, w := range m.live {
		if t := w.Work.Task; t != nil {
			ids = append(ids, t.job.(*testJob).id)
		}
	}
	return ids
}

// atGroup returns the workers whose work is g.
func (m *machine) atGroup(g *testGroup) (at []*Worker) {
	for _, w := range m.live {
		if w.Work.Group == &g.Group {
			at = append(at, w)
		}
	}
	return at
}

// awake reports whether the dispatcher's goroutine has something to do.
func (m *machine) awake() bool { return m.dispatching && !m.asleep && m.state != Ended }

// decide is one step of the dispatcher.
func (m *machine) decide() Decision {
	select {
	case <-m.wake:
	default:
	}
	return m.Decide(func() *Worker {
		w := new(Worker)
		w.Init(m.Scheduler)
		m.live = append(m.live, w)
		return w
	})
}

// timer makes the dispatcher's timer fire.
func (m *machine) timer() {
	m.lock()
	m.asleep = false
	m.unlock()
}

// dispatch lets the dispatcher work until it sleeps or exits, and returns its last
// decision. Workers look at their work, and those that have been told to leave do so.
func (m *machine) dispatch() (d Decision) {
	m.t.Helper()
	for {
		for _, w := range slices.Clone(m.live) {
			m.look(w)
			if w.Work.Leave {
				m.quit(w)
			}
		}
		if !m.awake() {
			return d
		}
		d = m.decide()
	}
}

// look makes a worker look at its work. It returns false if the worker is idle.
func (m *machine) look(w *Worker) bool {
	if w.parked && len(w.inbox) == 0 {
		return false
	}
	w.Await()
	return true
}

func (m *machine) quit(w *Worker) {
	w.Quit()
	m.live = slices.DeleteFunc(m.live, func(x *Worker) bool { return x == w })
}

// worker returns the worker that has the job.
func (m *machine) worker(j *testJob) *Worker {
	m.t.Helper()
	for _, w := range m.live {
		if w.Work.Task == &j.Task {
			require.True(m.t, m.look(w))
			return w
		}
	}
	require.Failf(m.t, "no worker", "has job %d in hand", j.id)
	return nil
}

// enter makes the worker of a job enter the handler.
func (m *machine) enter(j *testJob) *Worker {
	m.t.Helper()
	w := m.worker(j)
	w.Begin(&j.Task)
	require.True(m.t, w.Enter(&j.Task))
	return w
}

// finish makes a worker end its job with the outcome of the handler, unless the job has
// been settled, and take its next work.
func (m *machine) finish(w *Worker, o Outcome) (decided bool) {
	t := w.Work.Task
	w.End()
	decided = t.Decide()
	if decided {
		t.Leave(&o)
	} else {
		t.Leave(nil)
	}
	w.FinishJob(&o, decided)
	return decided
}

// run has the job handled from beginning to end.
func (m *machine) run(j *testJob) {
	m.t.Helper()
	require.True(m.t, m.finish(m.enter(j), Outcome{}))
}

// close ends the pool with everything that is left in it, and checks that nothing is
// held.
func (m *machine) close() {
	m.t.Helper()
	m.Drain()
	for range 10_000 {
		m.dispatch()
		if m.state == Ended {
			require.Empty(m.t, m.live)
			require.NoError(m.t, m.Rest())
			return
		}
		require.NotEmpty(m.t, m.live, "the dispatcher sleeps, and no worker is left")
		for _, w := range slices.Clone(m.live) {
			m.proceed(w, Outcome{})
		}
	}
	require.Fail(m.t, "the pool does not end")
}

// proceed makes a worker end its work. It returns false if the worker is idle.
func (m *machine) proceed(w *Worker, o Outcome) bool {
	if !m.look(w) {
		return false
	}
	switch work := w.Work; {
	case work.Task != nil:
		if work.Task.phase.Load() == accepted {
			w.Begin(work.Task)
			w.Enter(work.Task)
		}
		m.finish(w, o)
	case work.Group != nil && w.run == nil:
		m.beginRun(w)
	case work.Group != nil:
		m.finishItem(w, o, true)
	case work.Making != nil:
		w.FinishMaking(o.Err)
	case work.Leave:
		m.quit(w)
	}
	return true
}

// testGroup is a group whose items are the numbers from 0 on.
type testGroup struct {
	Group
	next, total int
	outcomes    []int // how many outcomes each item has
	rest        []int // the items that nobody had claimed when it was halted
	halts       int   // calls of Halted
	closings    int   // calls of PoolClosing
	stopOnError bool
}

// itemRun is the run of a worker with a testGroup.
type itemRun struct {
	Run
	item int
	done int // items that were handled successfully and have not been counted yet
}

func (m *machine) newGroup(most, items int) *testGroup {
	m.t.Helper()
	g := m.newGroupOf(most, context.Background())
	require.NoError(m.t, g.add(items))
	return g
}

func (m *machine) newGroupOf(most int, caller context.Context) *testGroup {
	g := new(testGroup)
	g.Init(m.Scheduler, g, caller, most)
	return g
}

func (g *testGroup) add(n int) error {
	_, err := g.Add(n, func() {
		g.total += n
		g.outcomes = append(g.outcomes, make([]int, n)...)
	})
	return err
}

// Left implements Source.
func (g *testGroup) Left(atMost int) int { return min(g.total-g.next, atMost) }

// Claim implements Source.
func (g *testGroup) Claim(r *Run) bool {
	if g.next == g.total {
		return false
	}
	r.Typed.(*itemRun).item = g.next
	g.next++
	return true
}

// ClaimRest implements Source.
func (g *testGroup) ClaimRest() int {
	n := g.total - g.next
	for ; g.next < g.total; g.next++ {
		g.rest = append(g.rest, g.next)
		g.outcomes[g.next]++
	}
	return n
}

// Halted implements Source.
func (g *testGroup) Halted(Outcome, int) { g.halts++ }

// Oldest implements Source.
func (g *testGroup) Oldest() time.Duration { return 0 }

// HaltAfter implements Source.
func (g *testGroup) HaltAfter(_ *Run, o *Outcome) *Outcome {
	if g.stopOnError && o.Kind != Succeeded {
		return &Outcome{Kind: Canceled, Err: o.Err}
	}
	return nil
}

// Abandoned implements Source.
func (g *testGroup) Abandoned(r *Run, _ Outcome) { g.outcomes[r.Typed.(*itemRun).item]++ }

// PoolClosing implements Source.
func (g *testGroup) PoolClosing() { g.closings++ }

// over reports whether every item has its outcome.
func (g *testGroup) over() bool { return !slices.Contains(g.outcomes, 0) }

// beginRun makes a worker begin with its group. It returns false if nothing was left.
func (m *machine) beginRun(w *Worker) bool {
	m.t.Helper()
	require.True(m.t, m.look(w))
	r := new(itemRun)
	r.Typed = r
	careful := w.Interrupts()
	if !w.BeginRun(&r.Run, careful) {
		return false
	}
	if careful {
		w.Begin(&r.Task)
		w.Start(&r.Run)
	}
	return true
}

// nextItem makes a worker end an item successfully and claim the next without the
// mutex. It returns false if the worker must come back to the mutex.
func (m *machine) nextItem(w *Worker) bool {
	r := w.run.Typed.(*itemRun)
	g := r.g.source.(*testGroup)
	item := r.item
	if r.careful || w.OverLimit() || m.Preempt() || r.Task.Resolved() || !g.Claim(&r.Run) {
		return false
	}
	if g.Left(1) == 0 {
		g.Exhausted()
	}
	g.outcomes[item]++
	r.done++
	return true
}

// finishItem ends the item that the worker is handling. It returns true if the worker
// has the next one.
func (m *machine) finishItem(w *Worker, o Outcome, more bool) bool {
	m.t.Helper()
	r := w.run.Typed.(*itemRun)
	g := r.g.source.(*testGroup)
	w.End()
	item, done := r.item, r.done
	r.done = 0
	if r.careful && r.Refused() {
		o = r.Task.Outcome()
	}
	next, abandoned := r.Count(done, &o, g.HaltAfter(&r.Run, &o), more && !w.OverLimit() && m.cfg.JobTimeout == 0 && !w.broken)
	if !abandoned {
		g.outcomes[item]++
	}
	if next && r.careful {
		w.Begin(&r.Task)
		w.Start(&r.Run)
	}
	if next {
		return true
	}
	if r.Task.Decide() {
		r.Task.Leave(&Outcome{})
	} else {
		r.Task.Leave(nil)
	}
	w.EndRun()
	return false
}
