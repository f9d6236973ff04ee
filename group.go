package dispatch

import (
	"math"
	"sync/atomic"
	"time"

	"example.com/dispatch/internal/sched"
)

// group is a set of inputs that several workers share, kept in arrays. It is the common
// part of [Batch], [Pool.Map] and [Pool.Stream]. Each worker claims one input after another
// without a mutex. It goes on until no input is left, one fails, or the scheduler calls it
// back.
type group[In, Out any] struct {
	sched.Group
	pool  *Pool[In, Out]
	owner owner[In, Out]

	watched  bool // the caller's context can end
	careful  bool // a worker counts each outcome, and tells the owner, before it takes the next input
	delivers bool // the owner hands out each outcome
	noting   bool // each run records which input it is at
	hooked   bool // the hooks are called for each input

	first    atomic.Pointer[chunk[In, Out]]
	claiming atomic.Pointer[chunk[In, Out]] // inputs are claimed from this chunk; those before it have none left
	begun    atomic.Uint32                  // number of runs
	added    atomic.Int64                   // number of inputs, in a group that grows by chunks; for Left

	// left counts the inputs whose outcomes have not been delivered, and one for each other
	// thing that keeps the group from being over.
	left atomic.Int64

	// unclaimed is what no worker had claimed when the group was halted. Written once, with
	// the scheduler's mutex held.
	unclaimed []stretch[In, Out]
}

// owner is the batch, Map or stream that a group belongs to. Its methods are called by
// workers, and by the goroutine that halts the group or writes off a handler. They do not
// block, and no mutex is held when they are called, except that haltAfter may be called
// with the scheduler's mutex held.
type owner[In, Out any] interface {
	// deliver hands out the outcome of an input, which has been written. If keep is true, a
	// worker or Stop may still read the input.
	deliver(c *chunk[In, Out], i int, keep bool)
	// write writes the outcome of an input that was not a plain success.
	write(c *chunk[In, Out], i int, o *sched.Outcome)
	// haltAfter returns the outcome with which to halt the group after the outcome o of an
	// input, or nil if the group goes on.
	haltAfter(index int, o *sched.Outcome) *sched.Outcome
	// progressed is called after outcomes have been counted.
	progressed()
	// ended is called after n outcomes have been delivered.
	ended(n int)
	// halted is called after a halt has given n inputs their outcome.
	halted(n int)
	// closing is called when the pool stops accepting jobs.
	closing()
}

// chunk is a block of consecutive inputs of a group, with their outcomes. The owner adds
// the inputs, and workers claim them without a mutex. The worker that has claimed an input
// writes its outcome. The arrays never grow, so nothing moves under a worker that reads or
// writes in them.
type chunk[In, Out any] struct {
	ins    []In
	outs   []Out
	errs   atomic.Pointer[[]error] // one per input; made when the first input fails
	states []atomic.Uint32         // one per input, in a batch: see decided

	added []time.Duration // with telemetry: when each input was added; nil if all were added at once
	all   time.Duration   // ... at this time

	first  int                            // the index of the first input
	halted atomic.Int64                   // the inputs from index halted-1 on were never claimed; 0: all were
	after  atomic.Pointer[chunk[In, Out]] // the next chunk
	spans  []span                         // workers claim inputs from these
	one    [1]span                        // the array behind spans if there is only one span, as in batches and streams
}

// span is a range of the inputs of a chunk. It fills two cache lines, which processors
// fetch together, so that claims from different spans do not slow each other down.
type span struct {
	next atomic.Int64 // the first input that is not claimed
	end  atomic.Int64
	_    [112]byte
}

// claim claims the next input of the span. If next is not below end, the span had none
// left, though more may be added. It claims only one input, because inputs that wait for
// each other must not be claimed by one worker.
func (s *span) claim() (next, end int64) {
	for {
		next, end = s.next.Load(), s.end.Load()
		if next >= end || s.next.CompareAndSwap(next, next+1) {
			return next, end
		}
	}
}

// claimRest claims all inputs that are left, while workers may be claiming single ones. The
// end of the span does not rise meanwhile, because the caller holds the scheduler's mutex,
// and inputs are added only with that held.
func (s *span) claimRest() (from, to int) {
	for {
		next, end := s.next.Load(), s.end.Load()
		if next >= end || s.next.CompareAndSwap(next, end) {
			return int(min(next, end)), int(end)
		}
	}
}

func (s *span) left() int { return int(max(s.end.Load()-s.next.Load(), 0)) }

// stretch is the inputs of a chunk from index from up to, but not including, index to.
type stretch[In, Out any] struct {
	chunk    *chunk[In, Out]
	from, to int
}

// setErr writes the error of an input. Several workers may see a first failure at the same
// time and make an array each: one of the arrays is kept, and all of them write into that.
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

// addedAt returns when an input was added, in a pool with telemetry.
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

// claim claims an input for r, from the current span of r if that has one left. If it
// returns false, r is still at the input that it had.
func (g *group[In, Out]) claim(r *run[In, Out]) bool {
	if c := r.chunk; c != nil && r.claim(c) {
		return true
	}
	return g.claimElsewhere(r)
}

// claimElsewhere claims an input from any span of the chunks that have some left. The run
// stays at the span where it finds one, so that it seldom meets other runs.
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
		// If the swap fails, another worker has already moved claiming forward.
		g.claiming.CompareAndSwap(c, next)
	}
	return false
}

// claim moves r to the next input of its span of c. It returns false if the span has none
// left.
func (r *run[In, Out]) claim(c *chunk[In, Out]) bool {
	next, end := c.spans[r.span].claim()
	if next >= end {
		return false
	}
	r.take(c, next, end)
	return true
}

// take moves r to an input of c that r has claimed.
func (r *run[In, Out]) take(c *chunk[In, Out], next, end int64) {
	r.i, r.last = int(next), next+1 == end
	if r.g.noting {
		r.At.Store(int64(c.first) + next + 1)
	}
}

// Claim implements sched.Source.
func (g *group[In, Out]) Claim(r *sched.Run) bool { return g.claim(r.Typed.(*run[In, Out])) }

// Left implements sched.Source. It is called again and again with the mutex held, so it
// does not walk the chunks, which may be many. Workers go on claiming: by the time it
// returns fewer inputs may be left, but never more while the mutex is held.
func (g *group[In, Out]) Left(atMost int) (n int) {
	c := g.claiming.Load()
	if c == nil {
		return 0
	}
	for i := range c.spans {
		n += c.spans[i].left()
	}
	if next := c.after.Load(); next != nil { // nothing is claimed in the chunks after this one
		n += int(g.added.Load()) - next.first
	}
	return min(n, atMost)
}

// ClaimRest implements sched.Source. It moves claiming forward, so that nobody looks again
// at chunks without unclaimed inputs. It sets halted for batches, whose chunks have one
// span.
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

// Halted implements sched.Source. It is an effect of the halt, so unclaimed has been
// written, and no mutex is held while the hooks are called.
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

// Abandoned implements sched.Source. When the handler has returned, the worker learns from
// Count that the item was abandoned, and writes no outcome for it. So the outcome written
// here is the only one.
func (g *group[In, Out]) Abandoned(of *sched.Run, o sched.Outcome) {
	r := of.Typed.(*run[In, Out])
	g.owner.write(r.chunk, r.i, &o)
	g.owner.progressed()
	g.owner.deliver(r.chunk, r.i, true)
	g.owner.ended(1)
}

// endOfAll returns the outcome with which a group that stops after a failure is halted, if
// a worker is the first to see that the caller's context is done. That is no failure of the
// worker's input.
func endOfAll(o *sched.Outcome) *sched.Outcome {
	end := *o
	return &end
}

// inputOf returns the current input of a run.
func (g *group[In, Out]) inputOf(of *sched.Run) In {
	r := of.Typed.(*run[In, Out])
	return r.chunk.ins[r.i]
}

// appendUnclaimed appends the inputs that no worker had claimed when the group was halted.
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
	chunk  *chunk[In, Out] // chunk and i say which input the worker has in hand
	i      int
	span   int  // index of the span from which it claims; before the first claim, one less
	last   bool // the input was the last of its span
	single bool // the run ends after one input, and the worker asks the scheduler what is next
	told   bool // the hooks have been told of the input's outcome, or are being told

	// The worker writes the fields above for each input, and the run of another worker may
	// be next in memory.
	_ [128]byte
}

func (r *run[In, Out]) index() int { return r.chunk.first + r.i }

// run makes w handle inputs of the group that it has in hand.
func (g *group[In, Out]) run(w *worker[In, Out]) {
	var r *run[In, Out]
	if begun := w.slot.Run(); begun != nil { // the run began on a goroutine that user code has ended
		r = begun.Typed.(*run[In, Out])
	} else {
		// Runs begin at different spans: claimElsewhere moves on by one before it claims.
		r = &run[In, Out]{g: g, span: int(g.begun.Add(1)) - 2}
		r.Typed = r
		if w.desk != nil {
			w.desk.setLabels()
		}
		// A careful run handles each item with exec, after which the worker returns to the
		// mutex. A run is careful if somebody has to know of each item (the owner, an
		// Interrupt, a limit), or if the worker has to make its Worker for the first item.
		// A single run ends after one item. A run is single on a lent slot, which goes back
		// when the job that lent it goes on; for that first item; and with a job timeout,
		// where each item has a context with a deadline of its own.
		careful := g.careful || w.slot.Interrupts() || w.impl == nil
		r.single = w.slot.OverLimit() || careful && !g.careful && !w.slot.Interrupts() || g.pool.sched.LimitsRuns()
		if !w.slot.BeginRun(&r.Run, careful) {
			return // others have claimed all inputs, and w has other work in hand
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

// handle is worker.exec for as many inputs as w can claim one after another without a
// mutex. It returns when something has to be done about the input in hand: it is the last
// for now, or it did not succeed. Its outcome is then in w.
func (r *run[In, Out]) handle(w *worker[In, Out]) {
	w.state = unwound
	defer w.called()
	g, t, s := r.g, &r.Task, r.g.pool.sched
	var now time.Duration // with telemetry: when w started on the input
	if w.desk != nil {
		now = s.Since()
	}
	for {
		if g.watched || t.Resolved() {
			// If Stop comes while the input is here, the input is handled all the same: it
			// is not among the inputs that Stop returns.
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
			w.out, r.told = out, true             // set before the call: a hook may end the goroutine
			w.tell(t, c.ins[i], &w.outcome, true) // the outcome is zero, which is a success
			w.state = unwound
		}
		// The worker claims the next input before it delivers this outcome. So whoever gets
		// the last outcome finds that the worker no longer counts.
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
		// Exhausted frees the slots of workers that were called here and would find
		// nothing. Only the last input of a span can be the last of the group, so for most
		// inputs the worker does not look.
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

// finish gives the input in w's hand its outcome. It returns true if w goes on with the
// next input, and false if the run has ended and w has something else to do.
func (r *run[In, Out]) finish(w *worker[In, Out]) bool {
	g := r.g
	c, i := r.chunk, r.i
	// Refused: Stop came while the item was in newWorker or Ready.
	refused := r.Careful() && r.Refused()
	if refused {
		w.fail(r.Task.Outcome()) // Stop returns the input
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
	// Count counts the failure and halts the group in the critical section in which it
	// would claim the next input. So this run claims none after a failure that halts the
	// group.
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
	// The worker leaves, or has its next item, before anybody learns of this outcome. So
	// whoever gets the last outcome finds that no worker is at the group.
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

// leave ends the run's context. That can call user code, so it comes before the worker is
// free. If a halt has decided the outcome of the run, it has also ended the context.
func (r *run[In, Out]) leave() {
	if r.Task.Decide() {
		r.Task.Leave(&sched.Outcome{})
	} else {
		r.Task.Leave(nil)
	}
}

// maxSpans is enough to keep apart the workers that run at the same time.
const maxSpans = 64

// divide splits the inputs of a complete chunk into k spans, or fewer. All spans but the
// last have the same length, and none is empty.
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

// maxInputs is the most inputs that a Map or a batch can have. It fits into an int of 32
// bits.
const maxInputs = math.MaxInt32
