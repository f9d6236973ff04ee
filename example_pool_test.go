package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"example.com/dispatch"
)

// What happens when the queue is full, and how do I not wait for room?
func ExamplePool_TrySubmit() {
	open := make(chan struct{})
	serve := func(_ context.Context, guest string) (string, error) {
		<-open
		return "served " + guest, nil
	}
	p := dispatch.Must(dispatch.New(serve, dispatch.WithWorkers(1), dispatch.WithQueue(1)))
	defer p.Close()

	ctx := context.Background()
	ada, _ := p.TrySubmit(ctx, "Ada")   // one worker
	bob, _ := p.TrySubmit(ctx, "Bob")   // and a queue of one
	_, err := p.TrySubmit(ctx, "Cindy") // take two jobs
	fmt.Println(err)

	close(open)
	fmt.Println(ada.Wait(ctx))
	fmt.Println(bob.Wait(ctx))
	// Output:
	// dispatch: queue is full
	// served Ada <nil>
	// served Bob <nil>
}

// How does a full queue turn callers away, so that a server sheds load?
func ExampleWithOverflow() {
	busy, release := make(chan struct{}), make(chan struct{})
	work := func(_ context.Context, _ string) (int, error) {
		close(busy)
		<-release
		return 200, nil
	}
	p := dispatch.Must(dispatch.New(work,
		dispatch.WithWorkers(1), dispatch.WithQueue(0), dispatch.WithOverflow(dispatch.Reject)))
	defer p.Close()

	ctx := context.Background()
	first, _ := p.Submit(ctx, "first")
	<-busy
	if _, err := p.Process(ctx, "second"); errors.Is(err, dispatch.ErrQueueFull) {
		fmt.Println("503 try again later")
	}
	close(release)
	fmt.Println(first.Wait(ctx))
	// Output:
	// 503 try again later
	// 200 <nil>
}

// How do I keep the newest jobs where the old ones are worth less?
func ExampleWithOverflow_dropOldest() {
	started, release := make(chan struct{}), make(chan struct{})
	draw := func(_ context.Context, frame int) (string, error) {
		if frame == 1 {
			close(started)
			<-release
		}
		return fmt.Sprint("drew frame ", frame), nil
	}
	p := dispatch.Must(dispatch.New(draw,
		dispatch.WithWorkers(1), dispatch.WithQueue(1), dispatch.WithOverflow(dispatch.DropOldest)))
	defer p.Close()

	ctx := context.Background()
	one, _ := p.Submit(ctx, 1)
	<-started
	two, _ := p.Submit(ctx, 2)   // waits in the queue
	three, _ := p.Submit(ctx, 3) // takes its place
	close(release)
	for _, f := range []*dispatch.Future[string]{one, two, three} {
		out, err := f.Wait(ctx)
		fmt.Printf("%q %v\n", out, err)
	}
	// Output:
	// "drew frame 1" <nil>
	// "" dispatch: job dropped from the full queue
	// "drew frame 3" <nil>
}

// How do I bound how many callers wait for room?
func ExampleWithMaxBlocked() {
	release := make(chan bool)
	p := dispatch.Must(dispatch.New(func(_ context.Context, n int) (int, error) {
		<-release
		return n, nil
	}, dispatch.WithWorkers(1), dispatch.WithQueue(0), dispatch.WithMaxBlocked(0)))
	defer p.Close()
	defer close(release)

	ctx := context.Background()
	_, err := p.Submit(ctx, 1)
	fmt.Println(err)
	_, err = p.Submit(ctx, 2) // would have to wait for the first
	fmt.Println(err)
	// Output:
	// <nil>
	// dispatch: queue is full
}

// How do jobs that nobody waits for end before the program does?
func ExamplePool_Wait() {
	var sum atomic.Int64
	add := func(_ context.Context, n int) (struct{}, error) {
		sum.Add(int64(n))
		return struct{}{}, nil
	}
	p := dispatch.Must(dispatch.New(add))
	defer p.Close()

	ctx := context.Background()
	for n := range 101 {
		_, _ = p.Submit(ctx, n)
	}
	_ = p.Wait(ctx) // like a sync.WaitGroup that counts the jobs; the pool stays open
	fmt.Println(sum.Load())
	// Output: 5050
}

// How do I shut down and lose nothing?
func ExamplePool_Close() {
	var stored atomic.Int32
	store := func(_ context.Context, _ string) (struct{}, error) {
		stored.Add(1)
		return struct{}{}, nil
	}
	p := dispatch.Must(dispatch.New(store))

	ctx := context.Background()
	for _, record := range []string{"a", "b", "c"} {
		_, _ = p.Submit(ctx, record)
	}
	_ = p.Close() // runs all that was accepted
	_, err := p.Submit(ctx, "d")
	fmt.Println(stored.Load(), err)
	// Output: 3 dispatch: pool is closed
}

// How do I shut down within a budget of time?
func ExamplePool_Shutdown() {
	started := make(chan struct{})
	send := func(ctx context.Context, mail string) (struct{}, error) {
		close(started)
		<-ctx.Done() // a server that does not answer
		return struct{}{}, ctx.Err()
	}
	p := dispatch.Must(dispatch.New(send, dispatch.WithWorkers(1)))

	sending, _ := p.Submit(context.Background(), "invoice")
	<-started
	waiting, _ := p.Submit(context.Background(), "newsletter")

	budget, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	fmt.Println("shutdown:", p.Shutdown(budget)) // the budget is spent, so it becomes a Stop
	fmt.Println("unsent:", p.Stop())
	<-p.Done() // the handler has returned, because its context is done

	for _, f := range []*dispatch.Future[struct{}]{sending, waiting} {
		_, err := f.Wait(context.Background())
		fmt.Println(err)
	}
	// Output:
	// shutdown: context deadline exceeded
	// unsent: [newsletter]
	// dispatch: pool stopped
	// dispatch: pool stopped
}

// How do I stop at once and keep what has not been started?
func ExamplePool_Stop() {
	started := make(chan struct{})
	crawl := func(ctx context.Context, _ string) (int, error) {
		close(started)
		<-ctx.Done()
		return 0, context.Cause(ctx) // ErrStopped
	}
	p := dispatch.Must(dispatch.New(crawl, dispatch.WithWorkers(1)))

	ctx := context.Background()
	for _, page := range []string{"/", "/about", "/news"} {
		_, _ = p.Submit(ctx, page)
	}
	<-started
	fmt.Println("to be crawled next time:", p.Stop())
	fmt.Println("given back once:", p.Stop())
	<-p.Done()
	// Output:
	// to be crawled next time: [/about /news]
	// given back once: []
}

// How does a job end its own pool?
func ExamplePool_Drain() {
	var p *dispatch.Pool[string, int]
	p = dispatch.Must(dispatch.New(func(_ context.Context, command string) (int, error) {
		if command == "quit" {
			p.Drain() // Close would wait for this very job
		}
		return len(command), nil
	}))
	fmt.Println(p.Process(context.Background(), "quit"))
	<-p.Done()
	_, err := p.Process(context.Background(), "hello?")
	fmt.Println(errors.Is(err, dispatch.ErrClosed))
	// Output:
	// 4 <nil>
	// true
}

// How does a pool end with the program's context?
func ExampleWithContext() {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	started := make(chan bool, 1)
	p := dispatch.Must(dispatch.New(func(ctx context.Context, n int) (int, error) {
		started <- true
		<-ctx.Done()
		return n, ctx.Err()
	}, dispatch.WithContext(ctx)))

	fut, err := p.Submit(context.Background(), 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	<-started
	cancel(errors.New("interrupt"))
	<-p.Done()
	_, err = fut.Wait(context.Background())
	fmt.Println(errors.Is(err, dispatch.ErrStopped), err)
	// Output: true dispatch: pool stopped: interrupt
}

// How do I hold jobs back for a while?
func ExamplePool_Pause() {
	p := dispatch.Must(dispatch.New(double, dispatch.WithWorkers(2)))
	defer p.Close()

	p.Pause() // for a restart of the database, say
	fut, err := p.Submit(context.Background(), 21)
	if err != nil {
		fmt.Println(err)
		return
	}
	s := p.Stats()
	fmt.Println("paused:", s.Paused, "running:", s.Running, "queued:", s.Queued)
	p.Resume()
	fmt.Println(fut.Wait(context.Background()))
	// Output:
	// paused: true running: 0 queued: 1
	// 42 <nil>
}

// How do I connect all workers before the first job comes?
func ExamplePool_Prestart() {
	connect := func(context.Context) (dispatch.Worker[int, int], error) {
		return nil, errors.New("no route to host")
	}
	p := dispatch.Must(dispatch.NewWorkers(connect, dispatch.WithWorkers(4), dispatch.WithMinWorkers(4)))
	defer p.Close()

	if err := p.Prestart(context.Background()); err != nil {
		fmt.Println("cannot start:", err)
	}
	// Output: cannot start: no route to host
}

// How do I change the number of workers while the pool works?
func ExamplePool_Resize() {
	met := make(chan string)
	// Each caller gets the name of the other: with one worker they cannot meet.
	meet := func(_ context.Context, name string) (string, error) {
		select {
		case met <- name:
			return <-met, nil
		case other := <-met:
			met <- name
			return other, nil
		}
	}
	p := dispatch.Must(dispatch.New(meet, dispatch.WithWorkers(1)))
	defer p.Close()

	ctx := context.Background()
	ada, _ := p.Submit(ctx, "Ada")
	bob, _ := p.Submit(ctx, "Bob")
	if err := p.Resize(2); err != nil {
		fmt.Println(err)
	}
	fmt.Println(ada.Wait(ctx))
	fmt.Println(bob.Wait(ctx))
	// Output:
	// Bob <nil>
	// Ada <nil>
}
