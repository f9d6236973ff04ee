package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"example.com/dispatch"
)

// How do I fan out a batch and take the results as they come?
func ExampleBatch_Results() {
	square := func(_ context.Context, n int) (int, error) { return n * n, nil }
	p := dispatch.Must(dispatch.New(square, dispatch.WithWorkers(4)))
	defer p.Close()

	b := p.Batch(context.Background())
	go func() {
		defer b.Close() // no more inputs; the channel is closed after the last result
		for n := range 4 {
			_ = b.Add(n)
		}
	}()
	for r := range b.Results() {
		fmt.Println(r.In, "->", r.Out)
	}
	// Unordered output:
	// 0 -> 0
	// 1 -> 1
	// 2 -> 4
	// 3 -> 9
}

// How do I take the results of a batch in the order of its inputs?
func ExampleBatch_All() {
	parse := func(_ context.Context, s string) (time.Duration, error) { return time.ParseDuration(s) }
	p := dispatch.Must(dispatch.New(parse, dispatch.WithWorkers(4)))
	defer p.Close()

	b := p.Batch(context.Background())
	_ = b.Add("90s", "1.5h", "soon")
	for r := range b.All() {
		if r.Err != nil {
			fmt.Printf("%d: %v\n", r.Index, r.Err)
			continue
		}
		fmt.Printf("%d: %v\n", r.Index, r.Out)
	}
	// Output:
	// 0: 1m30s
	// 1: 1h30m0s
	// 2: time: invalid duration "soon"
}

// How do I get everything that worked and every error?
func ExampleBatch_Wait() {
	check := func(_ context.Context, port int) (string, error) {
		if port > 65535 {
			return "", fmt.Errorf("no such port: %d", port)
		}
		return fmt.Sprint(":", port), nil
	}
	p := dispatch.Must(dispatch.New(check))
	defer p.Close()

	b := p.Batch(context.Background())
	_ = b.Add(80, 70000, 443, 99999)
	outs, err := b.Wait(context.Background())
	fmt.Printf("%q\n", outs)
	fmt.Println(err)
	// Output:
	// [":80" "" ":443" ""]
	// item 1: no such port: 70000
	// item 3: no such port: 99999
}

// How do I run a slice that I have, and keep all outcomes?
func ExamplePool_BatchOf() {
	parse := func(_ context.Context, s string) (time.Duration, error) { return time.ParseDuration(s) }
	p := dispatch.Must(dispatch.New(parse))
	defer p.Close()

	ctx := context.Background()
	outs, err := p.BatchOf(ctx, []string{"1s", "soon", "2m"}).Wait(ctx)
	fmt.Println(outs)
	fmt.Println(err)
	// Output:
	// [1s 0s 2m0s]
	// item 1: time: invalid duration "soon"
}

// How do I wait for a batch beside other things?
func ExampleBatch_Done() {
	p := dispatch.Must(dispatch.New(double))
	defer p.Close()

	b := p.BatchOf(context.Background(), []int{1, 2, 3})
	select {
	case <-b.Done():
		fmt.Println(b.Progress().Done, "done")
	case <-time.After(time.Minute):
		fmt.Println("still at it")
	}
	// Output: 3 done
}

// How does the first error stop a batch?
func ExampleStopOnError() {
	upload := func(_ context.Context, file string) (string, error) {
		if file == "b.txt" {
			return "", errors.New("disk full")
		}
		return "stored " + file, nil
	}
	// One worker, so that the files are uploaded one after another.
	p := dispatch.Must(dispatch.New(upload, dispatch.WithWorkers(1)))
	defer p.Close()

	b := p.Batch(context.Background(), dispatch.StopOnError())
	_ = b.Add("a.txt", "b.txt", "c.txt")
	for r := range b.All() {
		fmt.Printf("%s: %q %v\n", r.In, r.Out, r.Err)
	}
	// Output:
	// a.txt: "stored a.txt" <nil>
	// b.txt: "" disk full
	// c.txt: "" dispatch: another input has stopped the batch
}

// How do I tell inputs that failed from those that were not needed any more?
func ExampleStopOnError_halted() {
	check := func(_ context.Context, n int) (int, error) {
		if n == 2 {
			return 0, errors.New("bad input")
		}
		return n, nil
	}
	p := dispatch.Must(dispatch.New(check, dispatch.WithWorkers(1)))
	defer p.Close()

	b := p.BatchOf(context.Background(), []int{1, 2, 3, 4}, dispatch.StopOnError())
	for r := range b.All() {
		switch {
		case errors.Is(r.Err, dispatch.ErrHalted):
			fmt.Println(r.In, "not needed")
		case r.Err != nil:
			fmt.Println(r.In, "failed:", r.Err)
		default:
			fmt.Println(r.In, "fine")
		}
	}
	// Output:
	// 1 fine
	// 2 failed: bad input
	// 3 not needed
	// 4 not needed
}

// How do I ask several and take the first answer?
func ExampleStopOnSuccess() {
	ask := func(ctx context.Context, mirror string) (string, error) {
		switch mirror {
		case "broken":
			return "", errors.New("connection refused")
		case "slow":
			<-ctx.Done() // given up once another mirror has answered
			return "", ctx.Err()
		}
		return "answer of " + mirror, nil
	}
	p := dispatch.Must(dispatch.New(ask, dispatch.WithWorkers(3)))
	defer p.Close()

	b := p.Batch(context.Background(), dispatch.StopOnSuccess())
	_ = b.Add("broken", "slow", "fast")
	b.Close()
	for r := range b.Results() {
		if r.Err == nil {
			fmt.Println(r.Out)
		}
	}
	// Output: answer of fast
}

// How do I show progress?
func ExampleOnProgress() {
	resize := func(_ context.Context, file string) (string, error) {
		if strings.HasSuffix(file, ".txt") {
			return "", errors.New("not an image")
		}
		return "small-" + file, nil
	}
	p := dispatch.Must(dispatch.New(resize))
	defer p.Close()

	// Calls never overlap and the numbers never fall; here they only go into a
	// variable. The last call comes before Wait returns.
	var last dispatch.Progress
	b := p.Batch(context.Background(), dispatch.OnProgress(func(now dispatch.Progress) { last = now }))
	_ = b.Add("a.png", "b.png", "c.txt")
	_, _ = b.Wait(context.Background())
	fmt.Printf("%d of %d done, %d failed\n", last.Done, last.Total, last.Failed)
	// Output: 3 of 3 done, 1 failed
}

// How do I keep one batch from taking all workers? (For a limit that outlives a
// batch, see Example_sharedLimit in the cookbook.)
func ExampleMaxRunning() {
	var running, most atomic.Int64
	job := func(context.Context, string) (int, error) {
		now := running.Add(1)
		defer running.Add(-1)
		most.Store(max(most.Load(), now))
		time.Sleep(time.Millisecond)
		return 0, nil
	}
	p := dispatch.Must(dispatch.New(job, dispatch.WithWorkers(8)))
	defer p.Close()

	ctx := context.Background()
	tenant := p.BatchOf(ctx, make([]string, 20), dispatch.MaxRunning(1))
	_, err := tenant.Wait(ctx)
	fmt.Println("at once:", most.Load(), err)
	// Output: at once: 1 <nil>
}

// How do I keep a producer from running ahead of the workers?
func ExampleMaxPending() {
	p := dispatch.Must(dispatch.New(double, dispatch.WithWorkers(2)))
	defer p.Close()

	b := p.Batch(context.Background(), dispatch.MaxPending(10))
	pending := 0
	for i := range 1000 {
		if err := b.Add(i); err != nil { // waits while ten are without an outcome
			fmt.Println(err)
			return
		}
		now := b.Progress()
		pending = max(pending, now.Total-now.Done)
	}
	outs, err := b.Wait(context.Background())
	fmt.Println(len(outs), err, pending <= 10)
	// Output: 1000 <nil> true
}
