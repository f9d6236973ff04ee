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

// greeter is code that uses a pool. It asks only for the interface that it needs:
// both *dispatch.Pool and dispatch.Handler implement dispatch.Worker.
type greeter struct {
	lookup dispatch.Worker[int, string] // returns the name of a user
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
// Problem: a test of greet should need no database, and should not wait for a timeout.
//
// Solution: let the code take a dispatch.Worker, an interface with the one method
// Process. The program passes the pool. Most tests pass a Handler, a function that
// returns the answers on the goroutine of the test. Tests about time, a full queue
// or the shutdown use a real pool in a testing/synctest bubble: see the tests in this
// file.
//
// Trap: a pool and all its goroutines belong to the bubble in which the pool was
// made. Make and close the pool inside the bubble.
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

// In the bubble a minute passes at once.
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

// synctest.Wait returns when all other goroutines of the bubble are blocked: the test
// needs no sleep of a guessed length.
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
