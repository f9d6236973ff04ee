package dispatch_test

import (
	"context"
	"encoding/json"
	"expvar"
	"fmt"
	"log/slog"
	"os"
	"time"

	"example.com/dispatch"
)

// How do I watch a pool?
func ExamplePool_Stats() {
	parse := func(_ context.Context, s string) (time.Duration, error) { return time.ParseDuration(s) }
	p := dispatch.Must(dispatch.New(parse, dispatch.WithName("parser")))
	defer p.Close()

	for _, s := range []string{"1s", "2m", "later"} {
		_, _ = p.Process(context.Background(), s)
	}
	s := p.Stats()
	fmt.Printf("%s is %v: %d queued, %d running\n", s.Name, s.State, s.Queued, s.Running)
	fmt.Printf("%d submitted: %d succeeded, %d failed\n", s.Submitted, s.Succeeded, s.Failed)
	// Output:
	// parser is running: 0 queued, 0 running
	// 3 submitted: 2 succeeded, 1 failed
}

// Where do the pool's log lines go?
func ExampleWithLogger() {
	withoutTimeAndStack := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "stack" {
			return slog.Attr{}
		}
		return a
	}
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTimeAndStack}))

	job := func(context.Context, int) (int, error) { panic("oops") }
	p := dispatch.Must(dispatch.New(job, dispatch.WithName("demo"), dispatch.WithLogger(logger)))
	defer p.Close()

	_, err := p.Process(context.Background(), 1)
	fmt.Println(err)
	// Output:
	// level=ERROR msg="dispatch: job panicked" panic=oops pool=demo
	// dispatch: job panicked: oops
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
