package modeltest

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// TestStressPolicies floods pools whose queue is always full, under each policy:
// every job that is not refused has one outcome, even if it is dropped.
func TestStressPolicies(t *testing.T) {
	policies := []dispatch.Overflow{dispatch.Block, dispatch.Reject, dispatch.DropOldest, dispatch.CallerRuns}
	for _, policy := range policies {
		t.Run(fmt.Sprintf("policy %d", policy), func(t *testing.T) {
			noGoroutines(t)
			flood(t, policy)
		})
	}
}

func flood(t *testing.T, policy dispatch.Overflow) {
	const submitters, workers = 6, 2
	var c tally
	var ran atomic.Uint64
	var running, peak atomic.Int64
	p := dispatch.Must(dispatch.New(func(ctx context.Context, i int) (int, error) {
		ran.Add(1)
		n := running.Add(1)
		defer running.Add(-1)
		for old := peak.Load(); n > old && !peak.CompareAndSwap(old, n); old = peak.Load() {
		}
		runtime.Gosched()
		return i, nil
	}, dispatch.WithWorkers(workers), dispatch.WithQueue(2), dispatch.WithOverflow(policy)))

	sharing(t, "submitting", submitters, rounds(50_000), func(i int) { submitOne(t, p, &c, i) })
	require.NoError(t, p.Close())
	checkEnded(t, p, &c)
	require.Equal(t, p.Stats().Submitted-p.Stats().Dropped, ran.Load(), "jobs that ran")
	if policy != dispatch.CallerRuns {
		require.LessOrEqual(t, peak.Load(), int64(workers), "handlers at once")
	}
}
