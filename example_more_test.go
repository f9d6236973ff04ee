package dispatch_test

import (
	"context"
	"encoding/json"
	"errors"
	"expvar"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"example.com/dispatch"
)

// How do I run closures of one kind?
func ExampleCall() {
	ctx := context.Background()
	p := dispatch.Must(dispatch.New(dispatch.Call[string], dispatch.WithWorkers(4)))
	defer p.Close()

	name := "gopher"
	greeting, err := p.Process(ctx, func(context.Context) (string, error) { return "hello, " + name, nil })
	fmt.Println(greeting, err)
	// Output: hello, gopher <nil>
}

// What if a job has no output?
func ExampleDo() {
	remove := func(_ context.Context, name string) error { return os.Remove(name) }
	p := dispatch.Must(dispatch.New(dispatch.Do(remove)))
	defer p.Close()

	_, err := p.Process(context.Background(), "no/such/file")
	fmt.Println(errors.Is(err, os.ErrNotExist))
	// Output: true
}

// How do I have results as they come, of an input that is long?
func ExampleUnordered() {
	wait := func(_ context.Context, ms int) (int, error) {
		time.Sleep(time.Duration(ms) * time.Millisecond)
		return ms, nil
	}
	p := dispatch.Must(dispatch.New(wait, dispatch.WithWorkers(3)))
	defer p.Close()

	for r := range p.Stream(context.Background(), slices.Values([]int{200, 1, 100}), dispatch.Unordered()) {
		fmt.Println(r.Index, r.Out, r.Err)
	}
	// Output:
	// 1 1 <nil>
	// 2 100 <nil>
	// 0 200 <nil>
}

// How do I keep a stream from reading far ahead?
func ExampleLookAhead() {
	p := dispatch.Must(dispatch.New(double, dispatch.WithWorkers(8)))
	defer p.Close()

	read := 0
	rows := func(yield func(int) bool) {
		for read < 1000 {
			read++
			if !yield(read) {
				return
			}
		}
	}
	for r := range p.Stream(context.Background(), rows, dispatch.LookAhead(1)) {
		if r.Out == 6 {
			break
		}
	}
	fmt.Println("rows read:", read)
	// Output: rows read: 3
}

// How do I put a pool between two stages that talk through channels?
func ExamplePool_StreamChan() {
	p := dispatch.Must(dispatch.New(func(_ context.Context, s string) (int, error) { return len(s), nil }))
	defer p.Close()

	words := make(chan string)
	go func() {
		defer close(words)
		for word := range strings.FieldsSeq("the quick brown fox") {
			words <- word
		}
	}()
	for r := range p.StreamChan(context.Background(), words) {
		fmt.Println(r.In, r.Out)
	}
	// Output:
	// the 3
	// quick 5
	// brown 5
	// fox 3
}

// How do I tell whether a stream is complete?
func ExamplePool_Stream_end() {
	p := dispatch.Must(dispatch.New(double, dispatch.WithWorkers(1)))
	defer p.Close()

	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	for r := range p.Stream(ctx, slices.Values([]int{1, 2, 3})) {
		switch {
		case r.Index < 0:
			fmt.Println("ended early:", r.Err)
		case r.Err != nil:
			fmt.Println("job", r.Index, "failed:", r.Err)
		default:
			fmt.Println(r.Out)
			cancel(errors.New("enough"))
		}
	}
	// Output:
	// 2
	// ended early: enough
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

// How do I keep one tenant from taking all workers?
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

// What is the cheapest way to bound short calls?
func ExampleWithInline() {
	p := dispatch.Must(dispatch.New(double, dispatch.WithWorkers(4), dispatch.WithInline()))
	defer p.Close()

	out, err := p.Process(context.Background(), 21) // on this goroutine
	fmt.Println(out, err, p.Stats().Workers)
	// Output: 42 <nil> 0
}

// How long do jobs wait and run?
func ExampleWithTelemetry() {
	p := dispatch.Must(dispatch.New(func(context.Context, int) (int, error) {
		time.Sleep(20 * time.Millisecond)
		return 0, nil
	}, dispatch.WithWorkers(1), dispatch.WithTelemetry()))

	ctx := context.Background()
	_, _ = p.BatchOf(ctx, []int{1, 2, 3}).Wait(ctx)
	p.Close()
	s := p.Stats()
	fmt.Println(s.Run.Count(), s.Run.Mean() >= 20*time.Millisecond)
	fmt.Println(s.Wait.Count(), s.Wait.Quantile(1) > 30*time.Millisecond) // the last waited for two
	// Output:
	// 3 true
	// 3 true
}

// How do I have a pool among the variables of package expvar?
func ExamplePool_Stats_expvar() {
	p := dispatch.Must(dispatch.New(double, dispatch.WithName("numbers"), dispatch.WithTelemetry()))
	defer p.Close()

	var vars expvar.Map // in a program: expvar.Publish("numbers", ...)
	vars.Set("numbers", expvar.Func(func() any { return p.Stats() }))

	_, _ = p.Map(context.Background(), []int{1, 2, 3})
	var shown struct {
		State     string
		Succeeded int
		Run       struct{ Count int }
	}
	err := json.Unmarshal([]byte(vars.Get("numbers").String()), &shown)
	fmt.Println(shown.State, shown.Succeeded, shown.Run.Count, err)
	// Output: running 3 3 <nil>
}

// How do I log each job that fails?
func ExampleWithHooks() {
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "wait" || a.Key == "run" {
				return slog.Attr{} // they differ from run to run
			}
			return a
		},
	}))
	p := dispatch.Must(dispatch.New(failOdd, dispatch.WithName("numbers"),
		dispatch.WithLabel(func(n int) string { return fmt.Sprint("no. ", n) }),
		dispatch.WithHooks(dispatch.Hooks{
			Done: func(ctx context.Context, j dispatch.Job) {
				if j.Err != nil {
					log.WarnContext(ctx, "job failed", "job", j)
				}
			},
		})))
	defer p.Close()

	for n := range 3 {
		_, _ = p.Process(context.Background(), n)
	}
	// Output: level=WARN msg="job failed" job.outcome=failed job.pool=numbers job.label="no. 1" job.error=odd
}

// What is the pool doing right now?
func ExamplePool_Running() {
	started, release := make(chan bool), make(chan bool)
	p := dispatch.Must(dispatch.New(func(_ context.Context, name string) (int, error) {
		started <- true
		<-release
		return len(name), nil
	}, dispatch.WithLabel(func(name string) string { return name })))
	defer p.Close()

	_, _ = p.Submit(context.Background(), "report.pdf")
	<-started
	for _, j := range p.Running() {
		fmt.Println(j.Label, "on worker", j.Worker, j.Outcome)
	}
	close(release)
	// Output: report.pdf on worker 1 pending
}

// What failed last, and why?
func ExamplePool_Failures() {
	p := dispatch.Must(dispatch.New(failOdd, dispatch.WithLabel(func(n int) string { return fmt.Sprint("no. ", n) })))
	defer p.Close()

	for n := range 5 {
		_, _ = p.Process(context.Background(), n)
	}
	for _, j := range p.Failures() {
		fmt.Println(j.Label, j.Outcome, j.Err)
	}
	// Output:
	// no. 3 failed odd
	// no. 1 failed odd
}
