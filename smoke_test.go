package dispatch

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"
	"testing/synctest"
	"github.com/stretchr/testify/require"
)

func inc(_ context.Context, n int) (int, error) { return n + 1, nil }

func TestSmoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := Must(New(inc, WithWorkers(4)))
		ctx := context.Background()
		for i := range 100 {
			v, err := p.Process(ctx, i)
			require.NoError(t, err)
			require.Equal(t, i+1, v)
		}
		require.EqualValues(t, 100, p.Stats().Succeeded)
		ins := make([]int, 1000)
		outs, err := p.Map(ctx, ins)
		require.NoError(t, err)
		require.Len(t, outs, 1000)
		b := p.Batch(ctx)
		require.NoError(t, b.Add(ins...))
		b.Close()
		n := 0
		for r := range b.Results() {
			require.NoError(t, r.Err)
			n++
		}
		require.Equal(t, 1000, n)
		outs, err = b.Wait(ctx)
		require.NoError(t, err)
		require.Len(t, outs, 1000)
		var fs []*Future[int]
		for i := range 3000 {
			f, err := p.Submit(ctx, i)
			require.NoError(t, err)
			fs = append(fs, f)
		}
		for i, f := range fs {
			v, err := f.Wait(ctx)
			require.NoError(t, err)
			require.Equal(t, i+1, v)
		}
		synctest.Wait()
		t.Logf("%+v", p.Stats())
		time.Sleep(10*time.Second - 1)
		synctest.Wait()
		t.Logf("%+v %d", p.Stats(), runtime.NumGoroutine())
		time.Sleep(1)
		synctest.Wait()
		t.Logf("%+v %d", p.Stats(), runtime.NumGoroutine())
		require.NoError(t, p.Close())
		_, err = p.Process(ctx, 1)
		require.ErrorIs(t, err, ErrClosed)
	})
}

func TestSmokeNest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *Pool[int, int]
		p = Must(New(func(ctx context.Context, n int) (int, error) {
			if n <= 1 {
				return n, nil
			}
			a, err := p.Process(ctx, n-1)
			if err != nil {
				return 0, err
			}
			f, err := p.Submit(ctx, n-2)
			if err != nil {
				return 0, err
			}
			b, err := f.Wait(ctx)
			if err != nil {
				return 0, err
			}
			c, err := p.Map(ctx, []int{0, 1, 0})
			if err != nil {
				return 0, err
			}
			bt := p.Batch(ctx)
			bt.Add(1, 1, 0)
			d, err := bt.Wait(ctx)
			return a + b + c[1] - 1 + d[0] - 1, err
		}, WithWorkers(1), WithQueue(0)))
		v, err := p.Process(t.Context(), 10)
		require.NoError(t, err)
		require.Equal(t, 55, v)
		synctest.Wait()
		t.Logf("%+v", p.Stats())
		p.Close()
	})
}

func TestSmokeTimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := Must(New(func(ctx context.Context, d time.Duration) (int, error) {
			if d < 0 {
				runtime.Goexit()
			}
			if d == 0 {
				panic("boom")
			}
			select {
			case <-ctx.Done():
				return 0, ctx.Err()
			case <-time.After(d):
				return 1, nil
			}
		}, WithWorkers(1), WithQueue(0)))
		start := time.Now()
		_, err := p.ProcessTimed(t.Context(), time.Hour, time.Second)
		var te *TimeoutError
		require.True(t, errors.As(err, &te))
		require.True(t, te.Ran)
		require.Equal(t, time.Second, time.Since(start))
		_, err = p.Process(t.Context(), -1)
		require.ErrorIs(t, err, ErrGoexit)
		_, err = p.Process(t.Context(), 0)
		require.ErrorContains(t, err, "boom")
		synctest.Wait()
		t.Logf("%+v", p.Stats())
		p.Close()
	})
}

func BenchmarkProcess(b *testing.B) {
	p := Must(New(inc, WithWorkers(8)))
	defer p.Close()
	b.ReportAllocs()
	for b.Loop() {
		p.Process(context.Background(), 1)
	}
}
func BenchmarkProcessCtx(b *testing.B) {
	p := Must(New(inc, WithWorkers(8)))
	defer p.Close()
	b.ReportAllocs()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for b.Loop() {
		p.Process(ctx, 1)
	}
}
func BenchmarkTimed(b *testing.B) {
	p := Must(New(inc, WithWorkers(8)))
	defer p.Close()
	b.ReportAllocs()
	for b.Loop() {
		p.ProcessTimed(context.Background(), 1, time.Second)
	}
}
func BenchmarkProcess64(b *testing.B) {
	p := Must(New(inc, WithWorkers(8)))
	defer p.Close()
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			p.Process(context.Background(), 1)
		}
	})
}
func BenchmarkSubmit(b *testing.B) {
	p := Must(New(inc, WithWorkers(8)))
	defer p.Close()
	b.ReportAllocs()
	var f *Future[int]
	for b.Loop() {
		f, _ = p.Submit(context.Background(), 1)
	}
	f.Wait(context.Background())
}
func BenchmarkFutures(b *testing.B) {
	p := Must(New(inc, WithWorkers(8)))
	defer p.Close()
	b.ReportAllocs()
	fs := make([]*Future[int], 1000)
	for i := 0; i < b.N; i += 1000 {
		for k := range fs {
			fs[k], _ = p.Submit(context.Background(), 1)
		}
		for _, f := range fs {
			f.Wait(context.Background())
		}
	}
}
func BenchmarkBatch(b *testing.B) {
	p := Must(New(inc, WithWorkers(8)))
	defer p.Close()
	b.ReportAllocs()
	ins := make([]int, 1000)
	for i := 0; i < b.N; i += 1000 {
		bt := p.Batch(context.Background())
		bt.Add(ins...)
		bt.Close()
		for range bt.Results() {
		}
	}
}
func BenchmarkMap(b *testing.B) {
	p := Must(New(inc, WithWorkers(8)))
	defer p.Close()
	b.ReportAllocs()
	ins := make([]int, 1000)
	for i := 0; i < b.N; i += 1000 {
		p.Map(context.Background(), ins)
	}
}
