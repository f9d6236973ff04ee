package sched

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var canceled = Outcome{Kind: Canceled, Err: context.Canceled}

// requireCounts checks how many jobs the pool counts as queued and running, and how
// many slots are taken.
func (m *machine) requireCounts(queued, running, inUse int) {
	m.t.Helper()
	now := m.Snapshot()
	require.Equal(m.t, []int{queued, running, inUse}, []int{now.Queued, now.Running, m.inUse}, "queued, running, slots in use")
}

func TestAJobThatWaitsIsCanceledAndLeavesTheQueue(t *testing.T) {
	m := newMachine(t, Config{Limit: 1, Queue: 2})
	jobs := m.submits(3)
	require.True(t, jobs[1].Cancel())
	require.False(t, jobs[1].Cancel(), "it has its outcome")
	require.Equal(t, []int{3}, m.waiting())
	require.Equal(t, canceled, jobs[1].Outcome())
	require.Equal(t, 1, jobs[1].withdrawn)
	require.False(t, jobs[1].kept)
	require.Len(t, jobs[1].token, 1)
	require.Nil(t, jobs[1].Context(), "its future may be kept for long")
	m.requireCounts(2, 0, 1)
	m.close()
}

func TestAJobThatIsGrantedAndCanceledFreesItsSlotForTheNext(t *testing.T) {
	m := newMachine(t, Config{Limit: 1, Queue: 2})
	jobs := m.submits(2)
	require.True(t, jobs[0].Cancel())
	require.Equal(t, withdrawn, jobs[0].stage)
	require.Equal(t, []int{2}, m.grantedJobs())
	m.requireCounts(1, 0, 1)
	m.dispatch()
	require.Equal(t, []int{2}, m.inHand())
	require.Len(t, m.live, 1)
	m.close()
}

func TestAJobThatIsHandedAndCanceledFreesItsSlotAndNotItsWorker(t *testing.T) {
	m := newMachine(t, Config{Limit: 1, Queue: 2})
	jobs := m.submits(2)
	m.dispatch()
	w := m.worker(jobs[0])
	require.True(t, jobs[0].Cancel())
	require.Equal(t, released, jobs[0].stage)
	require.Equal(t, 1, m.returning)
	require.Equal(t, []int{2}, m.grantedJobs(), "its slot has gone to the next")
	m.requireCounts(1, 0, 1)
	m.dispatch()
	require.Len(t, m.live, 1, "no worker is started: one is about to come back")

	require.False(t, w.Enter(&jobs[0].Task), "the handler is not entered")
	require.False(t, m.finish(w, Outcome{}))
	require.Zero(t, m.returning)
	require.Equal(t, []int{2}, m.inHand())
	m.requireCounts(0, 1, 1)
	m.close()
}

func TestAJobThatHasBegunAndIsCanceledKeepsItsSlotUntilItsWorkerIsBack(t *testing.T) {
	m := newMachine(t, Config{Limit: 1, Queue: 2})
	jobs := m.submits(2)
	m.dispatch()
	w := m.worker(jobs[0])
	w.Turn() // a constructor, or Ready
	require.True(t, jobs[0].Cancel())
	require.Equal(t, early, jobs[0].stage)
	require.Equal(t, []int{2}, m.waiting())
	m.requireCounts(1, 0, 1)
	require.Error(t, jobs[0].ctx.Err(), "Ready is told")

	require.False(t, m.finish(w, Outcome{}))
	require.Equal(t, []int{2}, m.inHand())
	m.requireCounts(0, 1, 1)
	m.close()
}

func TestAJobThatRunsAndIsCanceledKeepsItsSlotUntilItsHandlerReturns(t *testing.T) {
	m := newMachine(t, Config{Limit: 1, Queue: 2})
	jobs := m.submits(2)
	m.dispatch()
	w := m.enter(jobs[0])
	require.True(t, jobs[0].Cancel())
	require.Len(t, jobs[0].token, 1, "its caller has the answer at once")
	require.Equal(t, context.Canceled, context.Cause(&jobs[0].ctx), "the handler is told")
	require.Zero(t, jobs[0].withdrawn)
	m.requireCounts(1, 1, 1)

	require.False(t, m.finish(w, Outcome{}), "what the handler makes of it is dropped")
	require.Equal(t, canceled, jobs[0].Outcome())
	require.EqualValues(t, 1, m.Snapshot().Ended[Canceled])
	require.Zero(t, m.Snapshot().Ended[Succeeded])
	m.close()
	require.EqualValues(t, 1, m.Snapshot().Ended[Succeeded])
}

func TestAJobOnALentSlotThatIsCanceledGivesTheSlotBackOnce(t *testing.T) {
	for name, c := range map[string]struct {
		handed bool
		stage  stage
	}{
		"before a worker": {false, withdrawn},
		"in hand":         {true, early},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, Config{Limit: 1, Queue: 1})
			outer := m.submit(1)
			m.dispatch()
			m.enter(outer)
			inner := m.nest(2, outer)
			if c.handed {
				m.dispatch()
				require.Equal(t, []int{1, 2}, m.inHand())
			}
			require.True(t, outer.extra.loan.used)
			require.True(t, inner.Cancel())
			require.Equal(t, c.stage, inner.stage)
			require.Equal(t, 1, m.inUse, "the slot of the outer job")
			if c.handed {
				require.True(t, outer.extra.loan.used, "its worker is to give the slot back")
				m.finish(m.worker(inner), Outcome{})
			}
			m.dispatch()
			require.False(t, outer.extra.loan.used)
			require.Zero(t, m.over)
			m.close()
		})
	}
}

func TestAJobThatWasOfferedAndIsEndedByItsCallerIsNeverIn(t *testing.T) {
	m := newMachine(t, Config{Limit: 1})
	j := m.newJob(1, context.Background())
	j.phase.Store(offered)
	require.False(t, m.Complete(&j.Task, &canceled))
	_, err := m.admission(j, &Admission{})
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, m.Snapshot().Submitted)
	require.Zero(t, m.Snapshot().Ended[Canceled])
	require.Empty(t, j.token)
	m.close()
}

func TestAJobInTheIntakeCanBeCanceled(t *testing.T) {
	m := newMachine(t, Config{Limit: 1, Queue: 3})
	jobs := m.submits(3)
	require.Equal(t, 2, m.intake.came, "they wait where the scheduler does not see them")
	require.True(t, jobs[1].Cancel())
	m.requireCounts(2, 0, 1)
	require.Equal(t, []int{3}, m.waiting())
	m.close()
}

// The grace of an execution belongs to it alone, however late its timer fires.
func TestTheGraceOfAnExecutionThatIsOverDoesNotAbandonTheNext(t *testing.T) {
	m := newMachine(t, Config{Limit: 1, Queue: 1, MaxStrays: 1})
	jobs := m.submits(2)
	m.dispatch()
	w := m.enter(jobs[0])
	require.True(t, jobs[0].Cancel())
	require.NotNil(t, w.exec.endGrace, "its grace has begun")
	generation := w.exec.generation
	m.finish(w, Outcome{})
	require.Nil(t, w.exec.endGrace)
	require.Same(t, w, m.enter(jobs[1]), "the same worker has the next")
	require.True(t, jobs[1].Cancel())

	w.abandon(t.Context(), generation) // as a late timer does
	require.Zero(t, m.Snapshot().Strays)
	m.requireCounts(0, 1, 1)
	require.False(t, w.IsStray())
	require.True(t, m.strayRoom.TryAcquire(1), "it has left the room for a stray to others")
	m.strayRoom.Release(1)

	w.abandon(t.Context(), w.exec.generation)
	require.Equal(t, 1, m.Snapshot().Strays, "its own grace would have")
	m.requireCounts(0, 0, 0)
	m.close()
}

func TestTheGraceOfAWorkerThatIsIdleDoesNotAbandonIt(t *testing.T) {
	m := newMachine(t, Config{Limit: 1, MaxStrays: 1})
	j := m.submit(1)
	m.dispatch()
	w := m.enter(j)
	j.Cancel()
	m.finish(w, Outcome{})
	w.abandon(t.Context(), w.exec.generation)
	require.Zero(t, m.Snapshot().Strays)
	require.Equal(t, 1, m.Snapshot().Idle)
	m.close()
}

func TestTheGraceEndsWithTheHandlerWhileStraysAreAsManyAsAllowed(t *testing.T) {
	m := newMachine(t, Config{Limit: 1, MaxStrays: 1})
	require.True(t, m.strayRoom.TryAcquire(1))
	j := m.submit(1)
	m.dispatch()
	w := m.enter(j)
	j.Cancel()
	over, end := context.WithCancel(t.Context())
	end() // the handler has returned
	w.abandon(over, w.exec.generation)
	require.Zero(t, m.Snapshot().Strays)
	m.strayRoom.Release(1)
	m.close()
}

func TestAStrayGivesItsSlotToOthersAndItsWorkerEnds(t *testing.T) {
	m := newMachine(t, Config{Limit: 1, Queue: 1, MaxStrays: 1})
	jobs := m.submits(2)
	m.dispatch()
	stray := m.enter(jobs[0])
	jobs[0].Cancel()
	stray.abandon(t.Context(), stray.exec.generation)
	m.dispatch()
	require.Equal(t, []int{1, 2}, m.inHand())
	require.Equal(t, 1, m.Snapshot().Workers, "a stray does not count")
	m.Drain()
	m.run(jobs[1])
	require.Equal(t, Sleep, m.dispatch().Action, "the end waits for strays")

	require.False(t, m.finish(stray, Outcome{}))
	require.True(t, stray.Work.Leave)
	require.Equal(t, End, m.dispatch().Action)
	require.Zero(t, m.strays)
	require.NoError(t, m.Rest())
}

func TestALimitThatIsLateDoesNotEndTheNextExecution(t *testing.T) {
	m := newMachine(t, Config{Limit: 1, Queue: 1, JobTimeout: time.Hour})
	jobs := m.submits(2)
	m.dispatch()
	w := m.enter(jobs[0])
	m.advance(time.Hour)
	m.finish(w, Outcome{})
	m.enter(jobs[1])
	w.exec.expire() // the timer of the first
	require.False(t, jobs[1].Resolved())
	m.advance(time.Hour)
	w.exec.expire()
	require.Equal(t, TimedOut, jobs[1].Outcome().Kind)
	require.ErrorIs(t, jobs[1].Err(), errTimeout)
	m.close()
}

func TestAJobOnTopOfTheLimitIsNotTakenForOneThatHasASlot(t *testing.T) {
	m := newMachine(t, Config{Limit: 1})
	canceled := m.submit(1)
	over, _, err := m.try(2, CallerRuns)
	require.NoError(t, err)
	require.Equal(t, []int{2, 1}, m.grantedJobs())
	canceled.Cancel()
	require.Equal(t, []int{2}, m.grantedJobs())
	m.dispatch()
	require.Equal(t, []int{2}, m.inHand(), "one worker has it")
	m.run(over)
	m.close()
}
