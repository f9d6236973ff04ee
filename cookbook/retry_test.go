package cookbook_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"example.com/dispatch"
)

var errNoRoom = errors.New("no room at the server")

// How do I retry a call without holding a worker while it pauses?
//
// Problem: a retry loop in the handler sleeps on a worker. When the service is
// down, all workers sleep, and jobs that do not need the service wait behind them.
//
// Solution: retry around the pool. Each attempt is a job of its own, and the caller,
// who waits anyway, does the sleeping between them.
//
// Trap: mark the errors that are final. A closed pool stays closed, and a bad input
// stays bad; without Permanent the caller retries for 15 minutes, the default of
// backoff. A full queue is worth another try.
func Example_retry() {
	var tries atomic.Int32
	save := func(_ context.Context, file string) (string, error) {
		if file == "a.txt" && tries.Add(1) < 3 {
			return "", errNoRoom
		}
		return "saved " + file, nil
	}
	p := dispatch.Must(dispatch.New(save, dispatch.WithWorkers(1)))
	defer p.Close()

	ctx := context.Background()
	try := func() (string, error) {
		out, err := p.Process(ctx, "a.txt")
		if errors.Is(err, dispatch.ErrClosed) || errors.Is(err, dispatch.ErrStopped) {
			return "", backoff.Permanent(err)
		}
		return out, err
	}
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval = time.Millisecond
	out, err := backoff.Retry(ctx, try,
		backoff.WithBackOff(pauses),
		backoff.WithMaxTries(5),
		backoff.WithNotify(func(err error, _ time.Duration) { // during the pause the only worker is free
			b, _ := p.Process(ctx, "b.txt")
			fmt.Println(err, "- meanwhile:", b)
		}))
	fmt.Println(out, err)
	// Output:
	// no room at the server - meanwhile: saved b.txt
	// no room at the server - meanwhile: saved b.txt
	// saved a.txt <nil>
}
