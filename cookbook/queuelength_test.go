package cookbook_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// queueFor returns how many jobs may wait so that the last of them is still
// answered within limit. A job waits for the jobs before it, of which as many run
// at a time as there are workers, and then runs itself.
func queueFor(workers int, limit, run time.Duration) int {
	return max(0, workers*int((limit-run)/run))
}

// How long should my queue be?
//
// Problem: a long queue looks safe but makes overload worse. Jobs wait until nobody
// needs the answer any more, and then keep a worker busy all the same.
//
// Solution: about workers × limit ÷ run time, less the job's own run. Measure the
// run time with WithTelemetry, as Stats().Run. Use the mean if all runs take about
// the same time, and the 90th percentile otherwise.
//
// Trap: the default of 1,024 is meant for jobs that nobody waits for. The waiting
// items of batches and Maps do not count toward the queue's length.
func Example_queueLength() {
	fmt.Println(queueFor(8, time.Second, 50*time.Millisecond))  // pages
	fmt.Println(queueFor(8, time.Second, 400*time.Millisecond)) // pictures
	fmt.Println(queueFor(2, time.Second, 3*time.Second))        // even a job that does not wait takes too long
	// Output:
	// 152
	// 8
	// 0
}

// With a queue of that length every accepted job is answered in time. A queue twice
// as long does not lead to more answers in time, only to later ones.
func TestAQueueOfWorkersTimesLimitByRunIsAnsweredInTime(t *testing.T) {
	const workers, limit, run = 2, 100 * time.Millisecond, 10*time.Millisecond - time.Microsecond
	queue := queueFor(workers, limit, run)
	require.Equal(t, 18, queue)
	for _, tc := range []struct{ queue, accepted, inTime int }{
		{queue: 18, accepted: 20, inTime: 20},
		{queue: 36, accepted: 38, inTime: 20},
	} {
		synctest.Test(t, func(t *testing.T) {
			work := func(ctx context.Context, _ int) (int, error) {
				select {
				case <-time.After(run):
					return 0, nil
				case <-ctx.Done():
					return 0, ctx.Err()
				}
			}
			p := dispatch.Must(dispatch.New(work, dispatch.WithWorkers(workers), dispatch.WithQueue(tc.queue),
				dispatch.WithOverflow(dispatch.Reject)))
			var inTime atomic.Int64
			var callers sync.WaitGroup
			for n := range 60 { // all at once
				callers.Go(func() {
					if _, err := p.ProcessTimed(t.Context(), n, limit); err == nil {
						inTime.Add(1)
					}
				})
			}
			callers.Wait()
			require.NoError(t, p.Close())
			require.EqualValues(t, tc.accepted, p.Stats().Submitted)
			require.EqualValues(t, tc.inTime, inTime.Load())
		})
	}
}
