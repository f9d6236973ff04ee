package dispatch_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// It had failed in Ready, its Done had been told so, and Stop gave it back all the
// same.
func TestStopDoesNotGiveBackAnItemThatHasFailedInReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *dispatch.Pool[int, int]
		var back []int
		p = openWorkers(t, func(context.Context) (dispatch.Worker[int, int], error) {
			return &workerOf{process: double, ready: func(context.Context) error { return errUser }}, nil
		}, dispatch.WithWorkers(1), dispatch.WithHooks(dispatch.Hooks{
			Done: func(context.Context, dispatch.Job) { back = p.Stop() },
		}))
		_, err := p.BatchOf(context.Background(), []int{7}).Wait(context.Background())
		require.ErrorIs(t, err, errUser)
		require.Empty(t, back)
	})
}
