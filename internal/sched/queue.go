package sched

import (
	"sync"
	"sync/atomic"
)

// queue holds the single jobs of a pool in the order in which they were accepted: those
// that have a slot and those that wait for one. A job is not moved when its turn comes,
// and a job that is brought forward stays where it is, so that Stop returns the jobs
// that never ran in this order. Guarded by the scheduler's mutex.
//
// Jobs get slots in order, and workers in the same order: so all jobs that have a slot
// and no worker stand before the first that waits. A job that runs on top of the limit
// may stand anywhere.
type queue struct {
	head, tail *Task
	granted    *Task // the first job that has a slot within the limit, and no worker; nil if there is none
	first      *Task // the first job that waits; nil if none does
}

// push puts t at the end. If t has a slot already, it does not wait, but stands here so
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

// claim notes that t, which has waited, is about to get a slot. It is the first waiting
// job, or one from the middle that a running job waits for.
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

// grant notes that t, which does not wait, has a slot.
func (q *queue) grant(t *Task) {
	t.stage = granted
	if q.granted == nil {
		q.granted = t
	}
}

// hand takes the first job that has a slot, which is about to get a worker.
func (q *queue) hand() *Task {
	t := q.granted
	t.stage = handed
	q.advanceGranted()
	return t
}

// advanceGranted looks for the next job that has a slot and no worker. None stands
// behind the first that waits, and few other jobs stand in between.
func (q *queue) advanceGranted() {
	t := q.granted.next
	for t != nil && t != q.first && (t.stage != granted || t.overLimit) {
		t = t.next
	}
	if t == q.first {
		t = nil
	}
	q.granted = t
}

// ungrant makes all jobs that have a slot and no worker wait again, and returns their
// number.
func (q *queue) ungrant() (n int) {
	for q.granted != nil {
		q.granted.stage = waiting
		q.advanceGranted()
		n++
	}
	q.first = q.head
	q.advance()
	return n
}

// remove takes t out. It does nothing if t is not in the queue: a withdrawn job leaves
// at once, and its worker, if it has one, removes it again later.
func (q *queue) remove(t *Task) {
	if t.prev == nil && q.head != t {
		return
	}
	if q.first == t {
		q.first = t.next
		q.advance()
	}
	if q.granted == t {
		q.advanceGranted()
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

// insert puts t behind at, or first if at is nil. t does not wait: it is the marker of
// a halt.
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

// take moves all jobs of the intake to the end. All of them wait, because withdraw
// closes the intake before it takes a job out. So if no job waited here, the first of
// the intake is the first that waits.
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
// submitters and workers do not wait for each other. It has a mutex of its own, as the
// tail of a queue with two locks has. A worker moves all its jobs to the queue when the
// queue is empty.
//
// The intake is open only while a job can do nothing but wait: the pool is Running and
// not paused, every slot is taken, and nobody waits for room, for the end of all jobs,
// or for a turn with a group. A goroutine that changes any of this, or looks at the
// queued jobs, holds the scheduler's mutex and closes the intake first: then the
// scheduler has all jobs.
type intake struct {
	// Whether the intake is open, twice: isOpen for goroutines that hold the
	// scheduler's mutex, and open for submitters, off the cache lines that workers look
	// at for each job. Both are written with both mutexes held.
	isOpen bool
	_      [56]byte
	open   atomic.Bool

	mu   sync.Mutex // guards the fields below; locked after the scheduler's mutex if both are held
	jobs queue      // accepted, and not in the scheduler's queue yet; empty while the intake is closed
	came int        // the number of jobs
	room int        // most jobs that may come before somebody looks at the queue again
	_    [40]byte
}

// offer accepts t without the scheduler, if the intake is open and has room. It is
// called without a mutex.
func (i *intake) offer(t *Task) bool {
	if !i.open.Load() {
		return false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	// open is checked again, since the intake may have been closed before the mutex was
	// free. A job whose caller's context has ended meanwhile is not accepted, and
	// Accept says why.
	if !i.open.Load() || i.came == i.room || !t.accept() {
		return false
	}
	i.jobs.push(t)
	i.came++
	return true
}

// drain moves all jobs of the intake to q, and returns their number. The caller counts
// them as submitted and queued, because submitters do not touch the scheduler's counts.
// If stay is true and jobs have come, the intake stays open, with what is left of room.
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

// start opens the intake for room jobs. The scheduler's mutex is held.
func (i *intake) start(room int) {
	i.mu.Lock()
	i.room = room
	i.isOpen = true
	i.open.Store(true)
	i.mu.Unlock()
}

// ring is a queue of work that waits for a worker: groups that have been granted slots,
// or work on top of the limit. The elements are values in one array, so that a grant
// seldom allocates. Settled work stays in the ring until it is the first (see waits).
type ring struct {
	works []Work
	head  int
}

func (r *ring) empty() bool { return r.head == len(r.works) }

func (r *ring) push(w Work) {
	// Before the array grows, the elements move up to where others have left.
	if r.head > 0 && len(r.works) == cap(r.works) {
		n := copy(r.works, r.works[r.head:])
		clear(r.works[n:])
		r.works, r.head = r.works[:n], 0
	}
	r.works = append(r.works, w)
}

// first returns the work at the head, which the caller may change in place.
func (r *ring) first() *Work { return &r.works[r.head] }

func (r *ring) pop() {
	r.works[r.head] = Work{}
	if r.head++; r.head < len(r.works) {
		return
	}
	r.works, r.head = r.works[:0], 0
	// A burst is over. Its array, which can be large, is not kept for the next.
	if cap(r.works) > 1024 {
		r.works = nil
	}
}
