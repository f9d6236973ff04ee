package cookbook_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"example.com/dispatch"
)

// How do I keep to a limit of calls a second?
//
// Problem: a service allows 200 calls a second. The number of workers bounds how
// many run at once, which is another thing: ten workers make ten calls a second
// or ten thousand.
//
// Solution: a rate.Limiter that all handlers wait at. The wait ends with the
// job's context, so a cancel and a deadline reach it. A worker that waits there
// is held, which is right where all jobs call that service: none could do anything
// else. Where a pool also has other jobs, wait before the submit.
//
// Trap: Wait gives up at once where the deadline would come first, with an error
// that is not context.DeadlineExceeded. Count it as a timeout, not as a fault of
// the service.
func Example_rateLimit() {
	limit := rate.NewLimiter(200, 1) // one every 5 ms
	call := func(ctx context.Context, id int) (int, error) {
		if err := limit.Wait(ctx); err != nil {
			return 0, err
		}
		return 10 * id, nil
	}
	p := dispatch.Must(dispatch.New(call, dispatch.WithWorkers(4)))
	defer p.Close()

	ctx := context.Background()
	begun := time.Now()
	outs, err := p.Map(ctx, []int{1, 2, 3, 4, 5})
	fmt.Println(outs, err, time.Since(begun) >= 4*5*time.Millisecond)

	limit.SetLimit(rate.Every(time.Hour))
	limit.Allow() // takes what has come in since
	_, err = p.ProcessTimed(ctx, 6, time.Minute)
	fmt.Println(err, errors.Is(err, context.DeadlineExceeded))
	// Output:
	// [10 20 30 40 50] <nil> true
	// rate: Wait(n=1) would exceed context deadline false
}

// How do I pace the submits, so that no worker is held?
//
// Problem: mails may go out ten a second, and the same pool renders pages.
//
// Solution: the one who feeds the pool waits. For a Stream or a StreamChan that is
// the sequence it reads from.
//
// Trap: the handlers then start a little unevenly, since a job may wait in the
// queue and the next one meet an idle worker. Where the limit is hard, wait in the
// handler.
func Example_rateLimitOfSubmits() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	limit := rate.NewLimiter(200, 1)
	paced := func(yield func(string) bool) {
		for _, to := range []string{"ada", "bob", "eve"} {
			if limit.Wait(ctx) != nil || !yield(to) {
				return
			}
		}
	}
	send := func(_ context.Context, to string) (string, error) { return "sent to " + to, nil }
	p := dispatch.Must(dispatch.New(send, dispatch.WithWorkers(4)))
	defer p.Close()

	begun := time.Now()
	for r := range p.Stream(ctx, paced) {
		fmt.Println(r.Out, r.Err)
	}
	fmt.Println(time.Since(begun) >= 2*5*time.Millisecond)
	// Output:
	// sent to ada <nil>
	// sent to bob <nil>
	// sent to eve <nil>
	// true
}
