package dispatch_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// Operations whose cost must not grow with the number of other jobs, batches or waits
// (G17).

// Regression: each Add counted all waiting inputs, with the mutex held.
func TestG17AddCostsTheSameHoweverManyInputsWait(t *testing.T) {
	p := openPool(t, double, dispatch.WithWorkers(2))
	p.Pause()
	b := p.Batch(context.Background())
	defer b.Cancel()
	ins := make([]int, 100)
	const adds = 20_000
	took := make([]time.Duration, adds)
	for i := range took {
		begin := time.Now()
		require.NoError(t, b.Add(ins...))
		took[i] = time.Since(begin)
	}
	early, late := median(took[:adds/20]), median(took[adds-adds/20:])
	require.Less(t, late, 5*early+5*time.Microsecond)
}

func median(ds []time.Duration) time.Duration {
	slices.Sort(ds)
	return ds[len(ds)/2]
}

// Regression: Stats, and each end of a job while somebody was in Wait, looked at every open
// batch.
func TestG17StatsCostsNoMoreWithManyBatches(t *testing.T) {
	requireClock(t)
	took := func(batches int) time.Duration {
		bg := context.Background()
		f := flags{make(chan struct{})}
		p := dispatch.Must(dispatch.New(f.handle, dispatch.WithWorkers(1)))
		_, err := p.Submit(bg, cargo{3})
		require.NoError(t, err)
		for range batches {
			require.NoError(t, p.Batch(bg).Add(cargo{}))
		}
		eventually(t, "it runs", func() bool { return p.Stats().Running == 1 })
		least := time.Hour
		for range 1000 {
			begin := time.Now()
			s := p.Stats()
			least = min(least, time.Since(begin))
			require.Equal(t, batches, s.Queued)
		}
		close(f.gate)
		require.NoError(t, p.Close())
		return least
	}
	require.Less(t, took(50_000), 4*took(100)+5*time.Microsecond)
}

// Regression: Stream moved its look-ahead by one for each outcome.
func TestG17AStreamThatIsFarAheadCostsNoMore(t *testing.T) {
	requireClock(t)
	requireProportion(t, 150_000, func(t *testing.T, n int) time.Duration {
		t.Helper()
		f := flags{make(chan struct{})}
		p := dispatch.Must(dispatch.New(f.handle, dispatch.WithWorkers(n), dispatch.WithQueue(dispatch.Unlimited)))
		ins := func(yield func(cargo) bool) {
			for i := range n {
				in := cargo{}
				if i == 0 {
					in[0] = 3
				}
				if !yield(in) {
					return
				}
			}
			close(f.gate)
		}
		var watch stopwatch
		for range p.Stream(context.Background(), ins) {
			if watch == (stopwatch{}) {
				watch = startStopwatch()
			}
		}
		took := watch.took()
		require.NoError(t, p.Close())
		return took
	})
}

// Regression: a job that waited for many others at once looked at all of them for each one.
func TestG17AJobMayWaitForManyAtOnce(t *testing.T) {
	requireClock(t)
	requireProportion(t, 24_000, func(t *testing.T, n int) time.Duration {
		t.Helper()
		var p *dispatch.Pool[int, int]
		p = dispatch.Must(dispatch.New(func(ctx context.Context, in int) (int, error) {
			if in == 0 {
				return in, nil
			}
			var all sync.WaitGroup
			for range n {
				all.Go(func() { _, _ = p.Process(ctx, 0) })
			}
			all.Wait()
			return in, nil
		}, dispatch.WithWorkers(1), dispatch.WithQueue(dispatch.Unlimited)))
		watch := startStopwatch()
		_, err := p.Process(context.Background(), 1)
		took := watch.took()
		require.NoError(t, err)
		require.NoError(t, p.Close())
		return took
	})
}
