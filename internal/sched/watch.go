package sched

import (
	"context"
	"sync"
)

// watches tells jobs and groups that their callers' contexts are done. All that
// share a Done channel share one registration with the context package, which
// starts one goroutine for all of them when the channel is closed.
//
// Its mutex is a leaf: nothing else is locked, and no user code is called, while
// it is held. It may be locked after the scheduler's. A submitter that leaves its job in the intake takes this mutex and
// the intake's, and not the scheduler's.
type watches struct {
	guard Guard
	owner watcher

	mu     sync.Mutex
	byDone map[<-chan struct{}]*watch
}

// watcher is told, once for each Done channel, of all whose context is done.
type watcher interface{ callersEnded([]expired) }

// member is a job or a group that is watched.
type member interface {
	callerContext() context.Context // watches.mu is held, but for add
	callerEnded(o *Outcome)         // ends it; the scheduler's mutex is held
	watched() (*watch, int32)       // its registration, and its index there; watches.mu is held, here and below
	setWatch(e *watch, index int32)
}

// expired is a member whose context is done.
type expired struct {
	member
	ctx context.Context // the member itself may have ended meanwhile, and given it up
}

// watch is one registration.
type watch struct {
	of      *watches
	done    <-chan struct{}
	members []member
	stop    func() bool // ends the registration; nil until it is made
	fired   bool        // the channel is closed: the members are on their way to the owner
}

// add has m told when done is closed, which is the Done channel of its context.
func (w *watches) add(m member, done <-chan struct{}) {
	if e := w.join(m, done); e != nil {
		// The context of m is there: a task that has not been accepted keeps its own.
		w.register(e, m.callerContext())
	}
}

// join makes m a member of the watch of done. If that is new, join returns it, and the
// caller registers it, for all that join meanwhile.
func (w *watches) join(m member, done <-chan struct{}) (made *watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e, shared := w.byDone[done]
	if !shared {
		e = &watch{of: w, done: done}
		if w.byDone == nil {
			w.byDone = make(map[<-chan struct{}]*watch)
		}
		w.byDone[done] = e
		made = e
	}
	m.setWatch(e, int32(len(e.members)))
	e.members = append(e.members, m)
	return made
}

// register registers e with ctx, which is a context of the user's: no mutex is held. The
// function may run before stop is kept, and the members may all have left.
func (w *watches) register(e *watch, ctx context.Context) {
	stop := context.AfterFunc(w.guard.Shielded(ctx, e.done), e.fire)
	w.mu.Lock()
	e.stop = stop
	unused := e.forgetIfEmpty()
	w.mu.Unlock()
	if unused {
		stop()
	}
}

// remove takes m out. When it returns, nothing is left of m with its context. It can call
// that, to end the registration: no mutex is held by who calls it.
func (w *watches) remove(m member) {
	if e := w.leave(m); e != nil {
		e.stop()
	}
}

// leave takes m out. If nobody needs the watch any more, leave returns it, and the caller
// ends the registration.
func (w *watches) leave(m member) (unused *watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e, index := m.watched()
	if e == nil { // or it has fired
		return nil
	}
	last := len(e.members) - 1
	// The last member takes the place of m, so that a member leaves at once. m may be the
	// last itself: its own mark is cleared after that.
	e.members[index] = e.members[last]
	e.members[index].setWatch(e, index)
	m.setWatch(nil, 0)
	e.members[last] = nil
	e.members = e.members[:last]
	if e.forgetIfEmpty() {
		return e
	}
	return nil
}

// has tells whether m is watched.
func (w *watches) has(m member) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	e, _ := m.watched()
	return e != nil
}

// forgetIfEmpty takes the watch out of the table if nobody needs it any more; its
// registration is to be ended then. While stop is nil that is for who registers it: the
// watch may be empty before it has been registered.
func (e *watch) forgetIfEmpty() bool {
	if e.fired || e.stop == nil || len(e.members) > 0 {
		return false
	}
	if e.of.byDone[e.done] == e {
		delete(e.of.byDone, e.done)
	}
	return true
}

// fire is called by the context package, on a goroutine of its own.
func (e *watch) fire() {
	e.of.mu.Lock()
	// From here on a member does not leave the watch by itself. One that ends before the
	// owner comes to it is ended already then, and stays as it is.
	e.fired = true
	members := make([]expired, len(e.members))
	for i, m := range e.members {
		members[i] = expired{m, m.callerContext()}
		m.setWatch(nil, 0)
	}
	e.members = nil
	// There can be another for this channel by now, if this one was forgotten as it
	// fired.
	if e.of.byDone[e.done] == e {
		delete(e.of.byDone, e.done)
	}
	e.of.mu.Unlock()
	e.of.owner.callersEnded(members)
}
