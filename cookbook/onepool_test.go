package cookbook_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"example.com/dispatch"
)

// gauge counts the running handlers, and the most that ran at once.
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

// One pool per request, or one for the program?
//
// Problem: each request needs twenty pictures fetched. A pool of eight workers that
// the request makes and closes is easy to write. But a hundred requests at once then
// run eight hundred fetches.
//
// Solution: one pool for the program, since it is the machine or the service that
// sets the limit, not the request. Each request submits its inputs with Map or a
// batch, with its own context. When a request is canceled, only its own jobs end.
// Batches and Maps take turns, so a long request does not hold up a short one. To
// limit how many workers each request gets, use MaxRunning.
//
// Trap: Pool.Wait and Close wait for the jobs of all requests. To wait for its own
// jobs, a request uses Map, Batch.Wait or Future.Wait. A pool per request is right
// if the workers' state belongs to the request (NewWorkers), or if a program does
// only one thing.
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
