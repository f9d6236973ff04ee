package dispatch_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// After a Map has returned, its inputs belong to its caller again.

// Regression: a worker that was written off while it was in Ready read the input of a Map
// that had returned. The slice is the caller's again by then.
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

// Regression: the error of a Map without inputs named the first of them.
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

// A Map whose context has ended returns while a worker is about to read an input.
func TestAMapThatHasReturnedLeavesItsInputsToTheCaller(t *testing.T) {
	ctx := newRegistrar(nil)
	asked, answer := make(chan struct{}), make(chan struct{})
	var mu sync.Mutex
	var seen []int
	var once sync.Once
	ctx.odd = func(method string) {
		mu.Lock()
		second := len(seen) == 1
		mu.Unlock()
		if second && method == "Err" {
			once.Do(func() {
				close(asked)
				<-answer
			})
		}
	}
	p := dispatch.Must(dispatch.New(func(_ context.Context, in int) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, in)
		return in, nil
	}, dispatch.WithWorkers(1)))
	ctx.active.Store(true)
	ins := []int{1, 2, 3}
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		_, _ = p.Map(ctx, ins)
	}()
	select {
	case <-asked: // the worker is on its way to the second input
	case <-returned: // it does not ask
	}
	ctx.active.Store(false)
	ctx.end()
	requireSoon(t, returned, "Map")
	for i := range ins {
		ins[i] = 99
	}
	close(answer)
	requireSound(t, p)
	require.NotContains(t, seen, 99)
}

// The same with moments that chance picks, for the race detector.
func TestAMapThatHasReturnedRacesWithNobodyForItsInputs(t *testing.T) {
	p := dispatch.Must(dispatch.New(func(_ context.Context, in int) (int, error) {
		if in == 99 {
			return 0, errUser
		}
		return in, nil
	}, dispatch.WithWorkers(2)))
	ins := make([]int, 200)
	for i := range 500 {
		clear(ins)
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			for range i % 100 * 20 {
			}
			cancel()
		}()
		_, err := p.Map(ctx, ins)
		for i := range ins {
			ins[i] = 99
		}
		require.NotErrorIs(t, err, errUser, "an input that was the caller's again")
		cancel()
	}
	requireSound(t, p)
	require.Zero(t, p.Stats().Failed)
}

// Regression: a worker that had claimed an input read it even after Map had returned.
func TestAMapThatHasReturnedDoesNotReadItsInputs(t *testing.T) {
	// For the race detector. There is no bubble, because a bubble would make the race
	// detector see an order that is not there.
	pass := make(chan struct{})
	p := openPool(t, func(_ context.Context, in int) (int, error) { <-pass; return in, nil }, dispatch.WithWorkers(4))
	defer close(pass)
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		ins := upTo(100)
		_, err := p.Map(ctx, ins)
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		for i := range ins {
			ins[i] = -1
		}
	}
}
