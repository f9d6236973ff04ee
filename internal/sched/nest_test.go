package sched

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// nestBlocked makes a running job submit another job and wait for it.
func (m *machine) nestBlocked(id int, outer *testJob) (*testJob, *blockedSubmitter) {
	m.t.Helper()
	j := m.newJob(id, context.Background())
	b, err := m.admission(j, &Admission{Caller: Caller{Outer: &outer.ctx}, Waits: true})
	require.NoError(m.t, err)
	return j, b
}

// nest is nestBlocked for a job that is accepted at once.
func (m *machine) nest(id int, outer *testJob) *testJob {
	m.t.Helper()
	j, b := m.nestBlocked(id, outer)
	require.Nil(m.t, b)
	return j
}

// startJob submits a job, makes a worker enter its handler, and returns it.
func (m *machine) startJob() *testJob {
	m.t.Helper()
	outer := m.submit(1)
	m.dispatch()
	m.enter(outer)
	return outer
}

func TestAJobLendsItsSlotToTheJobThatItWaitsFor(t *testing.T) {
	m := newMachine(t, Config{Limit: 1})
	outer := m.startJob()
	inner := m.nest(2, outer)
	require.Equal(t, []int{2}, m.grantedJobs(), "though no slot is free and there is no queue")
	require.Equal(t, 1, m.inUse)
	require.Equal(t, 1, m.over)
	m.dispatch()
	m.run(inner)
	require.False(t, outer.extra.loan.used)
	require.Zero(t, m.over)
	m.dispatch()
	require.Len(t, m.live, 1, "the worker that came for it leaves at once")
	m.close()
}

func TestALoanRunsOneThingAtATime(t *testing.T) {
	m := newMachine(t, Config{Limit: 1})
	outer := m.startJob()
	first := m.nest(2, outer)
	second, b := m.nestBlocked(3, outer)
	require.NotNil(t, b, "from another goroutine of the job's: the slot is lent already")
	m.dispatch()
	require.Equal(t, []int{1, 2}, m.inHand())
	m.run(first)
	require.Len(t, b.ready, 1)
	m.endLoan(b.loan)
	m.dispatch()
	require.Equal(t, []int{1, 3}, m.inHand())
	m.run(second)
	require.False(t, outer.extra.loan.used)
	m.close()
}

func TestLoansNestAtAnyDepth(t *testing.T) {
	m := newMachine(t, Config{Limit: 1})
	jobs := []*testJob{m.startJob()}
	for depth := range 10 {
		j := m.nest(depth+2, jobs[depth])
		m.dispatch()
		m.enter(j)
		jobs = append(jobs, j)
		require.Equal(t, 1, m.inUse)
		require.Equal(t, depth+1, m.over)
	}
	for _, j := range slices.Backward(jobs) {
		require.True(t, m.finish(m.worker(j), Outcome{}))
	}
	require.Zero(t, m.over)
	m.close()
}

func TestAJobThatWaitsForAQueuedJobHasItBroughtForward(t *testing.T) {
	m := newMachine(t, Config{Limit: 1, Queue: 3})
	outer := m.startJob()
	m.submit(2)
	queued := m.submit(3)
	m.submit(4)
	w := m.lend(&outer.ctx, &queued.Task)
	require.Equal(t, []int{2, 4}, m.waiting())
	require.Equal(t, []int{3}, m.grantedJobs())
	m.requireCounts(3, 1, 1)
	m.dispatch()
	m.run(queued)
	m.endLoan(w)
	require.False(t, outer.extra.loan.used)
	require.Equal(t, []int{2, 4}, m.waiting(), "the others do not come on the loan")
	m.close()
}

func TestAJobThatWaitsForOneThatHasASlotLendsNothing(t *testing.T) {
	m := newMachine(t, Config{Limit: 2})
	outer := m.startJob()
	other := m.submit(2)
	w := m.lend(&outer.ctx, &other.Task)
	require.False(t, outer.extra.loan.used)
	require.Zero(t, m.over)
	m.endLoan(w)
	m.close()
}

func TestThingsThatAJobWaitsForTakeTurnsWithItsLoan(t *testing.T) {
	m := newMachine(t, Config{Limit: 1, Queue: 4})
	outer := m.startJob()
	a, b := m.newGroup(9, 3), m.newGroup(9, 3)
	endA, endB := a.Lend(&outer.ctx), b.Lend(&outer.ctx)
	var order strings.Builder
	for range 6 {
		m.dispatch()
		for name, g := range map[string]*testGroup{"a": a, "b": b} {
			for _, w := range m.atGroup(g) {
				require.True(t, m.beginRun(w))
				require.True(t, w.OverLimit())
				order.WriteString(name)
				m.finishItem(w, Outcome{}, true)
			}
		}
	}
	require.Equal(t, "aababb", order.String(), "the first came when nothing else was waited for")
	require.True(t, a.over())
	require.True(t, b.over())
	endA()
	endB()
	m.close()
}

func TestItemsThatAreAddedWhileAJobWaitsForTheGroupRunOnItsSlot(t *testing.T) {
	m := newMachine(t, Config{Limit: 1})
	outer := m.startJob()
	g := m.newGroup(9, 1)
	end := g.Lend(&outer.ctx)
	m.dispatch()
	w := m.atGroup(g)[0]
	require.True(t, m.beginRun(w))
	m.finishItem(w, Outcome{}, true)
	require.False(t, outer.extra.loan.used)
	require.NoError(t, g.add(1))
	require.True(t, outer.extra.loan.used)
	end()
	m.close()
	require.True(t, g.over())
}

func TestALoanForAGroupThatIsHaltedIsGivenBack(t *testing.T) {
	m := newMachine(t, Config{Limit: 1})
	outer := m.startJob()
	g := m.newGroup(9, 2)
	g.Lend(&outer.ctx)
	require.Equal(t, 1, g.lent)
	g.Halt(canceled)
	m.dispatch()
	require.Zero(t, g.lent)
	require.Zero(t, m.over)
	require.False(t, outer.extra.loan.used)
	g.Forget(nil, false)
	require.True(t, outer.extra.loan.waits.empty(), "nothing of the group is kept")
	require.True(t, g.lenders.empty())
	m.close()
}

func TestTheLoanOfAJobWhoseHandlerHasReturnedIsOver(t *testing.T) {
	m := newMachine(t, Config{Limit: 1, Queue: 1})
	outer := m.startJob()
	inner := m.nest(2, outer)
	m.dispatch()
	m.finish(m.worker(outer), Outcome{}) // it did not wait after all
	require.Equal(t, 1, m.over, "the inner job has its slot until it ends")
	require.Zero(t, m.inUse)
	require.False(t, m.borrow(&outer.ctx))
	w := m.lend(&outer.ctx, &inner.Task)
	require.False(t, w.link.listed())
	m.run(inner)
	require.Zero(t, m.over)
	m.close()
}

func TestTheContextOfAJobThatHasReturnedEnclosesNothing(t *testing.T) {
	for _, asked := range []bool{false, true} {
		m := newMachine(t, Config{Limit: 1})
		j := m.startJob()
		require.Same(t, &j.ctx, m.enclosing(&j.ctx))
		if asked {
			j.ctx.Done()
		}
		m.finish(m.worker(j), Outcome{})
		require.Nil(t, m.enclosing(&j.ctx), "asked for Done: %v", asked)
		m.close()
	}
}

func TestALentSlotIsUsedInAPausedPool(t *testing.T) {
	m := newMachine(t, Config{Limit: 1})
	outer := m.startJob()
	m.Pause()
	inner := m.nest(2, outer)
	m.dispatch()
	m.run(inner)
	m.close()
}

func TestAnInlineJobTakesASlotOrTheOneThatIsLent(t *testing.T) {
	m := newMachine(t, Config{Limit: 1, Queue: 1})
	var w Worker
	w.InitInline(m.Scheduler)
	j := m.newJob(1, context.Background())
	require.True(t, w.Inline(&j.Task, &Admission{}))
	m.requireCounts(0, 1, 1)

	var second Worker
	second.InitInline(m.Scheduler)
	other := m.newJob(2, context.Background())
	require.False(t, second.Inline(&other.Task, &Admission{}), "no slot is free")

	require.True(t, j.Enter())
	nested := m.newJob(3, context.Background())
	require.True(t, second.Inline(&nested.Task, &Admission{Caller: Caller{Outer: &j.ctx}}))
	m.requireCounts(0, 2, 1)
	require.Equal(t, 1, m.over)
	require.True(t, nested.Decide())
	nested.Leave(&Outcome{})
	second.FinishInline(&Outcome{}, true)
	require.False(t, j.extra.loan.used)

	m.submit(4)
	require.Equal(t, []int{4}, m.waiting())
	require.True(t, j.Decide())
	j.Leave(&Outcome{})
	w.FinishInline(&Outcome{}, true)
	require.Equal(t, []int{4}, m.grantedJobs(), "its slot goes to what waits")
	m.close()
	require.EqualValues(t, 3, m.Snapshot().Ended[Succeeded])
}

// inline makes a job begin on its caller's goroutine. It returns false if it may not.
func (m *machine) inline(id int) (end func(), ok bool) {
	w := new(Worker)
	w.InitInline(m.Scheduler)
	j := m.newJob(id, context.Background())
	return func() {
		require.True(m.t, j.Decide())
		j.Leave(&Outcome{})
		w.FinishInline(&Outcome{}, true)
	}, w.Inline(&j.Task, &Admission{})
}

func TestAnInlineJobOvertakesNothingThatWaits(t *testing.T) {
	for name, wait := range map[string]func(m *machine){
		"a job that has a slot":   func(m *machine) { m.submit(1) },
		"an item that has a slot": func(m *machine) { m.newGroup(1, 1) },
		"a job on a lent slot":    func(m *machine) { m.nest(2, m.startJob()) },
		"an item on a lent slot": func(m *machine) {
			outer := m.startJob()
			end, ok := m.inline(2)
			require.True(m.t, ok)
			m.newGroup(1, 1).Lend(&outer.ctx)
			end()
		},
		"nothing, in a paused pool": func(m *machine) { m.Pause() },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, Config{Limit: 2, Queue: 9})
			wait(m)
			require.Less(t, m.inUse, m.limit)
			_, ok := m.inline(9)
			require.False(t, ok, "it waits for a worker")
			m.Resume()
			m.dispatch()
			for _, w := range m.live {
				if w.Work.Group != nil {
					require.True(t, m.beginRun(w))
				}
			}
			end, ok := m.inline(9)
			require.True(t, ok, "a worker has it")
			end()
			m.close()
		})
	}
}

func TestALoanDoesNotBringForwardAJobThatWasCanceled(t *testing.T) {
	m := newMachine(t, Config{Limit: 1, Queue: 1})
	outer := m.startJob()
	inner := m.nest(2, outer)
	m.dispatch()
	queued := m.submit(3)
	w := m.lend(&outer.ctx, &queued.Task)
	require.True(t, queued.Cancel())
	m.run(inner)
	require.Zero(t, [3]int{m.queued, m.Scheduler.granted, m.over})
	m.endLoan(w)
	m.close()
}

func TestALoanDoesNotBringInASubmitterThatIsIn(t *testing.T) {
	m := newMachine(t, Config{Limit: 1, Queue: 1})
	outer := m.startJob()
	inner := m.nest(2, outer)
	m.dispatch()
	queued := m.submit(3)
	_, b := m.nestBlocked(4, outer)
	require.NotNil(t, b)
	require.True(t, queued.Cancel())
	require.Len(t, b.ready, 1, "there is room, and its goroutine has yet to see it")
	m.run(inner)
	require.Equal(t, []int{4}, m.waiting(), "it waits for its turn")
	require.Zero(t, m.over)
	m.endLoan(b.loan)
	m.close()
	require.EqualValues(t, 4, m.Snapshot().Submitted)
}

func TestALoanDoesNotBringInASubmitterThatIsRefused(t *testing.T) {
	for name, refuse := range map[string]func(m *machine, j *testJob) (rest func()){
		"its caller's context is done": func(m *machine, j *testJob) func() {
			m.Complete(&j.Task, &Outcome{Kind: Canceled, Err: context.Canceled, By: ByCaller})
			return func() {}
		},
		"the pool takes no more": func(m *machine, _ *testJob) func() {
			require.True(m.t, m.refuse(Draining, Outcome{}))
			return m.endRefusal
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, Config{Limit: 1})
			outer := m.startJob()
			inner := m.nest(2, outer)
			m.dispatch()
			j := m.newJob(3, context.Background())
			j.phase.Store(offered)
			b, err := m.admission(j, &Admission{Caller: Caller{Outer: &outer.ctx}, Waits: true})
			require.NoError(t, err)
			require.NotNil(t, b)
			rest := refuse(m, j)
			m.run(inner)
			require.Zero(t, m.over)
			require.Zero(t, m.Scheduler.granted)
			rest()
			m.endLoan(b.loan)
			m.close()
			require.Error(t, b.err)
			require.EqualValues(t, 2, m.Snapshot().Submitted)
		})
	}
}

func TestAPauseDoesNotHoldBackWhatARunningJobWaitsFor(t *testing.T) {
	for name, waitFor := range map[string]func(m *machine) (what awaitable, run func()){
		"a job": func(m *machine) (awaitable, func()) {
			inner := m.submit(2)
			require.Equal(m.t, []int{2}, m.grantedJobs(), "it has a slot, and no worker")
			return inner, func() { m.run(inner) }
		},
		"a group": func(m *machine) (awaitable, func()) {
			g := m.newGroup(Unlimited, 1)
			require.Equal(m.t, 1, g.coming)
			return &g.Group, func() {
				w := m.atGroup(g)[0]
				require.True(m.t, m.beginRun(w))
				m.finishItem(w, Outcome{}, false)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, Config{Limit: 2, Queue: 4})
			outer := m.startJob()
			what, run := waitFor(m)
			w := m.lend(&outer.ctx, what)
			require.Zero(t, m.over)
			m.Pause()
			require.Equal(t, 1, m.over, "it runs on the slot of the job that waits")
			require.Equal(t, 1, m.inUse)
			m.dispatch()
			run()
			m.endLoan(w)
			require.True(t, m.lending.empty())
			m.finish(m.worker(outer), Outcome{})
			m.Resume()
			m.close()
		})
	}
}
