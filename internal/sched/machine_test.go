package sched

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAJobHasItsSlotFromAcceptanceBeforeThereIsAWorker(t *testing.T) {
	m := newMachine(t, Config{Limit: 2, Queue: 3})
	m.submits(5)
	require.Empty(t, m.live, "no worker has been started")
	require.Equal(t, []int{1, 2}, m.grantedJobs())
	require.Equal(t, []int{3, 4, 5}, m.waiting())
	require.Equal(t, 2, m.inUse)
	require.True(t, m.awake(), "the dispatcher has been started for them")
	require.Equal(t, Sleep, m.dispatch().Action)
	require.Equal(t, []int{1, 2}, m.inHand())
	m.close()
}

func TestAPoolTakesAsManyJobsAsItHasSlotsAndRoom(t *testing.T) {
	for name, c := range map[string]struct{ limit, queue int }{
		"one slot and no queue": {1, 0},
		"slots and no queue":    {3, 0},
		"a slot and a queue":    {1, 4},
		"slots and a queue":     {3, 4},
	} {
		for workers, come := range map[string]func(m *machine){
			"before a worker":  func(*machine) {},
			"with its workers": func(m *machine) { m.dispatch() },
		} {
			t.Run(name+", "+workers, func(t *testing.T) {
				m := newMachine(t, Config{Limit: c.limit, Queue: c.queue})
				for id := range c.limit + c.queue {
					m.submit(id + 1)
					come(m)
				}
				_, _, err := m.try(100, Reject)
				require.ErrorIs(t, err, ErrQueueFull)
				require.EqualValues(t, 1, m.Snapshot().Rejected)
				require.EqualValues(t, c.limit+c.queue, m.Snapshot().Submitted)
				m.close()
			})
		}
	}
}

func TestAJobThatEndsMakesRoomForOne(t *testing.T) {
	m := newMachine(t, Config{Limit: 1, Queue: 1})
	jobs := m.submits(2)
	m.dispatch()
	m.run(jobs[0])
	require.Equal(t, []int{2}, m.inHand(), "the worker follows on")
	m.submit(3)
	_, _, err := m.try(4, Reject)
	require.ErrorIs(t, err, ErrQueueFull)
	m.close()
}

func TestASubmitterHandsItsJobToAnIdleWorker(t *testing.T) {
	m := newMachine(t, Config{Limit: 1})
	j := m.submit(1)
	m.dispatch()
	m.run(j)
	require.Equal(t, Sleep, m.dispatch().Action)
	require.Equal(t, 1, m.Snapshot().Idle)
	m.submit(2)
	require.False(t, m.awake(), "the dispatcher sleeps on")
	require.Equal(t, []int{2}, m.inHand())
	m.close()
}

// idle returns a machine with as many idle workers as it has slots.
func idle(t *testing.T, workers int) *machine {
	t.Helper()
	m := newMachine(t, Config{Limit: workers, Queue: 9})
	for _, j := range m.submits(workers) {
		m.dispatch()
		m.enter(j)
	}
	for _, w := range m.live {
		m.finish(w, Outcome{})
	}
	m.dispatch()
	require.Equal(t, workers, m.Snapshot().Idle)
	return m
}

func TestAWorkerThatIsCalledCallsTheNext(t *testing.T) {
	m := idle(t, 4)
	jobs := map[int]*testJob{}
	for id := 11; id <= 13; id++ {
		j, b, err := m.try(id, Block)
		require.NoError(t, err)
		require.Nil(t, b)
		jobs[id] = j
	}
	require.Equal(t, []int{11}, m.inHand(), "one worker is on its way")
	require.Equal(t, []int{12, 13}, m.grantedJobs())
	m.worker(jobs[11])
	require.ElementsMatch(t, []int{11, 12}, m.inHand(), "it has come, and has called the next before it runs its job")
	m.worker(jobs[12])
	require.ElementsMatch(t, []int{11, 12, 13}, m.inHand())
	m.worker(jobs[13])
	require.Equal(t, 1, m.Snapshot().Idle, "nothing is left for which to call one")
	require.False(t, m.awake(), "the dispatcher has slept all the time")
	m.close()
}

func TestWorkersThatFinishTakeWhatTheCalledOneWouldTake(t *testing.T) {
	m := idle(t, 4)
	first, _, _ := m.try(11, Block)
	w := m.enter(first)
	called, _, _ := m.try(12, Block)
	_, _, _ = m.try(13, Block)
	_, _, _ = m.try(14, Block)
	require.Equal(t, []int{13, 14}, m.grantedJobs())
	m.finish(w, Outcome{})
	require.ElementsMatch(t, []int{12, 13}, m.inHand(), "the worker has not waited for the one that was called")
	m.worker(called)
	require.ElementsMatch(t, []int{12, 13, 14}, m.inHand())
	m.close()
}

func TestIdleWorkersStayForWhatTheCalledOneCallsThemTo(t *testing.T) {
	for name, happens := range map[string]func(m *machine){
		"the idle timeout passes": func(m *machine) { m.advance(2 * m.cfg.IdleTimeout) },
		"the pool takes no more":  func(m *machine) { m.Drain() },
	} {
		t.Run(name, func(t *testing.T) {
			m := idle(t, 4)
			for id := range 4 {
				_, _, err := m.try(10+id, Block)
				require.NoError(t, err)
			}
			happens(m)
			m.timer() // the dispatcher is awake
			for m.awake() {
				m.decide()
			}
			require.Equal(t, 3, m.Snapshot().Idle, "none leaves")
			require.Len(t, m.live, 4, "none is started")
			m.dispatch()
			require.ElementsMatch(t, []int{10, 11, 12, 13}, m.inHand())
			m.close()
		})
	}
}

func TestWhatARunningJobWaitsForIsCalledThoughAWorkerIsOnItsWay(t *testing.T) {
	m := idle(t, 4)
	outer, _, _ := m.try(10, Block)
	m.enter(outer)
	_, _, _ = m.try(11, Block)
	m.nest(12, outer)
	require.ElementsMatch(t, []int{10, 11, 12}, m.inHand())
	m.close()
}

func TestAnAwaitedJobIsHandedOverThoughAWorkerIsOnItsWay(t *testing.T) {
	m := idle(t, 4)
	m.submit(11)
	m.submit(12)
	require.ElementsMatch(t, []int{11, 12}, m.inHand())
	_, _, _ = m.try(13, Block)
	m.submit(14)
	require.ElementsMatch(t, []int{11, 12, 13, 14}, m.inHand())
	m.close()
}

func TestAnAwaitedJobDoesNotOvertakeWhatHasASlot(t *testing.T) {
	m := idle(t, 4)
	_, _, _ = m.try(11, Block)
	_, _, _ = m.try(12, Block)
	m.submit(13)
	require.Equal(t, []int{11}, m.inHand())
	require.Equal(t, []int{12, 13}, m.grantedJobs())
	m.close()
}

func TestJobsAndGroupsTakeTurnsForWorkers(t *testing.T) {
	m := newMachine(t, Config{Limit: 6, Queue: 9})
	m.Pause()
	m.submits(3)
	g := m.newGroup(3, 3)
	m.Resume()
	var order []string
	for range 6 {
		w := m.decide().Worker
		require.NotNil(t, w)
		if w.Work.Group == &g.Group {
			order = append(order, "item")
		} else {
			order = append(order, "job")
		}
	}
	require.Equal(t, []string{"job", "item", "job", "item", "job", "item"}, order)
	m.close()
}

func TestAWorkerThatFinishesTakesTurnsBetweenJobsAndGroupsThatHaveSlots(t *testing.T) {
	m := newMachine(t, Config{Limit: 4})
	w := m.worker(m.startJob())
	m.submit(2)
	m.submit(3)
	g := m.newGroup(1, 1)
	m.finish(w, Outcome{})
	require.Equal(t, []*Worker{w}, m.atGroup(g), "its last work was a job")
	m.proceed(w, Outcome{})
	m.proceed(w, Outcome{})
	require.Equal(t, []int{2}, m.inHand())
	m.close()
}

func TestAWorkerThatFinishesTakesWhatARunningJobWaitsForFirst(t *testing.T) {
	m := newMachine(t, Config{Limit: 3, Queue: 1})
	outer := m.startJob()
	other := m.submit(2)
	m.dispatch()
	w := m.enter(other)
	m.submit(3)
	m.nest(4, outer)
	require.Equal(t, []int{4, 3}, m.grantedJobs())
	m.finish(w, Outcome{})
	require.ElementsMatch(t, []int{1, 4}, m.inHand())
	m.close()
}

func TestWhatHasASlotComesToWorkersInItsOrder(t *testing.T) {
	t.Run("to idle ones", func(t *testing.T) {
		m := newMachine(t, Config{Limit: 3, Queue: 9})
		for _, j := range m.submits(3) {
			m.dispatch()
			m.enter(j)
		}
		for _, w := range m.live {
			m.finish(w, Outcome{})
		}
		require.Equal(t, 3, m.Snapshot().Idle)
		m.Pause()
		m.submit(4)
		m.submit(5)
		m.Resume() // hands the first to a worker
		m.submit(6)
		require.Equal(t, []int{4}, m.inHand())
		require.Equal(t, []int{5, 6}, m.grantedJobs(), "the last to come does not overtake")
		m.dispatch()
		require.ElementsMatch(t, []int{4, 5, 6}, m.inHand())
		m.close()
	})
	t.Run("to one that finishes", func(t *testing.T) {
		m := newMachine(t, Config{Limit: 1, Queue: 9})
		jobs := m.submits(4)
		m.dispatch()
		w := m.enter(jobs[0])
		m.Resize(3)
		require.Equal(t, []int{2, 3}, m.grantedJobs())
		m.finish(w, Outcome{})
		require.Equal(t, []int{2}, m.inHand())
		m.close()
	})
}

func TestDropOldestNeverDropsAJobThatHasASlot(t *testing.T) {
	m := newMachine(t, Config{Limit: 2, Queue: 2})
	jobs := m.submits(4)
	_, _, err := m.try(5, DropOldest)
	require.NoError(t, err)
	require.Equal(t, []int{1, 2}, m.grantedJobs())
	require.Equal(t, []int{4, 5}, m.waiting())
	require.Equal(t, Outcome{Kind: Dropped, Err: ErrDropped}, jobs[2].Outcome())
	require.Equal(t, 1, jobs[2].withdrawn)
	require.Len(t, jobs[2].token, 1, "who waits for it is told")
	require.EqualValues(t, 1, m.Snapshot().Ended[Dropped])
	m.close()
}

func TestDropOldestRefusesWhereNothingWaits(t *testing.T) {
	m := newMachine(t, Config{Limit: 2})
	m.submits(2)
	_, _, err := m.try(3, DropOldest)
	require.ErrorIs(t, err, ErrQueueFull)
	require.Equal(t, []int{1, 2}, m.grantedJobs())
	m.close()
}

func TestCallerRunsComesOnTopOfTheLimit(t *testing.T) {
	m := newMachine(t, Config{Limit: 1, Queue: 1})
	m.submits(2)
	j := m.newJob(3, context.Background())
	a := Admission{Policy: CallerRuns}
	b, err := m.admission(j, &a)
	require.NoError(t, err)
	require.Nil(t, b)
	require.True(t, a.Immediate)
	require.Equal(t, 1, m.inUse)
	require.Equal(t, 1, m.over)
	m.dispatch()
	require.ElementsMatch(t, []int{1, 3}, m.inHand())
	m.run(j)
	require.Zero(t, m.over)
	m.close()
}

func TestCallerRunsWaitsForRoomInAPausedPool(t *testing.T) {
	m := newMachine(t, Config{Limit: 1})
	m.Pause()
	m.submit(1)
	_, b, err := m.try(2, CallerRuns)
	require.NoError(t, err)
	require.NotNil(t, b)
	m.close()
	require.Len(t, b.ready, 1)
}

func TestResizeUpGrantsAtOnceAndDownTakesNoSlotBack(t *testing.T) {
	m := newMachine(t, Config{Limit: 1, Queue: 9})
	m.submits(5)
	m.Resize(4)
	require.Equal(t, []int{1, 2, 3, 4}, m.grantedJobs())
	m.Resize(1)
	require.Equal(t, []int{1, 2, 3, 4}, m.grantedJobs(), "no slot is taken back, though no worker has come")
	m.dispatch()
	require.Equal(t, []int{1, 2, 3, 4}, m.inHand())

	for _, w := range m.live[:3] {
		w.Enter(w.Work.Task)
		m.finish(w, Outcome{})
	}
	require.Equal(t, []int{5}, m.waiting(), "not before there are fewer than one")
	require.Equal(t, 1, m.inUse)
	m.dispatch()
	require.Len(t, m.live, 1, "workers that have no slot any more leave at once")
	m.close()
}

func TestResizeLetsBlockedSubmittersIn(t *testing.T) {
	m := newMachine(t, Config{Limit: 1})
	m.submit(1)
	_, first, _ := m.try(2, Block)
	_, second, _ := m.try(3, Block)
	m.Resize(2)
	require.Len(t, first.ready, 1)
	require.Empty(t, second.ready)
	require.Equal(t, []int{1, 2}, m.grantedJobs())
	m.close()
}

func TestBlockedSubmittersComeInInTheirOrder(t *testing.T) {
	m := newMachine(t, Config{Limit: 1, Queue: 1})
	jobs := m.submits(2)
	var blocked []*blockedSubmitter
	for id := 3; id <= 5; id++ {
		j, b, err := m.try(id, Block)
		require.NoError(t, err)
		jobs, blocked = append(jobs, j), append(blocked, b)
	}
	_, _, err := m.try(6, Reject)
	require.ErrorIs(t, err, ErrQueueFull, "nobody comes in before them")
	require.Equal(t, 3, m.Snapshot().Blocked)
	m.dispatch()
	for i, j := range jobs[:3] {
		m.run(j)
		require.Len(t, blocked[i].ready, 1)
		for _, b := range blocked[i+1:] {
			require.Empty(t, b.ready)
		}
		require.Equal(t, []int{i + 3}, m.waiting())
	}
	m.close()
}

// One critical section accepts a piece of the blocked submitters' jobs, and the
// dispatcher the rest.
func TestWhoComesWhileManyAreLetInComesLast(t *testing.T) {
	m := newMachine(t, Config{Limit: 1})
	m.submit(1)
	last := piece + 3
	for id := 2; id < last; id++ {
		_, b, err := m.try(id, Block)
		require.NoError(t, err)
		require.NotNil(t, b)
	}
	m.Resize(2 * piece)
	require.Equal(t, 1, m.nblocked)
	_, _, err := m.try(last, Block)
	require.NoError(t, err)
	m.dispatch()
	var order []int
	for j := m.queue.head; j != nil; j = j.next {
		order = append(order, j.job.(*testJob).id)
	}
	require.Len(t, order, last)
	require.IsIncreasing(t, order)
	m.close()
}

func TestASubmitterThatGivesUpIsPassedOver(t *testing.T) {
	m := newMachine(t, Config{Limit: 1})
	first := m.submit(1)
	gone, b, _ := m.try(2, Block)
	_, next, _ := m.try(3, Block)
	require.ErrorIs(t, m.giveUpRoom(b, &Outcome{Kind: Canceled, Err: context.Canceled}), context.Canceled)
	require.Zero(t, gone.withdrawn, "it was never in the pool")
	m.dispatch()
	m.run(first)
	require.Len(t, next.ready, 1)
	require.Equal(t, []int{3}, m.inHand())
	require.EqualValues(t, 1, m.Snapshot().GaveUp)
	m.close()
}

func TestASubmitterThatGivesUpAsRoomIsMadeHasItsJobCanceled(t *testing.T) {
	m := newMachine(t, Config{Limit: 1})
	first := m.submit(1)
	j, b, _ := m.try(2, Block)
	m.dispatch()
	m.run(first) // room is made, and the submitter does not know yet
	require.NoError(t, m.giveUpRoom(b, &Outcome{Kind: Canceled, Err: context.Canceled}))
	require.Equal(t, Canceled, j.Outcome().Kind)
	require.EqualValues(t, 2, m.Snapshot().Submitted)
	require.Zero(t, m.Snapshot().GaveUp)
	m.close()
}

func TestNoMoreSubmittersBlockThanMayWait(t *testing.T) {
	m := newMachine(t, Config{Limit: 1, MaxBlocked: 1})
	m.submit(1)
	_, b, err := m.try(2, Block)
	require.NoError(t, err)
	require.NotNil(t, b)
	_, _, err = m.try(3, Block)
	require.ErrorIs(t, err, ErrQueueFull)
	m.close()
}

func TestTheIntakeIsOpenWhileJobsCanOnlyWait(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(m *machine)
		open bool
	}{
		"a slot is free":            {func(m *machine) {}, false},
		"every slot is taken":       {func(m *machine) { m.submit(1) }, true},
		"the queue is full":         {func(m *machine) { m.submits(5); m.Snapshot() }, false},
		"a group has items":         {func(m *machine) { m.submit(1); m.newGroup(1, 1) }, false},
		"the pool is paused":        {func(m *machine) { m.submit(1); m.Pause() }, false},
		"the pool has been resumed": {func(m *machine) { m.submit(1); m.Pause(); m.Resume() }, true},
		"the pool drains":           {func(m *machine) { m.submit(1); m.Drain() }, false},
		"a slot has become free":    {func(m *machine) { m.submit(1); m.Resize(2) }, false},
		"every slot is taken again": {func(m *machine) { m.submits(2); m.Resize(2) }, true},
		"the queue holds too many": {func(m *machine) {
			m.Resize(2)
			m.Pause()
			m.submits(6)
			m.Resize(1)
			m.Resume()
			m.Snapshot()
		}, false},
		"the limit sank below those": {func(m *machine) { m.Resize(2); m.submits(2); m.Resize(1) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, Config{Limit: 1, Queue: 4})
			c.do(m)
			require.Equal(t, c.open, m.intake.isOpen)
			require.Equal(t, c.open, m.intake.open.Load())
			m.close()
		})
	}
}

func TestAPausedPoolGrantsNothingAndTakesBackSlotsThatNoWorkerHas(t *testing.T) {
	m := newMachine(t, Config{Limit: 2, Queue: 4})
	m.submit(1)
	require.Equal(t, []int{1}, m.grantedJobs())
	m.Pause()
	m.submit(2)
	require.Empty(t, m.grantedJobs())
	require.Equal(t, []int{1, 2}, m.waiting(), "in their order")
	require.Zero(t, m.inUse)
	m.dispatch()
	require.Empty(t, m.inHand(), "no job starts")
	require.True(t, m.Snapshot().Paused)

	m.Resume()
	m.dispatch()
	require.Equal(t, []int{1, 2}, m.inHand())
	m.close()
}

func TestAWorkerThatFinishesInAPausedPoolTakesNothing(t *testing.T) {
	m := newMachine(t, Config{Limit: 1, Queue: 1})
	jobs := m.submits(2)
	m.dispatch()
	m.Pause()
	m.run(jobs[0])
	require.Empty(t, m.inHand())
	require.Equal(t, []int{2}, m.waiting())
	m.Resume()
	require.Equal(t, []int{2}, m.inHand(), "the idle worker is called by Resume itself")
	m.close()
}

func TestDrainEndsAPause(t *testing.T) {
	m := newMachine(t, Config{Limit: 1})
	m.Pause()
	j := m.submit(1)
	m.Drain()
	m.dispatch()
	m.run(j)
	m.Pause()
	require.False(t, m.paused, "a pool that takes no more is not paused")
	require.Equal(t, End, m.dispatch().Action)
}

func TestAnIdleWorkerLeavesAtItsTimeoutDownToTheMinimum(t *testing.T) {
	m := newMachine(t, Config{Limit: 3, MinWorkers: 1, IdleTimeout: time.Hour})
	jobs := m.submits(3)
	m.dispatch()
	for _, j := range jobs {
		m.run(j)
	}
	d := m.dispatch()
	require.Equal(t, Sleep, d.Action)
	require.Positive(t, d.Until)

	m.advance(time.Hour - time.Minute)
	m.timer()
	require.Equal(t, Sleep, m.dispatch().Action)
	require.Len(t, m.live, 3, "not before")
	m.advance(time.Minute)
	m.timer()
	d = m.dispatch()
	require.Equal(t, Sleep, d.Action)
	require.Len(t, m.live, 1)
	require.Zero(t, d.Until, "the minimum stays for good")
	m.close()
}

func TestAnIdlePoolWithoutAMinimumHoldsNoGoroutine(t *testing.T) {
	m := newMachine(t, Config{Limit: 1})
	j := m.submit(1)
	m.dispatch()
	m.run(j)
	m.dispatch()
	m.advance(time.Hour)
	m.timer()
	require.Equal(t, Exit, m.dispatch().Action)
	require.Empty(t, m.live)
	require.False(t, m.dispatching)
	require.NoError(t, m.Rest())

	m.submit(2)
	require.True(t, m.awake(), "the next job starts it again")
	m.close()
}

func TestPrestartMakesWhatTheMinimumIsShortOf(t *testing.T) {
	m := newMachine(t, Config{Limit: 3, MinWorkers: 2})
	making, err := m.Prestart()
	require.NoError(t, err)
	again, err := m.Prestart()
	require.NoError(t, err)
	require.Same(t, making, again, "calls share one making")
	require.Equal(t, 2, m.inUse, "they are made within the limit")
	m.dispatch()
	require.Len(t, m.live, 2)

	m.live[0].FinishMaking(nil)
	select {
	case <-making.Done():
		require.Fail(t, "one is still being made")
	default:
	}
	m.live[1].FinishMaking(nil)
	<-making.Done()
	require.NoError(t, making.Err())
	none, err := m.Prestart()
	require.NoError(t, err)
	require.Nil(t, none, "it is short of none")
	m.close()
	_, err = m.Prestart()
	require.ErrorIs(t, err, ErrClosed)
}

func TestAWorkerThatCannotBeMadeLeavesAndTheNextCallTriesAgain(t *testing.T) {
	m := newMachine(t, Config{Limit: 1, MinWorkers: 1})
	making, _ := m.Prestart()
	m.dispatch()
	m.live[0].FinishMaking(errTimeout)
	<-making.Done()
	require.ErrorIs(t, making.Err(), errTimeout)
	require.True(t, m.live[0].Work.Leave)
	require.Zero(t, m.inUse)
	again, err := m.Prestart()
	require.NoError(t, err)
	require.NotNil(t, again)
	m.close()
}

// The goroutine that settles a task may still need it when the caller has its answer.
func TestOnlyATaskWhoseWorkerHasDecidedIsReusable(t *testing.T) {
	m := newMachine(t, Config{Limit: 1})
	for name, settled := range map[string]bool{"by its worker": false, "by another goroutine": true} {
		j := m.submit(1)
		m.dispatch()
		w := m.enter(j)
		require.False(t, j.Reusable(), "its handler runs")
		if settled {
			require.True(t, j.Cancel())
			require.False(t, j.Reusable(), "its handler runs")
		}
		require.Equal(t, !settled, m.finish(w, Outcome{}))
		require.Equal(t, !settled, j.Reusable(), name)
	}
	m.close()
}
