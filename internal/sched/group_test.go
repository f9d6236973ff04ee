package sched

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAGroupThatIsAloneHasAllSlotsThatItCanUse(t *testing.T) {
	for name, c := range map[string]struct{ limit, most, items, coming int }{
		"as many as it has items":         {4, 9, 3, 3},
		"as many as there are slots":      {4, 9, 8, 4},
		"as many as it may have at once":  {4, 2, 8, 2},
		"one, where it may have only one": {4, 1, 8, 1},
		"none, where it has no items":     {4, 9, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, Config{Limit: c.limit})
			g := m.newGroup(c.most, c.items)
			require.Equal(t, c.coming, g.coming)
			require.Equal(t, c.coming, m.coming)
			require.Equal(t, c.coming, m.inUse)
			require.EqualValues(t, c.items, m.Snapshot().Submitted)
			require.Equal(t, c.items, m.Snapshot().Queued)
			m.close()
			require.True(t, g.over())
		})
	}
}

func TestAtMostMaxRunningWorkersAreAtAGroup(t *testing.T) {
	m := newMachine(t, Config{Limit: 4, Queue: 4})
	g := m.newGroup(2, 6)
	m.dispatch()
	require.Len(t, m.atGroup(g), 2)
	for _, w := range m.atGroup(g) {
		require.True(t, m.beginRun(w))
	}
	m.submits(2)
	m.dispatch()
	require.Equal(t, []int{1, 2}, m.inHand(), "the other slots are for others")
	require.Len(t, m.atGroup(g), 2)
	require.Zero(t, g.wants())
	m.close()
	require.True(t, g.over())
}

func TestGroupsAndJobsTakeTurns(t *testing.T) {
	m := newMachine(t, Config{Limit: 1, Queue: 4})
	first := m.startJob()
	a, b := m.newGroup(9, 2), m.newGroup(9, 2)
	var jobs []*testJob
	for id := 2; id <= 5; id++ {
		jobs = append(jobs, m.submit(id))
	}
	require.True(t, m.finish(m.worker(first), Outcome{}))

	var order strings.Builder
	for range 8 {
		m.dispatch()
		w := m.live[0]
		switch {
		case w.Work.Group == &a.Group:
			order.WriteString("a")
		case w.Work.Group == &b.Group:
			order.WriteString("b")
		default:
			order.WriteString("j")
		}
		if w.Work.Group != nil {
			require.True(t, m.beginRun(w))
			require.Equal(t, order.String() != "jajbjajb", m.Preempt(), "something else waits, but for the last")
		}
		m.proceed(w, Outcome{})
	}
	require.Equal(t, "jajbjajb", order.String())
	require.True(t, jobs[3].Resolved())
	require.True(t, a.over())
	require.True(t, b.over())
	m.close()
}

func TestAGroupThatComesAfterAJobIsNext(t *testing.T) {
	m := newMachine(t, Config{Limit: 1, Queue: 9})
	jobs := m.submits(3)
	m.dispatch()
	m.run(jobs[0])
	require.Equal(t, []int{2}, m.inHand())
	g := m.newGroup(1, 1)
	m.run(jobs[1])
	require.Len(t, m.atGroup(g), 1)
	require.Equal(t, []int{3}, m.waiting())
	m.close()
}

func TestAWorkerGoesThroughAGroupWhileNothingElseWaits(t *testing.T) {
	m := newMachine(t, Config{Limit: 1, Queue: 2})
	g := m.newGroup(9, 4)
	m.dispatch()
	w := m.atGroup(g)[0]
	require.True(t, m.beginRun(w))
	require.True(t, m.nextItem(w))
	require.True(t, m.nextItem(w))
	now := m.Snapshot()
	require.Equal(t, []int{1, 1}, []int{now.Queued, now.Running})
	require.EqualValues(t, 2, now.Ended[Succeeded], "also those that the worker has not counted yet")

	m.submit(1)
	require.True(t, m.Preempt())
	require.False(t, m.nextItem(w))
	require.False(t, m.finishItem(w, Outcome{}, true))
	require.Equal(t, []int{1}, m.inHand())
	require.False(t, m.Preempt())
	m.close()
	require.Equal(t, []int{1, 1, 1, 1}, g.outcomes)
}

func TestWorkersThatGoThroughAGroupComeBackWhenTheyShould(t *testing.T) {
	for name, row := range map[string]struct {
		queue int
		do    func(m *machine)
	}{
		"a job waits":                {1, func(m *machine) { m.submit(1) }},
		"another group waits":        {1, func(m *machine) { m.newGroup(1, 1) }},
		"the limit sinks":            {1, func(m *machine) { m.Resize(1) }},
		"the pool is paused":         {1, func(m *machine) { m.Pause() }},
		"a submitter waits for room": {0, func(m *machine) { m.try(2, Block) }},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, Config{Limit: 2, Queue: row.queue})
			g := m.newGroup(9, 9)
			m.dispatch()
			for len(m.live) < 2 || m.live[1].run == nil {
				for _, w := range m.live {
					if w.run == nil && m.look(w) {
						require.True(t, m.beginRun(w))
					}
				}
				m.dispatch()
			}
			require.False(t, m.Preempt())
			row.do(m)
			require.True(t, m.Preempt())
			m.Resume()
			m.close()
			require.True(t, g.over())
		})
	}
}

func TestAWorkerThatIsCalledToAGroupCallsTheNext(t *testing.T) {
	m := newMachine(t, Config{Limit: 3, Queue: 3})
	for _, j := range m.submits(3) {
		m.dispatch()
		m.enter(j)
	}
	for _, w := range m.live {
		m.finish(w, Outcome{})
	}
	m.dispatch()
	require.Equal(t, 3, m.Snapshot().Idle)

	g := m.newGroup(9, 9)
	require.Equal(t, 3, g.coming)
	require.Equal(t, 2, m.Snapshot().Idle, "only one is called")
	require.False(t, m.awake())
	for n := range 3 {
		at := m.atGroup(g)
		require.Len(t, at, n+1)
		for _, w := range at {
			if w.run == nil {
				require.True(t, m.beginRun(w))
			}
		}
	}
	require.Zero(t, m.Snapshot().Idle)
	m.close()
}

func TestSlotsOfAGroupThatIsExhaustedAreForOthers(t *testing.T) {
	m := newMachine(t, Config{Limit: 3, Queue: 2})
	g := m.newGroup(9, 3)
	m.dispatch()
	at := m.atGroup(g)
	require.Len(t, at, 3)
	require.True(t, m.beginRun(at[0]))
	require.True(t, m.nextItem(at[0]))
	require.True(t, m.nextItem(at[0]), "it has claimed the last, and says so")
	require.Zero(t, g.coming)
	require.Equal(t, 2, g.void)
	require.Equal(t, 1, m.inUse)

	m.submits(2)
	require.Equal(t, []int{1, 2}, m.grantedJobs(), "though two workers are on their way to the group")
	require.False(t, m.beginRun(at[1]))
	require.False(t, m.beginRun(at[2]))
	require.Zero(t, g.void)
	require.Equal(t, []int{1, 2}, m.inHand())
	require.Equal(t, 3, m.inUse)
	m.close()
	require.Equal(t, []int{1, 1, 1}, g.outcomes)
}

func TestAWorkerThatHasLostItsSlotClaimsNothingWhileThePoolIsPaused(t *testing.T) {
	m := newMachine(t, Config{Limit: 2})
	g := m.newGroup(9, 2)
	m.dispatch()
	at := m.atGroup(g)
	require.True(t, m.beginRun(at[0]))
	require.True(t, m.nextItem(at[0]))
	require.Equal(t, 1, g.void)
	m.Pause()
	require.NoError(t, g.add(1))
	require.False(t, m.beginRun(at[1]))
	require.Zero(t, g.void)
	require.Equal(t, 1, m.inUse)
	m.Resume()
	m.close()
	require.Equal(t, []int{1, 1, 1}, g.outcomes)
}

func TestGrantedSlotsWithoutItemsAreTakenBackBeforeAWorkerComes(t *testing.T) {
	m := newMachine(t, Config{Limit: 4, Queue: 1})
	g := m.newGroup(9, 4)
	require.Equal(t, Start, m.decide().Action)
	w := m.live[0]
	require.True(t, m.beginRun(w))
	require.True(t, m.nextItem(w))
	require.True(t, m.nextItem(w))
	require.Equal(t, 3, g.coming, "it has not said that it has claimed two more")
	m.dispatch()
	require.Len(t, m.live, 2, "no worker is started for items that are gone")
	require.Equal(t, 1, g.coming)
	require.Equal(t, 2, m.inUse)
	require.Zero(t, g.takeBack(0))
	require.Zero(t, g.takeBack(-1))
	m.close()
	require.Equal(t, []int{1, 1, 1, 1}, g.outcomes)
}

func TestAHaltedGroupStartsNoItem(t *testing.T) {
	m := newMachine(t, Config{Limit: 2, Queue: 1})
	g := m.newGroup(9, 5)
	m.dispatch()
	at := m.atGroup(g)
	require.True(t, m.beginRun(at[0]))
	require.True(t, g.Halt(canceled))
	require.Equal(t, []int{1, 2, 3, 4}, g.rest)
	require.Equal(t, 1, g.halts)
	require.True(t, g.Halt(Outcome{Kind: Failed}), "the item that runs has no outcome yet")
	require.Equal(t, canceled, *g.HaltedWith(), "the first halt decides")
	require.Equal(t, 1, g.halts)
	require.Equal(t, 1, m.inUse, "the slots of workers that are coming are free")
	require.Error(t, at[0].run.Context.Err(), "the handler is told")
	total, done, failed := g.Progress()
	require.Equal(t, []int{5, 4, 4}, []int{total, done, failed})

	require.False(t, m.beginRun(at[1]))
	require.False(t, m.finishItem(at[0], Outcome{}, true))
	require.False(t, g.Halt(canceled))
	halted, err := g.Add(1, func() { require.Fail(t, "nothing is published") })
	require.NoError(t, err)
	require.Equal(t, &canceled, halted)
	g.Forget(nil, false)
	m.close()
	require.Equal(t, []int{1, 1, 1, 1, 1}, g.outcomes)
}

func TestTheFirstFailureHaltsAGroupThatStopsOnError(t *testing.T) {
	m := newMachine(t, Config{Limit: 1})
	g := m.newGroup(9, 3)
	g.stopOnError = true
	m.dispatch()
	w := m.atGroup(g)[0]
	require.True(t, m.beginRun(w))
	require.False(t, m.finishItem(w, Outcome{Kind: Failed, Err: errTimeout}, true))
	now := m.Snapshot()
	require.EqualValues(t, 1, now.Ended[Failed])
	require.EqualValues(t, 2, now.Ended[Canceled])
	require.Zero(t, now.Queued+now.Running)
	m.close()
}

func TestAStrayItemHasItsOutcomeOnce(t *testing.T) {
	m := newMachine(t, Config{Limit: 1, MaxStrays: 1})
	g := m.newGroup(9, 2)
	m.dispatch()
	w := m.atGroup(g)[0]
	require.True(t, m.beginRun(w))
	g.Halt(canceled)
	w.abandon(t.Context(), w.exec.generation)
	require.Equal(t, []int{1, 1}, g.outcomes)
	require.Zero(t, m.Snapshot().Running)
	require.Equal(t, 1, m.Snapshot().Strays)
	require.False(t, m.finishItem(w, Outcome{}, true))
	require.True(t, w.Work.Leave)
	require.Equal(t, []int{1, 1}, g.outcomes)
	m.close()
}

func TestAPoolThatClosesTellsItsGroupsOnceAndRunsTheirItems(t *testing.T) {
	m := newMachine(t, Config{Limit: 1})
	g, over := m.newGroup(9, 3), m.newGroup(9, 0)
	require.True(t, over.KeepOpen(func() bool { return false }))
	over.Forget(nil, false)
	m.Drain()
	m.Drain()
	require.Equal(t, 1, g.closings)
	require.Zero(t, over.closings, "it has been forgotten")
	_, err := g.Add(1, func() {})
	require.ErrorIs(t, err, ErrClosed)
	require.False(t, g.KeepOpen(func() bool { return true }))
	m.close()
	require.True(t, g.over())
}

func TestAGroupIsKeptWhileItHasSomethingToDo(t *testing.T) {
	m := newMachine(t, Config{Limit: 1})
	g := m.newGroup(9, 1)
	g.Forget(g.over, false)
	require.True(t, g.openLink.listed(), "an item has no outcome yet")
	m.dispatch()
	require.True(t, m.beginRun(m.live[0]))
	m.finishItem(m.live[0], Outcome{}, true)
	g.Forget(g.over, false)
	require.False(t, g.openLink.listed())
	m.close()
}

func TestARunsContextIsTheOneOfItsCaller(t *testing.T) {
	type key struct{}
	m := newMachine(t, Config{Limit: 1})
	g := m.newGroupOf(1, context.WithValue(t.Context(), key{}, "v"))
	require.NoError(t, g.add(1))
	m.dispatch()
	w := m.live[0]
	require.True(t, m.beginRun(w))
	require.Equal(t, "v", w.run.Context.Value(key{}))
	c := &w.run.Context
	require.NoError(t, c.Err())
	m.finishItem(w, Outcome{}, true)
	require.ErrorIs(t, c.Err(), context.Canceled, "it ends with the run")
	m.close()
}

func TestFirstIsTheLowestItemThatIsBeingHandled(t *testing.T) {
	m := newMachine(t, Config{Limit: 2})
	g := m.newGroup(9, 5)
	require.Equal(t, -1, g.First())
	m.dispatch()
	for i, w := range m.atGroup(g) {
		require.True(t, m.beginRun(w))
		w.run.At.Store(int64(4 - i))
	}
	require.Equal(t, 2, g.First())
	m.close()
}

func TestTheIdleTimeoutCountsFromTheEndOfTheWork(t *testing.T) {
	m := newMachine(t, Config{Limit: 1, IdleTimeout: time.Hour})
	m.newGroup(9, 1)
	m.dispatch()
	require.True(t, m.beginRun(m.live[0]))
	m.advance(2 * time.Hour)
	m.finishItem(m.live[0], Outcome{}, true)
	m.dispatch()
	require.Len(t, m.live, 1)
	m.advance(time.Hour)
	m.timer()
	require.Equal(t, Exit, m.dispatch().Action)
	require.Empty(t, m.live)
}

func TestAWorkerThatHasLostItsSlotDoesNotComeOnTopOfMaxRunning(t *testing.T) {
	m := newMachine(t, Config{Limit: 3})
	g := m.newGroup(2, 2)
	m.dispatch()
	at := m.atGroup(g)
	require.True(t, m.beginRun(at[0]))
	require.True(t, m.nextItem(at[0])) // the last: the second worker has nothing to come for
	require.Equal(t, 1, g.void)
	require.NoError(t, g.add(2))
	m.dispatch() // a third is granted a slot for them
	at = m.atGroup(g)
	require.Len(t, at, 3)
	require.True(t, m.beginRun(at[2]))
	require.False(t, m.beginRun(at[1]), "two are at it")
	require.Equal(t, 2, g.active)
	m.close()
	require.Equal(t, []int{1, 1, 1, 1}, g.outcomes)
}

func TestAnItemThatIsCountedDoesNotRun(t *testing.T) {
	m := newMachine(t, Config{Limit: 1})
	m.newGroup(1, 1)
	m.dispatch()
	w := m.live[0]
	require.True(t, m.beginRun(w))
	require.Equal(t, 1, m.Snapshot().Running)
	w.run.Count(0, &Outcome{}, nil, false)
	now := m.Snapshot()
	require.Zero(t, [2]int{now.Running, now.Queued}, "the worker has yet to end its run")
	require.EqualValues(t, 1, now.Ended[Succeeded])
	w.EndRun()
	m.close()
}

func TestAnItemOfAGroupThatWasHaltedOnItsWayIsNotStarted(t *testing.T) {
	m := newMachine(t, Config{Limit: 1, JobTimeout: time.Hour})
	g := m.newGroup(1, 2)
	m.dispatch()
	w := m.live[0]
	r := new(itemRun)
	r.Typed = r
	require.True(t, w.BeginRun(&r.Run, true))
	w.Begin(&r.Task)
	g.Halt(canceled)
	require.False(t, w.Start(&r.Run))
	require.False(t, m.finishItem(w, canceled, true))
	m.close()
	require.True(t, g.over())
}

func TestSlotsThatComeFreeAtOnceGoToGroupsInTurns(t *testing.T) {
	m := newMachine(t, Config{Limit: 1})
	first := m.startJob()
	a, b := m.newGroup(Unlimited, 9), m.newGroup(Unlimited, 9)
	m.Resize(5)
	require.Equal(t, 2, a.coming)
	require.Equal(t, 2, b.coming)

	stop := Outcome{Kind: Canceled, Err: context.Canceled}
	a.Halt(stop)
	b.Halt(stop)
	m.finish(m.worker(first), Outcome{})
	m.close()
}
