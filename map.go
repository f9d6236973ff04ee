package dispatch

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
)

// Map runs a job for each input and returns the outputs in the order of the
// inputs. The first job that fails cancels the rest; Map then waits for those
// that have started, and returns nil and an *[ItemError] with that failure.
// When ctx is done, Map returns at once with an *ItemError of an input that has
// no outcome, and the cause of ctx in it. On a pool that takes no more it
// returns ErrClosed, and nothing runs. The inputs do not stand in the queue:
// they take turns with whatever else the pool has to do.
func (p *Pool[In, Out]) Map(ctx context.Context, ins []In) ([]Out, error) {
	mustContext(ctx, "Pool.Map")
	if ctx.Err() != nil {
		return nil, &ItemError{Index: 0, Err: context.Cause(ctx)}
	}
	if len(ins) > math.MaxInt32 {
		return nil, fmt.Errorf("dispatch: Map: %d inputs are more than %d", len(ins), math.MaxInt32)
	}
	if ctx.Done() != nil {
		// Map can return while a worker is about to read its input.
		ins = slices.Clone(ins)
	}
	m := &mapping[In, Out]{pool: p, caller: ctx, ins: ins, outs: make([]Out, len(ins))}
	return m.process(p.enclosing(ctx))
}

// mapping is one call of Map. The inputs are divided into spans, from which
// workers claim one after another without the pool's mutex: each begins with a
// span of its own, so that they do not get into each other's way, and helps
// with the others' when that is done. A worker comes back to the ledger when no
// input is left, when one fails, or when the ledger asks it to (pool.heed).
type mapping[In, Out any] struct {
	pool   *Pool[In, Out]
	caller context.Context
	ins    []In
	outs   []Out // each written by the worker that has claimed the input
	spans  []span
	length int // of every span but the last

	// Guarded by pool.mu.
	crew    crew
	next    int           // the span that the next worker begins with
	counted int           // inputs whose outcomes are in pool.ended
	err     *ItemError    // the first failure
	signal  chan struct{} // gets one token when all inputs are counted; nil if nobody waits

	place link[mapping[In, Out]] // in pool.maps, until then
}

// maxSpans is enough to keep workers apart that run at the same time.
const maxSpans = 64

// span is a run of inputs. It fills two cache lines, which processors fetch
// together, so that claims from different spans do not slow each other down.
type span struct {
	next atomic.Int64 // the first that is not claimed; beyond end when all are
	end  int64
	_    [112]byte
}

// claim takes the next input of the span; false if none is left.
func (s *span) claim() (int, bool) {
	if s.next.Load() >= s.end {
		return 0, false
	}
	i := s.next.Add(1) - 1
	return int(i), i < s.end
}

func (s *span) left() int { return int(max(s.end-s.next.Load(), 0)) }

// process is Map, called by a job of the same pool if outer is not nil.
func (m *mapping[In, Out]) process(outer *task) ([]Out, error) {
	p, n := m.pool, len(m.ins)
	w := p.getWaiter()
	m.signal = w.ch

	p.mu.Lock()
	if p.state != Running {
		p.mu.Unlock()
		p.putWaiter(w)
		return nil, ErrClosed
	}
	if n == 0 {
		p.mu.Unlock()
		p.putWaiter(w)
		return m.outs, nil
	}
	m.divide(min(n, p.limit, maxSpans))
	p.submitted += uint64(n)
	p.maps.push(&m.place, m)
	p.shutDoor()
	p.sources = append(p.sources, m)
	if outer != nil {
		p.lendLocked(outer, m)
		defer p.endLoan(outer, m)
	}
	if p.active < p.limit {
		p.poke()
	}
	p.checkCrowd()
	p.mu.Unlock()

	select {
	case <-w.ch:
	case <-m.caller.Done():
		p.mu.Lock()
		v := contextVerdict(m.caller)
		_, announce := m.halt(v)
		told := m.signal == nil
		m.signal = nil
		if m.err == nil && m.counted < n {
			m.err = &ItemError{Index: m.handled(), Err: v.err} // those that run are on their own
		}
		p.checkQuiet()
		p.mu.Unlock()
		announce()
		if told {
			<-w.ch // on its way
		}
	}
	p.putWaiter(w)
	return m.result()
}

// divide makes k spans of the inputs.
func (m *mapping[In, Out]) divide(k int) {
	n := len(m.ins)
	m.length = (n + k - 1) / k
	m.spans = make([]span, (n+m.length-1)/m.length)
	for i := range m.spans {
		m.spans[i].next.Store(int64(i * m.length))
		m.spans[i].end = int64(min((i+1)*m.length, n))
	}
}

func (m *mapping[In, Out]) result() ([]Out, error) {
	m.pool.mu.Lock()
	defer m.pool.mu.Unlock()
	if m.err != nil {
		return nil, m.err
	}
	return m.outs, nil
}

// handled returns an input that is being handled. The mutex is held, and the
// caller's context can end.
func (m *mapping[In, Out]) handled() int {
	first := len(m.ins) - 1
	for s := range m.crew.shares.all {
		if at := s.at.Load(); at > 0 {
			first = min(first, int(at-1))
		}
	}
	return first
}

// take claims an input, from span s if there is one left, or else from those
// that follow, and returns the span as well.
func (m *mapping[In, Out]) take(s int) (index, span int, ok bool) {
	for range m.spans {
		if index, ok = m.spans[s].claim(); ok {
			return index, s, true
		}
		if s++; s == len(m.spans) {
			s = 0
		}
	}
	return 0, s, false
}

func (m *mapping[In, Out]) claim(w *work[In, Out]) bool {
	index, _, ok := m.take(m.next)
	if !ok {
		return false
	}
	m.crew.hands++
	m.next = (m.next + 1) % len(m.spans)
	w.source, w.index = m, index
	return true
}

func (m *mapping[In, Out]) forward(lender *task) bool {
	w := work[In, Out]{lender: lender}
	if !m.claim(&w) {
		return false
	}
	m.pool.runExtra(w)
	return true
}

func (m *mapping[In, Out]) unclaimed() int {
	n := 0
	for i := range m.spans {
		n += m.spans[i].left()
	}
	return n
}

// progress counts the inputs that are unclaimed, that are being handled, and
// that have succeeded without being counted yet; failures are counted at once.
// Workers go on claiming meanwhile: so it looks once, and the rest follows.
func (m *mapping[In, Out]) progress() (left, handling, done int) {
	left = m.unclaimed()
	claimed := len(m.ins) - left - m.counted
	handling, done = m.crew.underway(claimed)
	return left, handling, done
}

func (m *mapping[In, Out]) run(w *worker[In, Out]) {
	t := w.stay(m.caller, &m.crew)
	if !w.mayStay() {
		w.exec(t, &m.ins[w.hand.index])
		m.finish(w)
		return
	}
	w.running = true
	m.handle(w, t)
	w.leaveUserCode()
	if w.verdict.err != nil {
		m.finish(w)
	} else {
		m.leave(w)
	}
}

// handle handles the input in w's hand and those it can claim after it. It
// returns with an error in w's verdict where the input that is in w's hand went
// bad, or without one when w is to look at the ledger and its hand is empty. It
// is exec for many inputs at once.
func (m *mapping[In, Out]) handle(w *worker[In, Out], t *task) {
	defer w.called(t)
	watched := m.caller.Done() != nil
	i := w.hand.index
	for span := i / m.length; ; w.hand.index = i {
		if watched {
			w.share.at.Store(int64(i + 1))
		}
		if t.resolved() || watched {
			if t.lateToStart() {
				w.failLate(t)
				return
			}
		}
		out, err := w.impl.Process(t, m.ins[i])
		if err != nil {
			w.failWith(t, err)
			return
		}
		m.outs[i] = out
		w.done++
		ok := !m.pool.heed.Load()
		if ok {
			i, span, ok = m.take(span)
		}
		if !ok {
			return
		}
	}
}

func (m *mapping[In, Out]) finish(w *worker[In, Out]) {
	announce := nothing
	m.pool.mu.Lock()
	switch {
	case w.isStray():
		// It has been counted when it was abandoned.
	case w.verdict.kind == succeeded:
		m.outs[w.hand.index] = w.out
		w.done++
	default:
		announce = m.fail(w.hand.index, &w.verdict)
	}
	m.leaveLocked(w, announce)
}

// leave has w do something else: it has no input in its hand.
func (m *mapping[In, Out]) leave(w *worker[In, Out]) {
	m.pool.mu.Lock()
	m.leaveLocked(w, nothing)
}

// leaveLocked is leave that releases the mutex, and then calls announce.
func (m *mapping[In, Out]) leaveLocked(w *worker[In, Out], announce func()) {
	if !w.isStray() {
		m.crew.hands--
	}
	signal := m.count(w)
	w.turn()
	m.pool.mu.Unlock()

	w.endStay()
	announce()
	if signal != nil {
		signal <- struct{}{} // has room: the only token
	}
}

// fail counts the input at index as ended by v; the first that fails stops the
// rest. The mutex is held.
func (m *mapping[In, Out]) fail(index int, v *verdict) (announce func()) {
	m.pool.ended[v.kind]++
	m.counted++
	if m.err != nil {
		return nothing
	}
	m.err = &ItemError{Index: index, Err: v.err}
	_, announce = m.halt(verdict{kind: canceled, err: context.Canceled})
	return announce
}

// count counts the inputs that w has handled well, and returns the signal to
// give if nothing is left. The mutex is held.
func (m *mapping[In, Out]) count(w *worker[In, Out]) (signal chan struct{}) {
	m.pool.ended[succeeded] += uint64(w.done)
	m.counted += w.done
	w.done = 0
	return m.over()
}

// over ends the mapping if all inputs are counted. The mutex is held.
func (m *mapping[In, Out]) over() (signal chan struct{}) {
	if m.counted < len(m.ins) {
		return nil
	}
	m.pool.maps.remove(&m.place)
	signal, m.signal = m.signal, nil
	return signal
}

func (m *mapping[In, Out]) abandon(w *worker[In, Out], v verdict) (announce func()) {
	m.crew.hands--
	failed := m.fail(w.hand.index, &v)
	signal := m.count(w)
	return func() {
		failed()
		if signal != nil {
			signal <- struct{}{}
		}
	}
}

func (m *mapping[In, Out]) halt(v verdict) (unrun []In, announce func()) {
	if m.crew.halted != nil || m.counted == len(m.ins) {
		return nil, nothing
	}
	for i := range m.spans {
		s := &m.spans[i]
		from := min(s.next.Swap(s.end), s.end)
		unrun = append(unrun, m.ins[from:s.end]...)
		if from < s.end && m.err == nil {
			m.err = &ItemError{Index: int(from), Err: v.err}
		}
	}
	m.pool.ended[v.kind] += uint64(len(unrun))
	m.counted += len(unrun)
	interrupted := m.crew.halt(&m.pool.ledger, v)
	m.pool.unlist(m)
	signal := m.over()
	return unrun, func() {
		interrupted()
		if signal != nil {
			signal <- struct{}{} // has room: the only token
		}
	}
}
