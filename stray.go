package dispatch

import "context"

// isStray tells whether the worker has been written off. The mutex is held.
func (w *worker[In, Out]) isStray() bool { return w.seat != nil && w.seat.stray }

// writeOff makes a stray of the worker's current run, which was interrupted
// and has not returned within its grace: the place goes to another worker, and
// this one ends when its handler does. While there are as many strays as
// allowed, it waits for one of them to end, in turn with others that wait; the
// context ends that wait when the handler returns after all.
func (w *worker[In, Out]) writeOff(over context.Context, run uint64) {
	p := w.pool
	if p.strayRoom.Acquire(over, 1) != nil {
		return
	}
	p.mu.Lock()
	if w.seat.task == nil || w.seat.run != run {
		p.mu.Unlock()
		p.strayRoom.Release(1)
		return
	}
	w.seat.stray = true
	p.strays++
	p.workforce--
	t := w.seat.task
	v := verdict{kind: t.kind, err: t.err}
	if t.dead { // settled before its handler was entered: in Ready, or in the constructor
		t.dead = false
		p.dead--
	}
	if !w.vacate() {
		p.active--
	}
	announce := nothing
	if w.hand.source != nil {
		announce = w.hand.source.abandon(w, v)
	}
	p.checkQuiet()
	p.admit()
	p.tendDoor()
	p.poke()
	p.mu.Unlock()

	announce()
}
