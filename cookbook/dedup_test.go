package cookbook_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"example.com/dispatch"
)

// pages renders a page only once at a time, however many callers ask for it.
type pages struct {
	pool    *dispatch.Pool[string, string]
	flights singleflight.Group
}

// start joins the flight for the page, or begins it. The flight can outlive the call
// that began it: its context has the values of ctx, but a time limit of its own in
// place of the cancellation of ctx.
func (p *pages) start(ctx context.Context, url string) <-chan singleflight.Result {
	return p.flights.DoChan(url, func() (any, error) {
		return p.pool.ProcessTimed(context.WithoutCancel(ctx), url, 10*time.Second)
	})
}

// land waits for the page until ctx is done.
func land(ctx context.Context, flight <-chan singleflight.Result) (string, error) {
	select {
	case r := <-flight:
		page, _ := r.Val.(string)
		return page, r.Err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// How do I do the same work only once?
//
// Problem: a page is not in the cache, a hundred requests ask for it at once, and
// the pool renders it a hundred times.
//
// Solution: singleflight in front of the pool. The first call for a key submits
// the job; the others wait for the same outcome and take no place in the queue.
//
// Trap: if the job has the first caller's context, all callers fail when the first
// one goes away. Give the job context.WithoutCancel and a time limit of its own, and
// let each caller wait on DoChan with its own context. And do not call this from a
// job of the same pool: the pool cannot see that the job waits for another one.
func Example_deduplication() {
	var rendered atomic.Int32
	release := make(chan struct{})
	render := func(_ context.Context, url string) (string, error) {
		<-release
		return fmt.Sprintf("%s, rendering no. %d", url, rendered.Add(1)), nil
	}
	p := &pages{pool: dispatch.Must(dispatch.New(render, dispatch.WithWorkers(8)))}
	defer p.pool.Close()

	ctx := context.Background()
	first, leave := context.WithCancel(ctx)
	a := p.start(first, "/news")
	b := p.start(ctx, "/news")
	leave()
	_, err := land(first, a)
	fmt.Println("first: ", err)

	close(release)
	page, err := land(ctx, b)
	fmt.Println("second:", page, err)
	// Output:
	// first:  context canceled
	// second: /news, rendering no. 1 <nil>
}
