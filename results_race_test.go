package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// An outcome was sent twice where Results was called while it was given.
func TestResultsGivesEachOutcomeOnceWheneverItIsCalled(t *testing.T) {
	const n = 2000
	var at atomic.Int64 // the item that is being handled
	p := dispatch.Must(dispatch.New(func(_ context.Context, in int) (int, error) {
		at.Store(int64(in))
		return in, nil
	}, dispatch.WithWorkers(1)))
	ins := inputs(n)
	for round := range 1000 / slow {
		at.Store(0)
		b := p.Batch(context.Background())
		require.NoError(t, b.Add(ins...))
		b.Close()
		for spin := 0; at.Load() < int64(round%1000); spin++ {
			if spin > 10_000 {
				runtime.Gosched()
			}
		}
		given := [n]int{}
		total := 0
		for r := range b.Results() {
			given[r.Index]++
			total++
		}
		if total != n {
			for i := range given {
				require.Equal(t, 1, given[i], "the outcome of item %d", i)
			}
		}
	}
	requireSound(t, p)
}

// What came after a cancel did not end for a reader that came later still.
func TestResultsEndsForAReaderThatComesAfterACancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pass := make(paced)
		p := dispatch.Must(dispatch.New(pass.handle, dispatch.WithWorkers(3)))
		b := p.Batch(t.Context())
		ins := make([]int, 500)
		for i := range ins {
			ins[i] = 1
		}
		require.NoError(t, b.Add(ins...))
		synctest.Wait()
		b.Cancel()
		results := b.Results()
		close(pass)
		n := 0
		for range results {
			n++
		}
		require.Equal(t, len(ins), n)
		requireSound(t, p)
	})
}

// An error that is the cause of the handler's context says that it was canceled,
// not that it failed.
func TestAHandlerThatReturnsTheCauseOfItsContextHasNotFailed(t *testing.T) {
	bubbles(t, map[string]func(p *dispatch.Pool[int, int], ctx context.Context) error{
		"Batch":  func(p *dispatch.Pool[int, int], ctx context.Context) error { return calls["Batch"](p, ctx, 1) },
		"Submit": func(p *dispatch.Pool[int, int], ctx context.Context) error { return calls["Submit"](p, ctx, 1) },
		"Map":    func(p *dispatch.Pool[int, int], ctx context.Context) error { return calls["Map"](p, ctx, 1) },
		"a wrapped cause": func(p *dispatch.Pool[int, int], ctx context.Context) error {
			return calls["Batch"](p, ctx, 2)
		},
	}, func(t *testing.T, call func(p *dispatch.Pool[int, int], ctx context.Context) error) {
		ctx, cancel := context.WithCancelCause(t.Context())
		p := dispatch.Must(dispatch.New(func(ctx context.Context, in int) (int, error) {
			<-ctx.Done()
			if in == 2 {
				return 0, fmt.Errorf("gave up: %w", context.Cause(ctx))
			}
			return 0, context.Cause(ctx)
		}, dispatch.WithWorkers(1)))
		time.AfterFunc(time.Second, func() { cancel(errUser) })
		err := call(p, ctx)
		require.ErrorIs(t, err, errUser)
		require.NoError(t, p.Close())
		s := p.Stats()
		require.Equal(t, [2]uint64{s.Submitted, 0}, [2]uint64{s.Canceled, s.Failed})
	})
}

// Of two limits that end a job at the same moment, that of the call is told.
func TestTheLimitOfTheCallIsToldWhereBothPassAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 20 {
			p := dispatch.Must(dispatch.New(func(ctx context.Context, in int) (int, error) {
				if in > 0 {
					<-ctx.Done()
				} else {
					time.Sleep(time.Minute)
				}
				return in, nil
			}, dispatch.WithWorkers(1), dispatch.WithJobTimeout(2*time.Minute)))
			_, err := p.Submit(t.Context(), 0)
			require.NoError(t, err)
			_, err = p.ProcessTimed(t.Context(), 1, 3*time.Minute)
			require.Equal(t, &dispatch.TimeoutError{Limit: 3 * time.Minute, Ran: true}, err)
			require.NoError(t, p.Close())
		}
	})
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

// The same where chance decides, for the race detector.
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
		require.False(t, errors.Is(err, errUser), "an input that was the caller's again")
		cancel()
	}
	requireSound(t, p)
	require.Zero(t, p.Stats().Failed)
}
