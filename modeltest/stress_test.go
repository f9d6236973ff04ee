package modeltest

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"example.com/dispatch"
)

// The stress tests run in real time, on real processors, at full speed. They find races
// that are rare in a bubble, whose clock advances only when all goroutines are blocked.
// After each test the pool is compared with the outcomes that the readers of its jobs got.

// stressParts is how many loops over rounds share the time of -stress: one in
// each stress test, but three in TestStressNest and four in TestStressPolicies.
const stressParts = 20

// tally counts the outcomes that the readers of a pool's jobs got, as Stats does.
type tally struct {
	counts  [kinds]atomic.Uint64
	refused atomic.Uint64
}

// add counts one outcome. The error determines its kind, because the tests use a
// different error for each way of ending.
func (c *tally) add(err error) {
	var pe *dispatch.PanicError
	k := failed
	switch {
	case err == nil:
		k = succeeded
	case errors.As(err, &pe):
		k = panicked
	case errors.Is(err, dispatch.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		k = timedOut
	case errors.Is(err, context.Canceled), errors.Is(err, dispatch.ErrStopped), errors.Is(err, errCause):
		k = canceled
	case errors.Is(err, dispatch.ErrDropped):
		k = dropped
	}
	c.counts[k].Add(1)
}

// refuse counts a refused job, whose error must be one that the pool uses for refusals.
func (c *tally) refuse(t *testing.T, err error) {
	switch {
	case errors.Is(err, dispatch.ErrQueueFull):
		c.refused.Add(1)
	case errors.Is(err, dispatch.ErrClosed), errors.Is(err, context.Canceled), errors.Is(err, errCause):
	default:
		t.Errorf("refused with %v", err)
	}
}

// checkEnded compares the Stats of a pool that has ended with the tally of its outcomes.
func checkEnded[In, Out any](t *testing.T, p *dispatch.Pool[In, Out], c *tally) {
	t.Helper()
	s := p.Stats()
	require.Equal(t, dispatch.Ended, s.State)
	require.Equal(t, s.Submitted, accounted(s), "%+v", s)
	require.Zero(t, s.Running+s.Queued+s.Strays+s.Workers+s.Idle, "%+v", s)
	if c == nil {
		return
	}
	got := counters(s)
	for k := range kinds {
		require.Equal(t, c.counts[k].Load(), got[1+k], "kind %d: %+v", k, s)
	}
	require.Equal(t, c.refused.Load(), s.Rejected, "%+v", s)
}

// noGoroutines makes the test fail if it leaves a goroutine behind.
func noGoroutines(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

// spin keeps a processor busy for about d, but yields to other goroutines.
func spin(d time.Duration) {
	for began := time.Now(); time.Since(began) < d; {
		runtime.Gosched()
	}
}

// sharing calls f for each of the numbers on several goroutines, and waits for all calls.
func sharing(t *testing.T, what string, goroutines int, numbers iter.Seq[int], f func(i int)) {
	t.Helper()
	next := make(chan int)
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range numbers {
		next <- i
	}
	close(next)
	within(t, time.Minute, what, all.Wait)
}

// within fails the test, with all stacks, if f takes far longer than it can.
func within(t *testing.T, d time.Duration, what string, f func()) {
	t.Helper()
	timer := time.AfterFunc(d, func() {
		buf := make([]byte, 1<<20)
		panic(what + " hangs:\n" + string(buf[:runtime.Stack(buf, true)]))
	})
	defer timer.Stop()
	f()
}
