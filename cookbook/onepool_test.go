package cookbook_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"example.com/dispatch"
)

// gauge counts how many handlers run, and how many did at most.
type gauge struct{ now, most atomic.Int64 }

func (g *gauge) enter() {
	for n := g.now.Add(1); ; {
		most := g.most.Load()
		if n <= most || g.most.CompareAndSwap(most, n) {
			return
		}
	}
}

func (g *gauge) leave() { g.now.Add(-1) }

// A pool for each request, or one for the program?
//
// Problem: each request has twenty pictures to be fetched. A pool of eight that
// the request makes and closes is easy to write. With a hundred requests at once it
// is eight hundred fetches.
//
// Solution: one pool for the program, since the limit is the machine's or the
// service's, not the request's. Each request brings its inputs by Map or a batch,
// with its own context: a request that is canceled ends its own jobs and no
// others, and groups take turns, so that a long request does not hold up a short
// one. A share for each is MaxRunning.
//
// Trap: Pool.Wait and Close are about everybody's jobs. A request waits for its
// own, by Map, Batch.Wait or Future.Wait. A pool of its own is right where the
// workers' state belongs to the request (NewWorkers), or where a program does one
// thing.
func Example_onePool() {
	var g gauge
	fetch := func(ctx context.Context, url string) (int, error) {
		g.enter()
		defer g.leave()
		return len(url), ctx.Err()
	}
	p := dispatch.Must(dispatch.New(fetch, dispatch.WithWorkers(8))) // in main
	defer p.Close()

	var fetched atomic.Int64
	var requests sync.WaitGroup
	for range 100 {
		requests.Go(func() {
			ctx, cancel := context.WithCancel(context.Background()) // r.Context()
			defer cancel()
			sizes, _ := p.Map(ctx, make([]string, 20))
			fetched.Add(int64(len(sizes)))
		})
	}
	requests.Wait()
	fmt.Println(fetched.Load(), "fetched, never more than 8 at once:", g.most.Load() <= 8)
	// Output: 2000 fetched, never more than 8 at once: true
}
