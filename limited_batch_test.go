package dispatch_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// The batch was at its limit when the job began to wait, and nobody looked again.
func TestG9AJobLendsItsPlaceToABatchThatWasAtItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, over := make(chan struct{}), make(chan struct{})
		var p *dispatch.Pool[int, int]
		p = openPool(t, func(ctx context.Context, in int) (int, error) {
			switch in {
			case 1: // makes the batch, and waits for it
				defer close(over)
				_, err := p.BatchOf(ctx, []int{2, 3}, dispatch.MaxRunning(1)).Wait(ctx)
				return 0, err
			case 2:
				<-first
			case 4: // has the other worker until the batch is over
				select {
				case <-over:
				case <-time.After(time.Hour):
					return 0, errUser
				}
			}
			return 0, nil
		}, dispatch.WithWorkers(2))
		one, err := p.Submit(context.Background(), 1)
		require.NoError(t, err)
		synctest.Wait()
		four, err := p.Submit(context.Background(), 4)
		require.NoError(t, err)
		close(first)
		_, err = four.Wait(context.Background())
		require.NoError(t, err)
		_, err = one.Wait(context.Background())
		require.NoError(t, err)
	})
}
