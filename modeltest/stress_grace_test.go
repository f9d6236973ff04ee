package modeltest

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// TestStressGrace runs pairs of jobs on one worker. The first of a pair is
// canceled and returns as close to the end of its grace as can be, so that it is
// written off, or just not; the second follows at once, and must not be written
// off in its place.
func TestStressGrace(t *testing.T) {
	noGoroutines(t)
	const grace = 20 * time.Microsecond
	p := dispatch.Must(dispatch.New(func(ctx context.Context, j graceJob) (bool, error) { return j(ctx), nil },
		dispatch.WithWorkers(1), dispatch.WithGrace(grace, 1)))
	stop := make(chan struct{})
	var looking sync.WaitGroup
	defer looking.Wait()
	defer close(stop)
	for range 2 { // keep the end of a grace waiting for the pool's mutex
		looking.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					p.Stats()
				}
			}
		})
	}
	random := rand.New(rand.NewPCG(7, 8))
	for range rounds(5_000) {
		var returned atomic.Bool
		entered := make(chan struct{})
		first, err := p.Submit(context.Background(), func(ctx context.Context) bool {
			defer returned.Store(true)
			close(entered)
			<-ctx.Done()
			spin(grace - 5*time.Microsecond + time.Duration(random.IntN(30_000)))
			return false
		})
		require.NoError(t, err)
		<-entered
		second, err := p.Submit(context.Background(), func(context.Context) bool {
			return onlyStray(p, &returned)
		})
		require.NoError(t, err)
		require.True(t, first.Cancel())
		if _, err := first.Wait(context.Background()); !errors.Is(err, context.Canceled) {
			t.Fatalf("the first job ended with %v", err)
		}
		if alone, err := second.Wait(context.Background()); err != nil || !alone {
			t.Fatalf("the second job was written off, %v: %+v", err, p.Stats())
		}
	}
	require.NoError(t, p.Close())
	checkEnded(t, p, nil)
}

// graceJob is a job that does what it is.
type graceJob func(context.Context) bool

// onlyStray waits, in the second job, until the first has returned and is no
// stray any more. If there is still one then, it is the second job itself.
func onlyStray(p *dispatch.Pool[graceJob, bool], returned *atomic.Bool) bool {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); spin(time.Microsecond) {
		if returned.Load() && p.Stats().Strays == 0 {
			return true
		}
	}
	return false
}
