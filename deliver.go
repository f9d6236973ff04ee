package dispatch

import (
	"context"
	"slices"
)

// How the items of a batch get their outcomes, and the outcomes their readers.

func (b *Batch[In, Out]) claim() (w work[In, Out], ok bool) {
	if it := b.at(&b.claims); it != nil {
		return work[In, Out]{source: b, item: it}, true
	}
	b.listed = false
	return w, false
}

func (b *Batch[In, Out]) unclaimed() int {
	n := -b.claims.offset
	for _, chunk := range b.chunks[min(b.claims.chunk, len(b.chunks)):] {
		n += len(chunk)
	}
	return n
}

// forward runs an item on the place of a job that waits for the batch.
func (b *Batch[In, Out]) forward(lender *task) bool {
	it := b.at(&b.claims)
	if it == nil {
		return false
	}
	b.pool.runExtra(work[In, Out]{source: b, item: it, lender: lender})
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
	out, v := w.exec(w.stay(b.caller, &b.crew), &w.hand.item.in)
	b.finish(w, out, v)
}

func (b *Batch[In, Out]) finish(w *worker[In, Out], out Out, v verdict) {
	p, it := b.pool, w.hand.item
	announce := nothing
	p.mu.Lock()
	written := !it.done // unless it was abandoned
	var send bool
	if written {
		send = b.record(it, out, v)
		announce = b.haltAfter(v)
	}
	w.turn()
	p.mu.Unlock()

	w.endStay()
	if written {
		announce()
		b.deliver(it, send)
	}
}

func (b *Batch[In, Out]) abandon(w *worker[In, Out], v verdict) (announce func()) {
	it := w.hand.item
	var zero Out
	send := b.record(it, zero, v)
	halted := b.haltAfter(v)
	return func() {
		halted()
		b.deliver(it, send)
	}
}

// haltAfter halts the batch if it is to stop at the first item that ends like v.
func (b *Batch[In, Out]) haltAfter(v verdict) (announce func()) {
	if v.kind == succeeded && b.cfg.stopOnSuccess || v.kind != succeeded && b.cfg.stopOnError {
		_, announce = b.halt(verdict{kind: canceled, err: context.Canceled})
		return announce
	}
	return nothing
}

// record gives an item its outcome, and returns whether there is room in
// results for the caller to send it there. The mutex is held; deliver must
// follow when it is released.
func (b *Batch[In, Out]) record(it *item[In, Out], out Out, v verdict) (send bool) {
	it.out, it.err, it.done = out, v.err, true
	b.pool.ended[v.kind]++
	b.progress.Done++
	if v.kind != succeeded {
		b.progress.Failed++
	}
	if len(b.readers) > 0 {
		b.readers = slices.DeleteFunc(b.readers, func(r *itemReader) bool {
			if r.index != it.index {
				return false
			}
			r.ready <- struct{}{} // has room: the only token
			return true
		})
	}
	b.order = append(b.order, it)
	b.startReporter()
	switch {
	case b.results == nil:
	case b.sent == len(b.order)-1 && b.sent < cap(b.results):
		// Those that went there before have room as well, so nobody blocks.
		b.sent++
		return true
	case !b.pumping:
		b.pumping = true
		go b.pump()
	}
	return false
}

// deliver follows record.
func (b *Batch[In, Out]) deliver(it *item[In, Out], send bool) {
	if send {
		b.results <- it.result()
	}
	b.delivered(1)
}

// delivered takes n off left, and ends the batch if those were the last.
func (b *Batch[In, Out]) delivered(n int) {
	if b.left.Add(int64(-n)) > 1 {
		return
	}
	p := b.pool
	p.mu.Lock()
	over := b.left.Load() == 0
	resting := !b.sealed && b.progress.Done == b.progress.Total && b.results == nil
	if b.over || !over && !resting {
		p.mu.Unlock()
		return
	}
	if over {
		b.over = true
		if b.finished != nil {
			close(b.finished)
		}
		if b.results != nil && !b.pumping {
			close(b.results)
		}
		for _, t := range b.lenders {
			t.loan.forget(b)
		}
		b.lenders = nil
	}
	// Where nothing is left to do, and nobody to tell, the pool and the caller's
	// context need not know of the batch until the next Add.
	p.open.remove(&b.open)
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
	if b.results != nil {
		close(b.canceled)
	}
	var send []*item[In, Out]
	var zero Out
	for it := b.at(&b.claims); it != nil; it = b.at(&b.claims) {
		unrun = append(unrun, it.in)
		if b.record(it, zero, v) {
			send = append(send, it)
		}
	}
	return unrun, func() {
		interrupted()
		for _, it := range send {
			b.results <- it.result()
		}
		if len(unrun) > 0 {
			b.delivered(len(unrun))
		}
	}
}

func nothing() {}

// Results returns the channel of the outcomes, in the order in which they come.
// It is closed when the batch is sealed and all of them have been received. The
// channel has room for the inputs there are when Results is first called (and
// for at least 128): whether it is read or not disturbs nobody. Once more
// outcomes have come than that, a goroutine stays with the batch until the
// channel has been read to its end, or the batch is canceled; after a cancel,
// outcomes that do not fit are not sent. All calls return the same channel.
//
// A batch that a job has made on its own pool may be read from within that job:
// from the call of Results until the batch is over, the job's place is lent to
// the batch.
func (b *Batch[In, Out]) Results() <-chan Result[In, Out] {
	p := b.pool
	p.mu.Lock()
	if b.results != nil {
		p.mu.Unlock()
		return b.results
	}
	b.results = make(chan Result[In, Out], max(b.progress.Total, 128))
	b.canceled = make(chan struct{})
	if b.crew.halted != nil {
		close(b.canceled)
	}
	for ; b.sent < len(b.order); b.sent++ {
		b.results <- b.order[b.sent].result() // has room for all there is
	}
	if b.over {
		close(b.results)
		p.mu.Unlock()
		return b.results
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
	return b.results
}

// pump sends what did not fit into results when it came.
func (b *Batch[In, Out]) pump() {
	p := b.pool
	for {
		p.mu.Lock()
		if b.sent == len(b.order) {
			b.pumping = false
			if b.over {
				close(b.results)
			}
			p.mu.Unlock()
			return
		}
		it := b.order[b.sent]
		b.sent++
		p.mu.Unlock()
		select {
		case b.results <- it.result():
		case <-b.canceled:
			select {
			case b.results <- it.result():
			default: // does not fit
			}
		}
	}
}
