package sched

import (
	"context"
	"sync"
)

// watches tells jobs and groups that their callers' contexts are done. Those that share
// a Done channel share one registration with the context package, which starts one
// goroutine for all of them when the channel is closed.
//
// Its mutex is a leaf: while it is held, nothing else is locked and no user code is
// called. It may be locked after the scheduler's. A submitter that leaves its job in
// the intake locks this mutex and the intake's, but not the scheduler's.
type watches struct {
	guard Guard
	owner watcher

	mu     sync.Mutex
	byDone map[<-chan struct{}]*watch
}

// watcher is given, once for each Done channel, all members whose context is done.
type watcher interface{ callersEnded([]expired) }

// member is a job or a group that is watched.
type member interface {
	callerContext() context.Context // watches.mu is held, except in add
	callerEnded(o *Outcome)         // ends it; the scheduler's mutex is held
	watched() (*watch, int32)       // its watch, and its index there; watches.mu is held, here and below
	setWatch(e *watch, index int32)
}

// expired is a member whose context is done.
type expired struct {
	member
	ctx context.Context // kept here, since the member itself may have ended and dropped it
}

// watch is one registration with the context package, and its members.
type watch struct {
	of      *watches
	done    <-chan struct{}
	members []member
	stop    func() bool // ends the registration; nil until it is made
	plain   bool        // stop enters no user code; written together with it
	fired   bool        // the channel is closed: the members have been passed to the owner
}

// add has m ended when done is closed, the Done channel of its context.
func (w *watches) add(m member, done <-chan struct{}) {
	if e := w.join(m, done); e != nil {
		// The context of m is still there: a task that has not been accepted keeps its
		// own.
		w.register(e, m.callerContext())
	}
}

// join makes m a member of the watch of done, unless m is watched already. If the watch is
// new, join returns it, and the caller must register it, for all members that join
// meanwhile.
func (w *watches) join(m member, done <-chan struct{}) (made *watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e, _ := m.watched(); e != nil {
		return nil
	}
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

// register registers e with ctx, which is a user's context, so no mutex is held. fire
// may run before stop is set, and all members may have left by then.
func (w *watches) register(e *watch, ctx context.Context) {
	stop := context.AfterFunc(w.guard.Shielded(ctx, e.done), e.fire)
	w.mu.Lock()
	e.stop, e.plain = stop, answersItself(ctx)
	unused := e.forgetIfEmpty()
	w.mu.Unlock()
	if unused {
		stop()
	}
}

// remove takes m out. When it returns, m's context holds nothing of m any more. It may
// call that context, to end the registration, so its caller holds no mutex.
func (w *watches) remove(m member) {
	if e := w.leave(m); e != nil {
		e.stop()
	}
}

// leave takes m out. If nobody needs the watch any more, leave returns it, and the
// caller must end the registration.
func (w *watches) leave(m member) (unused *watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e, index := m.watched()
	if e == nil { // m is not watched, or its watch has fired
		return nil
	}
	last := len(e.members) - 1
	// The last member takes the place of m, so that leaving takes constant time. m may
	// be the last member itself, so its own entry is cleared afterwards.
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

// forgetIfEmpty takes the watch out of the table if nobody needs it any more, and
// returns true: its registration must be ended then. While stop is nil, this is left to
// register: the watch may be empty before it has been registered.
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
	// From here on a member cannot leave the watch by itself. A member that ends before
	// the owner comes to it has ended already then, and stays as it is.
	e.fired = true
	members := make([]expired, len(e.members))
	for i, m := range e.members {
		members[i] = expired{m, m.callerContext()}
		m.setWatch(nil, 0)
	}
	e.members = nil
	// The table may hold another watch for this channel by now, if this one was
	// forgotten as it fired.
	if e.of.byDone[e.done] == e {
		delete(e.of.byDone, e.done)
	}
	e.of.mu.Unlock()
	e.of.owner.callersEnded(members)
}
