package dispatch

import (
	"context"
	"slices"
	"sync/atomic"
)

// How the items of a batch are run, and how their outcomes get to the readers.

func (b *Batch[In, Out]) claim(w *work[In, Out]) bool {
	if !b.take(w) {
		b.listed = false
		return false
	}
	return true
}

// take is claim that leaves the batch in the list. The mutex is held.
func (b *Batch[In, Out]) take(w *work[In, Out]) bool {
	it := b.next()
	if it == nil {
		return false
	}
	b.crew.hands++
	w.source, w.item = b, it
	return true
}

// forward runs an item on the place of a job that waits for the batch.
func (b *Batch[In, Out]) forward(lender *task) bool {
	w := work[In, Out]{lender: lender}
	if !b.take(&w) {
		return false
	}
	b.pool.runExtra(w)
	return true
}

// lend notes that outer waits for the batch, until endLoan or the end of the
// batch.
func (b *Batch[In, Out]) lend(outer *task) {
	b.pool.mu.Lock()
	defer b.pool.mu.Unlock()
	if !b.over {
		b.lenders = append(b.lenders, outer)
		b.pool.lendLocked(outer, b)
	}
}

func (b *Batch[In, Out]) endLoan(outer *task) {
	b.pool.mu.Lock()
	defer b.pool.mu.Unlock()
	if i := slices.Index(b.lenders, outer); i >= 0 {
		b.lenders = slices.Delete(b.lenders, i, i+1)
		outer.loan.forget(b)
	}
}

func (b *Batch[In, Out]) run(w *worker[In, Out]) {
	t := w.stay(b.caller, &b.crew)
	if b.cfg.onProgress != nil || b.cfg.stopOnSuccess || !w.mayStay() {
		// Somebody is to look after each item.
		w.exec(t, &w.hand.item.in)
		b.finish(w)
		return
	}
	w.running = true
	b.handle(w, t)
	w.leaveUserCode()
	b.finish(w)
}

// handle is exec for as many items as w can claim one after another without the
// mutex. It returns with the outcome of the one in w's hand, for finish, when
// there is something to be done about it: it is the last for now, or it went bad.
func (b *Batch[In, Out]) handle(w *worker[In, Out], t *task) {
	defer w.called(t)
	watched := b.caller.Done() != nil
	for {
		it := w.hand.item
		if (watched || t.resolved()) && t.lateToStart() {
			w.failLate(t)
			return
		}
		out, err := w.impl.Process(t, it.in)
		if err != nil {
			w.failWith(t, err)
			return
		}
		if b.pool.heed.Load() || t.resolved() {
			w.out = out
			return
		}
		// The next is claimed before this one is given: who has the last result
		// finds the worker's place free.
		next := b.current.Load().claim()
		if next == nil {
			w.out = out
			return
		}
		it.out = out
		w.done++
		b.give(it)
		w.hand.item = next
	}
}

// finish gives the item in w's hand its outcome.
func (b *Batch[In, Out]) finish(w *worker[In, Out]) {
	p, it := b.pool, w.hand.item
	announce := nothing
	p.mu.Lock()
	n := b.count(w)
	abandoned := w.isStray() // then it has its outcome
	if !abandoned {
		b.crew.hands--
		b.record(it, w.out, &w.verdict)
		announce = b.haltAfter(w.verdict.kind)
		n++
	}
	w.turn()
	p.mu.Unlock()

	w.endStay()
	announce()
	if !abandoned {
		b.give(it)
	}
	b.delivered(n)
}

func (b *Batch[In, Out]) abandon(w *worker[In, Out], v verdict) (announce func()) {
	it := w.hand.item
	var zero Out
	b.crew.hands--
	b.record(it, zero, &v)
	halted := b.haltAfter(v.kind)
	return func() {
		halted()
		b.give(it)
		b.delivered(1)
	}
}

// haltAfter halts the batch if it is to stop at the first item that ends so.
func (b *Batch[In, Out]) haltAfter(kind outcome) (announce func()) {
	if kind == succeeded && b.cfg.stopOnSuccess || kind != succeeded && b.cfg.stopOnError {
		_, announce = b.halt(verdict{kind: canceled, err: context.Canceled})
		return announce
	}
	return nothing
}

// record counts and writes the outcome of an item. The mutex is held; give must
// follow when it is released.
func (b *Batch[In, Out]) record(it *item[In, Out], out Out, v *verdict) {
	it.out, it.err = out, v.err
	b.pool.ended[v.kind]++
	b.progress.Done++
	if v.kind != succeeded {
		b.progress.Failed++
	}
	b.startReporter()
}

// count counts what w has handled without the mutex, which is held now.
func (b *Batch[In, Out]) count(w *worker[In, Out]) (n int) {
	n, w.done = w.done, 0
	b.pool.ended[succeeded] += uint64(n)
	b.progress.Done += n
	return n
}

// live counts the items that are unclaimed, that are being handled, and that
// have been handled without being counted yet. The mutex is held, but workers go
// on meanwhile: so it looks once at what is claimed. As a worker claims the next
// item before it gives the last, what has been given is among the done.
func (b *Batch[In, Out]) live() (left, handling, done int) {
	left = b.unclaimed()
	claimed := b.progress.Total - left - b.progress.Done
	handling, done = b.crew.underway(claimed)
	return left, handling, done
}

// outlet is the channel of results, which a batch has once somebody asks.
type outlet[In, Out any] struct {
	results  chan Result[In, Out]
	canceled chan struct{} // closed when the batch is halted

	// busy tells that what comes is to join waiting, because results is full or
	// what came before is on its way there. Written with pool.mu held.
	busy    atomic.Bool
	waiting []*item[In, Out] // for the pump to send. Guarded by pool.mu
}

// give hands out the outcome of an item, without the mutex.
func (b *Batch[In, Out]) give(it *item[In, Out]) {
	o := b.outlet.Load()
	if o != nil {
		it.state.Store(sent)
	} else {
		it.state.Store(told)
		// Results looks for what has been told after it has made the outlet;
		// this looks for the outlet after it has told. One sends it.
		if o = b.outlet.Load(); o != nil && !it.state.CompareAndSwap(told, sent) {
			o = nil
		}
	}
	if b.awaited.Load() {
		b.tellReaders(it)
	}
	if o != nil && (o.busy.Load() || !o.offer(it)) {
		b.sendLater(o, it)
	}
}

// offer sends the outcome of an item if there is room.
func (o *outlet[In, Out]) offer(it *item[In, Out]) bool {
	select {
	case o.results <- it.result():
		return true
	default:
		return false
	}
}

func (b *Batch[In, Out]) sendLater(o *outlet[In, Out], it *item[In, Out]) {
	b.pool.mu.Lock()
	defer b.pool.mu.Unlock()
	if !o.busy.Load() {
		if o.offer(it) {
			return
		}
		o.busy.Store(true)
		go b.pump(o)
	}
	o.waiting = append(o.waiting, it)
}

// pump sends what did not fit into results when it came.
func (b *Batch[In, Out]) pump(o *outlet[In, Out]) {
	p := b.pool
	for {
		p.mu.Lock()
		items := o.waiting
		o.waiting = nil
		if len(items) == 0 {
			o.busy.Store(false)
			if b.over {
				close(o.results)
			}
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		for _, it := range items {
			select {
			case o.results <- it.result():
			case <-o.canceled:
				o.offer(it) // or else it is not sent
			}
		}
	}
}

// Results returns the channel of the outcomes, in the order in which they come;
// those that are there when it is called for the first time come in the order of
// the inputs. It is closed when the batch is sealed and all of them have been
// received. The channel has room for the inputs there are when Results is first called (and
// for at least 128): whether it is read or not disturbs nobody. While there are
// more unread outcomes than that, a goroutine stays with the batch, until they
// have been read, or the batch is canceled; after a cancel, outcomes that do not
// fit are not sent. All calls return the same channel.
//
// A batch that a job has made on its own pool may be read from within that job:
// from the call of Results until the batch is over, the job's place is lent to
// the batch.
func (b *Batch[In, Out]) Results() <-chan Result[In, Out] {
	p := b.pool
	p.mu.Lock()
	if o := b.outlet.Load(); o != nil {
		p.mu.Unlock()
		return o.results
	}
	o := b.openOutlet()
	if b.over {
		close(o.results)
		p.mu.Unlock()
		return o.results
	}
	b.keepOpen()
	seal := nothing
	if p.state != Running {
		seal = b.seal()
	}
	p.mu.Unlock()

	if b.outer != nil {
		b.lend(b.outer)
	}
	seal()
	b.watch()
	return o.results
}

// openOutlet makes the outlet, and sends all there is. The mutex is held.
func (b *Batch[In, Out]) openOutlet() *outlet[In, Out] {
	o := &outlet[In, Out]{
		results:  make(chan Result[In, Out], max(b.progress.Total, 128)),
		canceled: make(chan struct{}),
	}
	if b.crew.halted != nil {
		close(o.canceled)
	}
	o.busy.Store(true) // what comes meanwhile waits for the mutex
	b.outlet.Store(o)
	for it := range b.all {
		if it.state.CompareAndSwap(told, sent) {
			o.results <- it.result() // has room for all there is
		}
	}
	o.busy.Store(false)
	return o
}

// delivered takes n off left, and ends the batch if those were the last.
func (b *Batch[In, Out]) delivered(n int) {
	if b.left.Add(int64(-n)) > 1 {
		return
	}
	p := b.pool
	p.mu.Lock()
	over := b.left.Load() == 0
	resting := !b.sealed && b.progress.Done == b.progress.Total && b.outlet.Load() == nil
	if b.over || !over && !resting {
		p.mu.Unlock()
		return
	}
	if over {
		b.over = true
		if b.finished != nil {
			close(b.finished)
		}
		if o := b.outlet.Load(); o != nil && !o.busy.Load() {
			close(o.results)
		}
		for _, t := range b.lenders {
			t.loan.forget(b)
		}
		b.lenders = nil
	}
	// Where nothing is left to do, and nobody to tell, the pool and the caller's
	// context need not know of the batch until the next Add.
	p.open.remove(&b.place)
	unwatch := b.unwatch
	b.watching, b.unwatch = b.watching && unwatch == nil, nil
	p.mu.Unlock()
	if unwatch != nil {
		unwatch()
	}
}

// halt cancels the items that nobody has claimed, and tells those that run.
func (b *Batch[In, Out]) halt(v verdict) (unrun []In, announce func()) {
	if b.crew.halted != nil {
		return nil, nothing
	}
	interrupted := b.crew.halt(&b.pool.ledger, v)
	b.listed = false
	b.pool.unlist(b)
	if o := b.outlet.Load(); o != nil {
		close(o.canceled)
	}
	var ended []*item[In, Out]
	var zero Out
	for it := b.next(); it != nil; it = b.next() {
		unrun = append(unrun, it.in)
		b.record(it, zero, &v)
		ended = append(ended, it)
	}
	return unrun, func() {
		interrupted()
		for _, it := range ended {
			b.give(it)
		}
		if len(ended) > 0 {
			b.delivered(len(ended))
		}
	}
}

func nothing() {}
