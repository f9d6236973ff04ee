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
// Problem: each call to a dead service takes its whole time limit on a worker.
// The queue fills up with jobs that will fail as well.
//
// Solution: a circuit breaker in the handler. After some failures in a row it
// refuses calls at once, and lets one through after a while to see. In the
// handler it sees real calls only: around Process, the time that a job waits in
// the queue would count against the service.
//
// Trap: a caller that goes away ends its job with context.Canceled, which says
// nothing about the service. Without IsExcluded, impatient callers open the
// breaker for all. A timeout does say something, and counts.
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
	_ = p.Wait(ctx) // until the handlers have returned as well
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
