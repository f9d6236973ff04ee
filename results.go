package dispatch

import (
	"iter"
	"slices"
	"sync/atomic"
	"unsafe"

	"example.com/dispatch/internal/sched"
)

// This file brings the outcomes of a batch to its readers. Workers deliver the outcomes,
// and must not wait for a reader. So another goroutine takes over what a reader has no room
// for: pump for the channel of Results, report for OnProgress. Loops over All read the
// chunks themselves, and are told only when the input that they wait for has its outcome.

// resultsChan is the channel of results. A batch has one after the first call of Results.
type resultsChan[In, Out any] struct {
	ch       chan Result[In, Out]
	canceled chan struct{} // closed when the batch is halted: the pump then waits for no reader
	aborted  bool          // canceled has been closed. Guarded by Batch.reading

	// busy means that a new outcome has to join waiting, because ch is full or earlier
	// outcomes are still on their way into ch. Written with Batch.reading held.
	busy    atomic.Bool
	waiting []place[In, Out] // of the outcomes that the pump is to send. Guarded by Batch.reading
}

// place says where an input is. The pump makes the Result only when it sends it: a Result
// is larger than a place, and the batch keeps its contents anyway.
type place[In, Out any] struct {
	chunk *chunk[In, Out]
	i     int
}

// result returns the outcome of an input, which must have one.
func (b *Batch[In, Out]) result(c *chunk[In, Out], i int) Result[In, Out] {
	r := Result[In, Out]{Index: c.first + i, In: c.ins[i], Out: c.outs[i]}
	if c.unclaimed(i) {
		r.Err = b.haltErr()
	} else {
		r.Err = c.err(i)
	}
	return r
}

// unclaimed reports whether the batch was halted before any worker had claimed the input.
// Its outcome is then that of the halt, and is not stored for the input: a halt of a
// million inputs writes one number per chunk.
func (c *chunk[In, Out]) unclaimed(i int) bool {
	from := c.halted.Load()
	return from > 0 && int64(i) >= from-1
}

// decided reports whether an input has its outcome. After a true the caller may read the
// outcome: the output and the error are written before the bit.
func (c *chunk[In, Out]) decided(i int) bool {
	return c.states[i].Load()&decided != 0 || c.unclaimed(i)
}

// write writes the outcome of an input that was not a plain success. deliver is called
// after it.
func (b *Batch[In, Out]) write(c *chunk[In, Out], i int, o *sched.Outcome) {
	if err := b.errOf(o); err != nil {
		c.setErr(i, err)
	}
	// stopped stands for an end that many inputs share: a cancel, the end of the pool, or
	// the end of the caller's context, its deadline included. A limit of the pool's own is
	// the failure of one input.
	if o.Kind == sched.Canceled || o.Kind == sched.TimedOut && o.By == sched.ByCaller {
		c.states[i].Store(stopped)
	}
}

// deliver hands out the outcome of an input. It is called by the worker that has handled
// the input, or by the goroutine that has written off that worker's handler. It must not
// block.
func (b *Batch[In, Out]) deliver(c *chunk[In, Out], i int, _ bool) {
	state := &c.states[i]
	bits := state.Load() | decided
	o := b.results.Load()
	if o != nil {
		// Until an input is decided, only the worker that has claimed it writes its state.
		state.Store(bits | sent)
	} else {
		state.Store(bits)
		// Results makes the channel before it looks for decided inputs, and this goroutine
		// has decided the input before it looks for the channel. So at least one of them
		// sees the other, and the swap lets only one send.
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
	// If busy, earlier outcomes are waiting, and this one must not overtake them.
	if o.busy.Load() || !o.offer(b.result(c, i)) {
		b.sendLater(o, c, i)
	}
}

// offer sends an outcome if the channel has room.
func (o *resultsChan[In, Out]) offer(r Result[In, Out]) bool {
	select {
	case o.ch <- r:
		return true
	default:
		return false
	}
}

// sendLater has the pump send an outcome, unless the channel has room by now. It checks
// busy again with the mutex held, because the pump holds it when it sets busy to false and
// exits.
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

// pump sends the outcomes that did not fit into the channel when they came. A batch has at
// most one pump: busy is true for as long as it lives. If the batch is over when the pump
// exits, the pump closes the channel; otherwise ended closes it, since it finds busy false.
// Both hold the mutex, so exactly one of them does. The pump and the goroutines that add to
// waiting swap two lists.
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
			// Offer first: with room in the channel and a canceled batch, select would
			// choose at random.
			if o.offer(r) {
				continue
			}
			select {
			case o.ch <- r:
			case <-o.canceled:
				o.offer(r) // sent only if there is room
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
	// A halt that came before the channel was made had no channel to send to.
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
	// From now on somebody may receive until the batch is over. So the pool keeps the batch
	// even while it has nothing to do: the end of the pool and of the context then reach
	// it. The job lends its slot until the batch is forgotten, because nothing tells when a
	// reader stops.
	if !b.items.KeepOpen(func() bool { return b.items.left.Load() == 0 }) {
		b.Close()
	}
	if b.outer != nil {
		b.items.Lend(b.outer)
	}
	b.items.Watch(b.done)
	return o.ch
}

// openResults makes the channel, unless there is one. The channel is busy until endSending,
// so outcomes that are delivered meanwhile wait, and those that Results finds decided come
// first.
func (b *Batch[In, Out]) openResults() (o *resultsChan[In, Out], opened bool) {
	// Whatever total is, the channel has room for one outcome, and for up to spare of them
	// in no more memory than bytes: the batch may get its inputs after this call, and
	// nobody knows how many.
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

// takeToSend claims the sending of an outcome, if it exists and nobody has sent it. It
// competes with the worker that delivers the outcome, and with Results or stopResults on
// another goroutine.
func (c *chunk[In, Out]) takeToSend(i int) bool {
	state := c.states[i].Load()
	if state&sent != 0 || state&decided == 0 && !c.unclaimed(i) {
		return false
	}
	return c.states[i].CompareAndSwap(state, state|decided|sent)
}

// send sends an outcome ahead of all that have been delivered since the channel was made.
func (b *Batch[In, Out]) send(o *resultsChan[In, Out], c *chunk[In, Out], i int) {
	if !o.offer(b.result(c, i)) { // inputs have been added since the channel was made
		b.reading.Lock()
		o.waiting = append(o.waiting, place[In, Out]{c, i})
		b.reading.Unlock()
	}
}

// endSending opens the channel to the outcomes that come from now on.
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

// stopResults hands out the outcomes of the inputs that were halted: as many as fit into
// the channel, and those for which a loop over All waits. It is called by the goroutine
// that has halted the batch, which may be a worker or the goroutine of a context's end, and
// by Results.
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
		return // Results sends them, when it is called
	}
	// Take no more than the channel can hold: after a cancel nobody waits for room in it.
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

// indexReader is a loop over All that waits for one input.
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
				b.Cancel() // also if the loop's body panics
			}
		}()
		// The loop uses one channel for all its waits: the reader that await registers gets
		// exactly one token, and the loop takes it before it waits again.
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

// receive waits for the token. A job lends its slot only while it waits, and not while the
// body of its loop runs.
func (b *Batch[In, Out]) receive(ready <-chan struct{}) {
	if b.outer != nil {
		defer b.items.Lend(b.outer)()
	}
	<-ready
}

// await registers ready, which gets a token when an input has its outcome. It returns false
// if the input has its outcome already.
func (b *Batch[In, Out]) await(c *chunk[In, Out], i int, ready chan struct{}) bool {
	b.reading.Lock()
	defer b.reading.Unlock()
	b.readers = append(b.readers, &indexReader{
		index: c.first + i, decided: func() bool { return c.decided(i) }, ready: ready,
	})
	// The goroutine that decides an outcome then looks for readers. await registers its
	// reader and then looks for the outcome. So at least one of the two sees the other.
	b.awaited.Store(true)
	if !c.decided(i) {
		return true
	}
	b.readers = b.readers[:len(b.readers)-1]
	b.awaited.Store(len(b.readers) > 0)
	return false
}

// tellReaders tells the loops that wait for the outcome of an input. It is called only if
// there are readers: otherwise all workers of the batch would meet at its mutex.
func (b *Batch[In, Out]) tellReaders(index int) {
	b.reading.Lock()
	defer b.reading.Unlock()
	b.tell(func(r *indexReader) bool { return r.index == index })
}

// tell gives each reader for which about returns true its token, and removes it.
// b.reading is held.
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

// The goroutine that calls onProgress lives while there is something to tell. So a slow
// onProgress skips steps, and holds up no worker. The goroutine has a count in left, and is
// a background call of the pool: neither the batch nor the pool ends before the last call
// of onProgress has returned.

// progressed makes sure that onProgress is told of new counts.
func (b *Batch[In, Out]) progressed() {
	b.makeRoom()
	if b.cfg.onProgress == nil {
		return
	}
	b.reading.Lock()
	// New counts come from a goroutine that counts first and locks this mutex afterwards,
	// and that keeps the batch from ending until it has. So if there is something new, the
	// batch is not over.
	start := !b.reporting && !(b.told && b.reported == b.Progress())
	if start {
		b.reporting = true
		b.items.left.Add(1)
		// Before reading is unlocked: the goroutine that has counted may find a report under
		// way then, and with it the pool may come to its end.
		b.items.pool.sched.BeginBackground()
	}
	b.reading.Unlock()
	if start {
		sched.Go(b.report)
	}
}

// report calls onProgress until it has been told of everything.
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
	b.subtract(1, false)
	b.items.pool.sched.EndBackground()
}

// news returns the counts if onProgress has not been told of them. If there is nothing new,
// the reporter ends, and the next change has to start another.
func (b *Batch[In, Out]) news() (now Progress, more bool) {
	b.reading.Lock()
	defer b.reading.Unlock()
	now = b.Progress()
	more = !b.told || b.reported != now
	b.told, b.reported, b.reporting = true, now, more
	return now, more
}
