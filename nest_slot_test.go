package dispatch_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// The slot of a job that waits for its own pool.

func TestNoMoreThanNHandlersRunThatDoNotWait(t *testing.T) {
	const n = 3
	for name, nest := range nestings {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var p *dispatch.Pool[int, int]
				var busy, most atomic.Int64
				work := func() {
					now := busy.Add(1)
					for {
						old := most.Load()
						if now <= old || most.CompareAndSwap(old, now) {
							break
						}
					}
					time.Sleep(time.Second)
					busy.Add(-1)
				}
				p = openPool(t, func(ctx context.Context, in int) (int, error) {
					work()
					if in == 0 {
						return 0, nil
					}
					out, err := nest(ctx, p, in-1)
					return out + 1, err
				}, dispatch.WithWorkers(n))
				var calls []*call[int]
				for range 2 * n {
					calls = append(calls, calling(func() (int, error) { return p.Process(t.Context(), 3) }))
				}
				for _, c := range calls {
					<-c.done
					require.NoError(t, c.err)
					require.Equal(t, 3, c.out)
				}
				require.Equal(t, int64(n), most.Load())
			})
		})
	}
}

// Regression: of all that a job waited for, only what it had waited for longest ever got
// its slot.
func TestWhatAJobWaitsForTakesTurnsWithItsSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *dispatch.Pool[int, time.Duration]
		p = openPool(t, func(ctx context.Context, in int) (time.Duration, error) {
			if in > 0 {
				time.Sleep(time.Second)
				return 0, nil
			}
			b := p.Batch(ctx)
			if err := b.Add(slices.Repeat([]int{1}, 100)...); err != nil {
				return 0, err
			}
			b.Close()
			<-b.Results()
			start := time.Now()
			_, err := p.Process(ctx, 1)
			return time.Since(start), err
		}, dispatch.WithWorkers(1))
		d, err := p.Process(t.Context(), 0)
		require.NoError(t, err)
		require.LessOrEqual(t, d, 5*time.Second)
	})
}

// Regression: a job that ran on a lent slot also kept its place in the queue.
func TestAJobThatIsBroughtForwardLeavesTheQueue(t *testing.T) {
	inBubbles(t, map[string]func(ctx context.Context, p *dispatch.Pool[int, int], in int) (int, error){
		"Process": nestings["Process"], "Submit and Wait": nestings["Submit and Wait"],
	}, func(t *testing.T, nest func(ctx context.Context, p *dispatch.Pool[int, int], in int) (int, error)) {
		var p *dispatch.Pool[int, int]
		p = openPool(t, func(ctx context.Context, in int) (int, error) {
			if in == 0 {
				return nest(ctx, p, 1)
			}
			time.Sleep(time.Second)
			return in, nil
		}, dispatch.WithWorkers(1), dispatch.WithQueue(1))
		dispatch.Must(p.Submit(t.Context(), 0))
		synctest.Wait()
		require.Equal(t, [2]int{2, 0}, [2]int{p.Stats().Running, p.Stats().Queued})
		_, err := p.TrySubmit(t.Context(), 2)
		require.NoError(t, err)
		_, err = p.TrySubmit(t.Context(), 3)
		require.Equal(t, dispatch.ErrQueueFull, err)
	})
}

// Regression: a worker on a lent slot went through all of a batch or a Map, even after the
// job that had lent the slot had stopped waiting.
func TestALentSlotIsGivenBackWhenTheWaitEnds(t *testing.T) {
	inBubbles(t, map[string]func(p *dispatch.Pool[int, int], wait, other context.Context){
		"Batch": func(p *dispatch.Pool[int, int], wait, other context.Context) {
			b := p.Batch(other)
			_ = b.Add(upTo(100)...)
			_, _ = b.Wait(wait)
		},
		"Map": func(p *dispatch.Pool[int, int], wait, _ context.Context) { _, _ = p.Map(wait, upTo(100)) },
	}, func(t *testing.T, waitFor func(p *dispatch.Pool[int, int], wait, other context.Context)) {
		var p *dispatch.Pool[int, int]
		waits := true
		p = openPool(t, func(ctx context.Context, in int) (int, error) {
			if in >= 0 {
				require.True(t, waits, "item %d runs beside the job on whose slot it is", in)
				time.Sleep(time.Second)
				return in, nil
			}
			wait, cancel := context.WithTimeout(ctx, 2500*time.Millisecond)
			defer cancel()
			waitFor(p, wait, t.Context())
			time.Sleep(time.Second) // what runs now may end
			synctest.Wait()
			waits = false
			time.Sleep(time.Minute)
			waits = true
			return 0, nil
		}, dispatch.WithWorkers(1))
		dispatch.Must(p.Process(t.Context(), -1))
	})
}

// Regression: the batch was at its limit when the job began to wait, and nobody looked
// again.
func TestG09AJobLendsItsSlotToABatchThatWasAtItsLimit(t *testing.T) {
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

// For the race detector. Regression: a goroutine that looked for the loan of a job that had
// returned read what the next use of that memory wrote.
func TestACallWithTheContextOfAJobThatHasReturnedDoesNotTouchTheNext(t *testing.T) {
	var p *dispatch.Pool[int, int]
	var calls sync.WaitGroup
	let := make(chan struct{})
	p = openPool(t, func(ctx context.Context, in int) (int, error) {
		if in == 0 {
			c := lateErr{ctx, let}
			calls.Go(func() { _, _ = p.Process(c, 1) })
			time.Sleep(time.Millisecond) // it asks for the error by now
		}
		return in, nil
	}, dispatch.WithWorkers(4))
	for range 20 {
		let = make(chan struct{})
		_, err := p.Process(context.Background(), 0)
		require.NoError(t, err)
		close(let)
		time.Sleep(time.Millisecond)
		_, err = p.Process(context.Background(), 2)
		require.NoError(t, err)
	}
	calls.Wait()
}

// lateErr is a context whose Err returns when the test lets it.
type lateErr struct {
	context.Context
	let chan struct{}
}

func (c lateErr) Err() error {
	<-c.let
	return nil
}
