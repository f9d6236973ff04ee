package dispatch

import (
	"context"
	"runtime"
	"time"
)

// What the tests of package dispatch_test see of the inside.

// Rest returns an error if the pool's scheduler holds anything, though the pool has
// nothing to do.
func Rest[In, Out any](p *Pool[In, Out]) error { return p.sched.Rest() }

// Pool returns the pool of the batch.
func (b *Batch[In, Out]) Pool() *Pool[In, Out] { return b.pool }

// Ended tells whether the batch is over, or nobody has to seal it, and whether its
// context is watched.
func (b *Batch[In, Out]) Ended() (ended, watched bool) {
	b.adding.Lock()
	defer b.adding.Unlock()
	left := b.left.Load()
	return left == 0 || left == 1 && !b.sealed.Load(), b.Watched()
}

// StreamSleeps makes a stream, calls then, and tells whether the stream's loop would
// sleep while its source is open, and after.
func StreamSleeps[In, Out any](p *Pool[In, Out], then func()) (open, after bool) {
	s := p.newStream(context.Background(), streamConfig{}, nil)
	defer s.end()
	then()
	return s.sleep(true), s.sleep(false)
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
