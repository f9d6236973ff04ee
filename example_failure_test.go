package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"example.com/dispatch"
)

// What becomes of a panic?
func ExamplePanicError() {
	first := func(_ context.Context, words []string) (string, error) { return words[0], nil }
	// Panics are logged, too; here the log is thrown away.
	p := dispatch.Must(dispatch.New(first, dispatch.WithLogger(slog.New(slog.DiscardHandler))))
	defer p.Close()

	_, err := p.Process(context.Background(), nil)
	if panicked, ok := errors.AsType[*dispatch.PanicError](err); ok {
		fmt.Println(panicked.Value)
		fmt.Println("a stack:", len(panicked.Stack) > 0)
	}
	if _, ok := errors.AsType[runtime.Error](err); ok {
		fmt.Println("a panic of the Go runtime")
	}
	fmt.Println(p.Process(context.Background(), []string{"still", "alive"}))
	// Output:
	// runtime error: index out of range [0] with length 0
	// a stack: true
	// a panic of the Go runtime
	// still <nil>
}

// How do I hear of every panic in one place?
func ExampleWithPanicHandler() {
	job := func(_ context.Context, n int) (int, error) { panic(fmt.Sprint("no idea what to do with ", n)) }
	p := dispatch.Must(dispatch.New(job, dispatch.WithPanicHandler(func(e *dispatch.PanicError) {
		fmt.Println("report:", e.Value)
	})))
	defer p.Close()

	_, _ = p.Submit(context.Background(), 13) // nobody reads this future
	_ = p.Wait(context.Background())
	// Output: report: no idea what to do with 13
}

// What if a job ends its goroutine, as a failing assertion of a test does?
func ExamplePool_Process_goexit() {
	job := func(_ context.Context, n int) (int, error) {
		if n < 0 {
			runtime.Goexit()
		}
		return n, nil
	}
	p := dispatch.Must(dispatch.New(job, dispatch.WithWorkers(1)))
	defer p.Close()

	_, err := p.Process(context.Background(), -1)
	fmt.Println(errors.Is(err, dispatch.ErrGoexit))
	fmt.Println(p.Process(context.Background(), 1)) // the worker has been replaced
	// Output:
	// true
	// 1 <nil>
}

// How do I live with a handler that ignores its context?
func ExampleWithGrace() {
	started, hung := make(chan struct{}), make(chan struct{})
	scan := func(_ context.Context, file string) (string, error) {
		if file == "/dev/tape" {
			close(started)
			<-hung // whatever its context says
		}
		return "scanned " + file, nil
	}
	p := dispatch.Must(dispatch.New(scan, dispatch.WithWorkers(1),
		dispatch.WithGrace(time.Millisecond, 1))) // at most one is written off at a time
	defer p.Close() // waits for strays as well

	ctx := context.Background()
	tape, _ := p.Submit(ctx, "/dev/tape")
	<-started
	tape.Cancel()
	fmt.Println(p.Process(ctx, "a.txt")) // runs on a worker that takes its place
	fmt.Println("strays:", p.Stats().Strays)
	close(hung)
	// Output:
	// scanned a.txt <nil>
	// strays: 1
}
