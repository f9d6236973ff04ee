package dispatch

import "time"

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

// HistogramOf counts durations.
func HistogramOf(durations ...time.Duration) Histogram {
	var t tally
	for _, d := range durations {
		t.add(d)
	}
	return t.histogram()
}
