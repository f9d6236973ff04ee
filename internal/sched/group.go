package sched

import (
	"context"
	"sync/atomic"
	"time"
)

// Group is items that several workers take: a batch, a Map, a stream. The typed
// half keeps the items, and workers claim them one after another without the
// mutex; the scheduler knows how many there are.
type Group struct {
	s      *Scheduler
	source Source
	caller context.Context
	most   int // workers that may be at it at once

	link, busyLink, openLink link[Group] // in the lists of the scheduler; guarded by its mutex, as is what follows
	closing                  bool        // it is in the list of those that know of the pool's end

	total   int // items
	counted int // of these, how many have an outcome that the scheduler has been told of
	failed  int // of those, how many have failed
	active  int // workers whose run has begun and has not ended
	holding int // of these, how many have an item that has not been counted
	coming  int // slots whose worker has not come yet
	lent    int // ... on top of the limit
	void    int // workers that are to come and have no slot any more: others have claimed what there was
	runs    list[Run]
	halted  *Outcome          // how all of it was stopped; nil if it was not
	lenders list[groupLender] // jobs of this pool that wait for it

	watchIndex int32  // with watch
	watch      *watch // of the caller's context. Guarded by watches.mu
}

// Source is the typed half of a group. None of its methods blocks, but for Halted, which tells hooks. Those that are called
// with the mutex held call no user code; the others are effects, or calls of who ends the
// pool, and may.
type Source interface {
	// Left returns how many items nobody has claimed, or atMost if they are more.
	Left(atMost int) int
	// Claim claims an item for a run; false if none is left. The mutex is held.
	Claim(r *Run) bool
	// ClaimRest claims all of them, for the outcome that the group is halted
	// with, and returns how many there were. The mutex is held.
	ClaimRest() int
	// Halted tells those who wait that the group has been halted, and that so
	// many items have their outcome.
	Halted(o Outcome, items int)
	// Oldest tells when that item was added that has waited longest, in a pool with
	// telemetry; 0 if none waits.
	Oldest() time.Duration
	// HaltAfter returns how the group is to be halted after the outcome of the item
	// of a run; nil if it is not. The mutex is held.
	HaltAfter(r *Run, o *Outcome) *Outcome
	// Abandoned gives the item of a run that was abandoned its outcome.
	Abandoned(r *Run, o Outcome)
	// PoolClosing tells that the pool takes no more.
	PoolClosing()
}

// Init makes a group of zero memory. At most so many workers are at it at once.
func (g *Group) Init(s *Scheduler, source Source, caller context.Context, most int) {
	g.s, g.source, g.caller, g.most = s, source, caller, most
}

// Caller returns the caller's context.
func (g *Group) Caller() context.Context { return g.caller }

// wants tells how many slots more the group could use. The mutex is held, but
// workers claim items all the time: so it can be below 0, when workers are on their way
// to items that others have claimed since.
func (g *Group) wants() int {
	coming := g.coming + g.lent
	room := g.most - g.active - coming
	if room <= 0 {
		return 0
	}
	return g.source.Left(coming+room) - coming
}

// takeBack takes n workers of those that have not come, and their slots; it returns
// n, or 0 if that is less. The mutex is held.
func (g *Group) takeBack(n int) int {
	if n <= 0 {
		return 0
	}
	// Those without a slot go first: nothing is freed for them.
	void := min(n, g.void)
	g.void -= void
	g.coming -= n - void
	g.s.coming -= n - void
	g.s.inUse -= n - void
	return n
}

// exhaust frees the slots whose workers would find nothing, if all items have been
// claimed. The mutex is held. The workers come all the same, and find that out in
// BeginRun; without this a job would have to wait until they have woken for nothing.
func (g *Group) exhaust() {
	if g.coming > 0 && g.source.Left(1) == 0 {
		g.s.inUse -= g.coming
		g.s.coming -= g.coming
		g.void += g.coming
		g.coming = 0
	}
}

// Exhausted tells that a worker has claimed the last item without the mutex: the
// slots that the group was granted beyond are for others.
func (g *Group) Exhausted() {
	g.s.lock()
	g.exhaust()
	g.s.unlock()
}

// Add accepts n items, which publish makes known to workers, with the mutex held.
// It returns ErrClosed once the pool takes no more, and the outcome of a group that
// was halted.
func (g *Group) Add(n int, publish func()) (halted *Outcome, err error) {
	s := g.s
	s.lock()
	defer s.unlock()
	switch {
	case s.state != Running:
		return nil, s.cfg.Errors.Closed
	case g.halted != nil:
		return g.halted, nil
	case n == 0:
		return nil, nil // or else a group that is over would be kept
	}
	// Within the critical section: a halt before it refuses the items, and one after it
	// finds them.
	publish()
	s.submitted += uint64(n)
	s.openItems += n
	g.total += n
	g.keepOpen()
	g.list()
	g.useLoans()
	return nil, nil
}

// useLoans runs items on the slots of the jobs that wait for the group. The mutex is
// held.
func (g *Group) useLoans() {
	for l := range g.lenders.all {
		g.s.useLoan(l.by)
	}
}

// Refuse ends a group that has just been made with n items, none of which is
// accepted: publish makes them known to readers, with the mutex held.
func (g *Group) Refuse(n int, o Outcome, publish func()) {
	g.s.lock()
	defer g.s.unlock()
	publish()
	g.total, g.counted, g.failed = n, n, n
	g.halted = &o
}

// list has the group ask for slots, if it can use some. The mutex is held.
func (g *Group) list() {
	if g.halted == nil && g.wants() > 0 {
		g.s.groups.push(&g.link, g)
	}
}

// KeepOpen has the group told of the pool's end, until Forget, if it is not over,
// which over tells with the mutex held. It returns false if the pool takes no more.
func (g *Group) KeepOpen(over func() bool) bool {
	g.s.lock()
	defer g.s.unlock()
	if !over() {
		g.keepOpen()
	}
	return g.s.state == Running
}

// keepOpen puts the group into the list of those that are to hear of the pool's end, or
// of those that know of it: a batch that is read after Drain is still to be halted by
// Stop. The mutex is held.
func (g *Group) keepOpen() {
	if !g.openLink.listed() {
		g.closing = g.s.state != Running
		g.s.openList(g).push(&g.openLink, g)
	}
}

// openList tells in which of the two lists the link of g is, which the link cannot say.
func (s *Scheduler) openList(g *Group) *list[Group] {
	if g.closing {
		return &s.closingGroups
	}
	return &s.open
}

// Forget has neither the pool nor the caller's context know of the group any more,
// if nothing is left to do, and nobody to tell: which idle tells, with the mutex
// held, if it is not nil.
func (g *Group) Forget(idle func() bool) {
	s := g.s
	s.lock()
	if idle != nil && !idle() {
		s.unlock()
		return
	}
	s.openList(g).remove(&g.openLink)
	for l := range g.lenders.all {
		g.lenders.remove(&l.link)
		s.forgetLoan(l.waitFor)
	}
	// In the same critical section: a Watch that comes after it finds no watch. The pool
	// does not end before its registration with the caller's context has.
	unused := s.watches.leave(g)
	if unused != nil {
		s.background++
	}
	s.unlock()
	if unused != nil {
		unused.stop()
		s.EndBackground()
	}
}

// Watch has the group halted when done is closed, which is the Done channel of the
// caller's context, unless the group is watched, or has been forgotten. Many may call it
// at once: whoever adds items, or reads them.
func (g *Group) Watch(done <-chan struct{}) {
	s := g.s
	s.lock()
	var made *watch
	if done != nil && g.halted == nil && g.openLink.listed() && !s.watches.has(g) {
		made = s.watches.join(g, done)
	}
	if made != nil {
		s.background++
	}
	s.unlock()
	if made != nil {
		s.watches.register(made, g.caller) // which ends it again if the group is forgotten meanwhile
		s.EndBackground()
	}
}

// Halt ends all items that have no outcome with o, unless the group has been halted
// before: those that nobody has claimed at once, the others when their handlers
// return, which are told.
// It returns false if all items have outcomes already.
func (g *Group) Halt(o Outcome) (open bool) {
	g.s.lock()
	defer g.s.unlock()
	open = g.counted < g.total
	g.halt(&o)
	return open
}

// halt is Halt; the mutex is held.
func (g *Group) halt(o *Outcome) {
	if g.halted != nil {
		return
	}
	s := g.s
	g.halted = o
	s.groups.remove(&g.link)
	// Before exhaust, which then frees the slots of workers that have not come.
	n := g.source.ClaimRest()
	g.exhaust()
	g.count(n, n, o.Kind)
	for r := range g.runs.all {
		if o.By == ByPool && r.starting {
			r.starting, r.refused = false, true
			s.unstarted.Runs = append(s.unstarted.Runs, r)
		}
		// The outcome of a run's task is not counted, as those of its items are. This ends
		// its context, and interrupts its handler.
		s.complete(&r.Task, o)
	}
	if o.By == ByPool && n > 0 {
		s.unstarted.Groups = append(s.unstarted.Groups, g)
	}
	s.background++ // until the outcomes have been handed out
	s.after.add(&haltedGroup{g, *o, n})
}

// Source returns the typed half.
func (g *Group) Source() Source { return g.source }

// Group returns the group of the run.
func (r *Run) Group() *Group { return r.g }

// First returns the lowest index of an item that is being handled by a run that
// notes it; -1 if there is none.
func (g *Group) First() int {
	g.s.lock()
	defer g.s.unlock()
	first := -1
	for r := range g.runs.all {
		if at := int(r.At.Load()); at > 0 && (first < 0 || at-1 < first) {
			first = at - 1
		}
	}
	return first
}

type haltedGroup struct {
	g *Group
	o Outcome
	n int
}

func (h *haltedGroup) Perform() {
	h.g.source.Halted(h.o, h.n)
	h.g.s.EndBackground()
}

// HaltedWith returns what the group was halted with; nil if it was not.
func (g *Group) HaltedWith() *Outcome {
	g.s.lock()
	defer g.s.unlock()
	return g.halted
}

// count counts n outcomes of a kind. The mutex is held.
func (g *Group) count(n, failed int, kind Kind) {
	g.counted += n
	g.failed += failed
	g.s.openItems -= n
	g.s.ended[kind] += uint64(n)
}

// Progress counts the items, those that have an outcome, and those that failed.
func (g *Group) Progress() (total, done, failed int) {
	g.s.lock()
	defer g.s.unlock()
	_, uncounted := g.live()
	return g.total, g.counted + uncounted, g.failed
}

// live counts the items that are being handled, and those that have succeeded without
// being counted yet. The mutex is held, but workers go on meanwhile: so it looks once
// at what is claimed. An active worker has an item, or has had its last one
// counted (holding); but for what it claims while this looks.
func (g *Group) live() (handling, uncounted int) {
	left := g.source.Left(g.total - g.counted)
	claimed := g.total - left - g.counted
	handling = min(g.holding, claimed)
	return handling, claimed - handling
}

// Run is the stay of one worker with a group: the items that it handles in one go
// share its context.
type Run struct {
	Task
	Context
	Typed any          // the typed half
	At    atomic.Int64 // the index of the item that is being handled, plus one, where somebody may ask

	g        *Group
	link     link[Run] // in g.runs
	careful  bool      // each item may be long in coming to its handler
	starting bool      // an item is on its way there. Guarded by the mutex, as is what follows
	refused  bool      // Stop has met it there
	stray    bool      // it was abandoned
}

// BeginRun begins a run with the group in the worker's hand, and claims its first
// item. If there is none, the worker takes what comes next instead, and BeginRun
// returns false.
func (w *Worker) BeginRun(r *Run, careful bool) bool {
	s, g := w.s, w.Work.Group
	s.lock()
	defer s.unlock()
	// Which slot it is does not matter: the first worker to come has one of those that are
	// left, and the last finds none where others have claimed what there was.
	switch {
	case w.Work.overLimit:
		g.lent--
	case g.coming > 0:
		s.coming--
		g.coming--
	default: // it has lost its slot on its way
		g.void--
		if w.Work.slotless = !s.free() || g.wants() <= 0; !w.Work.slotless {
			s.inUse++
		}
	}
	// It has come: the unlock of this critical section may call the next (pair).
	if w.called {
		w.called = false
		s.called--
	}
	r.Task.Init(s, nil, &r.Context, g.caller)
	r.Task.phase.Store(running)
	r.g, r.careful = g, careful
	if w.Work.slotless || !r.claim() {
		g.exhaust()
		s.next(w)
		return false
	}
	g.exhaust()
	w.run = r
	g.runs.push(&r.link, r)
	g.holding++
	if g.active++; g.active == 1 {
		s.busy.push(&g.busyLink, g)
	}
	s.itemsIn++
	g.list()
	return true
}

// claim claims an item for the run, unless the group is over. The mutex is held.
func (r *Run) claim() bool {
	ok := r.g.halted == nil && r.g.source.Claim(r)
	r.starting = ok && r.careful
	return ok
}

// Careful tells whether each item of the run may be long in coming to its handler.
func (r *Run) Careful() bool { return r.careful }

// Refused tells whether Stop has met the item of a careful run on its way to its
// handler, and gives it back. One that Stop has not met has its outcome from now on.
func (r *Run) Refused() bool {
	r.g.s.lock()
	defer r.g.s.unlock()
	r.starting = false
	return r.refused
}

// Start notes that the handler of the item of a careful run is about to be called;
// false if the run has been settled, and it must not be.
func (w *Worker) Start(r *Run) bool {
	w.s.lock()
	defer w.s.unlock()
	if r.Task.Resolved() {
		return false
	}
	r.starting = false
	if w.exec != nil {
		w.exec.entered = true
	}
	return true
}

// Count counts the items that the run has handled well without the mutex, and the
// last, which ended with the outcome last, and halts the group with halt if that is
// not nil. If more, and nobody else waits for the worker, it claims the next item.
// A run that was abandoned has no last item any more.
func (r *Run) Count(done int, last, halt *Outcome, more bool) (next, abandoned bool) {
	g, s := r.g, r.g.s
	s.lock()
	defer s.unlock()
	g.count(done, 0, Succeeded)
	r.starting = false
	if r.stray {
		return false, true
	}
	failed := 1
	if last.Kind == Succeeded {
		failed = 0
	}
	g.count(1, failed, last.Kind)
	g.holding--
	if halt != nil {
		g.halt(halt)
	}
	// Otherwise unlock would do it, too late for this worker: what has come since it was
	// last worked out may want its slot.
	s.updatePreempt()
	next = more && !s.preempt.Load() && s.state <= Draining && r.claim()
	if next {
		g.holding++
	}
	g.exhaust()
	return next, false
}

// EndRun ends the worker's run, whose context has ended, and has the worker take
// what comes next.
func (w *Worker) EndRun() {
	s, r := w.s, w.run
	s.lock()
	defer s.unlock()
	r.leave()
	w.run = nil
	r.Task.phase.Store(returned)
	r.Task.ctx = nil
	s.next(w)
}

// leave takes the run out of its group. The mutex is held. A run that was abandoned has
// left already, when its handler was written off.
func (r *Run) leave() {
	if r.stray {
		return
	}
	g, s := r.g, r.g.s
	g.runs.remove(&r.link)
	s.itemsIn--
	if g.active--; g.active == 0 {
		s.busy.remove(&g.busyLink)
	}
	g.useLoans() // which it could not use at its limit

	s.groups.remove(&g.link) // to the end: it is another's turn
	g.list()
}

// abandon gives the run's item the outcome o while its handler still runs. The
// mutex is held.
func (r *Run) abandon(o Outcome) {
	r.leave()
	r.stray = true
	r.g.holding--
	r.g.count(1, 1, o.Kind)
	if halt := r.g.source.HaltAfter(r, &o); halt != nil {
		r.g.halt(halt)
	}
	r.g.s.background++ // until the outcome has been handed out
	r.g.s.after.add(&abandonedRun{r, o})
}

type abandonedRun struct {
	r *Run
	o Outcome
}

func (a *abandonedRun) Perform() {
	a.r.g.source.Abandoned(a.r, a.o)
	a.r.g.s.EndBackground()
}

// The methods of a member of a watch.

func (g *Group) callerContext() context.Context { return g.caller }
func (g *Group) callerEnded(o *Outcome)         { g.halt(o) }
func (g *Group) watched() (*watch, int32)       { return g.watch, g.watchIndex }
func (g *Group) setWatch(e *watch, index int32) { g.watch, g.watchIndex = e, index }
