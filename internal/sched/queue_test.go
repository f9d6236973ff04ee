package sched

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// indexes returns which of tasks are in the queue, in order, and checks that the links
// that point back agree.
func indexes(t *testing.T, q *queue, tasks []*Task) (there []int) {
	t.Helper()
	for x := q.head; x != nil; x = x.next {
		there = append(there, slices.Index(tasks, x))
	}
	var back []int
	for x := q.tail; x != nil; x = x.prev {
		back = append(back, slices.Index(tasks, x))
	}
	slices.Reverse(back)
	require.Equal(t, there, back)
	return there
}

// first returns the index of the first task that waits, or -1 if none does.
func first(q *queue, tasks []*Task) int { return slices.Index(tasks, q.first) }

func queueOf(n int) (*queue, []*Task) {
	q := new(queue)
	tasks := make([]*Task, n)
	for i := range tasks {
		tasks[i] = new(Task)
		q.push(tasks[i])
	}
	return q, tasks
}

func TestQueueKeepsTheOrderOfSubmissionWhoeverHasASlot(t *testing.T) {
	for name, c := range map[string]struct {
		claim  []int
		remove []int
		left   []int
		first  int
	}{
		"nothing happens":                       {nil, nil, []int{0, 1, 2, 3}, 0},
		"claims in turn":                        {[]int{0, 1}, nil, []int{0, 1, 2, 3}, 2},
		"a claim out of turn":                   {[]int{2}, nil, []int{0, 1, 2, 3}, 0},
		"a claim out of turn is passed over":    {[]int{1, 2, 0}, nil, []int{0, 1, 2, 3}, 3},
		"all are claimed":                       {[]int{0, 1, 2, 3}, nil, []int{0, 1, 2, 3}, -1},
		"all are claimed from the end":          {[]int{3, 2, 1, 0}, nil, []int{0, 1, 2, 3}, -1},
		"the first that waits is removed":       {[]int{0}, []int{1}, []int{0, 2, 3}, 2},
		"... and the next had been claimed":     {[]int{1}, []int{0}, []int{1, 2, 3}, 2},
		"one that has a slot is removed":        {[]int{0}, []int{0}, []int{1, 2, 3}, 1},
		"the last is removed":                   {nil, []int{3}, []int{0, 1, 2}, 0},
		"the last that waits is removed":        {[]int{0, 1, 2}, []int{3}, []int{0, 1, 2}, -1},
		"one is removed twice":                  {nil, []int{1, 1}, []int{0, 2, 3}, 0},
		"the head and then the new head":        {nil, []int{0, 1}, []int{2, 3}, 2},
		"all are removed":                       {nil, []int{2, 0, 3, 1}, nil, -1},
		"all are removed, and the last is gone": {[]int{0, 1}, []int{0, 1, 2, 3, 3}, nil, -1},
	} {
		t.Run(name, func(t *testing.T) {
			q, tasks := queueOf(4)
			for _, i := range c.claim {
				q.claim(tasks[i])
				require.Equal(t, granted, tasks[i].stage)
			}
			for _, i := range c.remove {
				q.remove(tasks[i])
			}
			require.Equal(t, c.left, indexes(t, q, tasks))
			require.Equal(t, c.first, first(q, tasks))
		})
	}
}

func TestQueueDoesNotLetWaitWhatComesWithASlot(t *testing.T) {
	q, tasks := queueOf(0)
	for _, s := range []stage{granted, waiting, granted, waiting} {
		tasks = append(tasks, &Task{stage: s})
		q.push(tasks[len(tasks)-1])
	}
	require.Equal(t, 1, first(q, tasks))
	q.claim(tasks[1])
	require.Equal(t, 3, first(q, tasks))
}

func TestQueueIsUsableAgainAfterItWasEmpty(t *testing.T) {
	q, tasks := queueOf(1)
	q.remove(tasks[0])
	require.Equal(t, queue{}, *q)
	tasks = append(tasks, new(Task))
	q.push(tasks[1])
	require.Equal(t, []int{1}, indexes(t, q, tasks))
	require.Equal(t, 1, first(q, tasks))
}

func TestQueueInsertsAMarkerThatDoesNotWait(t *testing.T) {
	for name, c := range map[string]struct {
		jobs, at int // behind the job at this index; -1: first
		order    []int
	}{
		"into an empty queue": {0, -1, []int{0}},
		"first":               {2, -1, []int{2, 0, 1}},
		"in the middle":       {2, 0, []int{0, 2, 1}},
		"at the end":          {2, 1, []int{0, 1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			q, tasks := queueOf(c.jobs)
			marker := &Task{stage: released}
			var at *Task
			if c.at >= 0 {
				at = tasks[c.at]
			}
			before := q.first
			q.insert(marker, at)
			require.Equal(t, c.order, indexes(t, q, append(tasks, marker)))
			require.Equal(t, before, q.first)

			q.remove(marker)
			require.Len(t, indexes(t, q, tasks), c.jobs)
			require.Equal(t, before, q.first)
		})
	}
}

func TestQueuePassesOverAMarker(t *testing.T) {
	q, tasks := queueOf(3)
	q.insert(&Task{stage: released}, tasks[0])
	q.claim(tasks[0])
	require.Equal(t, 1, first(q, tasks))
}

func TestQueueTakesTheIntakeToItsEnd(t *testing.T) {
	for name, c := range map[string]struct{ have, claimed, come int }{
		"nothing has come":                  {2, 0, 0},
		"into an empty queue":               {0, 0, 2},
		"behind jobs that wait":             {2, 0, 2},
		"behind jobs that have a slot":      {2, 2, 2},
		"nothing, and nothing is there":     {0, 0, 0},
		"one behind one that has its slot":  {1, 1, 1},
		"behind one that has and one waits": {2, 1, 3},
	} {
		t.Run(name, func(t *testing.T) {
			q, tasks := queueOf(c.have)
			for i := range c.claimed {
				q.claim(tasks[i])
			}
			in, came := queueOf(c.come)
			tasks = append(tasks, came...)
			q.take(in)

			var all []int
			for i := range tasks {
				all = append(all, i)
			}
			require.Equal(t, all, indexes(t, q, tasks))
			require.Equal(t, queue{}, *in)
			want := c.claimed
			if want == len(tasks) {
				want = -1
			}
			require.Equal(t, want, first(q, tasks))
		})
	}
}

func TestIntakeTakesJobsOnlyWhileItIsOpenAndHasRoom(t *testing.T) {
	var in intake
	require.False(t, in.offer(new(Task)), "it is closed at first")

	in.start(2)
	require.True(t, in.offer(new(Task)))
	settled := new(Task)
	settled.phase.Store(offered)
	settled.phase.CompareAndSwap(offered, completing)
	require.False(t, in.offer(settled), "its caller's context is done")
	require.True(t, in.offer(new(Task)))
	require.False(t, in.offer(new(Task)), "it is full")

	var q queue
	require.Equal(t, 2, in.drain(&q, true, 5))
	require.NotNil(t, q.first)
	require.True(t, in.isOpen && in.open.Load(), "something has come: it stays open")
	require.Equal(t, 3, in.room)

	require.Zero(t, in.drain(&q, true, 3))
	require.False(t, in.isOpen || in.open.Load(), "nothing has come: it is closed, whether it may stay or not")

	in.start(1)
	require.True(t, in.offer(new(Task)))
	require.Equal(t, 1, in.drain(&q, false, 2))
	require.False(t, in.isOpen || in.open.Load(), "it must not stay")
	require.False(t, in.offer(new(Task)))
}

func TestIntakeAcceptsAJobThatWasOffered(t *testing.T) {
	var in intake
	in.start(1)
	x := new(Task)
	x.phase.Store(offered)
	require.True(t, in.offer(x))
	require.Equal(t, accepted, x.phase.Load())
}

func TestRingGivesWhatCameFirst(t *testing.T) {
	var r ring
	next, want := 0, 0
	for round := range 50 {
		for range round%7 + 1 {
			next++
			r.push(Work{count: next})
		}
		for range round%5 + 1 {
			if r.empty() {
				break
			}
			want++
			require.Equal(t, want, r.first().count)
			r.pop()
		}
	}
	for ; !r.empty(); r.pop() {
		want++
		require.Equal(t, want, r.first().count)
	}
	require.Equal(t, want, next)
}

func TestRingKeepsNothingOfWhatIsGone(t *testing.T) {
	var r ring
	for range 3 {
		r.push(Work{Task: new(Task)})
	}
	r.pop()
	r.pop()
	for cap(r.works) > len(r.works) {
		r.push(Work{Task: new(Task)})
	}
	r.push(Work{Task: new(Task)}) // what is left moves to the front
	for _, w := range r.works[len(r.works):cap(r.works)] {
		require.Nil(t, w.Task)
	}
	for !r.empty() {
		r.pop()
	}
	for _, w := range r.works[:cap(r.works)] {
		require.Nil(t, w.Task)
	}
}

func TestRingGivesUpItsMemoryAfterACrowd(t *testing.T) {
	var r ring
	for range 5000 {
		r.push(Work{})
	}
	for !r.empty() {
		r.pop()
	}
	require.Zero(t, cap(r.works))
}

func TestRingFirstCanBeChangedInPlace(t *testing.T) {
	var r ring
	r.push(Work{count: 3})
	r.first().count--
	require.Equal(t, 2, r.first().count)
}
