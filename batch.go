package dispatch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"example.com/dispatch/internal/sched"
)

// ErrSealed is returned by Add on a batch that accepts no more inputs. None of
// the inputs of that call will run.
var ErrSealed = errors.New("dispatch: batch is sealed")

// ItemError is the failure of one input of a batch or a Map.
type ItemError struct {
	Index int // of the input
	Err   error
}

// ErrHalted is the outcome of an input that was not finished because [StopOnError] or
// [StopOnSuccess] stopped its batch. It is also context.Canceled to errors.Is.
var ErrHalted error = haltedError{}

type haltedError struct{}

func (haltedError) Error() string        { return "dispatch: another input has stopped the batch" }
func (haltedError) Is(target error) bool { return target == context.Canceled }

// Error gives the index and the error.
func (e *ItemError) Error() string { return fmt.Sprintf("item %d: %v", e.Index, e.Err) }

// Unwrap returns Err.
func (e *ItemError) Unwrap() error { return e.Err }

// Result is the outcome of one input of a batch or a stream.
type Result[In, Out any] struct {
	Index int // of the input, in the order of Add, from 0; -1: the end of a stream
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
	maxRunning    int // 0: no limit of its own
	maxPending    int // 0: none
}

// StopOnError makes the first failure cancel the rest of the batch: inputs that have
// not started will not run, and running ones are told through their context, whose
// cause is the *[ItemError] of the failure. All of them end with [ErrHalted].
func StopOnError() BatchOption { return func(c *batchConfig) { c.stopOnError = true } }

// StopOnSuccess makes the first success cancel the rest of the batch, which ends
// with [ErrHalted].
func StopOnSuccess() BatchOption { return func(c *batchConfig) { c.stopOnSuccess = true } }

// OnProgress has the batch call f as inputs get their outcomes: calls never overlap,
// the numbers never fall, and the last call, with Done == Total, comes before the
// batch is over. f is called on a goroutine of its own: a slow f skips steps
// and delays the end of the batch and of the pool, but no job. It must not wait for
// either. OnProgress panics if f is nil.
func OnProgress(f func(Progress)) BatchOption {
	if f == nil {
		panic("dispatch: OnProgress(nil): the function must not be nil")
	}
	return func(c *batchConfig) { c.onProgress = f }
}

// MaxRunning sets how many inputs of the batch run at once at most, so that one batch
// leaves workers of a shared pool to others. An input that waits for its own pool
// counts as running; one whose handler has been written off (WithGrace) does not.
// MaxRunning panics if n is below 1.
//
// A batch keeps its inputs and outcomes, so it should not live as long as a service.
// For a lasting limit, such as one per tenant, make a pool of that many workers whose
// handler is the shared pool's Process: New(shared.Process, WithWorkers(n)).
func MaxRunning(n int) BatchOption {
	if n < 1 {
		panic(fmt.Sprintf("dispatch: MaxRunning(%d): must be at least 1", n))
	}
	return func(c *batchConfig) { c.maxRunning = n }
}

// MaxPending sets how many inputs of the batch may be without an outcome: beyond that,
// Add waits for room, and adds its inputs as room comes. A cancel of the batch, its
// Close, and the end of the pool end the wait, with the errors that Add returns then;
// some of the inputs may have been added, as [Batch.Progress] tells. An input that
// adds to its own batch can wait for itself. [Pool.BatchOf] ignores this option.
// MaxPending panics if n is below 1.
func MaxPending(n int) BatchOption {
	if n < 1 {
		panic(fmt.Sprintf("dispatch: MaxPending(%d): must be at least 1", n))
	}
	return func(c *batchConfig) { c.maxPending = n }
}

// Batch fans inputs out to the pool's workers and collects their outcomes. The
// inputs wait in the batch, not in the queue, so Add does not wait for jobs. They are
// taken in order, and take turns with the other jobs of the pool. Read the outcomes
// with Results in the order of completion, or with All or Wait in the order of the
// inputs; they can be combined. A batch keeps its inputs and outcomes for as long
// as it is used.
//
// Any number of goroutines may use a batch at once. One that is neither closed
// nor canceled ends with its pool or its context; one that nobody reads holds up
// nobody. To turn a slice into a slice, Map is simpler and costs less.
type Batch[In, Out any] struct {
	// items is not embedded, or users would see its methods. Its left counts one more until
	// the batch is sealed, and one for a reporter.
	items group[In, Out]
	cfg   batchConfig
	done  <-chan struct{} // of the caller's context
	outer *sched.Context  // of the running job of this pool that made the batch; nil if no job did

	adding sync.Mutex // locked before the scheduler's mutex, if both are held; guards the fields of this block
	last   *chunk[In, Out]
	total  int
	sealed atomic.Bool // written with adding held

	culprit atomic.Pointer[ItemError] // the failure for which StopOnError has halted the batch

	adder chan struct{} // with MaxPending: holds the token of the call of Add that may wait for room
	room  chan struct{} // ... one token: there may be room, or the batch has ended

	awaitedEnd atomic.Bool                          // Done has been called
	results    atomic.Pointer[resultsChan[In, Out]] // nil until Results is called. Written with reading held
	awaited    atomic.Bool                          // readers is not empty. Written with reading held

	reading   sync.Mutex // locked before the scheduler's mutex, if both are held; guards the fields of this block
	over      bool
	finished  chan struct{}  // closed when the batch is over; nil until somebody waits for the end
	readers   []*indexReader // calls of All that wait for an input
	reporting bool           // a goroutine is calling onProgress
	told      bool           // onProgress has been called ...
	reported  Progress       // ... with this
}

// The state of an input of a batch is 0 until it has its outcome. Then it has the bit
// decided, and possibly others.
const (
	decided uint32 = 1 << iota // the input has its outcome
	sent                       // ... which somebody is sending to results, or has sent
	stopped                    // ... which is not its own: it was canceled together with others
)

// Batch returns a new batch. When ctx is done, the batch is canceled with its
// cause; the handlers' contexts carry its values. It starts nothing and never
// blocks; on a closed pool the first Add returns ErrClosed. A nil option panics.
func (p *Pool[In, Out]) Batch(ctx context.Context, opts ...BatchOption) *Batch[In, Out] {
	p.check(ctx, "Pool.Batch")
	b, caller := p.newBatch(ctx, "Batch", opts)
	if caller.Err != nil {
		b.cancel(caller.Ended())
	}
	return b
}

// BatchOf returns a batch of ins, which it copies; it is sealed. If the pool no
// longer accepts jobs, or ctx is done, no input is accepted: each has ErrClosed or the cause of
// ctx as its outcome, and Wait returns that error once. It never blocks. A nil option
// panics.
func (p *Pool[In, Out]) BatchOf(ctx context.Context, ins []In, opts ...BatchOption) *Batch[In, Out] {
	p.check(ctx, "Pool.BatchOf")
	b, caller := p.newBatch(ctx, "BatchOf", opts)
	refused := caller.Ended()
	if caller.Err == nil {
		err := b.add(ins, b.now())
		if err == nil {
			b.items.Watch(b.done)
			b.Close()
			return b
		}
		refused = sched.Outcome{Kind: sched.Canceled, Err: err, By: sched.ByPool}
	}
	b.refuse(ins, refused)
	return b
}

func (p *Pool[In, Out]) newBatch(ctx context.Context, method string, opts []BatchOption) (*Batch[In, Out], sched.Caller) {
	caller := p.sched.Look(ctx)
	b := &Batch[In, Out]{outer: caller.Outer, done: caller.Done}
	for i, opt := range opts {
		if opt == nil {
			panic(fmt.Sprintf("dispatch: %s: option %d is nil", method, i))
		}
		opt(&b.cfg)
	}
	b.items.pool, b.items.owner = p, b
	b.items.watched = caller.Done != nil
	// OnProgress and MaxPending need counts that are up to date. A worker that goes on
	// without the mutex brings its counts only when it comes back. StopOnSuccess has to
	// halt the batch before the worker takes its next input.
	b.items.careful = b.cfg.onProgress != nil || b.cfg.stopOnSuccess || b.cfg.maxPending > 0
	b.items.delivers, b.items.hooked = true, p.hooked()
	most := sched.Unlimited
	if b.cfg.maxRunning > 0 {
		most = b.cfg.maxRunning
	}
	b.items.Init(p.sched, &b.items, ctx, most)
	b.items.left.Store(1)
	if b.cfg.maxPending > 0 {
		b.adder, b.room = make(chan struct{}, 1), make(chan struct{}, 1)
	}
	return b, caller
}

// refuse ends the batch with ins, none of which is accepted. Readers find them halted, and
// no worker can claim them. They do not count in any of the pool's counters.
func (b *Batch[In, Out]) refuse(ins []In, o sched.Outcome) {
	b.adding.Lock()
	c := newChunk[In, Out](ins, len(ins))
	c.halted.Store(1)
	b.items.Refuse(len(ins), o, func() {
		c.one[0].end.Store(int64(len(ins)))
		c.one[0].next.Store(int64(len(ins)))
		b.link(c)
	})
	b.adding.Unlock()
	b.Close()
}

// Add adds inputs, which may start at once. It does not wait, unless [MaxPending]
// has it wait for room. It returns ErrSealed after Close, Wait or All, ErrSealed with
// the cause after a cancel, and ErrClosed once the pool no longer accepts jobs; then
// none of ins is added, except as MaxPending says.
func (b *Batch[In, Out]) Add(ins ...In) error {
	// The context may be done before the watch has canceled the batch. Inputs that are
	// added after that must not start.
	if b.done != nil {
		select {
		case <-b.done:
			b.cancelByCaller()
		default:
		}
	}
	var err error
	if b.cfg.maxPending > 0 && len(ins) > 0 {
		err = b.addAsRoomComes(ins)
	} else {
		err = b.add(ins, b.now())
	}
	if err == nil {
		b.items.Watch(b.done)
	}
	return err
}

// addAsRoomComes is add for a batch with MaxPending. Only one call at a time waits for
// room.
func (b *Batch[In, Out]) addAsRoomComes(ins []In) error {
	called := b.now()
	b.adder <- struct{}{}
	defer func() { <-b.adder }()
	for {
		total, done, _ := b.items.Progress()
		// Without room this adds nothing, but it returns an error if the batch has ended.
		n := min(b.cfg.maxPending-(total-done), len(ins))
		if err := b.add(ins[:max(n, 0)], called); err != nil {
			return err
		}
		if ins = ins[max(n, 0):]; len(ins) == 0 {
			return nil
		}
		b.items.Watch(b.done)
		b.awaitRoom()
	}
}

// awaitRoom waits until there may be room. Meanwhile the job that has made the batch lends
// it its slot. (A batch in which nothing is pending has room, and Lend does nothing for
// it.)
func (b *Batch[In, Out]) awaitRoom() {
	if b.outer != nil {
		defer b.items.Lend(b.outer)()
	}
	<-b.room
}

// makeRoom tells a waiting call of Add that there may be room. It is called after the
// counts have changed. If a token is there already, that is enough: the call of Add has not
// yet looked at the counts.
func (b *Batch[In, Out]) makeRoom() {
	if b.room == nil {
		return
	}
	select {
	case b.room <- struct{}{}:
	default:
	}
}

// add accepts inputs. A few go into the last chunk, if that has room, and otherwise into a
// chunk of their own; many go into a chunk of their own, which is made before a mutex is
// locked. called is when Add was called.
func (b *Batch[In, Out]) add(ins []In, called time.Duration) error {
	const few, most = 64, 1 << 16
	var made *chunk[In, Out]
	if len(ins) > few {
		made = newChunk[In, Out](ins, len(ins))
	}
	b.adding.Lock()
	defer b.adding.Unlock()
	n := len(ins)
	switch {
	case b.sealed.Load():
		n = 0 // but Group.Add still reports an earlier end
	case b.total+n > maxInputs:
		return fmt.Errorf("dispatch: Batch.Add: %d inputs are more than %d", b.total+n, maxInputs)
	}
	c, end := b.last, 0
	switch {
	case made != nil:
		c = made
	case c == nil || len(c.ins)-c.filled() < n:
		c = newChunk[In, Out](ins, max(n, min(b.total, most)))
	default:
		end = c.filled()
		copy(c.ins[end:], ins)
	}
	if b.items.pool.tel != nil {
		c.stamp(end, end+n, called)
	}
	halt, err := b.items.Add(n, func() {
		b.items.left.Add(int64(n))
		c.one[0].end.Store(int64(end + n))
		b.items.added.Add(int64(n))
		b.link(c)
	})
	switch {
	// A chunk that stays does not keep refused inputs, and their places are free again.
	case err != nil || halt != nil || b.sealed.Load():
		clear(c.ins[end:])
	default:
		b.total += n
	}
	switch {
	case err != nil:
		return err
	case halt != nil:
		return fmt.Errorf("%w: %w", ErrSealed, halt.Err)
	case b.sealed.Load():
		return ErrSealed
	}
	return nil
}

// now returns the time on the scheduler's clock, and 0 in a pool without telemetry.
func (b *Batch[In, Out]) now() time.Duration {
	if b.items.pool.tel == nil {
		return 0
	}
	return b.items.pool.sched.Since()
}

// link makes c the last chunk. b.adding is held.
func (b *Batch[In, Out]) link(c *chunk[In, Out]) {
	if c == b.last {
		return
	}
	c.first = b.total
	if b.last == nil {
		b.items.first.Store(c)
		b.items.claiming.Store(c)
	} else {
		b.last.after.Store(c)
	}
	b.last = c
}

// newChunk returns a chunk with one span that has room for so many inputs. The first of
// them are ins.
func newChunk[In, Out any](ins []In, room int) *chunk[In, Out] {
	c := &chunk[In, Out]{ins: make([]In, room), outs: make([]Out, room), states: make([]atomic.Uint32, room)}
	copy(c.ins, ins)
	c.spans = c.one[:]
	return c
}

// stamp records when inputs were added.
func (c *chunk[In, Out]) stamp(from, to int, now time.Duration) {
	if c.added == nil {
		c.added = make([]time.Duration, len(c.ins))
	}
	for i := from; i < to; i++ {
		c.added[i] = now
	}
}

// filled returns how many inputs a chunk with one span has.
func (c *chunk[In, Out]) filled() int { return int(c.one[0].end.Load()) }

// Close seals the batch: it accepts no more inputs, and is over when all of them
// have their outcomes. It does not wait.
func (b *Batch[In, Out]) Close() {
	b.adding.Lock()
	sealed := b.sealed.Swap(true)
	b.adding.Unlock()
	// Only the call that seals the batch gives up the count that left has for the seal. It
	// does so last: progressed may start a last report to OnProgress, which must find the
	// batch not over.
	if !sealed {
		b.progressed() // this also wakes an Add that waits for room
		b.subtract(1, false)
	}
}

// Cancel seals the batch and ends it with context.Canceled: inputs that have
// not started will not run; running handlers are told through their context, and
// their inputs get their outcomes when they return. It does not wait.
func (b *Batch[In, Out]) Cancel() {
	b.cancel(sched.Outcome{Kind: sched.Canceled, Err: context.Canceled})
}

func (b *Batch[In, Out]) cancel(o sched.Outcome) {
	b.items.Halt(o)
	b.Close()
}

// cancelByCaller cancels the batch because the caller's context is done.
func (b *Batch[In, Out]) cancelByCaller() {
	gone := sched.EndedWithoutReason()
	defer func() { b.cancel(gone) }() // deferred, because the context may end the goroutine
	gone = guard.Ended(b.items.Caller())
}

// Progress returns the counts of the batch at this moment.
func (b *Batch[In, Out]) Progress() Progress {
	total, done, failed := b.items.Progress()
	return Progress{Total: total, Done: done, Failed: failed}
}

// Wait seals the batch, waits until it is over, and returns the outputs in the
// order of the inputs, and the errors of those that failed: an errors.Join of an
// *[ItemError] each, nil if there is none. Inputs that were canceled together, by
// Cancel, the context or the end of the pool, have not failed: their common error
// follows once, not as an *ItemError. Those that ended with [ErrHalted] add no error.
// When ctx is done first, it returns nil and the cause of ctx, and the batch goes on;
// so its handlers may still use their inputs.
func (b *Batch[In, Out]) Wait(ctx context.Context) ([]Out, error) {
	b.items.pool.check(ctx, "Batch.Wait")
	b.Close()
	caller := b.items.pool.sched.Look(ctx)
	if caller.Outer != nil {
		defer b.items.Lend(caller.Outer)()
	}
	over := b.end()
	if caller.Err == nil {
		select {
		case <-over:
		case <-caller.Done:
		}
	}
	// Check again: if both channels are closed, select has chosen one at random, and a
	// batch that is over returns its outcomes whatever ctx says.
	select {
	case <-over:
		return b.outputs(), b.failures()
	default:
	}
	if caller.Err != nil {
		return nil, caller.Err
	}
	return nil, guard.Ended(ctx).Err
}

// Done returns a channel that is closed when the batch is over: it is sealed, all
// inputs have their outcomes, and the last call of OnProgress has returned. It does
// not seal the batch. A job must not wait for a batch of its own pool by receiving
// from it, because the pool cannot recognise that; use Wait.
func (b *Batch[In, Out]) Done() <-chan struct{} {
	b.awaitedEnd.Store(true)
	if !b.items.KeepOpen(func() bool { return b.items.left.Load() == 0 }) {
		b.Close()
	}
	b.items.Watch(b.done)
	return b.end()
}

// outputs returns the outputs of a batch that is over.
func (b *Batch[In, Out]) outputs() []Out {
	total, _, _ := b.items.Progress()
	outs := make([]Out, 0, total)
	for c := range b.items.chunks {
		outs = append(outs, c.outs[:c.filled()]...)
	}
	return outs
}

// failures returns the errors of a batch that is over.
func (b *Batch[In, Out]) failures() error {
	var errs []error
	var common error // of the inputs that were canceled together
	for c := range b.items.chunks {
		halted := c.halted.Load() > 0
		if c.errs.Load() == nil && !halted {
			continue
		}
		if err := b.haltErr(); halted && err != ErrHalted { //nolint:errorlint // as below
			common = err
		}
		for i := range c.filled() {
			switch err := c.err(i); {
			case err == nil:
			case c.states[i].Load()&stopped == 0:
				errs = append(errs, &ItemError{Index: c.first + i, Err: err})
			case err != ErrHalted: //nolint:errorlint // compared as it is: an error's Is method would be user code
				common = err
			}
		}
	}
	if common != nil {
		errs = append(errs, common)
	}
	return errors.Join(errs...)
}

// haltErr returns the error of the inputs that were halted before they started.
func (b *Batch[In, Out]) haltErr() error {
	if o := b.items.HaltedWith(); o != nil {
		return b.errOf(o)
	}
	return nil
}

// errOf returns the error of an input with the outcome o. An input that another's failure
// has stopped does not get that failure as its own error.
func (b *Batch[In, Out]) errOf(o *sched.Outcome) error {
	if o.By == sched.ByJob && b.cfg.stopOnError {
		if e, ok := o.Err.(*ItemError); ok && e == b.culprit.Load() { //nolint:errorlint // made by haltAfter
			return ErrHalted
		}
	}
	return o.Err
}

// end returns a channel that is closed when the batch is over.
func (b *Batch[In, Out]) end() <-chan struct{} {
	b.reading.Lock()
	defer b.reading.Unlock()
	if b.finished == nil {
		b.finished = make(chan struct{})
		if b.over {
			close(b.finished)
		}
	}
	return b.finished
}

// haltAfter halts the batch after an outcome, if an option says so. If several inputs fail
// at once, the first is the culprit; the others keep their failures as their own.
func (b *Batch[In, Out]) haltAfter(index int, o *sched.Outcome) *sched.Outcome {
	switch {
	case o.Kind == sched.Succeeded && b.cfg.stopOnSuccess:
		return &sched.Outcome{Kind: sched.Canceled, Err: ErrHalted}
	case o.Kind != sched.Succeeded && b.cfg.stopOnError && o.By == sched.ByCaller:
		return endOfAll(o)
	case o.Kind != sched.Succeeded && b.cfg.stopOnError:
		b.culprit.CompareAndSwap(nil, &ItemError{Index: index, Err: o.Err})
		// Also the worker of another failure halts with it: the culprit's own may not have come
		// to that yet, and this one would begin a further input.
		return &sched.Outcome{Kind: sched.Canceled, Err: b.culprit.Load()}
	}
	return nil
}

// ended is called by workers, which may count as idle already.
func (b *Batch[In, Out]) ended(n int) { b.subtract(n, true) }

// subtract subtracts n from left, and ends the batch if left is then 0. If nothing is left
// to do and nobody waits to be told, the pool and the watch of the caller's context forget
// the batch until the next Add. An idle worker enters no user code for that.
func (b *Batch[In, Out]) subtract(n int, idleWorker bool) {
	left := b.items.left.Add(int64(-n))
	if left > 1 || n == 0 {
		return
	}
	if left == 0 {
		b.reading.Lock()
		b.over = true
		if b.finished != nil {
			close(b.finished)
		}
		if o := b.results.Load(); o != nil && !o.busy.Load() {
			close(o.ch)
		}
		b.reading.Unlock()
	}
	b.items.Forget(b.idle, idleWorker)
}

// idle reports whether nothing is left to do and nobody waits to be told.
func (b *Batch[In, Out]) idle() bool {
	left := b.items.left.Load()
	return left == 0 || left == 1 && !b.sealed.Load() && b.results.Load() == nil && !b.awaitedEnd.Load()
}

// halted hands out the outcomes of n inputs that no worker had claimed.
func (b *Batch[In, Out]) halted(n int) {
	b.stopResults()
	b.progressed()
	if n > 0 {
		b.subtract(n, false)
	}
	b.Close()
}

// closing seals the batch when the pool stops accepting jobs. The batch can get no more
// inputs then, and its readers learn of its end.
func (b *Batch[In, Out]) closing() { b.Close() }
