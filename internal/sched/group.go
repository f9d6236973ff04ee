package sched

import (
	"context"
	"sync/atomic"
	"time"
)

// Group is the items of a batch, a Map or a stream, which several workers take. The
// typed half keeps the items, and workers claim them one after another without the
// mutex. The scheduler knows how many there are.
type Group struct {
	s      *Scheduler
	source Source
	caller context.Context
	most   int // most workers that handle it at once

	link, busyLink, openLink link[Group] // in the scheduler's lists; guarded by its mutex, like the fields below
	closing                  bool        // it is in Scheduler.closingGroups, not in Scheduler.open

	total   int // items
	counted int // of these, how many have an outcome that the scheduler knows of
	failed  int // of those, how many have failed
	active  int // workers whose run has begun and has not ended
	holding int // of these, how many have an item that has not been counted
	coming  int // slots whose worker has not come yet
	lent    int // the same, for slots on top of the limit
	void    int // workers on their way that have lost their slot: others have claimed the last items
	runs    list[Run]
	halted  *Outcome          // the outcome with which the group was halted; nil if it was not
	lenders list[groupLender] // jobs of this pool that wait for it

	watchIndex int32  // the group's index in watch
	watch      *watch // of the caller's context. Guarded by watches.mu
}

// Source is the typed half of a group. None of its methods blocks, except Halted, which
// calls hooks. Methods that are called with the mutex held call no user code. The
// others may: they are called as effects, or by the goroutine that ends the pool.
type Source interface {
	// Left returns the number of items that nobody has claimed, but no more than
	// atMost.
	Left(atMost int) int
	// Claim claims an item for a run. It returns false if none is left. The mutex is
	// held.
	Claim(r *Run) bool
	// ClaimRest claims all unclaimed items, for the outcome with which the group is
	// halted, and returns their number. The mutex is held.
	ClaimRest() int
	// Halted tells the waiting goroutines that the group has been halted, and that the
	// given number of items have their outcome.
	Halted(o Outcome, items int)
	// Oldest returns when the item that has waited longest was added, in a pool with
	// telemetry; 0 if none waits.
	Oldest() time.Duration
	// HaltAfter returns the outcome with which the group must be halted after the item
	// of a run has ended with o; nil if it goes on. The mutex is held.
	HaltAfter(r *Run, o *Outcome) *Outcome
	// Abandoned gives the item of an abandoned run its outcome.
	Abandoned(r *Run, o Outcome)
	// PoolClosing tells the group that the pool takes no more.
	PoolClosing()
}

// Init initializes a zero group. most is the largest number of workers that handle it
// at once.
func (g *Group) Init(s *Scheduler, source Source, caller context.Context, most int) {
	g.s, g.source, g.caller, g.most = s, source, caller, most
}

// Caller returns the caller's context.
func (g *Group) Caller() context.Context { return g.caller }

// wants returns how many more slots the group could use. The mutex is held, but workers
// claim items all the time: so the result can be negative, when workers are on their
// way to items that others have claimed since.
func (g *Group) wants() int {
	coming := g.coming + g.lent
	room := g.most - g.active - coming
	if room <= 0 {
		return 0
	}
	return g.source.Left(coming+room) - coming
}

// takeBack takes back n workers that have not come yet, and their slots. It returns n,
// or 0 if n is negative. The mutex is held.
func (g *Group) takeBack(n int) int {
	if n <= 0 {
		return 0
	}
	// Workers that have lost their slot go first: taking them back frees nothing.
	void := min(n, g.void)
	g.void -= void
	g.coming -= n - void
	g.s.coming -= n - void
	g.s.inUse -= n - void
	return n
}

// exhaust frees the slots whose workers would find nothing, if all items have been
// claimed. The mutex is held. The workers come all the same, and find that out in
// BeginRun. Without exhaust a job would have to wait until they have woken for nothing.
func (g *Group) exhaust() {
	if g.coming > 0 && g.source.Left(1) == 0 {
		g.s.inUse -= g.coming
		g.s.coming -= g.coming
		g.void += g.coming
		g.coming = 0
	}
}

// Exhausted notes that a worker has claimed the last item without the mutex: the
// group's other slots are free for others.
func (g *Group) Exhausted() {
	g.s.lock()
	g.exhaust()
	g.s.unlock()
}

// Add accepts n items. publish makes them known to workers, and is called with the
// mutex held. Add returns ErrClosed once the pool takes no more, and the outcome of a
// group that was halted.
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
		return nil, nil // otherwise a group that is over would be kept
	}
	// publish is called within the critical section: a halt before it refuses the
	// items, and a halt after it finds them.
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

// Refuse ends a new group of n items, none of which is accepted. publish makes the
// items known to readers, and is called with the mutex held.
func (g *Group) Refuse(n int, o Outcome, publish func()) {
	g.s.lock()
	defer g.s.unlock()
	publish()
	g.total, g.counted, g.failed = n, n, n
	g.halted = &o
}

// list puts the group into the list of groups that want slots, if it can use some. The
// mutex is held.
func (g *Group) list() {
	if g.halted == nil && g.wants() > 0 {
		g.s.groups.push(&g.link, g)
	}
}

// KeepOpen has the group told of the pool's end, until Forget, unless over reports that
// the group is over. over is called with the mutex held. KeepOpen returns false if the
// pool takes no more.
func (g *Group) KeepOpen(over func() bool) bool {
	g.s.lock()
	defer g.s.unlock()
	if !over() {
		g.keepOpen()
	}
	return g.s.state == Running
}

// keepOpen puts the group into the list of groups that must learn of the pool's end, or
// of those that know of it already: Stop must still halt a batch that is read after
// Drain. The mutex is held.
func (g *Group) keepOpen() {
	if !g.openLink.listed() {
		g.closing = g.s.state != Running
		g.s.openList(g).push(&g.openLink, g)
	}
}

// openList returns which of the two lists g is in, because the link of g does not know.
func (s *Scheduler) openList(g *Group) *list[Group] {
	if g.closing {
		return &s.closingGroups
	}
	return &s.open
}

// Forget makes the pool and the caller's context forget the group, if nothing is left
// to do and nobody is left to tell. idle reports whether that is so, and is called with
// the mutex held; a nil idle means that it is. A worker that counts as idle must not
// enter user code, which may block: it sets apart, and if the end of the registration
// with the caller's context enters user code, that happens on a goroutine of its own.
func (g *Group) Forget(idle func() bool, apart bool) {
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
	// leave is called in the same critical section, so that a later Watch finds no
	// watch. The pool does not end before the registration with the caller's context
	// has ended.
	unused := s.watches.leave(g)
	if unused != nil {
		s.background++
	}
	s.unlock()
	if unused == nil {
		return
	}
	end := func() {
		defer s.EndBackground()
		unused.stop()
	}
	if apart && !unused.plain {
		Go(end)
	} else {
		end()
	}
}

// Watch has the group halted when done is closed, the Done channel of the caller's
// context. It does nothing if the group is watched already, or has been forgotten.
// Goroutines that add items or read them may call it at the same time.
func (g *Group) Watch(done <-chan struct{}) {
	s := g.s
	s.lock()
	var made *watch
	if done != nil && g.halted == nil && g.openLink.listed() {
		made = s.watches.join(g, done)
	}
	if made != nil {
		s.background++
	}
	s.unlock()
	if made != nil {
		s.watches.register(made, g.caller) // register ends it again if the group is forgotten meanwhile
		s.EndBackground()
	}
}

// Halt ends all items that have no outcome yet, with the outcome o, unless the group
// has been halted before. Unclaimed items end at once. The others end when their
// handlers return; the handlers are told through their contexts. Halt returns false if
// all items have outcomes already.
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
	// ClaimRest comes before exhaust, which then frees the slots of workers that have
	// not come.
	n := g.source.ClaimRest()
	g.exhaust()
	g.count(n, n, o.Kind)
	for r := range g.runs.all {
		if o.By == ByPool && r.starting {
			r.starting, r.refused = false, true
			s.unstarted.Runs = append(s.unstarted.Runs, r)
		}
		// The outcome of a run's task is not counted, unlike those of its items.
		// complete ends the run's context, and interrupts its handler.
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

// First returns the lowest index of an item that is being handled, among the runs that
// note it in At; -1 if there is none.
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

// HaltedWith returns the outcome with which the group was halted; nil if it was not.
func (g *Group) HaltedWith() *Outcome {
	g.s.lock()
	defer g.s.unlock()
	return g.halted
}

// count counts n outcomes of a kind, failed of them as failures. The mutex is held.
func (g *Group) count(n, failed int, kind Kind) {
	g.counted += n
	g.failed += failed
	g.s.openItems -= n
	g.s.ended[kind] += uint64(n)
}

// Progress returns how many items there are, how many have an outcome, and how many
// failed.
func (g *Group) Progress() (total, done, failed int) {
	g.s.lock()
	defer g.s.unlock()
	_, uncounted := g.live()
	return g.total, g.counted + uncounted, g.failed
}

// live returns how many items are being handled, and how many have succeeded without
// being counted yet. The mutex is held, but workers go on meanwhile: so live looks only
// once at what is claimed. A worker that holds an item (holding) handles it, so the number
// of claimed items bounds the number being handled.
func (g *Group) live() (handling, uncounted int) {
	left := g.source.Left(g.total - g.counted)
	claimed := g.total - left - g.counted
	handling = min(g.holding, claimed)
	return handling, claimed - handling
}

// Run is the stay of one worker with a group. The items that the worker handles in one
// go share the run's context.
type Run struct {
	Task
	Context
	Typed any          // the typed half
	At    atomic.Int64 // the index of the item that is being handled, plus one, where somebody may ask for it

	g        *Group
	link     link[Run] // in g.runs
	careful  bool      // each item may take long to reach its handler
	starting bool      // an item is on its way to its handler. Guarded by the mutex, like the fields below
	refused  bool      // Stop has found the item on its way
	stray    bool      // it was abandoned
}

// BeginRun begins a run with the group in w.Work, and claims its first item. If there
// is none, the worker takes its next work instead, and BeginRun returns false.
func (w *Worker) BeginRun(r *Run, careful bool) bool {
	s, g := w.s, w.Work.Group
	s.lock()
	defer s.unlock()
	// Slots are interchangeable: the first worker to come has one of those that are
	// left, and the last worker may find none if others have claimed the last items.
	switch {
	case w.Work.overLimit:
		g.lent--
	case g.coming > 0:
		s.coming--
		g.coming--
	default: // the worker has lost its slot on its way
		g.void--
		if w.Work.slotless = !s.free() || g.wants() <= 0; !w.Work.slotless {
			s.inUse++
		}
	}
	s.came(w)
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

// claim claims an item for the run, unless the group was halted or has none left. The
// mutex is held.
func (r *Run) claim() bool {
	ok := r.g.halted == nil && r.g.source.Claim(r)
	r.starting = ok && r.careful
	return ok
}

// Careful reports whether each item of the run may take long to reach its handler.
func (r *Run) Careful() bool { return r.careful }

// Refused reports whether Stop has found the item of a careful run on its way to its
// handler, and gives it back. If not, Stop cannot give it back any more: the item has
// an outcome of its own.
func (r *Run) Refused() bool {
	r.g.s.lock()
	defer r.g.s.unlock()
	r.starting = false
	return r.refused
}

// Start notes that the handler of a careful run's item is about to be called. It
// returns false if the run has been settled: then the handler must not be called.
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

// Count counts the done items that the run has handled successfully without the mutex,
// and the last item, which ended with the outcome last. It halts the group with halt if
// that is not nil. If more is true and nobody else waits for the worker, Count claims
// the next item. A run that was abandoned no longer has a last item.
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
	// unlock would update preempt too late for this worker: work that has come since
	// the last update may want its slot.
	s.updatePreempt()
	next = more && !s.preempt.Load() && s.state <= Draining && r.claim()
	if next {
		g.holding++
	}
	g.exhaust()
	return next, false
}

// EndRun ends the worker's run, whose context has ended. The worker takes its next
// work.
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

// leave takes the run out of its group. The mutex is held. An abandoned run has left
// already, when it was abandoned.
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
	g.useLoans() // loans that the group could not use at its limit

	s.groups.remove(&g.link) // to the end: it is another group's turn
	g.list()
}

// abandon gives the run's item the outcome o while its handler is still running. The
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

// The methods by which a Group is a member of a watch.

func (g *Group) callerContext() context.Context { return g.caller }
func (g *Group) callerEnded(o *Outcome)         { g.halt(o) }
func (g *Group) watched() (*watch, int32)       { return g.watch, g.watchIndex }
func (g *Group) setWatch(e *watch, index int32) { g.watch, g.watchIndex = e, index }
