package dispatch_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"example.com/dispatch"
)

// These benchmarks compare the cost of a job with what Go itself offers: a go statement,
// and a channel of workers. Module bench compares with other pools.

func increment(_ context.Context, n int) (int, error) { return n + 1, nil }

func BenchmarkOneCall(b *testing.B) {
	ctx := context.Background()
	b.Run("Process", func(b *testing.B) {
		p := dispatch.Must(dispatch.New(increment))
		defer p.Close()
		b.ReportAllocs()
		for b.Loop() {
			dispatch.Must(p.Process(ctx, 1))
		}
	})
	b.Run("ProcessTimed", func(b *testing.B) {
		p := dispatch.Must(dispatch.New(increment))
		defer p.Close()
		b.ReportAllocs()
		for b.Loop() {
			dispatch.Must(p.ProcessTimed(ctx, 1, time.Minute))
		}
	})
	b.Run("go statement", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			out := make(chan int, 1)
			go func() {
				n, _ := increment(ctx, 1)
				out <- n
			}()
			<-out
		}
	})
}

// BenchmarkThousand takes a thousand inputs; its ns/op and allocs/op are for all
// of them.
func BenchmarkThousand(b *testing.B) {
	ctx := context.Background()
	const n = 1000
	ins := make([]int, n)
	b.Run("Map", func(b *testing.B) {
		p := dispatch.Must(dispatch.New(increment))
		defer p.Close()
		b.ReportAllocs()
		for b.Loop() {
			dispatch.Must(p.Map(ctx, ins))
		}
	})
	b.Run("Batch", func(b *testing.B) {
		p := dispatch.Must(dispatch.New(increment))
		defer p.Close()
		b.ReportAllocs()
		for b.Loop() {
			batch := p.Batch(ctx)
			_ = batch.Add(ins...)
			dispatch.Must(batch.Wait(ctx))
		}
	})
	b.Run("Submit", func(b *testing.B) {
		p := dispatch.Must(dispatch.New(increment))
		defer p.Close()
		b.ReportAllocs()
		futures := make([]*dispatch.Future[int], n)
		for b.Loop() {
			for i := range futures {
				futures[i] = dispatch.Must(p.Submit(ctx, i))
			}
			for _, f := range futures {
				dispatch.Must(f.Wait(ctx))
			}
		}
	})
	b.Run("channel of workers", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			jobs, outs := make(chan int), make([]int, n)
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() {
					for i := range jobs {
						outs[i], _ = increment(ctx, ins[i])
					}
				})
			}
			for i := range ins {
				jobs <- i
			}
			close(jobs)
			wg.Wait()
		}
	})
}
