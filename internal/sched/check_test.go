package sched

import (
	"cmp"
	"context"

	"github.com/stretchr/testify/require"
)

// counts are the scheduler's counts.
type counts struct {
	InUse, Over, Queued, Granted, Running, Callers, ItemsIn, Coming int
	Called, Returning, Workforce, Leaving, Idle, Strays, OpenItems  int
	Submitted, Ended                                                int
}

func (m *machine) counts() counts {
	ended := 0
	for _, n := range m.ended {
		ended += int(n)
	}
	return counts{
		m.inUse, m.over, m.queued + m.intake.came, m.Scheduler.granted, m.Scheduler.running, m.callers, m.itemsIn, m.coming,
		m.called, m.returning, m.workforce, m.leaving, len(m.idleSince), m.strays, m.openItems,
		int(m.submitted) + m.intake.came, ended,
	}
}

// groupCounts are the counts of a group.
type groupCounts struct{ Active, ToCome, Lent int }

// census counts anew what the scheduler counts: from the stages of the jobs, the work
// of the workers, and what has been granted.
type census struct {
	counts
	groups  map[*Group]*groupCounts
	lenders map[*Context]int // how many runs there are, begun or not, on the slot of a job
	unsaid  bool             // a worker has claimed items without telling the scheduler yet
}

func (c *census) group(g *Group) *groupCounts {
	if c.groups[g] == nil {
		c.groups[g] = new(groupCounts)
	}
	return c.groups[g]
}

func (p *program) census() *census {
	c := &census{groups: map[*Group]*groupCounts{}, lenders: map[*Context]int{}}
	for _, j := range p.jobs {
		c.job(p, j)
	}
	for _, g := range p.groups {
		c.Submitted += g.total
		c.Ended += g.counted
		c.OpenItems += g.total - g.counted
		c.Coming += g.coming
	}
	c.InUse += c.Coming
	c.rings(p.m)
	for _, w := range p.m.live {
		c.worker(w)
	}
	for _, w := range p.inline {
		if c.hand(&w.Work); !w.Work.overLimit {
			c.Callers++
		}
	}
	return c
}

func (c *census) job(p *program, j *testJob) {
	if !p.in(j) {
		return
	}
	c.Submitted++
	switch {
	case j.Resolved():
		c.Ended++
	case j.stage == waiting:
		c.Queued++
	case j.stage == granted:
		if c.Granted++; !j.overLimit {
			c.InUse++
		}
	}
}

// rings counts the granted work that waits for a worker.
func (c *census) rings(m *machine) {
	for _, w := range m.immediate.works[m.immediate.head:] {
		c.Over++
		c.lenders[w.lender]++
		if w.Group != nil {
			c.group(w.Group).Lent++
		}
	}
	for _, w := range m.ready.works[m.ready.head:] {
		c.group(w.Group).ToCome += w.count
	}
	c.InUse += m.unmade
}

func (c *census) worker(w *Worker) {
	if w.abandoned() {
		c.Strays++
		return
	}
	c.Workforce++
	if w.called {
		c.Called++
	}
	g := w.Work.Group
	switch {
	case w.Work.Leave:
		c.Leaving++
	case w.run != nil:
		c.ItemsIn++
		c.group(g).Active++
		c.unsaid = c.unsaid || w.run.Typed.(*itemRun).done > 0
		c.hand(&w.Work)
	case g != nil && w.Work.overLimit:
		c.group(g).Lent++
		c.hand(&w.Work)
	case g != nil:
		c.group(g).ToCome++
	case w.Work.Task != nil || w.Work.Making != nil:
		c.hand(&w.Work)
	default:
		c.Idle++
	}
}

// hand counts the work that a worker or a caller has, and the slot for it.
func (c *census) hand(w *Work) {
	if t := w.Task; t != nil {
		switch t.stage {
		case handed, begun:
			c.Running++
		case released:
			c.Returning++
			return
		}
	}
	if w.overLimit {
		c.Over++
		c.lenders[w.lender]++
	} else {
		c.InUse++
	}
}

// check checks everything that must hold at the end of every critical section.
func (p *program) check() {
	m, t := p.m, p.m.t
	c := p.census()
	require.Equal(t, c.counts, m.counts())
	for _, g := range p.groups {
		n := c.group(&g.Group)
		require.Equal(t, groupCounts{g.active, g.coming + g.void, g.lent}, *n)
		require.LessOrEqual(t, g.active, g.most, "MaxRunning")
		p.checkItems(g)
	}
	for _, j := range p.jobs {
		p.checkJob(j, c)
	}
	idle := len(m.workers)
	if m.lastIdle != nil {
		idle++
	}
	require.Equal(t, c.Idle, idle)
	p.checkSlots(c)
	p.checkQueue()
	p.checkHints()
	if !m.awake() && m.state != Ended {
		require.False(t, m.needsDispatcher(), "the dispatcher sleeps, or is gone")
		require.True(t, !m.waits() || m.called > 0 || m.returning > 0, "nobody is on the way to what has been granted")
	}
}

// checkQueue checks that the queue knows the first job that has a slot and no worker, and
// the first that waits.
func (p *program) checkQueue() {
	q := &p.m.queue
	var ready, first *Task
	for t := q.head; t != nil; t = t.next {
		switch {
		case t.stage == waiting:
			first = cmp.Or(first, t)
		case t.stage == granted && !t.overLimit:
			require.Nil(p.m.t, first, "slots are granted in order")
			ready = cmp.Or(ready, t)
		}
	}
	require.Same(p.m.t, ready, q.granted)
	require.Same(p.m.t, first, q.first)
}

func (p *program) checkItems(g *testGroup) {
	outcomes := 0
	for _, n := range g.outcomes {
		require.LessOrEqual(p.m.t, n, 1, "outcomes of an item")
		outcomes += n
	}
	for r := range g.runs.all {
		outcomes -= r.Typed.(*itemRun).done
	}
	require.Equal(p.m.t, g.counted, outcomes)
}

func (p *program) checkJob(j *testJob, c *census) {
	t := p.m.t
	if !p.in(j) {
		require.Empty(t, j.token)
		require.Zero(t, j.withdrawn)
		require.True(t, j.prev == nil && j.next == nil && p.m.queue.head != &j.Task, "it is in no queue")
		return
	}
	if x := j.extra; x != nil && j.Task.ctx == &j.ctx {
		n := c.lenders[&j.ctx]
		require.LessOrEqual(t, n, 1, "a job has one slot to lend")
		require.Equal(t, n == 1, x.loan.used)
	}
	if !j.Resolved() {
		require.Empty(t, j.token)
		return
	}
	seen, ok := p.outcomes[j]
	if !ok {
		seen = j.Outcome()
		p.outcomes[j] = seen
	}
	require.Equal(t, seen, j.Outcome(), "an outcome is for ever")
	require.Equal(t, !p.entered[j] && j.byOthers, j.withdrawn == 1)
	require.LessOrEqual(t, j.withdrawn, 1)
	require.Equal(t, j.withdrawn == 1 && j.by == ByPool, j.kept)
	if !p.ownGoroutine[j] {
		require.Len(t, j.token, 1, "who waits is told once")
	}
}

// checkSlots checks that no slot is free while something waits.
func (p *program) checkSlots(c *census) {
	m, t := p.m, p.m.t
	if c.unsaid { // slots may just have been taken back
		return
	}
	if m.free() {
		require.Zero(t, c.Queued, "a slot is free")
		require.True(t, m.blocked.empty(), "a slot is free")
		for _, g := range p.groups {
			require.True(t, g.halted != nil || g.wants() <= 0, "a slot is free")
		}
	}
	require.False(t, !m.blocked.empty() && m.hasCapacity(), "there is room")
	if m.quiescent != nil {
		require.True(t, m.unfinished() || m.awake(), "somebody waits for the end of all jobs")
	}
}

// checkHints checks the fields that are read without the mutex.
func (p *program) checkHints() {
	m, t := p.m, p.m.t
	if m.itemsIn > 0 && (m.queued > 0 || !m.blocked.empty() || m.inUse > m.limit || m.paused || m.othersWant()) {
		require.True(t, m.Preempt(), "something else waits for the workers of a group")
	}
	require.Equal(t, m.intake.isOpen, m.intake.open.Load())
	if m.intake.isOpen {
		require.True(t, m.state == Running && !m.paused && m.inUse >= m.limit && m.itemsIn+m.coming == 0 &&
			m.groups.empty() && m.blocked.empty() && m.quiescent == nil, "a job can only wait")
	} else {
		require.Nil(t, m.intake.jobs.head)
	}
}

// caller is a caller's context that ends when the test says so.
type caller struct {
	context.Context
	done chan struct{}
	err  error
}

func newCaller() *caller { return &caller{Context: context.Background(), done: make(chan struct{})} }

func (c *caller) Done() <-chan struct{} { return c.done }
func (c *caller) Err() error            { return c.err }

// AfterFunc keeps the context package from starting a goroutine: see end.
func (c *caller) AfterFunc(func()) func() bool { return func() bool { return true } }

// end ends the context, and does what the context package would.
func (c *caller) end(m *machine) {
	c.err = context.Canceled
	close(c.done)
	if e := m.watches.byDone[c.done]; e != nil {
		e.fire()
	}
}
