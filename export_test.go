package dispatch

import (
	"context"
	"fmt"
	"runtime"
	"time"
)

// What the tests of package dispatch_test can see of the package's internals.

// Rest returns an error if the scheduler of an idle pool still holds anything, or if a pool
// that has ended still has the desk of a worker.
func Rest[In, Out any](p *Pool[In, Out]) error {
	if p.tel != nil && p.Stats().State == Ended && len(p.tel.workers()) > 0 {
		return fmt.Errorf("desks of workers that have left: %d", len(p.tel.workers()))
	}
	return p.sched.Rest()
}

// PoolOf returns the pool of a batch.
func PoolOf[In, Out any](b *Batch[In, Out]) *Pool[In, Out] { return b.items.pool }

// BatchEnded reports whether the batch is over, or would be if it were sealed, and whether
// its context is watched.
func BatchEnded[In, Out any](b *Batch[In, Out]) (ended, watched bool) {
	b.adding.Lock()
	defer b.adding.Unlock()
	left := b.items.left.Load()
	return left == 0 || left == 1 && !b.sealed.Load(), b.items.Watched()
}

// StreamSleeps makes a stream and calls then. It reports whether the stream's loop would
// then sleep: while its source is open, and after the source has ended.
func StreamSleeps[In, Out any](p *Pool[In, Out], then func()) (open, after bool) {
	s := p.newStream(context.Background(), streamConfig{}, nil)
	defer s.end()
	then()
	return s.sleep(true), s.sleep(false)
}

// StreamTokens has the loop of a stream sleep, and get a token just as something else has
// woken it. It returns how many tokens are left for the next sleep.
func StreamTokens[In, Out any](p *Pool[In, Out]) int {
	s := p.newStream(context.Background(), streamConfig{}, nil)
	defer s.end()
	s.sleep(true)
	s.outbox.mu.Lock()
	s.outbox.tell()
	s.outbox.mu.Unlock()
	s.wakeUp()
	return len(s.outbox.wake)
}

// ClaimsAsChunksCome has an input come to the chunk that a run claims from, and another in
// a chunk behind it, while the run claims. It returns how many of the two the run gets.
func ClaimsAsChunksCome() (claimed int) {
	g := new(group[int, int])
	first, behind := newChunk[int, int](nil, 1), newChunk[int, int](nil, 1)
	g.claiming.Store(first)
	go func() {
		first.one[0].end.Store(1)
		behind.one[0].end.Store(1)
		first.after.Store(behind)
	}()
	r := &run[int, int]{g: g}
	for all, looks := false, 0; !all; looks++ {
		if looks%1000 == 999 { // with one processor the inputs come now
			runtime.Gosched()
		}
		all = first.after.Load() != nil // and then the run claims all there is
		for g.claim(r) {
			claimed++
		}
	}
	return claimed
}

// Tally is what a pool counts durations with.
type Tally = tally

func (t *tally) Add(d time.Duration)  { t.add(d) }
func (t *tally) Merge(other *Tally)   { t.merge(other) }
func (t *tally) Histogram() Histogram { return t.histogram() }

// HistogramOf counts durations.
func HistogramOf(durations ...time.Duration) Histogram {
	var t tally
	for _, d := range durations {
		t.add(d)
	}
	return t.histogram()
}

// MinBucket and MaxBucket are the outer buckets of a Histogram.
const (
	MinBucket = minBucket
	MaxBucket = maxBucket
)

// BucketOf returns the bucket that counts d.
func BucketOf(d time.Duration) int { return bucketOf(d) }
