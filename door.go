package dispatch

import (
	"sync"
	"sync/atomic"
)

// door is where submitters leave their jobs while every place is taken, so that
// they and the workers do not wait for each other: a worker takes what has come
// in one go, when the queue has run dry.
//
// It is open only while nothing but that can be done with a job: the pool is
// Running, as many jobs run as may, nobody waits for room, for the end of all
// jobs, or for a turn with a batch. Whoever is to change that, or to look at what
// is queued, holds the ledger's mutex and shuts the door first: behind a shut
// door the ledger has everything, and its mutex is all there is to know of. (Where
// Resize makes more places, the dispatcher comes, which takes what is at the door
// until nothing is, and so shuts it.)
type door[In, Out any] struct {
	// Whether the door is open, twice: for those who hold the ledger's mutex, and,
	// off the cache lines that workers look at for each job, for submitters. Both
	// are written with both mutexes held.
	unlocked bool
	_        [56]byte
	open     atomic.Bool

	mu   sync.Mutex         // guards what follows; taken after the ledger's mutex, where both are
	jobs list[job[In, Out]] // accepted, and not in the queue yet; empty while the door is shut
	came int                // their number
	room int                // the most that may come before somebody looks at the queue again
	_    [40]byte
}

// leave accepts j without the ledger, if the door is open and there is room. It
// is called without a mutex.
func (d *door[In, Out]) leave(j *job[In, Out]) bool {
	if !d.open.Load() {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.open.Load() || d.came == d.room || !j.task.accept() {
		return false
	}
	d.jobs.push(&j.place, j)
	d.came++
	return true
}

// collect has the queue take what was left at the door. The door stays open if
// there was something, and if it may. The ledger's mutex is held.
func (p *Pool[In, Out]) collect(stay bool) {
	d := &p.door
	d.mu.Lock()
	p.queue.take(&d.jobs)
	p.queued += d.came
	p.submitted += uint64(d.came)
	d.unlocked = stay && d.came > 0
	d.came, d.room = 0, p.room-p.queued
	d.open.Store(d.unlocked)
	d.mu.Unlock()
}

// shutDoor has the queue take what was left at the door, and shuts it. The
// ledger's mutex is held.
func (p *Pool[In, Out]) shutDoor() {
	if p.door.unlocked {
		p.collect(false)
	}
}

// tendDoor opens or shuts the door, as the places that are taken ask for. The
// ledger's mutex is held.
func (p *Pool[In, Out]) tendDoor() {
	switch d := &p.door; {
	case p.active < p.limit:
		p.shutDoor()
		if p.queued > 0 {
			p.poke()
		}
	case d.unlocked || p.queued >= p.room || p.state != Running || len(p.sources) > 0 || p.quiet != nil || !p.blocked.empty():
	default:
		d.mu.Lock()
		d.room = p.room - p.queued
		d.unlocked = true
		d.open.Store(true)
		d.mu.Unlock()
	}
}
