package modeltest

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// fate is a job, and says how it ends. Several stress tests use it.
type fate int

const (
	fateReturn fate = iota
	fateFail
	fatePanic
	fateGoexit
	fates
)

// meet ends a handler in the way that the fate says.
func (f fate) meet() (fate, error) {
	switch f {
	case fateFail:
		return f, bodyError(f)
	case fatePanic:
		panic(bodyError(f))
	case fateGoexit:
		runtime.Goexit()
	}
	return f, nil
}

// TestStressResize changes the limit of workers continuously while jobs panic and end
// their goroutines. The limit holds, no job is lost, and at the end the pool can still run
// as many jobs as its limit allows.
func TestStressResize(t *testing.T) {
	noGoroutines(t)
	const most, submitters = 8, 6
	var c tally
	var running, peak atomic.Int64
	handler := func(ctx context.Context, f fate) (fate, error) {
		n := running.Add(1)
		defer running.Add(-1)
		for old := peak.Load(); n > old && !peak.CompareAndSwap(old, n); old = peak.Load() {
		}
		runtime.Gosched()
		return f.meet()
	}
	p := dispatch.Must(dispatch.New(handler, dispatch.WithWorkers(most), dispatch.WithQueue(4),
		dispatch.WithIdleTimeout(0), dispatch.WithPanicHandler(func(*dispatch.PanicError) {})))

	more := make(chan int)
	var submitting, resizing sync.WaitGroup
	for range submitters {
		submitting.Go(func() {
			for i := range more {
				_, err := p.Process(context.Background(), fate(i)%fates)
				c.add(err)
			}
		})
	}
	stop := make(chan struct{})
	resizing.Go(func() {
		random := rand.New(rand.NewPCG(3, 4))
		for {
			select {
			case <-stop:
				return
			default:
				if err := p.Resize(1 + random.IntN(most)); err != nil {
					t.Errorf("Resize: %v", err)
				}
				runtime.Gosched()
			}
		}
	})
	n := 0
	for i := range rounds(200_000) {
		more <- i
		n++
	}
	close(more)
	submitting.Wait()
	close(stop)
	resizing.Wait()
	require.LessOrEqual(t, peak.Load(), int64(most), "handlers at once")

	require.NoError(t, p.Resize(1))
	require.NoError(t, p.Wait(context.Background()))
	peak.Store(0)
	_, err := p.Map(context.Background(), make([]fate, 100))
	require.NoError(t, err)
	require.EqualValues(t, 1, peak.Load(), "handlers at once after Resize(1)")
	for range 100 {
		c.add(nil)
	}
	require.NoError(t, p.Close())
	checkEnded(t, p, &c)
	require.EqualValues(t, n+100, p.Stats().Submitted)
}
