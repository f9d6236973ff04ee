package dispatch

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"example.com/dispatch/internal/sched"
)

// Map runs a job for each input and returns the outputs in the order of the
// inputs. The first job that fails cancels the rest; Map then waits for those
// that have started, and returns nil and an *[ItemError] with that failure, which
// is also the cause that their contexts give. When ctx is done, Map returns at
// once with an *ItemError of an input that has no outcome, and the cause of ctx in
// it; handlers that run may still use their inputs. On a pool that takes no more
// it returns ErrClosed, and nothing runs. The inputs do not stand in the queue:
// they take turns with whatever else the pool has to do.
func (p *Pool[In, Out]) Map(ctx context.Context, ins []In) ([]Out, error) {
	p.check(ctx, "Pool.Map")
	caller := p.sched.Look(ctx)
	switch {
	case caller.Err != nil && len(ins) == 0:
		return nil, caller.Err
	case caller.Err != nil:
		return nil, &ItemError{Index: 0, Err: caller.Err}
	case len(ins) > maxInputs:
		return nil, fmt.Errorf("dispatch: Map: %d inputs are more than %d", len(ins), maxInputs)
	case len(ins) == 0:
		if p.sched.Closed() {
			return nil, p.named(ErrClosed)
		}
		return []Out{}, nil
	}
	if caller.Done != nil || p.sched.Abandons() {
		// Map can return while a worker is about to read its input.
		ins = slices.Clone(ins)
	}
	m := &mapCall[In, Out]{}
	m.owner, m.pool = m, p
	m.watched, m.noting = caller.Done != nil, caller.Done != nil
	m.Init(p.sched, &m.group, ctx, sched.Unlimited)
	all := &chunk[In, Out]{ins: ins, outs: make([]Out, len(ins))}
	if m.hooked = p.hooked(); p.tel != nil {
		all.all = p.sched.Since()
	}
	all.divide(min(len(ins), p.sched.Limit(), maxSpans))
	m.first.Store(all)
	return m.await(all, caller)
}

// mapCall is one call of Map: a group of one chunk, whose arrays are the caller's
// slice and the result.
type mapCall[In, Out any] struct {
	group[In, Out]
	signal  chan struct{}             // gets one token when all inputs have their outcomes
	failure atomic.Pointer[ItemError] // the first
}

// await runs the map.
func (m *mapCall[In, Out]) await(all *chunk[In, Out], caller sched.Caller) ([]Out, error) {
	s := m.pool.sched
	w := s.GetWaiter()
	m.signal = w.Ch
	n := len(all.ins)
	_, err := m.Add(n, func() {
		m.left.Store(int64(n))
		m.claiming.Store(all)
	})
	if err != nil {
		s.PutWaiter(w)
		return nil, err
	}
	if caller.Outer != nil {
		defer m.Lend(caller.Outer)()
	}
	select {
	case <-w.Ch:
	case <-caller.Done:
		if gone, open := m.abort(); open {
			// The waiter stays behind, for the last that ends to tell.
			return nil, m.aborted(gone)
		}
		<-w.Ch // all have their outcomes, and the token is on its way
	}
	s.PutWaiter(w)
	if o := m.HaltedWith(); o != nil {
		if err := m.halting(o); err != nil {
			return nil, err
		}
	}
	return all.outs, nil
}

// abort halts the map because its caller's context is done; false if all inputs
// have their outcomes.
func (m *mapCall[In, Out]) abort() (gone error, open bool) {
	o := sched.EndedWithoutReason()
	defer func() { gone, open = o.Err, m.Group.Halt(o) }() // also if the context ends the goroutine
	o = guard.Ended(m.Caller())
	return gone, open
}

// aborted is the error of a map whose caller's context is done, for the reason gone:
// that of an input that has no outcome, unless another had failed before.
func (m *mapCall[In, Out]) aborted(gone error) error {
	if err := m.halting(m.HaltedWith()); err != nil {
		return err
	}
	return &ItemError{Index: max(m.First(), 0), Err: gone}
}

// halting is the error of a map that was halted with o; nil if no input has failed.
func (m *mapCall[In, Out]) halting(o *sched.Outcome) error {
	if e, ok := o.Err.(*ItemError); ok && o.By == sched.ByJob { //nolint:errorlint // it is haltAfter's
		return e
	}
	if at := m.firstUnclaimed(); at >= 0 {
		return &ItemError{Index: at, Err: o.Err}
	}
	if e := m.failure.Load(); e != nil {
		return e
	}
	return nil
}

// firstUnclaimed returns the lowest index that nobody had claimed when the map was
// halted; -1 if all were.
func (m *mapCall[In, Out]) firstUnclaimed() int {
	first := -1
	for _, s := range m.unclaimed {
		if first < 0 || s.from < first {
			first = s.from
		}
	}
	return first
}

func (m *mapCall[In, Out]) haltAfter(index int, o *sched.Outcome) *sched.Outcome {
	if o.Kind == sched.Succeeded {
		return nil
	}
	if o.By == sched.ByCaller {
		return endOfAll(o)
	}
	return &sched.Outcome{Kind: sched.Canceled, Err: &ItemError{Index: index, Err: o.Err}}
}

func (m *mapCall[In, Out]) write(_ *chunk[In, Out], i int, o *sched.Outcome) {
	m.failure.CompareAndSwap(nil, &ItemError{Index: i, Err: o.Err})
}

func (m *mapCall[In, Out]) ended(n int) {
	if n > 0 && m.left.Add(int64(-n)) == 0 {
		m.Forget(nil)
		m.signal <- struct{}{} // has room: the only token
	}
}

func (m *mapCall[In, Out]) halted(n int) { m.ended(n) }

func (m *mapCall[In, Out]) deliver(*chunk[In, Out], int, bool) {}
func (m *mapCall[In, Out]) progressed()                        {}
func (m *mapCall[In, Out]) closing()                           {}
