package dispatch_test

import (
	"context"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// stopWhileDraining has Stop come while Drain tells all that the pool takes no more.
func stopWhileDraining(t *testing.T, p *dispatch.Pool[int, int]) {
	t.Helper()
	go p.Drain()
	for p.Stats().State == dispatch.Running {
		runtime.Gosched()
	}
	p.Stop()
	requireSoon(t, p.Done(), "the end")
}

func TestG11StopEndsTheBatchesThatADrainHasNotComeTo(t *testing.T) {
	for range 3 {
		p := openPool(t, double, dispatch.WithWorkers(1))
		p.Pause()
		for range 20_000 / slow {
			require.NoError(t, p.Batch(context.Background()).Add(1, 2))
		}
		stopWhileDraining(t, p)
	}
}

func TestG11StopEndsWithSubmittersThatADrainHasNotRefused(t *testing.T) {
	for range 3 {
		p := openPool(t, double, dispatch.WithWorkers(1), dispatch.WithQueue(1))
		p.Pause()
		n := 5_000 / slow
		returned := make(chan error, n)
		for range n {
			go func() {
				_, err := p.Process(context.Background(), 1)
				returned <- err // ErrClosed, or ErrStopped, or none: the Drain has ended the Pause
			}()
		}
		eventually(t, "all but two are blocked", func() bool { return p.Stats().Blocked == n-2 })
		stopWhileDraining(t, p)
		for range n {
			<-returned
		}
	}
}
