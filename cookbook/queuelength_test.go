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
// answered within limit: a job waits for those before it, which workers handle
// at once, so many at a time, and then it runs itself.
func queueFor(workers int, limit, run time.Duration) int {
	return max(0, workers*int((limit-run)/run))
}

// How long should my queue be?
//
// Problem: a long queue looks safe and makes overload worse. Jobs wait until nobody
// needs the answer any more, and then use a worker all the same.
//
// Solution: about workers × limit ÷ run time, less the job's own run. The run time
// is measured: Stats().Run, with WithTelemetry. Take the mean where runs are alike
// and the 90th percentile where they are not.
//
// Trap: the default of 1,024 is for jobs that nobody waits for. Queues of batches
// and Maps are their own and do not count; their owner has waited for them on
// purpose.
func Example_queueLength() {
	fmt.Println(queueFor(8, time.Second, 50*time.Millisecond))  // pages
	fmt.Println(queueFor(8, time.Second, 400*time.Millisecond)) // pictures
	fmt.Println(queueFor(2, time.Second, 3*time.Second))        // cannot be done in time
	// Output:
	// 152
	// 8
	// 0
}

// With a queue of that length every job that is accepted is answered in time; one
// that is twice as long answers no more of them, and later.
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
