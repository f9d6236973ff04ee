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
	// Without inputs there is none to name in an *ItemError, so the error is returned as it
	// is.
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
		// Map can return while a worker has yet to read its input.
		ins = slices.Clone(ins)
	}
	m := &mapCall[In, Out]{}
	m.owner, m.pool = m, p
	// watched: workers ask the context before each input. Its end reaches the Map through
	// this call, which waits in await, so there is no registration to end.
	// noting: the error of that end has to name an input, which may be one that is running.
	m.watched, m.noting = caller.Done != nil, caller.Done != nil
	m.Init(p.sched, &m.group, ctx, sched.Unlimited)
	all := &chunk[In, Out]{ins: ins, outs: make([]Out, len(ins))}
	if m.hooked = p.hooked(); p.tel != nil {
		all.all = p.sched.Since()
	}
	// One span for each worker that can run at once, so that their claims do not meet.
	all.divide(min(len(ins), p.sched.Limit(), maxSpans))
	return m.await(all, caller)
}

// mapCall is one call of Map: a group of one chunk, whose arrays are the caller's
// slice and the result.
type mapCall[In, Out any] struct {
	group[In, Out]
	signal  chan struct{}             // gets one token when all inputs have their outcomes
	failure atomic.Pointer[ItemError] // the first failure
}

// await publishes the inputs to the workers, and waits until all have their outcomes, or
// the caller's context is done. It runs on the goroutine that has called Map.
func (m *mapCall[In, Out]) await(all *chunk[In, Out], caller sched.Caller) ([]Out, error) {
	s := m.pool.sched
	w := s.GetWaiter()
	m.signal = w.Ch
	n := len(all.ins)
	// Both are written in the critical section that accepts the inputs. So a Stop finds all
	// inputs or none, and the worker that finishes the first input finds left complete.
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
			// The waiter is not put back: the last worker to end an input still sends to
			// it.
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

// abort halts the Map because its caller's context is done. It returns false if all inputs
// have their outcomes.
func (m *mapCall[In, Out]) abort() (gone error, open bool) {
	// The context's methods may end this goroutine. So the halt is deferred, and has an
	// outcome before the context is asked for its reason.
	o := sched.EndedWithoutReason()
	defer func() { gone, open = o.Err, m.Group.Halt(o) }()
	o = guard.Ended(m.Caller())
	return gone, open
}

// aborted returns the error of a Map whose caller's context is done, for the reason gone.
// It names an input that has no outcome, unless another input had failed before.
func (m *mapCall[In, Out]) aborted(gone error) error {
	if err := m.halting(m.HaltedWith()); err != nil {
		return err
	}
	// Every input had been claimed, so the lowest that still runs has no outcome. First
	// returns -1 if the last handler has returned since the halt.
	return &ItemError{Index: max(m.First(), 0), Err: gone}
}

// halting returns the error of a Map that was halted with o, or nil if no input has failed.
// The failure that halted the Map comes first, then an input that never started, then the
// first input that ended with an error.
func (m *mapCall[In, Out]) halting(o *sched.Outcome) error {
	// By distinguishes the failure of an input of this Map from an *ItemError of another
	// Map, which may be the cause of the caller's context.
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

// firstUnclaimed returns the lowest index that no worker had claimed when the Map was
// halted, or -1 if all were claimed.
func (m *mapCall[In, Out]) firstUnclaimed() int {
	first := -1
	for _, s := range m.unclaimed {
		if first < 0 || s.from < first {
			first = s.from
		}
	}
	return first
}

// haltAfter halts the Map after the first failure. The outcome it returns has the error
// that Map returns, which is also the cause of the other inputs' contexts.
func (m *mapCall[In, Out]) haltAfter(index int, o *sched.Outcome) *sched.Outcome {
	if o.Kind == sched.Succeeded {
		return nil
	}
	if o.By == sched.ByCaller {
		return endOfAll(o)
	}
	return &sched.Outcome{Kind: sched.Canceled, Err: &ItemError{Index: index, Err: o.Err}}
}

// write keeps the first error of an input. Map returns it if the Map was halted for another
// reason after all its inputs had been claimed.
func (m *mapCall[In, Out]) write(_ *chunk[In, Out], i int, o *sched.Outcome) {
	m.failure.CompareAndSwap(nil, &ItemError{Index: i, Err: o.Err})
}

// ended tells the caller of Map when the last outcome has come. n is 0 for a run that was
// abandoned. Its worker may come back after left has reached 0, and must not send a second
// token.
func (m *mapCall[In, Out]) ended(n int) {
	if n > 0 && m.left.Add(int64(-n)) == 0 {
		// Forget comes first, so that the pool has let go of the Map when its caller goes
		// on. The caller watches its context itself, so nothing is registered with that.
		m.Forget(nil, false)
		m.signal <- struct{}{} // has room: the only token
	}
}

func (m *mapCall[In, Out]) halted(n int) { m.ended(n) }

// A Map has nothing to do here: workers write outputs to where the caller finds them,
// nobody is told of progress, and inputs that were accepted run even if the pool stops
// accepting jobs.
func (m *mapCall[In, Out]) deliver(*chunk[In, Out], int, bool) {}
func (m *mapCall[In, Out]) progressed()                        {}
func (m *mapCall[In, Out]) closing()                           {}
