package dispatch

import (
	"iter"
	"slices"
	"sync/atomic"
	"unsafe"

	"example.com/dispatch/internal/sched"
)

// How the outcomes of a batch get to its readers. Workers bring them and must not wait for
// a reader, so what a reader has no room for becomes the work of another goroutine: the
// pump for the channel of Results, report for OnProgress. Loops over All read the chunks
// themselves, and are told only of the input that they wait for.

// resultsChan is the channel of results, which a batch has once somebody asks.
type resultsChan[In, Out any] struct {
	ch       chan Result[In, Out]
	canceled chan struct{} // closed when the batch is halted: the pump waits for no reader then
	aborted  bool          // canceled is closed. Guarded by Batch.reading

	// busy tells that what comes is to join waiting, because ch is full or what
	// came before is on its way there. Written with Batch.reading held.
	busy    atomic.Bool
	waiting []place[In, Out] // of what the pump is to send. Guarded by Batch.reading
}

// place is where an input is. The pump makes the Result when it sends it: that is larger,
// and the batch keeps what is in it anyway.
type place[In, Out any] struct {
	chunk *chunk[In, Out]
	i     int
}

// result returns the outcome of an input that has it.
func (b *Batch[In, Out]) result(c *chunk[In, Out], i int) Result[In, Out] {
	r := Result[In, Out]{Index: c.first + i, In: c.ins[i], Out: c.outs[i]}
	if c.unclaimed(i) {
		r.Err = b.haltErr()
	} else {
		r.Err = c.err(i)
	}
	return r
}

// unclaimed tells whether the batch was halted before anybody had claimed an input. Its
// outcome is that of the halt, and stands nowhere else: a halt of a million inputs writes
// one number a chunk.
func (c *chunk[In, Out]) unclaimed(i int) bool {
	from := c.halted.Load()
	return from > 0 && int64(i) >= from-1
}

// decided tells whether an input has its outcome, to who is about to read that: the output
// and the error are written before the bit.
func (c *chunk[In, Out]) decided(i int) bool {
	return c.states[i].Load()&decided != 0 || c.unclaimed(i)
}

// write writes the outcome of an input that was not a plain success; deliver
// follows.
func (b *Batch[In, Out]) write(c *chunk[In, Out], i int, o *sched.Outcome) {
	if err := b.errOf(o); err != nil {
		c.setErr(i, err)
	}
	// The end that many inputs share: a cancel, the pool's end, the caller's context, also
	// where that was its deadline. A limit of the pool's own is one input's failure.
	if o.Kind == sched.Canceled || o.Kind == sched.TimedOut && o.By == sched.ByCaller {
		c.states[i].Store(stopped)
	}
}

// deliver hands out the outcome of an input. It is called by the worker that has handled the
// input, or by whoever has written off that worker's handler, and must not block.
func (b *Batch[In, Out]) deliver(c *chunk[In, Out], i int, _ bool) {
	state := &c.states[i]
	bits := state.Load() | decided
	o := b.results.Load()
	if o != nil {
		// Only who has claimed an input writes its state until it is decided.
		state.Store(bits | sent)
	} else {
		state.Store(bits)
		// Results looks for what is decided after it has made the channel; this
		// looks for the channel after it has decided. One sends it.
		if o = b.results.Load(); o != nil && !state.CompareAndSwap(bits, bits|sent) {
			o = nil
		}
	}
	if b.awaited.Load() {
		b.tellReaders(c.first + i)
	}
	if o == nil {
		return
	}
	// busy: what came before waits, and this must not overtake it.
	if o.busy.Load() || !o.offer(b.result(c, i)) {
		b.sendLater(o, c, i)
	}
}

// offer sends an outcome if there is room.
func (o *resultsChan[In, Out]) offer(r Result[In, Out]) bool {
	select {
	case o.ch <- r:
		return true
	default:
		return false
	}
}

// sendLater has the pump send an outcome, unless there is room by now. It looks at busy once
// more, with the mutex held, under which the pump turns it to false and leaves.
func (b *Batch[In, Out]) sendLater(o *resultsChan[In, Out], c *chunk[In, Out], i int) {
	b.reading.Lock()
	defer b.reading.Unlock()
	if !o.busy.Load() {
		if o.offer(b.result(c, i)) {
			return
		}
		o.busy.Store(true)
		sched.Go(func() { b.pump(o) })
	}
	o.waiting = append(o.waiting, place[In, Out]{c, i})
}

// pump sends what did not fit into the channel when it came. There is at most one for a
// batch: busy is true for as long as it lives. It closes the channel if the batch is over
// when it leaves; else ended does, which finds busy false. Both hold the mutex, so one of
// them does. Two lists change places between the pump and those that add to waiting.
func (b *Batch[In, Out]) pump(o *resultsChan[In, Out]) {
	var sending []place[In, Out]
	for {
		b.reading.Lock()
		sending, o.waiting = o.waiting, sending[:0]
		if len(sending) == 0 {
			o.waiting = nil
			o.busy.Store(false)
			if b.over {
				close(o.ch)
			}
			b.reading.Unlock()
			return
		}
		b.reading.Unlock()
		for _, at := range sending {
			r := b.result(at.chunk, at.i)
			// First: with room and a batch that is canceled, select would choose by chance.
			if o.offer(r) {
				continue
			}
			select {
			case o.ch <- r:
			case <-o.canceled:
				o.offer(r) // or else it is not sent
			}
		}
	}
}

// Results returns the channel of the outcomes, in the order of completion; those
// that exist when it is first called come in the order of the inputs. It is closed
// when the batch is sealed and all outcomes have been received. The channel has
// room for the inputs that exist when Results is first called, and for a few more:
// a reader that is slow or leaves holds up no worker. While there are more unread
// outcomes than that, a goroutine holds them until they have been read, or the
// batch is canceled; after a cancel, outcomes that do not fit are not sent. All
// calls return the same channel.
//
// Results does not block, and any number of goroutines may call it and receive. It does
// not seal the batch: without Close, Wait or All the channel stays open until the
// batch is canceled or the pool no longer accepts jobs.
//
// A job may read a batch that it has made on its own pool:
// from the call of Results until the batch is over, the job's slot is lent to
// the batch.
func (b *Batch[In, Out]) Results() <-chan Result[In, Out] {
	o, opened := b.openResults()
	if !opened {
		return o.ch
	}
	// A halt that came before the channel has found none to hand anything to.
	if b.items.HaltedWith() != nil {
		b.stopResults()
	}
	for c := range b.items.chunks {
		for i := range c.filled() {
			if c.takeToSend(i) {
				b.send(o, c, i)
			}
		}
	}
	b.endSending(o)
	// Somebody may receive now until the batch is over: so the pool keeps hold of it, also
	// while it has nothing to do, and its end and the context's reach it. A slot is lent
	// until the batch is forgotten, because nobody tells when a reader stops.
	if !b.items.KeepOpen(func() bool { return b.items.left.Load() == 0 }) {
		b.Close()
	}
	if b.outer != nil {
		b.items.Lend(b.outer)
	}
	b.items.Watch(b.done)
	return o.ch
}

// openResults makes the channel, unless there is one. What is sent meanwhile has to
// wait until endSending: the channel is busy, so what Results finds decided comes first.
func (b *Batch[In, Out]) openResults() (o *resultsChan[In, Out], opened bool) {
	// At least one and at most spare outcomes, and no more memory than bytes: a batch may
	// get its inputs after the call, and how many nobody knows.
	const spare, bytes = 128, 8192
	room := min(spare, max(1, bytes/int(unsafe.Sizeof(Result[In, Out]{}))))
	total, _, _ := b.items.Progress() // before reading is locked: it takes the scheduler's mutex
	b.reading.Lock()
	defer b.reading.Unlock()
	if o := b.results.Load(); o != nil {
		return o, false
	}
	o = &resultsChan[In, Out]{ch: make(chan Result[In, Out], max(total, room)), canceled: make(chan struct{})}
	o.busy.Store(true)
	b.results.Store(o)
	return o, true
}

// takeToSend claims the sending of an outcome, if there is one that nobody has sent. It
// competes with the worker that delivers the outcome, and with Results or stopResults on
// another goroutine.
func (c *chunk[In, Out]) takeToSend(i int) bool {
	state := c.states[i].Load()
	if state&sent != 0 || state&decided == 0 && !c.unclaimed(i) {
		return false
	}
	return c.states[i].CompareAndSwap(state, state|decided|sent)
}

// send sends an outcome before any that came since the channel was made.
func (b *Batch[In, Out]) send(o *resultsChan[In, Out], c *chunk[In, Out], i int) {
	if !o.offer(b.result(c, i)) { // more inputs have been added
		b.reading.Lock()
		o.waiting = append(o.waiting, place[In, Out]{c, i})
		b.reading.Unlock()
	}
}

// endSending has the channel carry what comes from now on.
func (b *Batch[In, Out]) endSending(o *resultsChan[In, Out]) {
	b.reading.Lock()
	defer b.reading.Unlock()
	if len(o.waiting) > 0 {
		sched.Go(func() { b.pump(o) })
		return
	}
	o.busy.Store(false)
	if b.over {
		close(o.ch)
	}
}

// stopResults hands out what was halted: to the channel what fits, and to those who
// wait for one input. It is called by whoever has halted the batch, which may be a worker
// or the goroutine of a context's end, and by Results.
func (b *Batch[In, Out]) stopResults() {
	b.reading.Lock()
	o := b.results.Load()
	if o != nil && !o.aborted {
		o.aborted = true
		close(o.canceled)
	}
	b.tell(func(r *indexReader) bool { return r.decided() })
	b.reading.Unlock()
	if o == nil {
		return // Results sends it
	}
	// More than the channel holds is not taken: nobody waits for room for it after a cancel.
	room := cap(o.ch)
	for _, s := range b.items.unclaimed {
		for i := s.from; i < s.to && room > 0; i++ {
			if s.chunk.takeToSend(i) {
				room--
				if o.busy.Load() || !o.offer(b.result(s.chunk, i)) {
					b.sendLater(o, s.chunk, i)
				}
			}
		}
	}
}

// indexReader is a call of All that waits for one input.
type indexReader struct {
	index   int
	decided func() bool
	ready   chan struct{} // one token
}

// All seals the batch and returns its outcomes in the order of the inputs, each
// as soon as it can be given. A loop that breaks off cancels the rest. The loop waits
// for each outcome: the end of the batch's context, a Cancel and the end of the pool
// give every input one. Any number of loops may run, at once or
// one after another, and each yields all outcomes.
//
// A job that has made the batch on its own pool lends its slot to it while the loop waits
// for an outcome. What has begun meanwhile goes on beside the body of the loop.
func (b *Batch[In, Out]) All() iter.Seq[Result[In, Out]] {
	return func(yield func(Result[In, Out]) bool) {
		b.Close()
		complete := false
		defer func() {
			if !complete {
				b.Cancel() // also where the loop's body panics
			}
		}()
		// One channel for all waits of the loop: a reader that await has put down gets just one
		// token, and the loop takes it before it waits again.
		ready := make(chan struct{}, 1)
		for c := range b.items.chunks {
			for i := range c.filled() {
				if !c.decided(i) && b.await(c, i, ready) {
					b.receive(ready)
				}
				if !yield(b.result(c, i)) {
					return
				}
			}
		}
		complete = true
	}
}

// receive waits for the token. A job lends its slot for as long as it waits, and not
// while the body of its loop runs.
func (b *Batch[In, Out]) receive(ready <-chan struct{}) {
	if b.outer != nil {
		defer b.items.Lend(b.outer)()
	}
	<-ready
}

// await has ready told when an input has its outcome; false if it has it already.
func (b *Batch[In, Out]) await(c *chunk[In, Out], i int, ready chan struct{}) bool {
	b.reading.Lock()
	defer b.reading.Unlock()
	b.readers = append(b.readers, &indexReader{
		index: c.first + i, decided: func() bool { return c.decided(i) }, ready: ready,
	})
	// Whoever decides an outcome looks for readers afterwards; this looks for the
	// outcome after there is a reader. One of the two sees the other.
	b.awaited.Store(true)
	if !c.decided(i) {
		return true
	}
	b.readers = b.readers[:len(b.readers)-1]
	b.awaited.Store(len(b.readers) > 0)
	return false
}

// tellReaders tells those that wait for the outcome of an input. It is called only where
// there are readers: the mutex would be one for all workers of the batch.
func (b *Batch[In, Out]) tellReaders(index int) {
	b.reading.Lock()
	defer b.reading.Unlock()
	b.tell(func(r *indexReader) bool { return r.index == index })
}

// tell tells those readers that it is about. b.reading is held.
func (b *Batch[In, Out]) tell(about func(*indexReader) bool) {
	b.readers = slices.DeleteFunc(b.readers, func(r *indexReader) bool {
		if !about(r) {
			return false
		}
		r.ready <- struct{}{} // has room: the only token
		return true
	})
	b.awaited.Store(len(b.readers) > 0)
}

// OnProgress is called on a goroutine that lives while there is something to tell: a slow
// one skips steps, and holds up no worker. That goroutine holds
// the batch, by one of left, and the pool, as a background call: neither
// ends before the last call has returned.

// progressed has onProgress told of what is new.
func (b *Batch[In, Out]) progressed() {
	b.makeRoom()
	if b.cfg.onProgress == nil {
		return
	}
	b.reading.Lock()
	// What is new under this mutex was counted by a caller that has yet to lock it,
	// and holds the batch until then: so the batch is not over.
	start := !b.reporting && !(b.told && b.reported == b.Progress())
	if start {
		b.reporting = true
		b.items.left.Add(1)
	}
	b.reading.Unlock()
	if start {
		b.items.pool.sched.BeginBackground()
		sched.Go(b.report)
	}
}

// report calls onProgress until it has been told of all there is.
func (b *Batch[In, Out]) report() {
	ended := false
	defer func() {
		if !ended { // onProgress has called runtime.Goexit
			sched.Go(b.report)
		}
	}()
	for now, more := b.news(); more; now, more = b.news() {
		b.items.pool.guard("OnProgress", func() { b.cfg.onProgress(now) })
	}
	ended = true
	b.ended(1)
	b.items.pool.sched.EndBackground()
}

// news returns what onProgress has not been told; without any, a reporter must be
// started for the next.
func (b *Batch[In, Out]) news() (now Progress, more bool) {
	b.reading.Lock()
	defer b.reading.Unlock()
	now = b.Progress()
	more = !b.told || b.reported != now
	b.told, b.reported, b.reporting = true, now, more
	return now, more
}
