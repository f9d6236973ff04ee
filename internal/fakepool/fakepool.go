// Package fakepool has a pool for tests of what shows pools: it says what it is
// told to say, such as another number in each field, which a real one cannot be
// brought to at one moment.
package fakepool

import (
	"encoding/json"
	"fmt"
	"math"
	"sync"
	"time"

	"example.com/dispatch"
)

// Pool has the methods of a *dispatch.Pool that observers call. Several
// goroutines may use it at once.
type Pool struct {
	mu       sync.Mutex
	stats    dispatch.Stats
	running  []dispatch.Job
	failures []dispatch.Job
}

// New returns a pool that says stats.
func New(stats dispatch.Stats) *Pool { return &Pool{stats: stats} }

// Update has change say what the pool says from now on.
func (p *Pool) Update(change func(stats *dispatch.Stats, running, failures *[]dispatch.Job)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.stats, &p.running, &p.failures)
}

// Stats is what it has been told.
func (p *Pool) Stats() dispatch.Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// Running is what it has been told.
func (p *Pool) Running() []dispatch.Job {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]dispatch.Job(nil), p.running...)
}

// Failures is what it has been told.
func (p *Pool) Failures() []dispatch.Job {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]dispatch.Job(nil), p.failures...)
}

// Tally makes histograms from durations. It finds their buckets by a logarithm,
// so durations within a rounding of a bound are better avoided.
type Tally struct {
	buckets map[int]uint64
	count   uint64
	sum     float64 // in seconds
}

// Add counts d, n times.
func (t *Tally) Add(d time.Duration, n uint64) {
	if t.buckets == nil {
		t.buckets = map[int]uint64{}
	}
	k := -80
	if d > 0 {
		k = min(68, max(-80, int(math.Ceil(4*math.Log2(d.Seconds())))))
	}
	t.buckets[k] += n
	t.count += n
	t.sum += d.Seconds() * float64(n)
}

// Histogram returns what has been counted so far.
func (t *Tally) Histogram() dispatch.Histogram {
	text, err := json.Marshal(map[string]any{"count": t.count, "sum": t.sum, "buckets": t.buckets})
	if err != nil {
		panic(fmt.Sprintf("fakepool: %v", err))
	}
	var h dispatch.Histogram
	if err := json.Unmarshal(text, &h); err != nil {
		panic(fmt.Sprintf("fakepool: %v", err))
	}
	return h
}

// Histogram counts durations.
func Histogram(durations ...time.Duration) dispatch.Histogram {
	var t Tally
	for _, d := range durations {
		t.Add(d, 1)
	}
	return t.Histogram()
}
