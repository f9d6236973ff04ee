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

// ErrSealed is returned by Add on a batch that takes no more inputs. None of
// the inputs of that call will run.
var ErrSealed = errors.New("dispatch: batch is sealed")

// ItemError is the failure of one input of a batch or a Map.
type ItemError struct {
	Index int // of the input
	Err   error
}

// ErrHalted is the outcome of an input of a batch whose batch was stopped by
// [StopOnError] or [StopOnSuccess]. It is context.Canceled to errors.Is.
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

// StopOnError makes the first failure cancel the rest of the batch: what has not
// started will not, what runs is told through its context, which gives the
// *[ItemError] of the failure as its cause, and both end with [ErrHalted].
func StopOnError() BatchOption { return func(c *batchConfig) { c.stopOnError = true } }

// StopOnSuccess makes the first success cancel the rest of the batch, which ends
// with [ErrHalted].
func StopOnSuccess() BatchOption { return func(c *batchConfig) { c.stopOnSuccess = true } }

// OnProgress has f called as inputs get their outcomes: never twice at once,
// with numbers that never fall, and a last time with Done == Total before the
// batch is over. It is called on a goroutine of its own: a slow f skips steps
// and delays the end of the batch and of the pool, but no job. It must not wait for
// either. OnProgress panics if f is nil.
func OnProgress(f func(Progress)) BatchOption {
	if f == nil {
		panic("dispatch: OnProgress(nil): the function must not be nil")
	}
	return func(c *batchConfig) { c.onProgress = f }
}

// MaxRunning sets how many inputs of the batch run at once: a limit for one tenant of
// a pool that many share. The workers that it leaves are for others. An input that
// waits for its own pool counts as running; one whose handler has been written off
// (WithGrace) does not. MaxRunning panics if n is below 1.
func MaxRunning(n int) BatchOption {
	if n < 1 {
		panic(fmt.Sprintf("dispatch: MaxRunning(%d): must be at least 1", n))
	}
	return func(c *batchConfig) { c.maxRunning = n }
}

// MaxPending sets how many inputs of the batch are without an outcome at most: Add
// waits for room then, and adds many as room comes. A cancel of the batch, its
// Close, and the end of the pool end the wait, with the errors that Add gives then;
// some of the inputs may be in, as [Batch.Progress] tells. An input that Adds to its
// own batch can wait for itself. [Pool.BatchOf] takes no notice of it. MaxPending
// panics if n is below 1.
func MaxPending(n int) BatchOption {
	if n < 1 {
		panic(fmt.Sprintf("dispatch: MaxPending(%d): must be at least 1", n))
	}
	return func(c *batchConfig) { c.maxPending = n }
}

// Batch fans inputs out to the pool's workers and their outcomes in again. The
// inputs wait in the batch, not in the queue: Add waits for no job. They are taken
// in order, and take turns with whatever else the pool has to do. Read the
// outcomes by Results as they come, or by All or Wait in the order of the
// inputs; they can be combined. A batch keeps its inputs and outcomes for as long
// as it is used.
//
// Any number of goroutines may use a batch at once. One that is neither closed
// nor canceled ends with its pool or its context; one that nobody reads
// disturbs nobody. For a slice that is complete, Map is simpler and costs less.
type Batch[In, Out any] struct {
	group[In, Out] // left counts one more until the batch is sealed, and one for a reporter
	cfg            batchConfig
	done           <-chan struct{} // of the caller's context
	outer          *sched.Context  // of the running job of this pool that made the batch; nil otherwise

	adding sync.Mutex // taken before the scheduler's mutex, where both are; guards what follows
	last   *chunk[In, Out]
	total  int
	sealed atomic.Bool // written with adding held

	culprit atomic.Pointer[ItemError] // the failure that StopOnError has halted the batch for

	adder chan struct{} // with MaxPending: a token, which the call of Add has that may wait for room
	room  chan struct{} // ... one token: there may be room, or the batch has ended

	awaitedEnd atomic.Bool                          // somebody has asked for Done
	results    atomic.Pointer[resultsChan[In, Out]] // nil until Results. Written with reading held
	awaited    atomic.Bool                          // there are readers. Written with reading held

	reading   sync.Mutex // taken before the scheduler's mutex, where both are; guards what follows
	over      bool
	finished  chan struct{}  // closed when the batch is over; nil until somebody waits for that
	readers   []*indexReader // calls of All that wait for an input
	reporting bool           // a goroutine calls onProgress
	told      bool           // it has been called ...
	reported  Progress       // ... with this
}

// The states of an input of a batch: undecided, or decided with further bits.
const (
	decided uint32 = 1 << iota // it has its outcome
	sent                       // ... and somebody sends it to results, or has done so
	stopped                    // ... which is not its own: it was canceled, with others
)

// Batch returns a new batch. When ctx is done, the batch is canceled with its
// cause; the handlers' contexts carry its values. It starts nothing and never
// blocks; on a closed pool the first Add gives ErrClosed. A nil option panics.
func (p *Pool[In, Out]) Batch(ctx context.Context, opts ...BatchOption) *Batch[In, Out] {
	p.check(ctx, "Pool.Batch")
	b, caller := p.newBatch(ctx, "Batch", opts)
	if caller.Err != nil {
		b.cancel(caller.Ended())
	}
	return b
}

// BatchOf returns a batch of ins, which it copies; it is sealed. If the pool takes
// no more, or ctx is done, no input is accepted: each has ErrClosed or the cause of
// ctx as its outcome, and Wait returns that error once. It never blocks. A nil option
// panics.
func (p *Pool[In, Out]) BatchOf(ctx context.Context, ins []In, opts ...BatchOption) *Batch[In, Out] {
	p.check(ctx, "Pool.BatchOf")
	b, caller := p.newBatch(ctx, "BatchOf", opts)
	refused := caller.Ended()
	if caller.Err == nil {
		err := b.add(ins, b.now())
		if err == nil {
			b.Watch(b.done)
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
	b.pool, b.owner = p, b
	b.watched = caller.Done != nil
	// OnProgress and MaxPending look at counts, which a worker that goes on without the mutex
	// brings only when it comes back; StopOnSuccess has to halt before the next input.
	b.careful = b.cfg.onProgress != nil || b.cfg.stopOnSuccess || b.cfg.maxPending > 0
	b.delivers, b.hooked = true, p.hooked()
	most := sched.Unlimited
	if b.cfg.maxRunning > 0 {
		most = b.cfg.maxRunning
	}
	b.Init(p.sched, &b.group, ctx, most)
	b.left.Store(1)
	if b.cfg.maxPending > 0 {
		b.adder, b.room = make(chan struct{}, 1), make(chan struct{}, 1)
	}
	return b, caller
}

// refuse ends the batch with ins, none of which is accepted: its readers find them, halted, and no
// worker can claim them. They count in none of the pool's counters.
func (b *Batch[In, Out]) refuse(ins []In, o sched.Outcome) {
	b.adding.Lock()
	c := newChunk[In, Out](ins, len(ins))
	c.halted.Store(1)
	b.Refuse(len(ins), o, func() {
		c.one[0].end.Store(int64(len(ins)))
		c.one[0].next.Store(int64(len(ins)))
		b.link(c)
	})
	b.adding.Unlock()
	b.Close()
}

// Add adds inputs, which may start at once. It waits for no job, unless [MaxPending]
// has it wait for room. It returns ErrSealed after Close, Wait or All, ErrSealed with
// the cause after a cancel, and ErrClosed once the pool takes no more; then none of
// ins is added.
func (b *Batch[In, Out]) Add(ins ...In) error {
	// The watch may not have got to a context that is done already: what is added after
	// that must not start.
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
		b.Watch(b.done)
	}
	return err
}

// addAsRoomComes is add with MaxPending. Calls wait for room one after another.
func (b *Batch[In, Out]) addAsRoomComes(ins []In) error {
	called := b.now()
	b.adder <- struct{}{}
	defer func() { <-b.adder }()
	for {
		total, done, _ := b.Group.Progress()
		// Without room nothing is added, but the answer tells of a batch that has ended.
		n := min(b.cfg.maxPending-(total-done), len(ins))
		if err := b.add(ins[:max(n, 0)], called); err != nil {
			return err
		}
		if ins = ins[max(n, 0):]; len(ins) == 0 {
			return nil
		}
		b.Watch(b.done)
		b.awaitRoom()
	}
}

// awaitRoom waits until there may be room. The slot of the job that has made the
// batch is lent meanwhile; a batch in which nothing is pending has room, and can be
// lent nothing.
func (b *Batch[In, Out]) awaitRoom() {
	if b.outer != nil {
		defer b.Lend(b.outer)()
	}
	<-b.room
}

// makeRoom tells a call of Add that waits that there may be room. It is called after the
// counts have changed, so a token that is there already says enough: the call of Add has
// yet to look at them.
func (b *Batch[In, Out]) makeRoom() {
	if b.room == nil {
		return
	}
	select {
	case b.room <- struct{}{}:
	default:
	}
}

// add accepts inputs: a few in what room the last chunk has, or else in a chunk of
// their own, which is made before a mutex is locked if they are many. Add was called
// at the time called.
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
		n = 0 // but an end that came before is told
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
	if b.pool.tel != nil {
		c.stamp(end, end+n, called)
	}
	halt, err := b.Group.Add(n, func() {
		b.left.Add(int64(n))
		c.one[0].end.Store(int64(end + n))
		b.added.Add(int64(n))
		b.link(c)
	})
	switch {
	// What was refused is not kept by a chunk that is, and its places are free again.
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

// now is the time on the scheduler's clock, in a pool with telemetry.
func (b *Batch[In, Out]) now() time.Duration {
	if b.pool.tel == nil {
		return 0
	}
	return b.pool.sched.Since()
}

// link makes c the last chunk. b.adding is held.
func (b *Batch[In, Out]) link(c *chunk[In, Out]) {
	if c == b.last {
		return
	}
	c.first = b.total
	if b.last == nil {
		b.first.Store(c)
		b.claiming.Store(c)
	} else {
		b.last.after.Store(c)
	}
	b.last = c
}

// newChunk returns a chunk with room for so many inputs, the first of which are ins.
func newChunk[In, Out any](ins []In, room int) *chunk[In, Out] {
	c := &chunk[In, Out]{ins: make([]In, room), outs: make([]Out, room), states: make([]atomic.Uint32, room)}
	copy(c.ins, ins)
	c.spans = c.one[:]
	return c
}

// stamp notes when inputs were added.
func (c *chunk[In, Out]) stamp(from, to int, now time.Duration) {
	if c.added == nil {
		c.added = make([]time.Duration, len(c.ins))
	}
	for i := from; i < to; i++ {
		c.added[i] = now
	}
}

// filled returns how many inputs of a chunk of a batch there are.
func (c *chunk[In, Out]) filled() int { return int(c.one[0].end.Load()) }

// Close seals the batch: it takes no more inputs, and is over when all of them
// have their outcomes. It does not wait.
func (b *Batch[In, Out]) Close() {
	b.adding.Lock()
	sealed := b.sealed.Swap(true)
	b.adding.Unlock()
	// Once: left counted one for the seal. It is given up last, so that a last report to
	// OnProgress, which progressed may start, still holds the batch.
	if !sealed {
		b.progressed() // also an Add that waits for room hears of it
		b.ended(1)
	}
}

// Cancel seals the batch and ends it with context.Canceled: inputs that have
// not started will not run, handlers that run are told through their context,
// and give their inputs their outcomes when they return. It does not wait.
func (b *Batch[In, Out]) Cancel() {
	b.cancel(sched.Outcome{Kind: sched.Canceled, Err: context.Canceled})
}

func (b *Batch[In, Out]) cancel(o sched.Outcome) {
	b.Halt(o)
	b.Close()
}

// cancelByCaller cancels the batch because the caller's context is done.
func (b *Batch[In, Out]) cancelByCaller() {
	gone := sched.EndedWithoutReason()
	defer func() { b.cancel(gone) }() // also if the context ends the goroutine
	gone = guard.Ended(b.Caller())
}

// Progress returns the counts of the batch at this moment.
func (b *Batch[In, Out]) Progress() Progress {
	total, done, failed := b.Group.Progress()
	return Progress{Total: total, Done: done, Failed: failed}
}

// Wait seals the batch, waits until it is over, and returns the outputs in the
// order of the inputs, and the errors of those that failed: an errors.Join of an
// *[ItemError] each, nil if there is none. Inputs that were canceled together, by
// Cancel, the context or the end of the pool, have not failed: their error follows
// once, as it is. Those that were halted because another input failed or succeeded
// have none. When ctx is done first, it returns nil and the cause of ctx, and the
// batch goes on; so its handlers may still use their inputs.
func (b *Batch[In, Out]) Wait(ctx context.Context) ([]Out, error) {
	b.pool.check(ctx, "Batch.Wait")
	b.Close()
	caller := b.pool.sched.Look(ctx)
	if caller.Outer != nil {
		defer b.Lend(caller.Outer)()
	}
	over := b.end()
	if caller.Err == nil {
		select {
		case <-over:
		case <-caller.Done:
		}
	}
	// Asked once more: with both channels closed, select has chosen by chance, and a batch
	// that is over gives its outcomes whatever ctx says.
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
// not seal the batch. A job must not wait so for a batch of its own pool: that cannot
// be recognised; see Wait.
func (b *Batch[In, Out]) Done() <-chan struct{} {
	b.awaitedEnd.Store(true)
	if !b.KeepOpen(func() bool { return b.left.Load() == 0 }) {
		b.Close()
	}
	b.Watch(b.done)
	return b.end()
}

// outputs returns the outputs of a batch that is over.
func (b *Batch[In, Out]) outputs() []Out {
	total, _, _ := b.Group.Progress()
	outs := make([]Out, 0, total)
	for c := range b.chunks {
		outs = append(outs, c.outs[:c.filled()]...)
	}
	return outs
}

// failures returns the errors of a batch that is over.
func (b *Batch[In, Out]) failures() error {
	var errs []error
	var common error // of what was canceled together
	for c := range b.chunks {
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
			case err != ErrHalted: //nolint:errorlint // just that: an error's own Is would be user code
				common = err
			}
		}
	}
	if common != nil {
		errs = append(errs, common)
	}
	return errors.Join(errs...)
}

// haltErr is the error of the inputs that were halted before they started.
func (b *Batch[In, Out]) haltErr() error {
	if o := b.HaltedWith(); o != nil {
		return b.errOf(o)
	}
	return nil
}

// errOf is the error of an input with the outcome o: another's failure is not its own.
func (b *Batch[In, Out]) errOf(o *sched.Outcome) error {
	if o.By == sched.ByJob && b.cfg.stopOnError {
		if e, ok := o.Err.(*ItemError); ok && e == b.culprit.Load() { //nolint:errorlint // it is haltAfter's
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

// haltAfter halts the batch after an outcome, where an option says so. Of several failures
// at once the first is the culprit; the others stay failures of their own inputs.
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

// ended takes n off left, and ends the batch if that was the last. Where nothing is
// left to do, and nobody to tell, the pool and the caller's context need not know of
// the batch until the next Add.
func (b *Batch[In, Out]) ended(n int) {
	left := b.left.Add(int64(-n))
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
	b.Forget(b.idle)
}

// idle tells whether nothing is left to do, and nobody to tell.
func (b *Batch[In, Out]) idle() bool {
	left := b.left.Load()
	return left == 0 || left == 1 && !b.sealed.Load() && b.results.Load() == nil && !b.awaitedEnd.Load()
}

// halted hands out the outcomes of n inputs that nobody had claimed.
func (b *Batch[In, Out]) halted(n int) {
	b.stopResults()
	b.progressed()
	if n > 0 {
		b.ended(n)
	}
	b.Close()
}

// closing seals the batch when the pool takes no more: it can get no further inputs, and
// its readers learn of its end.
func (b *Batch[In, Out]) closing() { b.Close() }
