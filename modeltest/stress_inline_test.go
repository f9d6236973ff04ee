package modeltest

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// TestStressInline lets callers run their jobs inline beside workers while the limit
// changes: there are never more handlers than allowed, each job has its outcome, and each
// caller returns its slot.
func TestStressInline(t *testing.T) {
	noGoroutines(t)
	const most, callers = 3, 4
	var c tally
	var running atomic.Int64
	p := dispatch.Must(dispatch.New(func(_ context.Context, f fate) (fate, error) {
		if n := running.Add(1); n > most {
			t.Errorf("%d handlers run at once", n)
		}
		defer running.Add(-1)
		runtime.Gosched()
		return f.meet()
	}, dispatch.WithInline(), dispatch.WithWorkers(most), dispatch.WithQueue(2), dispatch.WithPanicHandler(func(*dispatch.PanicError) {})))

	sharing(t, "inline calls", callers, rounds(20_000), func(seed int) { useInline(t, p, &c, seed) })
	require.Zero(t, p.Stats().Running)
	within(t, time.Minute, "Close", func() { require.NoError(t, p.Close()) })
	checkEnded(t, p, &c)
}

// useInline uses the pool in one of several ways; most calls may run inline.
func useInline(t *testing.T, p *dispatch.Pool[fate, fate], c *tally, seed int) {
	f := fate(max(0, seed%23-20)) // most return; none ends its goroutine: that may be the user's
	switch seed % 8 {
	case 0:
		fut, err := p.Submit(context.Background(), f)
		require.NoError(t, err)
		_, err = fut.Wait(context.Background())
		c.add(err)
	case 1:
		outs, err := p.Map(context.Background(), []fate{fateReturn, fateReturn})
		require.NoError(t, err)
		for range outs {
			c.add(nil)
		}
	case 2:
		require.NoError(t, p.Resize(1+seed/8%3))
	case 3:
		ended := make(chan struct{})
		go func() { // which may end in the handler
			defer close(ended)
			err := dispatch.ErrGoexit
			defer func() { c.add(err) }()
			_, err = p.Process(context.Background(), fateGoexit)
		}()
		<-ended
	default:
		out, err := p.Process(context.Background(), f)
		c.add(err)
		if err == nil && out != f || errors.Is(err, dispatch.ErrClosed) {
			t.Errorf("Process of %v returned %v, %v", f, out, err)
		}
	}
}
