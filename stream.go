package dispatch

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"sync"

	"example.com/dispatch/internal/sched"
)

// StreamOption configures a stream.
type StreamOption func(*streamConfig)

type streamConfig struct {
	unordered bool
	ahead     int // 0: the default
}

// Unordered has a stream yield its outcomes in the order of completion: a job that
// takes long holds up no other.
func Unordered() StreamOption { return func(c *streamConfig) { c.unordered = true } }

// LookAhead sets how many inputs a stream may have taken whose outcomes the loop has
// not finished with, including the one in the body of the loop. So it bounds memory,
// and the jobs of the stream that run at once: with LookAhead(1) they run one after
// another. The default is twice the
// pool's limit of workers when the loop starts, and twice GOMAXPROCS where that is
// Unlimited. LookAhead panics if n is below 1.
func LookAhead(n int) StreamOption {
	if n < 1 {
		panic(fmt.Sprintf("dispatch: LookAhead(%d): must be at least 1", n))
	}
	return func(c *streamConfig) { c.ahead = n }
}

// Stream runs a job for each input that ins gives and yields the outcomes, in the
// order of the inputs unless [Unordered] is given. It takes inputs ahead of the loop,
// as many as [LookAhead] allows. The inputs do not wait in the queue: they take turns
// with the other jobs of the pool, as those of a Batch do. A second stage is a stream
// of another pool that takes the Results of this one.
//
// A job that fails is yielded with its error, and the stream goes on. When ctx is
// done, a Result with the Index -1 and the cause of ctx is yielded, and the stream
// ends. When the pool no longer accepts jobs, a Result with the Index -1 and ErrClosed
// comes after the outcomes of the inputs that it had accepted. A stream without such
// a Result is complete. Inputs that were taken and not yielded when the stream ends,
// or when the loop breaks off, are canceled.
//
// ins is called on the goroutine of the loop, and nothing happens before the loop
// starts: while ins waits for its next value, no outcome is yielded; see
// [Pool.StreamChan]. Each loop over the sequence is a stream of its own. A job that
// loops over a stream of its own pool lends its slot while the loop waits. A nil
// option is none.
func (p *Pool[In, Out]) Stream(ctx context.Context, ins iter.Seq[In], opts ...StreamOption) iter.Seq[Result[In, Out]] {
	p.check(ctx, "Pool.Stream")
	cfg := newStreamConfig(opts)
	return func(yield func(Result[In, Out]) bool) {
		s := p.newStream(ctx, cfg, yield)
		if s == nil {
			return
		}
		defer s.end()
		for in := range ins {
			if !s.add(in) {
				s.finish()
				return
			}
			// With the look-ahead used up an outcome has to be waited for. Else all that are there
			// are yielded before ins is asked again, which may block.
			for s.open == s.ahead || s.ready() {
				if !s.wait(nil) || !s.yieldNext() {
					return
				}
			}
		}
		s.drain()
	}
}

// StreamChan is Stream for inputs that come through a channel, until that is
// closed: it yields outcomes also while it waits for the channel. While the channel is
// open, the end of ctx ends the stream at once, and so does a pool that no longer
// accepts jobs. A nil channel gives nothing and stays open.
func (p *Pool[In, Out]) StreamChan(ctx context.Context, ins <-chan In, opts ...StreamOption) iter.Seq[Result[In, Out]] {
	p.check(ctx, "Pool.StreamChan")
	cfg := newStreamConfig(opts)
	return func(yield func(Result[In, Out]) bool) {
		s := p.newStream(ctx, cfg, yield)
		if s == nil {
			return
		}
		defer s.end()
		// A variable of this loop: another loop over the same stream may run at the same time.
		ins := ins
		if ins == nil {
			ins = make(chan In) // gives nothing either; wait takes nil for a source that is not to be read
		}
		for {
			source := ins // nil: with the look-ahead used up, nothing is received
			if s.open == s.ahead {
				source = nil
			}
			// The order says what comes first: outcomes that are there; the end of the pool,
			// which a silent source must not hide; then the wait for any of the three.
			switch {
			case s.ready():
				if !s.wait(nil) || !s.yieldNext() { // wait looks at the context
					return
				}
			case s.closed():
				s.finish()
				return
			case !s.wait(source):
				return
			case !s.received: // woken for an outcome, or by the end of the pool
			case !s.more: // ins is closed
				s.drain()
				return
			case !s.add(s.in):
				s.finish()
				return
			}
		}
	}
}

func newStreamConfig(opts []StreamOption) (c streamConfig) {
	for _, opt := range opts {
		if opt != nil {
			opt(&c)
		}
	}
	return c
}

// stream is one loop over a Stream: a group that keeps nothing. Its fields belong to
// the loop's goroutine, but for outbox, which workers fill.
type stream[In, Out any] struct {
	group[In, Out]
	caller sched.Caller
	yield  func(Result[In, Out]) bool
	ahead  int
	last   *chunk[In, Out] // where the next input goes; nothing keeps those before that workers have done
	total  int             // inputs taken
	open   int             // of these, how many the loop is not done with, with an outcome or without
	order  *reorder[In, Out]

	got []Result[In, Out] // what has been taken out of the outbox, from next on
	at  int

	// What wait has received.
	in       In
	received bool // the source has given an input, or has been closed
	more     bool // ... and it was an input

	outbox outbox[In, Out]
}

// outbox is where workers leave outcomes. It is a list and not a channel: a worker must
// not block on a loop whose body takes long, and a halt leaves many at once.
type outbox[In, Out any] struct {
	mu      sync.Mutex // a leaf; guards what follows
	results []Result[In, Out]
	closed  bool          // the pool takes no more
	asleep  bool          // the loop waits for wake
	wake    chan struct{} // one token whenever asleep turns false
}

// newStream returns the stream of a loop, on whose goroutine it is called; nil if the
// context is done, which it has yielded then.
func (p *Pool[In, Out]) newStream(ctx context.Context, cfg streamConfig, yield func(Result[In, Out]) bool) *stream[In, Out] {
	caller := p.sched.Look(ctx)
	if caller.Err != nil {
		yield(Result[In, Out]{Index: -1, Err: caller.Err})
		return nil
	}
	s := &stream[In, Out]{caller: caller, yield: yield, ahead: cfg.ahead}
	if s.ahead == 0 {
		// Twice: each worker finds a next input while an outcome of its own waits for the loop.
		if s.ahead = 2 * p.sched.Limit(); s.ahead >= 2*sched.Unlimited {
			s.ahead = 2 * runtime.GOMAXPROCS(0)
		}
	}
	if !cfg.unordered {
		s.order = new(reorder[In, Out])
	}
	s.outbox.wake = make(chan struct{}, 1)
	s.pool, s.owner = p, s
	s.watched, s.delivers, s.hooked = caller.Done != nil, true, p.hooked()
	s.Init(p.sched, &s.group, ctx, sched.Unlimited)
	// The pool tells a stream of its end from here on until Forget, also while nothing is
	// under way. Where it has ended before, it tells nobody any more: so that is noted here.
	// The watch comes after it, because a group that the pool does not keep is not watched.
	if !s.KeepOpen(func() bool { return false }) {
		s.closing()
	}
	s.Watch(caller.Done)
	return s
}

// add accepts an input; false if the pool takes no more, or the context is done. Chunks
// double up to most inputs: a short stream is cheap, and in a long one an input that
// takes long keeps the memory of few others.
func (s *stream[In, Out]) add(in In) bool {
	const most = 64
	c := s.last
	if c == nil || c.filled() == len(c.ins) {
		c = newChunk[In, Out](nil, min(max(s.total, 1), most))
		c.states = nil // only a batch asks what has been decided
		c.first = s.total
	}
	i := c.filled()
	c.ins[i] = in
	if s.pool.tel != nil {
		c.stamp(i, i+1, s.pool.sched.Since())
	}
	// Workers claim the input, without a mutex, as soon as end includes it: it is written
	// before that, and so is the time at which it was added.
	halted, err := s.Add(1, func() {
		c.one[0].end.Store(int64(i) + 1)
		s.added.Add(1)
		switch {
		case s.last == nil:
			s.claiming.Store(c)
		case s.last != c:
			s.last.after.Store(c)
		}
	})
	if err != nil || halted != nil {
		c.ins[i] = *new(In) // the stream ends, and is not to keep what it refuses
		return false
	}
	s.last = c
	s.total++
	s.open++
	return true
}

// ready tells whether there is an outcome to be yielded: in order, it may have taken
// many out of the outbox and still lack the one that is next.
func (s *stream[In, Out]) ready() bool {
	if s.order != nil {
		s.collect()
		for ; s.at < len(s.got); s.at++ {
			s.order.put(s.got[s.at])
			s.got[s.at] = Result[In, Out]{}
		}
		return s.order.ready()
	}
	return s.at < len(s.got) || s.collect()
}

// collect takes what is in the outbox; false if nothing is. It leaves its own empty list
// there: the two lists change places, and in the long run nothing is allocated.
func (s *stream[In, Out]) collect() bool {
	if s.at < len(s.got) {
		return true
	}
	o := &s.outbox
	o.mu.Lock()
	defer o.mu.Unlock()
	s.got, o.results = o.results, s.got[:0]
	s.at = 0
	return len(s.got) > 0
}

// wait waits until there is an outcome to be yielded, or an input has been received
// from source, or the pool has closed and source was waited for. It returns false if
// the context is done, which ends the stream. With a nil source it waits for an outcome
// alone, which comes also from a pool that has closed.
func (s *stream[In, Out]) wait(source <-chan In) bool {
	s.received = false
	for {
		// First: a context that has ended in the body of the loop is told next, whatever
		// outcomes there are.
		select {
		case <-s.caller.Done:
			return s.abort()
		default:
		}
		if s.ready() || source != nil && s.closed() {
			return true
		}
		if !s.sleep(source != nil) {
			continue // something has come since the look
		}
		// Only while the loop sleeps: in its body the job runs, and needs its slot itself.
		endLoan := func() {}
		if s.caller.Outer != nil {
			endLoan = s.Lend(s.caller.Outer)
		}
		select {
		case s.in, s.more = <-source:
			s.received = true
			s.wakeUp()
		case <-s.outbox.wake: // who sent it has noted that the loop is awake
		case <-s.caller.Done:
			s.wakeUp()
		}
		endLoan()
		if s.received {
			return true
		}
	}
}

// sleep notes that the loop waits; false if something has come: the end of the pool
// too, where the loop is to know of it. It looks with the mutex held under which that
// comes: what comes after the look finds the loop asleep, and wakes it.
func (s *stream[In, Out]) sleep(open bool) bool {
	o := &s.outbox
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.results) > 0 || open && o.closed {
		return false
	}
	o.asleep = true
	return true
}

// wakeUp notes that the loop does not wait any more, where it was not the outbox that has
// woken it. A token that a worker has sent meanwhile is taken, or else it would end a
// later sleep for nothing.
func (s *stream[In, Out]) wakeUp() {
	o := &s.outbox
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.asleep {
		<-o.wake // the token is there
	}
	o.asleep = false
}

// yieldNext yields the next outcome, which is ready; false if the loop breaks off.
func (s *stream[In, Out]) yieldNext() bool {
	var r Result[In, Out]
	if s.order != nil {
		r = s.order.take()
	} else { // the list will be used again, and is to keep nothing
		r, s.got[s.at] = s.got[s.at], r
		s.at++
	}
	// While the loop's body has it, the outcome counts as one that the loop is not done with.
	goesOn := s.yield(r)
	s.open--
	return goesOn
}

// drain yields all outcomes that are to come; false if the stream has ended before.
func (s *stream[In, Out]) drain() bool {
	for s.open > 0 {
		if !s.wait(nil) || !s.yieldNext() {
			return false
		}
	}
	return true
}

// finish ends a stream whose next input was refused: the context is done, or the
// pool takes no more. Stop has halted it then, or Drain lets it run what it has: either
// way each input that was accepted has an outcome, which comes before the end.
func (s *stream[In, Out]) finish() {
	if o := s.HaltedWith(); o != nil && o.By == sched.ByCaller {
		s.abort()
	} else if s.drain() {
		s.yield(Result[In, Out]{Index: -1, Err: s.pool.named(ErrClosed)})
	}
}

// abort ends the stream because the context is done. The watch may not have got to it,
// so it halts the group itself: after the loop has been told, and also if that panics.
func (s *stream[In, Out]) abort() bool {
	gone := sched.EndedWithoutReason()
	defer func() { s.Halt(gone) }() // also if the context ends the goroutine
	gone = guard.Ended(s.Caller())
	s.yield(Result[In, Out]{Index: -1, Err: gone.Err})
	return false
}

// end cancels what has not been yielded, with the cause of the context if that is
// done. It is deferred by the loop, so it is called also where the body of the loop, or
// ins, panics or ends the goroutine.
func (s *stream[In, Out]) end() {
	defer s.Forget(nil)
	if s.open == 0 || s.HaltedWith() != nil {
		return
	}
	left := sched.Outcome{Kind: sched.Canceled, Err: context.Canceled}
	defer func() { s.Halt(left) }() // also if the context ends the goroutine
	select {
	case <-s.caller.Done:
		left = sched.EndedWithoutReason()
		left = guard.Ended(s.Caller())
	default:
	}
}

// closed tells whether the pool takes no more.
func (s *stream[In, Out]) closed() bool {
	s.outbox.mu.Lock()
	defer s.outbox.mu.Unlock()
	return s.outbox.closed
}

// closing wakes the loop also if it waits for outcomes alone: it looks, and sleeps again.
func (s *stream[In, Out]) closing() {
	s.outbox.mu.Lock()
	defer s.outbox.mu.Unlock()
	s.outbox.closed = true
	s.outbox.tell()
}

// tell wakes the loop. The mutex is held.
func (o *outbox[In, Out]) tell() {
	if o.asleep {
		o.asleep = false
		o.wake <- struct{}{} // has room: there is one token for each sleep
	}
}

// leave is called by workers, and by whoever halts the group.
func (s *stream[In, Out]) leave(r Result[In, Out]) {
	s.outbox.mu.Lock()
	defer s.outbox.mu.Unlock()
	s.outbox.results = append(s.outbox.results, r)
	s.outbox.tell()
}

// deliver leaves the outcome of an input, and has the chunk keep nothing of it: a stream
// may go on for ever. If keep, the handler of a stray or Stop may still read the input.
func (s *stream[In, Out]) deliver(c *chunk[In, Out], i int, keep bool) {
	s.leave(Result[In, Out]{Index: c.first + i, In: c.ins[i], Out: c.outs[i], Err: c.err(i)})
	if !keep {
		c.ins[i] = *new(In)
	}
	c.outs[i] = *new(Out)
}

func (s *stream[In, Out]) write(c *chunk[In, Out], i int, o *sched.Outcome) {
	if o.Err != nil {
		c.setErr(i, o.Err)
	}
}

// halted leaves the outcomes of inputs that nobody had claimed: there are no more
// than the stream looks ahead.
func (s *stream[In, Out]) halted(int) {
	o := s.HaltedWith()
	for _, u := range s.unclaimed {
		for i := u.from; i < u.to; i++ {
			s.leave(Result[In, Out]{Index: u.chunk.first + i, In: u.chunk.ins[i], Err: o.Err})
		}
	}
}

// A job that fails does not end the stream; the outbox tells of each outcome as it comes;
// and the loop counts itself what is open.
func (s *stream[In, Out]) haltAfter(int, *sched.Outcome) *sched.Outcome { return nil }
func (s *stream[In, Out]) progressed()                                  {}
func (s *stream[In, Out]) ended(int)                                    {}

// reorder brings outcomes into the order of their inputs. It holds as many as there
// are between the first that is missing and the last that has come. It is the loop's
// own. Indices from next to next+len(slots)-1 have different places in it; put grows it
// before a higher one comes, so no outcome takes the place of another.
type reorder[In, Out any] struct {
	slots []Result[In, Out] // of the input with an index: at that index modulo the length
	here  []bool            // which of the slots are taken
	next  int               // the index that is next
	last  int               // the highest that has come
}

func (o *reorder[In, Out]) ready() bool { return len(o.here) > 0 && o.here[o.next%len(o.here)] }

func (o *reorder[In, Out]) put(r Result[In, Out]) {
	if o.last = max(o.last, r.Index); o.last-o.next >= len(o.slots) {
		o.grow(max(2*len(o.slots), o.last-o.next+1))
	}
	o.slots[r.Index%len(o.slots)], o.here[r.Index%len(o.here)] = r, true
}

// grow moves what is there to where its index belongs in a ring of the new size.
func (o *reorder[In, Out]) grow(size int) {
	slots, here := make([]Result[In, Out], size), make([]bool, size)
	for i, ok := range o.here {
		if ok {
			at := o.slots[i].Index % size
			slots[at], here[at] = o.slots[i], true
		}
	}
	o.slots, o.here = slots, here
}

func (o *reorder[In, Out]) take() (r Result[In, Out]) {
	i := o.next % len(o.slots)
	r, o.slots[i] = o.slots[i], r // the slot keeps nothing
	o.here[i] = false
	o.next++
	return r
}
