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
			// If the look-ahead is used up, the loop has to wait for an outcome. Otherwise
			// it yields all outcomes that are there before it asks ins again, which may
			// block.
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
		// Each loop has its own variable: another loop over the same stream may run at the
		// same time.
		ins := ins
		if ins == nil {
			ins = make(chan In) // this one gives nothing either; for wait, nil is a source that must not be read
		}
		for {
			source := ins // nil while the look-ahead is used up, so that nothing is received
			if s.open == s.ahead {
				source = nil
			}
			// The order of the cases matters. Outcomes that are there come first. Then
			// comes the end of the pool, which a silent source must not hide. Then the loop
			// waits for an outcome, that end, or an input.
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

// stream is one loop over a Stream: a group that keeps no inputs or outcomes. Its fields
// belong to the loop's goroutine, except outbox, which workers fill.
type stream[In, Out any] struct {
	group[In, Out]
	caller sched.Caller
	yield  func(Result[In, Out]) bool
	ahead  int
	last   *chunk[In, Out] // the chunk for the next input; nothing keeps the earlier ones once workers are done with them
	total  int             // inputs taken
	open   int             // of these, how many the loop has not yielded, whether they have an outcome or not
	order  *reorder[In, Out]

	got []Result[In, Out] // outcomes that have been taken out of the outbox; those from index at on are yet to be yielded
	at  int

	// What wait has received.
	in       In
	received bool // the source has given an input, or has been closed
	more     bool // ... which was an input

	outbox outbox[In, Out]
}

// outbox is where workers leave outcomes. It is a list and not a channel, because a worker
// must not block on a loop whose body takes long, and a halt leaves many outcomes at once.
type outbox[In, Out any] struct {
	mu      sync.Mutex // a leaf; guards the fields below
	results []Result[In, Out]
	closed  bool          // the pool no longer accepts jobs
	asleep  bool          // the loop waits for wake
	wake    chan struct{} // gets one token each time asleep turns false
}

// newStream returns the stream of a loop, on whose goroutine it is called. If the context
// is done, it yields that and returns nil.
func (p *Pool[In, Out]) newStream(ctx context.Context, cfg streamConfig, yield func(Result[In, Out]) bool) *stream[In, Out] {
	caller := p.sched.Look(ctx)
	if caller.Err != nil {
		yield(Result[In, Out]{Index: -1, Err: caller.Err})
		return nil
	}
	s := &stream[In, Out]{caller: caller, yield: yield, ahead: cfg.ahead}
	if s.ahead == 0 {
		// Twice, so that each worker finds a next input while its last outcome waits for
		// the loop.
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
	// From KeepOpen until Forget, the pool tells the stream when it stops accepting jobs,
	// even while the stream has nothing under way. A pool that has stopped before tells
	// nobody any more, so the stream records that itself. Watch comes after KeepOpen,
	// because a group that the pool does not keep is not watched.
	if !s.KeepOpen(func() bool { return false }) {
		s.closing()
	}
	s.Watch(caller.Done)
	return s
}

// add accepts an input. It returns false if the pool no longer accepts jobs, or the context
// is done. Chunks double in size, up to most inputs: a short stream is cheap, and in a long
// one an input that takes long keeps the memory of only a few others.
func (s *stream[In, Out]) add(in In) bool {
	const most = 64
	c := s.last
	if c == nil || c.filled() == len(c.ins) {
		c = newChunk[In, Out](nil, min(max(s.total, 1), most))
		c.states = nil // only a batch asks which inputs are decided
		c.first = s.total
	}
	i := c.filled()
	c.ins[i] = in
	if s.pool.tel != nil {
		c.stamp(i, i+1, s.pool.sched.Since())
	}
	// Workers claim the input, without a mutex, as soon as end includes it. So the input,
	// and the time at which it was added, are written before end.
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
		c.ins[i] = *new(In) // the stream ends, and must not keep an input that was refused
		return false
	}
	s.last = c
	s.total++
	s.open++
	return true
}

// ready reports whether there is an outcome to yield. An ordered stream may have taken many
// out of the outbox and still lack the next one.
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

// collect takes the outcomes out of the outbox. It returns false if there are none. It
// leaves its own empty list there: the two lists are swapped, so in the long run nothing is
// allocated.
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

// wait waits until there is an outcome to yield, or an input has been received from source,
// or the pool has closed while there was a source to wait for. It returns false if the
// context is done, which ends the stream. With a nil source it waits only for an outcome,
// which comes even from a pool that has closed.
func (s *stream[In, Out]) wait(source <-chan In) bool {
	s.received = false
	for {
		// The context comes first: if it has ended during the body of the loop, that is
		// yielded next, whatever outcomes there are.
		select {
		case <-s.caller.Done:
			return s.abort()
		default:
		}
		if s.ready() || source != nil && s.closed() {
			return true
		}
		if !s.sleep(source != nil) {
			continue // something has come since ready looked
		}
		// The job lends its slot only while the loop sleeps. During the body of the loop
		// the job runs, and needs its slot itself.
		endLoan := func() {}
		if s.caller.Outer != nil {
			endLoan = s.Lend(s.caller.Outer)
		}
		select {
		case s.in, s.more = <-source:
			s.received = true
			s.wakeUp()
		case <-s.outbox.wake: // the sender has set asleep to false
		case <-s.caller.Done:
			s.wakeUp()
		}
		endLoan()
		if s.received {
			return true
		}
	}
}

// sleep records that the loop waits. It returns false if something has come: an outcome,
// or, if open is true, the end of the pool. It looks with the mutex held under which these
// come. So whatever comes after the look finds the loop asleep, and wakes it.
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

// wakeUp records that the loop no longer waits, if it was not the outbox that has woken it.
// If a worker has sent a token meanwhile, wakeUp takes it: otherwise the token would end a
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

// yieldNext yields the next outcome, which is ready. It returns false if the loop breaks
// off.
func (s *stream[In, Out]) yieldNext() bool {
	var r Result[In, Out]
	if s.order != nil {
		r = s.order.take()
	} else { // the list is used again, and must not keep the outcome
		r, s.got[s.at] = s.got[s.at], r
		s.at++
	}
	s.open--
	return s.yield(r)
}

// drain yields all outcomes that are yet to come. It returns false if the stream ends
// before that.
func (s *stream[In, Out]) drain() bool {
	for s.open > 0 {
		if !s.wait(nil) || !s.yieldNext() {
			return false
		}
	}
	return true
}

// finish ends a stream whose next input was refused: the context is done, or the pool no
// longer accepts jobs. In that second case Stop has halted the stream, or Drain lets it run
// what it has. Either way each accepted input has an outcome, and these come before the
// end.
func (s *stream[In, Out]) finish() {
	if o := s.HaltedWith(); o != nil && o.By == sched.ByCaller {
		s.abort()
	} else if s.drain() {
		s.yield(Result[In, Out]{Index: -1, Err: s.pool.named(ErrClosed)})
	}
}

// abort ends the stream because the context is done. The watch may not have halted the
// group yet, so abort does: after the loop has been told, and even if the body of the loop
// panics.
func (s *stream[In, Out]) abort() bool {
	gone := sched.EndedWithoutReason()
	defer func() { s.Halt(gone) }() // also if the context ends the goroutine
	gone = guard.Ended(s.Caller())
	s.yield(Result[In, Out]{Index: -1, Err: gone.Err})
	return false
}

// end cancels the inputs whose outcomes have not been yielded, with the cause of the
// context if that is done. The loop defers it, so it is called even if the body of the
// loop, or ins, panics or ends the goroutine.
func (s *stream[In, Out]) end() {
	defer s.Forget(nil, false)
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

// closed reports whether the pool no longer accepts jobs.
func (s *stream[In, Out]) closed() bool {
	s.outbox.mu.Lock()
	defer s.outbox.mu.Unlock()
	return s.outbox.closed
}

// closing wakes the loop even if it waits only for an outcome: the loop looks, and sleeps
// again.
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

// leave puts an outcome into the outbox. It is called by workers, and by the goroutine that
// halts the group.
func (s *stream[In, Out]) leave(r Result[In, Out]) {
	s.outbox.mu.Lock()
	defer s.outbox.mu.Unlock()
	s.outbox.results = append(s.outbox.results, r)
	s.outbox.tell()
}

// deliver leaves the outcome of an input, and clears it in the chunk: a stream may go on
// forever. If keep is true, the input stays, because the handler of a stray or Stop may
// still read it.
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

// halted leaves the outcomes of the inputs that no worker had claimed. There are no more of
// them than the stream looks ahead.
func (s *stream[In, Out]) halted(int) {
	o := s.HaltedWith()
	for _, u := range s.unclaimed {
		for i := u.from; i < u.to; i++ {
			s.leave(Result[In, Out]{Index: u.chunk.first + i, In: u.chunk.ins[i], Err: o.Err})
		}
	}
}

// A stream has nothing to do here: a job that fails does not end it, the outbox tells the
// loop of each outcome as it comes, and the loop itself counts what is open.
func (s *stream[In, Out]) haltAfter(int, *sched.Outcome) *sched.Outcome { return nil }
func (s *stream[In, Out]) progressed()                                  {}
func (s *stream[In, Out]) ended(int)                                    {}

// reorder brings outcomes into the order of their inputs. It is a ring that holds the
// outcomes between the first that is missing and the last that has come, and belongs to the
// loop's goroutine. Indices from next to next+len(slots)-1 have different places in the
// ring. put grows the ring before it adds a higher index, so no outcome takes the place of
// another.
type reorder[In, Out any] struct {
	slots []Result[In, Out] // the outcome with the index i is at i modulo the length
	here  []bool            // whether the slot is taken
	next  int               // the next index to yield
	last  int               // the highest index that has come
}

func (o *reorder[In, Out]) ready() bool { return len(o.here) > 0 && o.here[o.next%len(o.here)] }

func (o *reorder[In, Out]) put(r Result[In, Out]) {
	if o.last = max(o.last, r.Index); o.last-o.next >= len(o.slots) {
		o.grow(max(2*len(o.slots), o.last-o.next+1))
	}
	o.slots[r.Index%len(o.slots)], o.here[r.Index%len(o.here)] = r, true
}

// grow moves the outcomes to their places in a ring of the new size.
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
