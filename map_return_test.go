package dispatch_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// A worker that was written off while it was in Ready read the input of a Map
// that had returned: the slice is the caller's again.
func TestAMapThatHasReturnedReadsNoInputs(t *testing.T) {
	for place, ready := range map[string]bool{"Ready": true, "newWorker": false} {
		for how, cut := range map[string]func(p *dispatch.Pool[int, int]){
			"Stop":      func(p *dispatch.Pool[int, int]) { p.Stop() },
			"its limit": func(*dispatch.Pool[int, int]) {},
		} {
			if !ready && how == "its limit" {
				continue // it counts from the run on
			}
			t.Run(how+" in "+place, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					gate := make(chan struct{})
					wait := func(context.Context) error { <-gate; return nil }
					var seen []int
					w := &workerOf{process: func(_ context.Context, in int) (int, error) {
						seen = append(seen, in)
						return in, nil
					}}
					if ready {
						w.ready = wait
					}
					p := dispatch.Must(dispatch.NewWorkers(func(ctx context.Context) (dispatch.Worker[int, int], error) {
						if !ready {
							_ = wait(ctx)
						}
						return w, nil
					}, dispatch.WithWorkers(1), dispatch.WithJobTimeout(time.Hour), dispatch.WithGrace(time.Second, 1)))
					ins := []int{1}
					returned := make(chan error, 1)
					go func() {
						_, err := p.Map(context.Background(), ins)
						returned <- err
					}()
					synctest.Wait()
					cut(p)
					select {
					case err := <-returned:
						require.Error(t, err)
						ins[0] = 99
					case <-time.After(3 * time.Hour):
						// It waits for its worker: that is as well.
					}
					close(gate)
					synctest.Wait()
					require.NotContains(t, seen, 99)
					requireSound(t, p)
				})
			})
		}
	}
}

// The error of a Map without inputs blamed the first of them.
func TestTheErrorOfAMapWithoutInputsNamesNoInput(t *testing.T) {
	p := dispatch.Must(dispatch.New(untilDone))
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errUser)
	for _, ins := range [][]int{nil, {}} {
		outs, err := p.Map(ctx, ins)
		var ierr *dispatch.ItemError
		require.NotErrorAs(t, err, &ierr)
		require.Empty(t, outs)
		if err != nil {
			require.Equal(t, errUser, err)
		}
	}
	requireSound(t, p)
	_, err := p.Map(context.Background(), nil)
	require.Equal(t, dispatch.ErrClosed, err)
}
