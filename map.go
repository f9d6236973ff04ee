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
// is also the cause of their contexts. When ctx is done, Map returns at
// once with an *ItemError of an input that has no outcome, and the cause of ctx in
// it; running handlers may still use their inputs. If the pool no longer accepts
// jobs, it returns ErrClosed and nothing runs. The inputs do not wait in the queue:
// they take turns with the other jobs of the pool. For all outputs and all errors
// use [Pool.BatchOf] and [Batch.Wait]. A job that calls Map on its
// own pool, with its context, lends its slot meanwhile.
func (p *Pool[In, Out]) Map(ctx context.Context, ins []In) ([]Out, error) {
	p.check(ctx, "Pool.Map")
	caller := p.sched.Look(ctx)
	switch {
	// Without inputs there is none to name in an *ItemError: the error stands alone.
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
	// watched: workers ask the context before each input. It ends the Map through this
	// call, which waits in await: there is no registration that would have to be ended.
	// noting: that end has to name an input, and it may be one that runs.
	m.watched, m.noting = caller.Done != nil, caller.Done != nil
	m.Init(p.sched, &m.group, ctx, sched.Unlimited)
	all := &chunk[In, Out]{ins: ins, outs: make([]Out, len(ins))}
	if m.hooked = p.hooked(); p.tel != nil {
		all.all = p.sched.Since()
	}
	// A span for each worker that can run at once, so that they claim without meeting.
	all.divide(min(len(ins), p.sched.Limit(), maxSpans))
	return m.await(all, caller)
}

// mapCall is one call of Map: a group of one chunk, whose arrays are the caller's
// slice and the result.
type mapCall[In, Out any] struct {
	group[In, Out]
	signal  chan struct{}             // gets one token when all inputs have their outcomes
	failure atomic.Pointer[ItemError] // the first
}

// await publishes the inputs to the workers, on the goroutine that has called Map, and
// waits until all have their outcomes, or the caller's context is done.
func (m *mapCall[In, Out]) await(all *chunk[In, Out], caller sched.Caller) ([]Out, error) {
	s := m.pool.sched
	w := s.GetWaiter()
	m.signal = w.Ch
	n := len(all.ins)
	// Both are written in one critical section with the acceptance: a Stop finds all inputs
	// or none, and a worker that ends the first of them finds left complete.
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
	// The channel is empty again, so another call may wait on it.
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
	// The halt is in a deferred function, with an outcome that is there before: the context
	// is asked for its reason, and its methods may end this goroutine.
	o := sched.EndedWithoutReason()
	defer func() { gone, open = o.Err, m.Group.Halt(o) }()
	o = guard.Ended(m.Caller())
	return gone, open
}

// aborted is the error of a map whose caller's context is done, for the reason gone:
// that of an input that has no outcome, unless another had failed before.
func (m *mapCall[In, Out]) aborted(gone error) error {
	if err := m.halting(m.HaltedWith()); err != nil {
		return err
	}
	// Every input had been claimed: the lowest that runs has no outcome. First gives -1 if
	// the last handler has returned since the halt.
	return &ItemError{Index: max(m.First(), 0), Err: gone}
}

// halting is the error of a map that was halted with o; nil if no input has failed.
// A failure that halted it comes first, then an input that never started, then the first
// that ended with an error.
func (m *mapCall[In, Out]) halting(o *sched.Outcome) error {
	// By tells the failure of an input of this Map from an *ItemError of another one that is
	// the cause of the caller's context.
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

// haltAfter halts the map with the first failure, as the error that Map returns and as
// the cause of the contexts of the others.
func (m *mapCall[In, Out]) haltAfter(index int, o *sched.Outcome) *sched.Outcome {
	if o.Kind == sched.Succeeded {
		return nil
	}
	if o.By == sched.ByCaller {
		return endOfAll(o)
	}
	return &sched.Outcome{Kind: sched.Canceled, Err: &ItemError{Index: index, Err: o.Err}}
}

// write keeps the first error of an input. It is what Map returns if the map was halted
// for another reason when all its inputs had been claimed.
func (m *mapCall[In, Out]) write(_ *chunk[In, Out], i int, o *sched.Outcome) {
	m.failure.CompareAndSwap(nil, &ItemError{Index: i, Err: o.Err})
}

// ended tells the caller of the last outcome. n is 0 for a run that was abandoned, whose
// worker may come back when left is 0 already: it must not send a second token.
func (m *mapCall[In, Out]) ended(n int) {
	if n > 0 && m.left.Add(int64(-n)) == 0 {
		// First, so that the pool has let go of the map when its caller goes on.
		m.Forget(nil)
		m.signal <- struct{}{} // has room: the only token
	}
}

func (m *mapCall[In, Out]) halted(n int) { m.ended(n) }

// Workers write outputs to where the caller finds them, nobody is told of progress, and
// what was accepted runs also when the pool takes no more: so there is nothing to do.
func (m *mapCall[In, Out]) deliver(*chunk[In, Out], int, bool) {}
func (m *mapCall[In, Out]) progressed()                        {}
func (m *mapCall[In, Out]) closing()                           {}
