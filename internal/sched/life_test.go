package sched

import (
	"testing"

	"github.com/stretchr/testify/require"
)

var stopped = Outcome{Kind: Canceled, Err: ErrStopped, By: ByPool}

func TestAPoolEndsWhenAllThatWasAcceptedIsDone(t *testing.T) {
	m := newMachine(t, Config{Limit: 1, Queue: 2})
	jobs := m.submits(3)
	m.dispatch()
	m.Drain()
	_, _, err := m.try(4, Block)
	require.ErrorIs(t, err, ErrClosed)
	for _, j := range jobs {
		require.Equal(t, Draining, m.Snapshot().State)
		m.run(j)
	}
	require.Equal(t, End, m.dispatch().Action)
	require.Equal(t, Ended, m.Snapshot().State)
	require.False(t, m.Resize(3))
	require.NoError(t, m.Rest())
}

func TestAPoolThatHasDoneNothingEndsAtOnce(t *testing.T) {
	m := newMachine(t, Config{Limit: 1})
	m.Drain()
	require.Equal(t, End, m.dispatch().Action)
}

func TestTheEndWaitsForWhatIsInTheBackground(t *testing.T) {
	m := newMachine(t, Config{Limit: 1})
	j := m.submit(1)
	m.dispatch()
	m.run(j)
	m.BeginBackground()
	m.Drain()
	m.dispatch() // the worker leaves
	require.Empty(t, m.live)
	require.Equal(t, Draining, m.Snapshot().State)
	m.EndBackground()
	m.dispatch()
	require.Equal(t, Ended, m.Snapshot().State)
}

func TestDrainRefusesThoseThatWaitForRoom(t *testing.T) {
	m := newMachine(t, Config{Limit: 1})
	m.submit(1)
	var blocked []*blockedSubmitter
	for id := range 3 * piece {
		_, b, err := m.try(id+2, Block)
		require.NoError(t, err)
		blocked = append(blocked, b)
	}
	m.Drain()
	for _, b := range blocked {
		require.Len(t, b.ready, 1)
		require.ErrorIs(t, b.err, ErrClosed)
	}
	m.close()
	require.EqualValues(t, 1, m.Snapshot().Submitted)
}

func TestStopGivesBackWhatNeverRanInTheOrderOfSubmission(t *testing.T) {
	m := newMachine(t, Config{Limit: 2, Queue: 9})
	jobs := m.submits(6)
	m.dispatch()
	w := m.enter(jobs[1])               // it runs; a worker has the first
	m.lend(&jobs[1].ctx, &jobs[4].Task) // the fifth is brought forward
	g := m.newGroup(9, 3)               // a group waits
	require.True(t, jobs[3].Cancel())   // the fourth has ended
	require.Equal(t, []int{5}, m.grantedJobs())
	require.Equal(t, []int{3, 6}, m.waiting())
	m.Halt(stopped)
	unstarted := m.TakeUnstarted()
	var ids []int
	for _, u := range unstarted.Tasks {
		ids = append(ids, u.job.(*testJob).id)
	}
	require.Equal(t, []int{1, 3, 5, 6}, ids)
	require.Equal(t, []*Group{&g.Group}, unstarted.Groups)
	require.Equal(t, []int{0, 1, 2}, g.rest)
	require.Empty(t, m.TakeUnstarted().Tasks, "each is given back once")
	require.Empty(t, m.grantedJobs())

	require.Equal(t, stopped, jobs[1].Outcome())
	require.Error(t, jobs[1].ctx.Err(), "what runs is told")
	m.finish(w, Outcome{})
	g.Forget(nil, false)
	m.close()
	require.EqualValues(t, 9, m.Snapshot().Ended[Canceled])
}

func TestStopGoesOnInPiecesWhileWorkersFinish(t *testing.T) {
	const n = 2*piece + 10
	m := newMachine(t, Config{Limit: 3, Queue: n})
	jobs := m.submits(n)
	m.dispatch()
	var running []*Worker
	for _, j := range jobs[:3] {
		running = append(running, m.enter(j))
	}
	// These are the critical sections of Halt, with the steps of workers between them.
	require.True(t, m.refuse(Stopping, Outcome{}))
	m.endRefusal()
	require.True(t, m.finish(running[1], Outcome{}), "it is done before Stop comes to it")
	require.Empty(t, m.grantedJobs(), "nothing starts any more")
	marker := &Task{stage: released}
	m.lock()
	m.queue.insert(marker, nil)
	m.unlock()

	require.True(t, m.haltJobs(marker, &stopped))
	require.False(t, m.finish(running[0], Outcome{}), "Stop has decided")
	require.Len(t, m.TakeUnstarted().Tasks, piece-2, "a piece, without the two that run")
	require.True(t, jobs[n-1].Cancel(), "ahead of the marker")
	require.True(t, m.haltJobs(marker, &stopped))
	require.False(t, m.haltJobs(marker, &stopped))
	require.Nil(t, m.queue.first)
	require.False(t, m.haltGroups(&stopped))
	m.EndBackground()

	require.False(t, m.finish(running[2], Outcome{}))
	require.Equal(t, End, m.dispatch().Action)
	require.NoError(t, m.Rest())
	now := m.Snapshot()
	require.EqualValues(t, n-1, now.Ended[Canceled])
	require.EqualValues(t, 1, now.Ended[Succeeded])
	require.Len(t, m.TakeUnstarted().Tasks, n-3-1-(piece-2))
}

func TestStopHaltsGroupsInPieces(t *testing.T) {
	m := newMachine(t, Config{Limit: 1, Queue: 1})
	m.startJob()
	var groups []*testGroup
	for range 2*piece + 1 {
		groups = append(groups, m.newGroup(9, 2))
	}
	m.Halt(stopped)
	require.Len(t, m.TakeUnstarted().Groups, len(groups))
	for _, g := range groups {
		require.Equal(t, []int{1, 1}, g.outcomes)
		require.Equal(t, 1, g.halts)
		require.Equal(t, 1, g.closings)
	}
	m.close()
}

func TestStopAfterDrainAndAfterStop(t *testing.T) {
	m := newMachine(t, Config{Limit: 1, Queue: 1})
	jobs := m.submits(2)
	m.dispatch()
	m.enter(jobs[0])
	m.Drain()
	require.False(t, jobs[0].Resolved())
	m.Halt(stopped)
	m.Halt(Outcome{Kind: Failed, By: ByPool})
	for _, j := range jobs {
		require.Equal(t, stopped, j.Outcome())
	}
	require.Len(t, m.TakeUnstarted().Tasks, 1)
	m.close()
}

func TestWhatFillLeavesIsDoneByTheDispatcher(t *testing.T) {
	const n = 4 * piece
	m := newMachine(t, Config{Limit: 1, Queue: n})
	m.startJob()
	for id := range n {
		m.submit(id + 2)
	}
	m.Resize(n)
	require.Len(t, m.grantedJobs(), 2*piece, "a piece, and a piece when the intake has been closed")
	require.True(t, m.awake())
	m.dispatch()
	require.Len(t, m.live, n, "as many as there are slots")
	require.Equal(t, n, m.inUse)
	require.Equal(t, []int{n + 1}, m.waiting())
	m.close()
}

func TestAJobDoesNotOvertakeWhatFillHasLeft(t *testing.T) {
	const n = 4 * piece
	m := newMachine(t, Config{Limit: 1, Queue: n})
	m.startJob()
	for id := range n - 1 {
		m.submit(id + 2)
	}
	m.Resize(n)
	require.True(t, m.free())
	m.submit(n + 1)
	require.NotContains(t, m.grantedJobs(), n+1)
	require.Equal(t, n+1, m.waiting()[len(m.waiting())-1])
	m.dispatch()
	m.close()
}

func TestQuiescenceIsToldWhenNothingIsQueuedOrRunning(t *testing.T) {
	m := newMachine(t, Config{Limit: 1, Queue: 1})
	require.True(t, m.Wait(nil), "nothing is")
	jobs := m.submits(2)
	require.False(t, m.Idle())
	over := make(chan struct{})
	close(over)
	require.False(t, m.Wait(over), "the caller waits no more")
	told := m.quiescent
	require.NotNil(t, told)
	m.dispatch()
	m.run(jobs[0])
	select {
	case <-told:
		require.Fail(t, "a job runs")
	default:
	}
	m.run(jobs[1])
	select {
	case <-told:
	default:
		require.Fail(t, "nothing is queued or running")
	}
	require.True(t, m.Idle())
	require.True(t, m.Wait(nil))
	m.close()
}

func TestABrokenWorkerLeavesAndAnotherTakesItsPlace(t *testing.T) {
	m := newMachine(t, Config{Limit: 1, Queue: 1})
	jobs := m.submits(2)
	m.dispatch()
	broken := m.enter(jobs[0])
	broken.Broken()
	m.finish(broken, Outcome{Kind: Failed, Err: errTimeout})
	require.True(t, broken.Work.Leave)
	for m.awake() {
		m.decide()
	}
	require.Len(t, m.live, 2, "closing what is left of it may take long")
	require.NotSame(t, broken, m.worker(jobs[1]))
	m.close()
}

func TestQuiescenceIsToldWhenWhatWasToRunOverTheLimitIsWithdrawn(t *testing.T) {
	m := newMachine(t, Config{Limit: 1})
	first := m.submit(1)
	m.dispatch()
	require.True(t, first.Cancel()) // its worker is about to come back: no other is started
	second := m.submit(2)
	third, _, err := m.try(3, CallerRuns)
	require.NoError(t, err)
	over := make(chan struct{})
	close(over)
	require.False(t, m.Wait(over))
	told := m.quiescent
	require.True(t, second.Cancel())
	require.True(t, third.Cancel())
	require.False(t, m.awake())
	select {
	case <-told:
	default:
		require.Fail(t, "nothing is queued or running, and nobody says so")
	}
	m.close()
}
