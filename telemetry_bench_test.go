package dispatch_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"example.com/dispatch"
)

// BenchmarkTelemetryCost gives the processor time of a job without telemetry, and
// how many times as much it is with telemetry and with empty hooks: medians of
// rounds that take turns, so give it -benchtime=100x or so.
func BenchmarkTelemetryCost(b *testing.B) {
	ctx := context.Background()
	const thousand = 1000
	ins := make([]int, thousand)
	modes := [][]dispatch.Option{
		nil,
		{dispatch.WithTelemetry()},
		{dispatch.WithHooks(dispatch.Hooks{
			Start: func(context.Context, dispatch.Job) context.Context { return nil },
			Done:  func(context.Context, dispatch.Job) {},
		})},
	}
	for _, verb := range []struct {
		name string
		run  func(p *dispatch.Pool[int, int]) // a thousand jobs
	}{
		{"Process", func(p *dispatch.Pool[int, int]) {
			for i := range thousand {
				dispatch.Must(p.Process(ctx, i))
			}
		}},
		{"Submit", func(p *dispatch.Pool[int, int]) {
			var futures [thousand]*dispatch.Future[int]
			for i := range futures {
				futures[i] = dispatch.Must(p.Submit(ctx, i))
			}
			for _, f := range futures {
				dispatch.Must(f.Wait(ctx))
			}
		}},
		{"Batch", func(p *dispatch.Pool[int, int]) { dispatch.Must(p.BatchOf(ctx, ins).Wait(ctx)) }},
		{"Map", func(p *dispatch.Pool[int, int]) { dispatch.Must(p.Map(ctx, ins)) }},
	} {
		b.Run(verb.name, func(b *testing.B) {
			pools := make([]*dispatch.Pool[int, int], len(modes))
			for i, opts := range modes {
				pools[i] = dispatch.Must(dispatch.New(increment, opts...))
				verb.run(pools[i])
			}
			repeats := 1 // a round must be long compared with the resolution of the clock
			for began := time.Now(); time.Since(began) < 2*time.Millisecond; repeats++ {
				verb.run(pools[0])
			}
			var off, on, hooks []float64
			for b.Loop() {
				var used [3]float64
				for i, p := range pools {
					began := cpuTime()
					for range repeats {
						verb.run(p)
					}
					used[i] = float64(cpuTime() - began)
				}
				off = append(off, used[0]/float64(repeats*thousand))
				on = append(on, used[1]/used[0])
				hooks = append(hooks, used[2]/used[0])
			}
			for _, p := range pools {
				_ = p.Close()
			}
			b.ReportMetric(0, "ns/op") // it has no meaning: it is a round of all three
			b.ReportMetric(middle(off), "cpu-ns/job")
			b.ReportMetric(middle(on), "telemetry/off")
			b.ReportMetric(middle(hooks), "hooks/off")
		})
	}
}

func middle(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// BenchmarkTelemetryAllocs gives what a job allocates.
func BenchmarkTelemetryAllocs(b *testing.B) {
	for _, mode := range []struct {
		name string
		opts []dispatch.Option
	}{
		{"off", nil},
		{"telemetry", []dispatch.Option{dispatch.WithTelemetry()}},
		{"hooks", []dispatch.Option{dispatch.WithHooks(dispatch.Hooks{Done: func(context.Context, dispatch.Job) {}})}},
	} {
		b.Run(mode.name, func(b *testing.B) {
			p := dispatch.Must(dispatch.New(increment, mode.opts...))
			defer p.Close()
			b.ReportAllocs()
			for b.Loop() {
				dispatch.Must(dispatch.Must(p.Submit(context.Background(), 1)).Wait(context.Background()))
			}
		})
	}
}

func BenchmarkStats(b *testing.B) {
	for _, mode := range []struct {
		name string
		opts []dispatch.Option
	}{{"off", nil}, {"telemetry", []dispatch.Option{dispatch.WithTelemetry()}}} {
		b.Run(mode.name+", 8 workers", func(b *testing.B) {
			p := dispatch.Must(dispatch.New(func(_ context.Context, n int) (int, error) {
				time.Sleep(time.Microsecond << n)
				return n, nil
			}, append(mode.opts, dispatch.WithWorkers(8))...))
			defer p.Close()
			for range 8 {
				dispatch.Must(p.Map(b.Context(), []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}))
			}
			b.ReportAllocs()
			for b.Loop() {
				_ = p.Stats()
			}
		})
	}
}
