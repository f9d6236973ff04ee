package modeltest

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// TestStressPause pauses and resumes a pool under load, and ends it in a pause: during a
// pause each worker starts at most one job, nobody is left waiting after it, and each job
// has its outcome.
func TestStressPause(t *testing.T) {
	noGoroutines(t)
	for i := range rounds(200) {
		within(t, time.Minute, "pausing", func() { pauseUnderLoad(t, i) })
		if t.Failed() {
			break
		}
	}
}

func pauseUnderLoad(t *testing.T, seed int) {
	const workers, users, each = 2, 4, 20
	var c tally
	var entered atomic.Int64
	p := dispatch.Must(dispatch.New(func(_ context.Context, f fate) (fate, error) {
		entered.Add(1)
		runtime.Gosched()
		return f.meet()
	}, dispatch.WithWorkers(workers), dispatch.WithQueue(3), dispatch.WithPanicHandler(func(*dispatch.PanicError) {})))

	var using sync.WaitGroup
	var left atomic.Int64
	left.Store(users)
	for user := range users {
		using.Go(func() {
			defer left.Add(-1)
			for i := range each {
				usePaused(t, p, &c, seed+user+i)
			}
		})
	}
	for left.Load() > 0 {
		p.Pause()
		before := entered.Load()
		for range seed % 50 {
			runtime.Gosched()
		}
		if n := entered.Load() - before; n > workers {
			t.Errorf("%d jobs have started in a pause", n)
		}
		if seed%3 == 0 && left.Load() < users {
			break
		}
		p.Resume()
		for range 200 { // otherwise the pool starves
			runtime.Gosched()
		}
	}
	switch seed % 9 {
	case 0:
		p.Drain()
	case 3:
		p.Resume()
	default:
		p.Stop()
	}
	using.Wait()
	require.NoError(t, p.Close())
	checkEnded(t, p, &c)
}

// usePaused submits some jobs, and waits for them.
func usePaused(t *testing.T, p *dispatch.Pool[fate, fate], c *tally, seed int) {
	f := fate(max(0, seed%43-39))
	if seed%5 == 0 {
		b := p.BatchOf(context.Background(), []fate{f, fateReturn, fateReturn})
		for r := range b.Results() {
			if r.Err != dispatch.ErrClosed { // the error of inputs that were not accepted
				c.add(r.Err)
			}
		}
		return
	}
	fut, err := p.Submit(context.Background(), f)
	if err != nil {
		if !errors.Is(err, dispatch.ErrClosed) {
			t.Errorf("Submit: %v", err)
		}
		return
	}
	_, err = fut.Wait(context.Background())
	c.add(err)
}
