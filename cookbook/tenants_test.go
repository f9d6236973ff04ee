package cookbook_test

import (
	"context"
	"fmt"

	"example.com/dispatch"
)

// How do I keep one large upload from taking the whole pool?
//
// Problem: one customer uploads ten thousand pictures, another one uploads two. The
// two pictures must not wait behind the ten thousand.
//
// Solution: a batch for each upload, with MaxRunning. Batches take turns item by
// item, so a short batch does not wait behind a long one anyway. MaxRunning also
// keeps workers free for uploads that arrive while the long batch runs slow items.
//
// Trap: a batch keeps its inputs and outcomes for as long as it is used, so make one
// per upload, not one per tenant. If the limit has to hold across all uploads of a
// tenant, use a pool within the pool: see Example_sharedLimit.
func Example_tenants() {
	const most = 3
	started, viewed := make(chan string, 102), make(chan struct{})
	resize := func(_ context.Context, file string) (string, error) {
		if file == "small.png" {
			return "thumb-" + file, nil
		}
		started <- file
		<-viewed
		return "thumb-" + file, nil
	}
	p := dispatch.Must(dispatch.New(resize, dispatch.WithWorkers(most+1)))
	defer p.Close()

	ctx := context.Background()
	big := p.BatchOf(ctx, make([]string, 100), dispatch.MaxRunning(most))
	for range most {
		<-started
	}
	small := p.BatchOf(ctx, []string{"small.png", "small.png"}, dispatch.MaxRunning(most))
	thumbs, err := small.Wait(ctx)
	fmt.Println(thumbs, err)
	fmt.Println("big:", big.Progress().Done, "done,", len(started), "beyond its limit")

	close(viewed)
	_, err = big.Wait(ctx)
	fmt.Println("big:", big.Progress().Done, "done,", err)
	// Output:
	// [thumb-small.png thumb-small.png] <nil>
	// big: 0 done, 0 beyond its limit
	// big: 100 done, <nil>
}
