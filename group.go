package dispatch

import (
	"math"
	"sync/atomic"
	"time"

	"example.com/dispatch/internal/sched"
)

// group is inputs that several workers take, in arrays: what [Batch], [Pool.Map] and
// [Pool.Stream] have in common. Workers claim the inputs one after another without a
// mutex; each goes on until none is left, one fails, or the scheduler asks it back.
type group[In, Out any] struct {
	sched.Group
	pool  *Pool[In, Out]
	owner owner[In, Out]

	watched  bool // the caller's context can end
	careful  bool // each outcome is to be counted, and the owner told, before the next input
	delivers bool // the owner hands out each outcome
	noting   bool // runs note which input they are at
	hooked   bool // hooks are told of each input

	first    atomic.Pointer[chunk[In, Out]]
	claiming atomic.Pointer[chunk[In, Out]] // where inputs are claimed: those before it have none left
	begun    atomic.Uint32                  // runs
	added    atomic.Int64                   // inputs, of a group that gets chunks one after another; for Left

	// left counts the inputs whose outcomes have not been delivered, and what
	// else keeps the group from being over.
	left atomic.Int64

	unclaimed []stretch[In, Out] // what nobody had claimed when the group was halted. Written once, with the scheduler's mutex held
}

// owner is what a group belongs to. Workers call its methods, and so do those who halt the
// group or write off a handler. No method blocks. No mutex is held, but that haltAfter may
// be called with the scheduler's.
type owner[In, Out any] interface {
	// deliver hands out the outcome of an input, which is written. If keep, a worker
	// or Stop may still read the input.
	deliver(c *chunk[In, Out], i int, keep bool)
	// write writes the outcome of an input that was not a plain success.
	write(c *chunk[In, Out], i int, o *sched.Outcome)
	// haltAfter returns how the group is to be halted after an outcome; nil if it
	// is not.
	haltAfter(index int, o *sched.Outcome) *sched.Outcome
	// progressed tells that outcomes have been counted.
	progressed()
	// ended tells that n outcomes have been delivered.
	ended(n int)
	// halted tells that n inputs have got their outcome by a halt.
	halted(n int)
	// closing tells that the pool takes no more.
	closing()
}

// chunk is a run of a group's inputs, with their outcomes. Inputs are added by
// their owner, and claimed by workers without a mutex; who has claimed one writes
// its outcome. The arrays are as long as they will ever be, so that nothing moves under a
// worker that reads or writes in them.
type chunk[In, Out any] struct {
	ins    []In
	outs   []Out
	errs   atomic.Pointer[[]error] // of the inputs; made when the first of them fails
	states []atomic.Uint32         // of the inputs, for owners that deliver; see Batch

	added []time.Duration // of the inputs, with telemetry: when they were; nil: all at once
	all   time.Duration   // ... then

	first  int                            // the index of the first input
	halted atomic.Int64                   // the inputs from this on, minus 1, were never claimed; 0: all were
	after  atomic.Pointer[chunk[In, Out]] // the next chunk
	spans  []span                         // from which workers claim
	one    [1]span                        // ... where there is only one, as in batches and streams
}

// span is a stretch of a chunk. It fills two cache lines, which processors fetch
// together, so that claims from different spans do not slow each other down.
type span struct {
	next atomic.Int64 // the first that is not claimed
	end  atomic.Int64
	_    [112]byte
}

// claim claims the next input of the span, if that is below end; more may come. One at a
// time: inputs that wait for each other must not be claimed by one worker.
func (s *span) claim() (next, end int64) {
	for {
		next, end = s.next.Load(), s.end.Load()
		if next >= end || s.next.CompareAndSwap(next, next+1) {
			return next, end
		}
	}
}

// claimRest claims all that is left, in competition with workers that claim one. The end
// does not rise meanwhile: the scheduler's mutex is held here, and where inputs are added.
func (s *span) claimRest() (from, to int) {
	for {
		next, end := s.next.Load(), s.end.Load()
		if next >= end || s.next.CompareAndSwap(next, end) {
			return int(min(next, end)), int(end)
		}
	}
}

func (s *span) left() int { return int(max(s.end.Load()-s.next.Load(), 0)) }

// stretch is inputs of a chunk.
type stretch[In, Out any] struct {
	chunk    *chunk[In, Out]
	from, to int
}

// setErr writes the error of an input. Several workers may be the first to fail: one of
// their arrays stays, and all write into that.
func (c *chunk[In, Out]) setErr(i int, err error) {
	errs := c.errs.Load()
	if errs == nil {
		made := make([]error, len(c.ins))
		if c.errs.CompareAndSwap(nil, &made) {
			errs = &made
		} else {
			errs = c.errs.Load()
		}
	}
	(*errs)[i] = err
}

// err returns the error of an input that has its outcome.
func (c *chunk[In, Out]) err(i int) error {
	if errs := c.errs.Load(); errs != nil {
		return (*errs)[i]
	}
	return nil
}

// addedAt tells when an input was added, with telemetry.
func (c *chunk[In, Out]) addedAt(i int) time.Duration {
	if c.added == nil {
		return c.all
	}
	return c.added[i]
}

// chunks ranges over the chunks in order.
func (g *group[In, Out]) chunks(yield func(*chunk[In, Out]) bool) {
	for c := g.first.Load(); c != nil; c = c.after.Load() {
		if !yield(c) {
			return
		}
	}
}

// claim claims an input for r, from the span that r is at if there is one left. If
// it returns false, r is still at the input that it had.
func (g *group[In, Out]) claim(r *run[In, Out]) bool {
	if c := r.chunk; c != nil && r.claim(c) {
		return true
	}
	return g.claimElsewhere(r)
}

// claimElsewhere claims an input from any span of the chunks that have some left. The run
// stays at the span where it finds one, so that it meets others seldom.
func (g *group[In, Out]) claimElsewhere(r *run[In, Out]) bool {
	for c := g.claiming.Load(); c != nil; c = g.claiming.Load() {
		// Before the look at the spans: with a next one this chunk gets no further inputs, so
		// what is found empty from here on stays so. Whoever adds inputs meanwhile has the
		// worker find them in Count, with the mutex held.
		next := c.after.Load()
		for range c.spans {
			if r.span++; r.span >= len(c.spans) {
				r.span = 0
			}
			if r.claim(c) {
				r.chunk = c
				return true
			}
		}
		if next == nil {
			return false
		}
		// If the swap fails, another worker has made it.
		g.claiming.CompareAndSwap(c, next)
	}
	return false
}

// claim puts r at the next input of its span of c; false if none is left there.
func (r *run[In, Out]) claim(c *chunk[In, Out]) bool {
	next, end := c.spans[r.span].claim()
	if next >= end {
		return false
	}
	r.take(c, next, end)
	return true
}

// take puts r at an input of c that it has claimed.
func (r *run[In, Out]) take(c *chunk[In, Out], next, end int64) {
	r.i, r.last = int(next), next+1 == end
	if r.g.noting {
		r.At.Store(int64(c.first) + next + 1)
	}
}

// Claim implements sched.Source.
func (g *group[In, Out]) Claim(r *sched.Run) bool { return g.claim(r.Typed.(*run[In, Out])) }

// Left implements sched.Source. It does not walk the chunks, which may be many, since
// it is called again and again with the mutex held. Workers claim meanwhile, so there may
// be fewer by the time it returns; but with the mutex held never more.
func (g *group[In, Out]) Left(atMost int) (n int) {
	c := g.claiming.Load()
	if c == nil {
		return 0
	}
	for i := range c.spans {
		n += c.spans[i].left()
	}
	if next := c.after.Load(); next != nil { // of the chunks behind, nothing is claimed
		n += int(g.added.Load()) - next.first
	}
	return min(n, atMost)
}

// ClaimRest implements sched.Source. claiming goes along, so that nobody looks again at
// what is claimed; halted is for batches, whose chunks have one span.
func (g *group[In, Out]) ClaimRest() (n int) {
	for c := g.claiming.Load(); c != nil; c = c.after.Load() {
		g.claiming.Store(c)
		for i := range c.spans {
			from, to := c.spans[i].claimRest()
			if from >= to {
				continue
			}
			n += to - from
			c.halted.Store(int64(from) + 1)
			g.unclaimed = append(g.unclaimed, stretch[In, Out]{c, from, to})
		}
	}
	return n
}

// HaltAfter implements sched.Source.
func (g *group[In, Out]) HaltAfter(r *sched.Run, o *sched.Outcome) *sched.Outcome {
	return g.owner.haltAfter(r.Typed.(*run[In, Out]).index(), o)
}

// Oldest implements sched.Source.
func (g *group[In, Out]) Oldest() time.Duration {
	for c := g.claiming.Load(); c != nil; c = c.after.Load() {
		for i := range c.spans {
			if next, end := c.spans[i].next.Load(), c.spans[i].end.Load(); next < end {
				return c.addedAt(int(next))
			}
		}
	}
	return 0
}

// Halted implements sched.Source. It is an effect of the halt, so unclaimed is written, and
// no mutex is held when the hooks are told.
func (g *group[In, Out]) Halted(o sched.Outcome, n int) {
	if g.pool.tel != nil {
		for _, s := range g.unclaimed {
			for i := s.from; i < s.to; i++ {
				g.pool.tellUnstarted(g.Caller(), s.chunk.ins[i], s.chunk.first+i, s.chunk.addedAt(i), o)
			}
		}
	}
	g.owner.halted(n)
}

// PoolClosing implements sched.Source.
func (g *group[In, Out]) PoolClosing() { g.owner.closing() }

// Abandoned implements sched.Source. The worker learns of it from Count, when its handler
// has returned, and writes no outcome for the item: so this is the only one.
func (g *group[In, Out]) Abandoned(of *sched.Run, o sched.Outcome) {
	r := of.Typed.(*run[In, Out])
	g.owner.write(r.chunk, r.i, &o)
	g.owner.progressed()
	g.owner.deliver(r.chunk, r.i, true)
	g.owner.ended(1)
}

// endOfAll is how a group that stops after a failure is halted where a worker is the
// first to see that the caller's context is done: that is no failure of the input's.
func endOfAll(o *sched.Outcome) *sched.Outcome {
	end := *o
	return &end
}

// inputOf returns the input that a run is at.
func (g *group[In, Out]) inputOf(of *sched.Run) In {
	r := of.Typed.(*run[In, Out])
	return r.chunk.ins[r.i]
}

// appendUnclaimed appends the inputs that nobody had claimed when the group was
// halted.
func (g *group[In, Out]) appendUnclaimed(ins []In) []In {
	for _, s := range g.unclaimed {
		ins = append(ins, s.chunk.ins[s.from:s.to]...)
	}
	return ins
}

// run is the stay of one worker with a group.
type run[In, Out any] struct {
	sched.Run
	g      *group[In, Out]
	chunk  *chunk[In, Out] // with i: the input that is in the worker's hand
	i      int
	span   int  // of the chunk, where it claims; before the first claim the one before
	last   bool // the input was the last of its span
	single bool // the worker is to look after each input what is next
	told   bool // the hooks have been told of the outcome of the input, or are being told

	// Each input writes above, and another worker's run may stand behind this one.
	_ [128]byte
}

func (r *run[In, Out]) index() int { return r.chunk.first + r.i }

// run has w handle inputs of the group that is in its hand.
func (g *group[In, Out]) run(w *worker[In, Out]) {
	var r *run[In, Out]
	if begun := w.slot.Run(); begun != nil { // on a goroutine that has been ended
		r = begun.Typed.(*run[In, Out])
	} else {
		// Runs begin at different spans: claimElsewhere goes one further before it claims.
		r = &run[In, Out]{g: g, span: int(g.begun.Add(1)) - 2}
		r.Typed = r
		if w.desk != nil {
			w.desk.setLabels()
		}
		// Careful: exec handles one item, and the worker comes back to the mutex after it. So it
		// is where somebody has to know of each (the owner, an Interrupt, a limit), and for the
		// first item of a worker that has to make its Worker.
		// Single: the run ends after one item. So it is on a lent slot, which goes back when the
		// job that has lent it goes on; for that first item; and with a job timeout, where each
		// item has a context with a deadline of its own.
		careful := g.careful || w.slot.Interrupts() || w.impl == nil
		r.single = w.slot.OverLimit() || careful && !g.careful && !w.slot.Interrupts() || g.pool.sched.LimitsRuns()
		if !w.slot.BeginRun(&r.Run, careful) {
			return // others have claimed what there was, and w has something else in hand
		}
	}
	for {
		if r.Careful() {
			w.exec(&r.Task, &r.chunk.ins[r.i])
		} else {
			r.handle(w)
			w.leaveUserCode()
		}
		if !r.finish(w) {
			return
		}
	}
}

// handle is worker.exec for as many inputs as w can claim one after another without
// a mutex. It returns with the outcome of the one in w's hand when there is
// something to be done about it: it is the last for now, or it went bad.
func (r *run[In, Out]) handle(w *worker[In, Out]) {
	w.state = unwound
	defer w.called()
	g, t, s := r.g, &r.Task, r.g.pool.sched
	var now time.Duration // with telemetry: when w turned to the input
	if w.desk != nil {
		now = s.Since()
	}
	for {
		if g.watched || t.Resolved() {
			// An input that Stop has met here is handled all the same: it is not
			// among what Stop gives back.
			if o, late := t.Late(); late && o.By != sched.ByPool {
				w.fail(o)
				break
			}
		}
		c, i := r.chunk, r.i
		at := &c.spans[r.span]
		var out Out
		var err error
		if w.desk == nil {
			out, err = w.impl.Process(&r.Context, c.ins[i])
		} else {
			out, err = w.process(w.turn(t, &r.Context, c.ins[i], now), c.ins[i])
		}
		if err != nil {
			w.failWith(t, err)
			break
		}
		if g.hooked {
			w.out, r.told = out, true             // also if a hook ends the goroutine
			w.tell(t, c.ins[i], &w.outcome, true) // it is zero: a success
			w.state = unwound
		}
		// The next is claimed before this one is delivered: who has the last
		// outcome finds that the worker does not count any more.
		if r.single || s.Preempt() {
			w.out = out
			break
		}
		if next, end := at.claim(); next < end {
			r.take(c, next, end)
		} else if !g.claimElsewhere(r) {
			w.out = out
			break
		}
		// The slots of workers that were called here and would find nothing are for others. Only
		// the last of a span can be the last of all, so most items do not look.
		if r.last && g.Left(1) == 0 {
			g.Exhausted()
		}
		if w.desk != nil {
			now = s.Since()
			if r.told {
				w.out, r.told = *new(Out), false
			} else {
				w.desk.end(now)
			}
		}
		c.outs[i] = out
		w.done++
		if g.delivers {
			g.owner.deliver(c, i, false)
		}
	}
	w.state = handling
}

// finish gives the input in w's hand its outcome. It returns true if w goes on with
// the next, and false if the run has ended, and w has something else to do.
func (r *run[In, Out]) finish(w *worker[In, Out]) bool {
	g := r.g
	c, i := r.chunk, r.i
	// Stop has met the item in newWorker or Ready.
	refused := r.Careful() && r.Refused()
	if refused {
		w.fail(r.Task.Outcome()) // it is given back
	}
	if w.desk != nil && !r.told {
		r.told = true
		o := &w.outcome
		if w.slot.IsStray() {
			theirs := r.Task.Outcome()
			o = &theirs
		}
		w.tell(&r.Task, c.ins[i], o, true)
	}
	w.state, r.told = resting, false
	out, done := w.out, w.done
	w.done = 0
	o := w.takeOutcome()
	// Count halts the group in the critical section in which it counts the failure and would
	// claim the next input: so this run claims none after it.
	halt := g.owner.haltAfter(r.index(), &o)
	next, abandoned := r.Count(done, &o, halt, !r.single && !w.slot.IsBroken())
	if !abandoned {
		done++
		if o.Kind == sched.Succeeded {
			c.outs[i] = out
		} else {
			g.owner.write(c, i, &o)
		}
		g.owner.progressed()
	}
	// The worker has left, or has its next item, before anybody learns of this outcome: who
	// has the last one finds that no worker is at the group.
	if !next {
		r.leave()
		w.slot.EndRun()
	}
	if !abandoned && g.delivers {
		g.owner.deliver(c, i, refused)
	}
	g.owner.ended(done)
	return next
}

// leave ends the run's context. That can be the user's code, so it comes before the
// worker is free. Where a halt has decided the outcome of the run, the context has ended
// with that.
func (r *run[In, Out]) leave() {
	if r.Task.Decide() {
		r.Task.Leave(&sched.Outcome{})
	} else {
		r.Task.Leave(nil)
	}
}

// maxSpans is enough to keep workers apart that run at the same time.
const maxSpans = 64

// divide makes k spans, or fewer, of the inputs of a chunk that is complete: all have the
// same length but the last, and none is empty.
func (c *chunk[In, Out]) divide(k int) {
	n := len(c.ins)
	length := (n + k - 1) / k
	if c.spans = c.one[:]; n > length {
		c.spans = make([]span, (n+length-1)/length)
	}
	for i := range c.spans {
		c.spans[i].next.Store(int64(i * length))
		c.spans[i].end.Store(int64(min((i+1)*length, n)))
	}
}

// maxInputs is the most inputs of a Map or a batch: an int of 32 bits can hold it.
const maxInputs = math.MaxInt32
