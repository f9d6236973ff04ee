package modeltest

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// tenant is the items of one bounded batch.
type tenant struct {
	running    atomic.Int64
	most       int64
	maxPending int
	fate       fate
}

// TestStressBounds runs many batches with MaxRunning or MaxPending at once: no batch goes
// beyond its bound, and none is left behind.
func TestStressBounds(t *testing.T) {
	noGoroutines(t)
	p := dispatch.Must(dispatch.New(func(_ context.Context, of *tenant) (int, error) {
		if n := of.running.Add(1); n > of.most {
			t.Errorf("%d items of a batch run at once, and %d may", n, of.most)
		}
		runtime.Gosched()
		of.running.Add(-1)
		_, err := of.fate.meet()
		return 0, err
	}, dispatch.WithWorkers(4), dispatch.WithPanicHandler(func(*dispatch.PanicError) {})))

	sharing(t, "bounded batches", 4, rounds(3_000), func(seed int) { rent(t, p, rand.New(rand.NewPCG(uint64(seed), 7))) })
	within(t, time.Minute, "Close", func() { require.NoError(t, p.Close()) })
	checkEnded(t, p, nil)
}

// rent runs one batch with bounds. Several goroutines add to it, and it may be ended
// meanwhile.
func rent(t *testing.T, p *dispatch.Pool[*tenant, int], random *rand.Rand) {
	const adders, each = 3, 20
	of := &tenant{most: 1 + random.Int64N(3), maxPending: 1 + random.IntN(5)}
	opts := []dispatch.BatchOption{dispatch.MaxRunning(int(of.most)), dispatch.MaxPending(of.maxPending)}
	ends := random.IntN(4)
	if ends == 3 {
		of.fate = fateFail
		opts = append(opts, dispatch.StopOnError())
	}
	b := p.Batch(context.Background(), opts...)
	var adding sync.WaitGroup
	for range adders {
		adding.Go(func() {
			for i := 0; i < each; i += 4 {
				err := b.Add(of, of, of, of)
				if err != nil && ends == 0 {
					t.Errorf("Add: %v", err)
				}
				if pr := b.Progress(); pr.Total-pr.Done > of.maxPending {
					t.Errorf("%+v, and %d may be pending", pr, of.maxPending)
				}
			}
		})
	}
	switch ends {
	case 1:
		b.Close()
	case 2:
		runtime.Gosched()
		b.Cancel()
	}
	adding.Wait()
	b.Close()
	<-b.Done()
	if pr := b.Progress(); pr.Done != pr.Total || ends == 0 && pr.Total != adders*each {
		t.Errorf("a batch has ended with %+v", pr)
	}
}
