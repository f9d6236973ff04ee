package main

import (
	"context"
	"crypto/sha256"
	"runtime"
	"sync"
	"time"
)

// A service does the same work for each request: it hashes rounds blocks.
type service struct {
	block  []byte // not written to
	rounds int
}

// calibrationTime is long compared with the time slices of any scheduler.
const calibrationTime = 150 * time.Millisecond

// newService returns a service whose work takes run while all workers are at it. To
// find out how much work that is, it measures how fast they are.
func newService(ctx context.Context, workers int, run time.Duration) (service, error) {
	s := service{block: make([]byte, 32<<10)}
	var (
		wg   sync.WaitGroup
		done = make([]int, workers)
	)
	start := time.Now()
	for i := range done {
		wg.Go(func() {
			for time.Since(start) < calibrationTime && ctx.Err() == nil {
				s.hash(1)
				done[i]++
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return service{}, context.Cause(ctx)
	}
	blocks := 0
	for _, n := range done {
		blocks += n
	}
	each := float64(blocks) / float64(workers) / time.Since(start).Seconds()
	s.rounds = max(1, int(each*run.Seconds()))
	return s, nil
}

// serve does the work of one request. It is the handler of the pool, and is called
// directly when there is no pool.
func (s service) serve(ctx context.Context, _ struct{}) (struct{}, error) {
	for range s.rounds {
		if ctx.Err() != nil {
			return struct{}{}, context.Cause(ctx)
		}
		s.hash(1)
	}
	return struct{}{}, nil
}

// hash works for about ten microseconds per round. Between rounds it yields the
// processor: above all to the sender, and without a pool to the other requests.
func (s service) hash(rounds int) {
	for range rounds {
		sha256.Sum256(s.block)
		runtime.Gosched()
	}
}
