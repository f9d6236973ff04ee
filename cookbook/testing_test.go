package cookbook_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// greeter is code that uses a pool: it names only what it needs of it. A
// *dispatch.Pool is a Worker, and so is a Handler.
type greeter struct {
	lookup dispatch.Worker[int, string] // the name of a user
}

func (g greeter) greet(ctx context.Context, id int) string {
	name, err := g.lookup.Process(ctx, id)
	switch {
	case errors.Is(err, dispatch.ErrTimeout), errors.Is(err, dispatch.ErrQueueFull):
		return "Hello! We are busy, come again"
	case err != nil:
		return "Hello, stranger: " + err.Error()
	}
	return "Hello, " + name
}

// How do I test code that uses a pool?
//
// Problem: a test of greet should not need a database, nor wait for a timeout.
//
// Solution: have the code ask for a dispatch.Worker, which has the one method
// Process. In the program it gets the pool, in most tests a Handler: a function
// that gives the answers, on the goroutine of the test. Tests about time, about
// a full queue or about the end use a real pool in a testing/synctest bubble: see
// the tests in this file.
//
// Trap: a pool belongs to the bubble in which it was made, with all its goroutines.
// Make it inside and close it inside.
func Example_testing() {
	fake := dispatch.Handler[int, string](func(_ context.Context, id int) (string, error) {
		if id == 7 {
			return "Ada", nil
		}
		return "", errors.New("no such user")
	})
	fmt.Println(greeter{fake}.greet(context.Background(), 7))
	fmt.Println(greeter{fake}.greet(context.Background(), 8))

	p := dispatch.Must(dispatch.New(fake)) // in the program
	defer p.Close()
	fmt.Println(greeter{p}.greet(context.Background(), 7))
	// Output:
	// Hello, Ada
	// Hello, stranger: no such user
	// Hello, Ada
}

// A minute passes in no time.
func TestGreetGivesUpOnASlowLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := dispatch.Must(dispatch.New(func(ctx context.Context, _ int) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		}, dispatch.WithJobTimeout(time.Minute)))
		defer p.Close()

		begun := time.Now()
		require.Equal(t, "Hello! We are busy, come again", greeter{p}.greet(t.Context(), 7))
		require.Equal(t, time.Minute, time.Since(begun))
	})
}

// synctest.Wait returns when all that is left waits: there is no sleep to guess.
func TestGreetOfABusyPoolSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p := dispatch.Must(dispatch.New(func(context.Context, int) (string, error) {
			<-release
			return "Ada", nil
		}, dispatch.WithWorkers(1), dispatch.WithQueue(0), dispatch.WithOverflow(dispatch.Reject)))
		defer p.Close()

		greetings := make(chan string, 1)
		go func() { greetings <- greeter{p}.greet(t.Context(), 7) }()
		synctest.Wait()
		require.Equal(t, 1, p.Stats().Running)
		require.Equal(t, "Hello! We are busy, come again", greeter{p}.greet(t.Context(), 7))

		close(release)
		require.Equal(t, "Hello, Ada", <-greetings)
	})
}
