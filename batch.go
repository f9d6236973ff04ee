package dispatch

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
)

// ErrSealed is returned by Add on a batch that takes no more inputs. None of
// the inputs of that call will run.
var ErrSealed = errors.New("dispatch: batch is sealed")

// ItemError is the failure of one input of a batch or a Map.
type ItemError struct {
	Index int // of the input
	Err   error
}

// Error gives the index and the error.
func (e *ItemError) Error() string { return fmt.Sprintf("item %d: %v", e.Index, e.Err) }

// Unwrap returns Err.
func (e *ItemError) Unwrap() error { return e.Err }

// Result is the outcome of one input of a batch.
type Result[In, Out any] struct {
	Index int // of the input, in the order of Add, from 0
	In    In
	Out   Out
	Err   error
}

// Progress counts the inputs of a batch.
type Progress struct {
	Total  int // added so far
	Done   int // of these, how many have their outcome
	Failed int // of those, how many ended with an error
}

// BatchOption configures a batch.
type BatchOption func(*batchConfig)

type batchConfig struct {
	stopOnError   bool
	stopOnSuccess bool
	onProgress    func(Progress)
}

// StopOnError makes the first failure cancel the rest of the batch.
func StopOnError() BatchOption { return func(c *batchConfig) { c.stopOnError = true } }

// StopOnSuccess makes the first success cancel the rest of the batch.
func StopOnSuccess() BatchOption { return func(c *batchConfig) { c.stopOnSuccess = true } }

// OnProgress has f called as inputs get their outcomes: never twice at once,
// with numbers that never fall, and a last time with Done == Total before the
// batch is over. It is called on a goroutine of its own: a slow f skips steps
// and delays the end of the batch and of the pool, but no job.
func OnProgress(f func(Progress)) BatchOption { return func(c *batchConfig) { c.onProgress = f } }

// Batch fans inputs out to the pool's workers and their outcomes in again. The
// inputs wait in the batch, not in the queue: Add never blocks. They start in
// order, and take turns with whatever else the pool has to do. Read the
// outcomes by Results as they come, or by All or Wait in the order of the
// inputs; by several of these if need be. A batch keeps its inputs and outcomes
// for as long as it is used.
//
// Any number of goroutines may use a batch at once. One that is neither closed
// nor canceled ends with its pool or its context; one that nobody reads
// disturbs nobody. For a slice that is complete, Map is simpler and costs less.
type Batch[In, Out any] struct {
	pool   *Pool[In, Out]
	caller context.Context
	outer  *task // the running job of this pool that made the batch; nil otherwise
	cfg    batchConfig

	// left counts the items whose outcomes have not been delivered, plus one
	// until the batch is sealed. It reaches 0 once: then the batch is over.
	left atomic.Int64

	// current is the chunk in which items are claimed. Written with pool.mu held.
	current atomic.Pointer[chunk[In, Out]]

	outlet  atomic.Pointer[outlet[In, Out]] // of results; nil until Results. Written with pool.mu held
	awaited atomic.Bool                     // there are readers. Written with pool.mu held

	// Guarded by pool.mu.
	first, last *chunk[In, Out]
	progress    Progress // what has been counted; see live for the rest
	sealed      bool
	over        bool
	finished    chan struct{}        // closed when the batch is over; nil until somebody waits for that
	listed      bool                 // in pool.sources
	place       link[Batch[In, Out]] // in pool.open: has items that are not done, or readers of results
	watching    bool                 // the caller's context is watched, or is about to be
	unwatch     func() bool
	crew        crew
	lenders     []*task       // jobs of this pool that wait for the batch
	readers     []*itemReader // calls of All that wait for an item
	reporting   bool          // a goroutine calls onProgress
	told        bool          // it has been called ...
	reported    Progress      // ... with this
}

// Batch returns a new batch. When ctx is done, the batch is canceled with its
// cause; the handlers' contexts carry its values. It starts nothing and blocks
// never; on a closed pool the first Add gives ErrClosed.
func (p *Pool[In, Out]) Batch(ctx context.Context, opts ...BatchOption) *Batch[In, Out] {
	mustContext(ctx, "Pool.Batch")
	b := &Batch[In, Out]{pool: p, caller: ctx, outer: p.enclosing(ctx)}
	for _, opt := range opts {
		if opt != nil {
			opt(&b.cfg)
		}
	}
	b.left.Store(1)
	return b
}

// Add adds inputs, which may start at once. It never blocks. It returns
// ErrSealed after Close, Wait or All, ErrSealed with the cause after a cancel,
// and ErrClosed once the pool takes no more; then none of ins is added.
func (b *Batch[In, Out]) Add(ins ...In) error {
	if b.caller.Err() != nil {
		b.cancel(contextVerdict(b.caller))
	}
	p := b.pool
	p.mu.Lock()
	switch {
	case b.crew.halted != nil && p.state == Running:
		p.mu.Unlock()
		return fmt.Errorf("%w: %w", ErrSealed, b.crew.halted.err)
	case p.state != Running:
		p.mu.Unlock()
		return ErrClosed
	case b.sealed:
		p.mu.Unlock()
		return ErrSealed
	case len(ins) == 0:
		p.mu.Unlock()
		return nil
	}
	p.shutDoor()
	b.add(ins)
	b.left.Add(int64(len(ins)))
	p.submitted += uint64(len(ins))
	b.keepOpen()
	if !b.listed {
		b.listed = true
		p.sources = append(p.sources, b)
	}
	for _, t := range b.lenders {
		p.useLoan(t)
	}
	if p.active < p.limit {
		p.poke()
	}
	p.checkCrowd()
	p.mu.Unlock()
	b.watch()
	return nil
}

// keepOpen has the end of the pool seal the batch. The mutex is held.
func (b *Batch[In, Out]) keepOpen() {
	if b.place.elem == nil && !b.over {
		b.pool.open.push(&b.place, b)
	}
}

// watch has the batch canceled when its caller's context is done.
func (b *Batch[In, Out]) watch() {
	if b.caller.Done() == nil {
		return
	}
	b.pool.mu.Lock()
	start := !b.watching && b.place.elem != nil
	b.watching = b.watching || start
	b.pool.mu.Unlock()
	if !start {
		return
	}
	stop := context.AfterFunc(b.caller, func() { b.cancel(contextVerdict(b.caller)) })
	b.pool.mu.Lock()
	keep := b.place.elem != nil
	if keep {
		b.unwatch = stop
	} else {
		b.watching = false // it was over before it was watched
	}
	b.pool.mu.Unlock()
	if !keep {
		stop()
	}
}

// Close seals the batch: it takes no more inputs, and is over when all of them
// have their outcomes. It does not wait.
func (b *Batch[In, Out]) Close() {
	b.pool.mu.Lock()
	seal := b.seal()
	b.pool.mu.Unlock()
	seal()
}

// seal is Close; the mutex is held, and what it returns is called when it is
// released.
func (b *Batch[In, Out]) seal() func() {
	if b.sealed {
		return func() {}
	}
	b.sealed = true
	b.startReporter()
	return func() { b.delivered(1) }
}

// Cancel seals the batch and ends it with context.Canceled: inputs that have
// not started will not run, handlers that run are told through their context,
// and give their items their outcomes when they return. It does not wait.
func (b *Batch[In, Out]) Cancel() {
	b.cancel(verdict{kind: canceled, err: context.Canceled})
}

func (b *Batch[In, Out]) cancel(v verdict) {
	b.pool.mu.Lock()
	_, announce := b.halt(v)
	seal := b.seal()
	b.pool.checkQuiet()
	b.pool.mu.Unlock()
	announce()
	seal()
}

// Progress returns the counts of the batch at this moment.
func (b *Batch[In, Out]) Progress() Progress {
	b.pool.mu.Lock()
	defer b.pool.mu.Unlock()
	_, _, done := b.live()
	now := b.progress
	now.Done += done
	return now
}

// Wait seals the batch, waits until it is over, and returns the outputs in the
// order of the inputs, and the errors of those that failed: an errors.Join of
// an *[ItemError] each, nil if there is none. When ctx is done first, it
// returns nil and the cause of ctx, and the batch goes on.
func (b *Batch[In, Out]) Wait(ctx context.Context) ([]Out, error) {
	mustContext(ctx, "Batch.Wait")
	b.Close()
	if outer := b.pool.enclosing(ctx); outer != nil {
		b.lend(outer)
		defer b.endLoan(outer)
	}
	select {
	case <-b.end():
	case <-ctx.Done():
		select {
		case <-b.end():
		default:
			return nil, context.Cause(ctx)
		}
	}
	outs := make([]Out, 0, b.progress.Total)
	var errs []error
	for it := range b.all {
		outs = append(outs, it.out)
		if it.err != nil {
			errs = append(errs, &ItemError{Index: it.index, Err: it.err})
		}
	}
	return outs, errors.Join(errs...)
}

// end returns a channel that is closed when the batch is over.
func (b *Batch[In, Out]) end() <-chan struct{} {
	b.pool.mu.Lock()
	defer b.pool.mu.Unlock()
	if b.finished == nil {
		b.finished = make(chan struct{})
		if b.over {
			close(b.finished)
		}
	}
	return b.finished
}

// itemReader is a call of All that waits for one item.
type itemReader struct {
	index int
	ready chan struct{} // one token
}

// All seals the batch and returns its outcomes in the order of the inputs, each
// as soon as it can be given. A loop that breaks off cancels the rest.
func (b *Batch[In, Out]) All() iter.Seq[Result[In, Out]] {
	return func(yield func(Result[In, Out]) bool) {
		b.Close()
		if b.outer != nil {
			b.lend(b.outer)
			defer b.endLoan(b.outer)
		}
		complete := false
		defer func() {
			if !complete {
				b.Cancel() // also where the loop's body panics
			}
		}()
		r := &itemReader{ready: make(chan struct{}, 1)}
		for it := range b.all {
			if it.state.Load() == open && b.await(r, it) {
				<-r.ready
			}
			if !yield(it.result()) {
				return
			}
		}
		complete = true
	}
}

// await has r told when it has its outcome; false if it has it already.
func (b *Batch[In, Out]) await(r *itemReader, it *item[In, Out]) bool {
	b.pool.mu.Lock()
	defer b.pool.mu.Unlock()
	r.index = it.index
	b.readers = append(b.readers, r)
	// Whoever tells the outcome looks for readers afterwards; this looks for the
	// outcome after there is a reader. One of the two sees the other.
	b.awaited.Store(true)
	if it.state.Load() == open {
		return true
	}
	b.readers = b.readers[:len(b.readers)-1]
	b.awaited.Store(len(b.readers) > 0)
	return false
}

// tellReaders tells those that wait for it.
func (b *Batch[In, Out]) tellReaders(it *item[In, Out]) {
	b.pool.mu.Lock()
	defer b.pool.mu.Unlock()
	b.readers = slices.DeleteFunc(b.readers, func(r *itemReader) bool {
		if r.index != it.index {
			return false
		}
		r.ready <- struct{}{} // has room: the only token
		return true
	})
	b.awaited.Store(len(b.readers) > 0)
}
