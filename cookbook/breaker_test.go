package cookbook_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sony/gobreaker/v2"

	"example.com/dispatch"
)

// How do I stop calling a service that is down?
//
// Problem: each call to a dead service keeps a worker busy until the time limit.
// The queue fills up with jobs that will fail as well.
//
// Solution: a circuit breaker in the handler. After a few failures in a row it
// refuses calls at once, and after a while it lets one call through as a test.
// Inside the handler the breaker sees only real calls. Around Process it would
// also blame the service for the time that a job waits in the queue.
//
// Trap: when a caller goes away, its job ends with context.Canceled, which says
// nothing about the service. Without IsExcluded, impatient callers open the
// breaker for everyone. A timeout does say something about the service, and counts.
func Example_circuitBreaker() {
	called, busy := 0, make(chan struct{}) // there is one worker
	dial := func(ctx context.Context, host string) (string, error) {
		called++
		switch host {
		case "down.example":
			return "", errors.New("connection refused")
		case "slow.example":
			busy <- struct{}{}
			<-ctx.Done()
			return "", context.Cause(ctx)
		}
		return "hello from " + host, nil
	}
	breaker := gobreaker.NewCircuitBreaker[string](gobreaker.Settings{
		Name:        "hello",
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= 3 },
		Timeout:     time.Minute,
		IsExcluded:  func(err error) bool { return errors.Is(err, context.Canceled) },
	})
	guarded := func(ctx context.Context, host string) (string, error) {
		return breaker.Execute(func() (string, error) { return dial(ctx, host) })
	}
	p := dispatch.Must(dispatch.New(guarded, dispatch.WithWorkers(1)))
	defer p.Close()

	ctx := context.Background()
	for range 3 {
		caller, leave := context.WithCancel(ctx)
		go func() {
			<-busy
			leave()
		}()
		_, err := p.Process(caller, "slow.example")
		fmt.Println(err)
	}
	_ = p.Wait(ctx) // waits for the handlers, which may return after their callers
	fmt.Println("breaker:", breaker.State())

	for range 5 {
		_, err := p.Process(ctx, "down.example")
		fmt.Println(err, errors.Is(err, gobreaker.ErrOpenState))
	}
	fmt.Println("calls:", called, "breaker:", breaker.State())
	// Output:
	// context canceled
	// context canceled
	// context canceled
	// breaker: closed
	// connection refused false
	// connection refused false
	// connection refused false
	// circuit breaker is open true
	// circuit breaker is open true
	// calls: 6 breaker: open
}
