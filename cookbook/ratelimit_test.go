package cookbook_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"example.com/dispatch"
)

// How do I limit the number of calls per second?
//
// Problem: a service allows 200 calls per second. The number of workers does not
// bound that: it bounds how many calls run at once, and ten workers may make ten
// calls per second or ten thousand.
//
// Solution: all handlers wait on a rate.Limiter. The wait ends with the job's
// context, so a cancel or a deadline ends it. A waiting handler keeps its worker.
// That is fine if all jobs call this service, since none of them could run anyway.
// If the pool has other jobs too, wait before the submit.
//
// Trap: Limiter.Wait gives up at once if the deadline would come first, with an error
// that is not context.DeadlineExceeded. Count that error as a timeout, not as a
// failure of the service.
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
	limit.Allow() // takes the token that has become available since
	_, err = p.ProcessTimed(ctx, 6, time.Minute)
	fmt.Println(err, errors.Is(err, context.DeadlineExceeded))
	// Output:
	// [10 20 30 40 50] <nil> true
	// rate: Wait(n=1) would exceed context deadline false
}

// How do I pace the submits, so that no worker has to wait?
//
// Problem: ten mails per second may be sent, and the same pool renders pages.
//
// Solution: the code that submits waits. For a Stream that is the sequence of its
// inputs, and for a StreamChan the goroutine that sends to the channel.
//
// Trap: the handlers then start a little unevenly, since one job may wait in the
// queue while the next one finds an idle worker. If the limit is strict, wait in the
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
