package dispatch

import (
	"context"
	"time"
)

// What the tests of package dispatch_test see of the inside.

// Rest returns an error if the pool's scheduler holds anything, though the pool has
// nothing to do.
func Rest[In, Out any](p *Pool[In, Out]) error { return p.sched.Rest() }

// PoolOf returns the pool of a batch.
func PoolOf[In, Out any](b *Batch[In, Out]) *Pool[In, Out] { return b.items.pool }

// BatchEnded tells whether the batch is over, or nobody has to seal it, and whether its
// context is watched.
func BatchEnded[In, Out any](b *Batch[In, Out]) (ended, watched bool) {
	b.adding.Lock()
	defer b.adding.Unlock()
	left := b.items.left.Load()
	return left == 0 || left == 1 && !b.sealed.Load(), b.items.Watched()
}

// StreamSleeps makes a stream, calls then, and tells whether the stream's loop would
// sleep while its source is open, and after.
func StreamSleeps[In, Out any](p *Pool[In, Out], then func()) (open, after bool) {
	s := p.newStream(context.Background(), streamConfig{}, nil)
	defer s.end()
	then()
	return s.sleep(true), s.sleep(false)
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
