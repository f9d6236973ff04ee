package dispatch_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// Some things cost no more where there is more of others (G17).

// Each Add counted all that waited, with the mutex held.
func TestG17AddCostsTheSameHoweverManyInputsWait(t *testing.T) {
	p := openPool(t, double, dispatch.WithWorkers(2))
	p.Pause()
	ins := make([]int, 100)
	took := func(adds int) time.Duration {
		b := p.Batch(context.Background())
		defer b.Cancel()
		begin := time.Now()
		for range adds {
			require.NoError(t, b.Add(ins...))
		}
		return time.Since(begin) / time.Duration(adds)
	}
	few, many := took(1000), took(20_000)
	require.Less(t, many, 10*few+20*time.Microsecond)
}

// Stats, and each end of a job while somebody waits for the last, looked at every
// batch that was open.
func TestG17StatsCostsNoMoreWithManyBatches(t *testing.T) {
	requireClock(t)
	const n = 50_000 / slow
	bg := context.Background()
	f := flags{make(chan struct{})}
	p := dispatch.Must(dispatch.New(f.handle, dispatch.WithWorkers(1)))
	_, err := p.Submit(bg, cargo{3})
	require.NoError(t, err)
	for range n {
		require.NoError(t, p.Batch(bg).Add(cargo{}))
	}
	const calls = 200
	begin := time.Now()
	for range calls {
		require.Equal(t, n, p.Stats().Queued)
	}
	require.Less(t, time.Since(begin)/calls, 100*time.Microsecond, "a call of Stats")
	close(f.gate)
	require.NoError(t, p.Close())
}

// Stream moved its look-ahead by one for each outcome.
func TestG17AStreamThatIsFarAheadCostsNoMore(t *testing.T) {
	requireClock(t)
	const n = 150_000 / slow
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
	var begin time.Time
	for range p.Stream(context.Background(), ins) {
		if begin.IsZero() {
			begin = time.Now()
		}
	}
	require.Less(t, time.Since(begin), 600*time.Millisecond, "for %d outcomes", n)
	require.NoError(t, p.Close())
}

// A job that waits for many others at once looked at all of them, for each.
func TestG17AJobMayWaitForManyAtOnce(t *testing.T) {
	requireClock(t)
	const n = 50_000 / slow
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
	begin := time.Now()
	_, err := p.Process(context.Background(), 1)
	require.NoError(t, err)
	require.Less(t, time.Since(begin), 5*time.Second)
	require.NoError(t, p.Close())
}
