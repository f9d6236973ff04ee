package sched

import (
	"sync"
	"sync/atomic"
)

// queue is the single jobs of a pool in the order in which they were accepted:
// those that have a slot and those that wait for one. A job is not moved when its
// turn comes, and one that is brought forward stays where it is, so that Stop
// gives back what never ran in this order. Guarded by the scheduler's mutex.
type queue struct {
	head, tail *Task
	first      *Task // the first that waits; nil if none does
}

// push puts t at the end. It waits, unless it has a slot already: then it stands here so
// that a halt finds it.
func (q *queue) push(t *Task) {
	t.prev = q.tail
	if q.tail != nil {
		q.tail.next = t
	} else {
		q.head = t
	}
	q.tail = t
	if q.first == nil && t.stage == waiting {
		q.first = t
	}
}

// claim notes that t, which has waited, is about to have a slot. It is the first, or one
// from the middle that a running job waits for.
func (q *queue) claim(t *Task) {
	t.stage = granted
	if q.first == t {
		q.advance()
	}
}

// advance looks for the next job that waits. Each job is passed over once.
func (q *queue) advance() {
	for q.first != nil && q.first.stage != waiting {
		q.first = q.first.next
	}
}

// rewind looks for the first that waits from the head on: jobs that had a slot wait
// again.
func (q *queue) rewind() {
	q.first = q.head
	q.advance()
}

// remove takes t out; it does nothing if t is not in the queue: a job that is withdrawn
// leaves at once, and its worker, if it has one, takes it out again later.
func (q *queue) remove(t *Task) {
	if t.prev == nil && q.head != t {
		return
	}
	if q.first == t {
		q.first = t.next
		q.advance()
	}
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		q.head = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	} else {
		q.tail = t.prev
	}
	t.prev, t.next = nil, nil
}

// insert puts t behind at, or first if at is nil. It does not wait. It is for the marker
// of a halt.
func (q *queue) insert(t, at *Task) {
	t.prev = at
	if at != nil {
		t.next, at.next = at.next, t
	} else {
		t.next, q.head = q.head, t
	}
	if t.next != nil {
		t.next.prev = t
	} else {
		q.tail = t
	}
}

// take moves all of the intake to the end. All of it waits: who settles a job closes the
// intake first (withdraw), so the first of the intake is the first that waits.
func (q *queue) take(in *queue) {
	switch {
	case in.head == nil:
		return
	case q.tail == nil:
		q.head = in.head
	default:
		q.tail.next, in.head.prev = in.head, q.tail
	}
	q.tail = in.tail
	if q.first == nil {
		q.first = in.head
	}
	*in = queue{}
}

// intake is where submitters leave their jobs while every slot is taken, so that
// they and the workers do not wait for each other. It has a mutex of its own, as
// the tail of a queue with two locks has; a worker moves all that has come to the
// queue when the queue is empty.
//
// It is open only while nothing but that can be done with a job: the pool is
// Running and not paused, every slot is taken, and nobody waits for room, for the
// end of all jobs, or for a turn with a group. Whoever is to change that, or to
// look at what is queued, holds the scheduler's mutex and closes the intake
// first: then the scheduler has everything.
type intake struct {
	// Whether the intake is open, twice: for those who hold the scheduler's
	// mutex, and, off the cache lines that workers look at for each job, for
	// submitters. Both are written with both mutexes held.
	isOpen bool
	_      [56]byte
	open   atomic.Bool

	mu   sync.Mutex // guards what follows; locked after the scheduler's mutex, where both are
	jobs queue      // accepted, and not in the scheduler's queue yet; empty while the intake is closed
	came int        // their number
	room int        // the most that may come before somebody looks at the queue again
	_    [40]byte
}

// offer accepts t without the scheduler, if the intake is open and there is room.
// It is called without a mutex.
func (i *intake) offer(t *Task) bool {
	if !i.open.Load() {
		return false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	// It is looked at again, since it may have been closed before the mutex was free. A job
	// whose caller's context ended meanwhile is not accepted, and Accept says why.
	if !i.open.Load() || i.came == i.room || !t.accept() {
		return false
	}
	i.jobs.push(t)
	i.came++
	return true
}

// drain moves what has come to q, and returns how many that were, which its caller counts
// as submitted and queued: a submitter counts nothing of the scheduler's. The intake
// stays open, with room for so many more, if it is to and something has come.
// The scheduler's mutex is held.
func (i *intake) drain(q *queue, stay bool, room int) (came int) {
	i.mu.Lock()
	came = i.came
	q.take(&i.jobs)
	i.isOpen = stay && came > 0
	i.came, i.room = 0, room-came
	i.open.Store(i.isOpen)
	i.mu.Unlock()
	return came
}

// start opens the intake for so many jobs. The scheduler's mutex is held.
func (i *intake) start(room int) {
	i.mu.Lock()
	i.room = room
	i.isOpen = true
	i.open.Store(true)
	i.mu.Unlock()
}

// ring is a queue of what has been granted and waits for a worker. Works are values in
// one array, so that a grant seldom allocates; what is settled stays in it until it is
// the first (see waits).
type ring struct {
	works []Work
	head  int
}

func (r *ring) empty() bool { return r.head == len(r.works) }

func (r *ring) push(w Work) {
	// Before it grows it moves up to where others have left.
	if r.head > 0 && len(r.works) == cap(r.works) {
		n := copy(r.works, r.works[r.head:])
		clear(r.works[n:])
		r.works, r.head = r.works[:n], 0
	}
	r.works = append(r.works, w)
}

// first returns the work at the head, to be looked at or changed in place.
func (r *ring) first() *Work { return &r.works[r.head] }

func (r *ring) pop() {
	r.works[r.head] = Work{}
	if r.head++; r.head < len(r.works) {
		return
	}
	r.works, r.head = r.works[:0], 0
	// A burst is over: its array, which can be large, is not kept for the next.
	if cap(r.works) > 1024 {
		r.works = nil
	}
}
