package dispatch_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// A job that was canceled counted as ended, and its place was lent no more.
func TestACanceledJobMayStillWaitForItsPoolWithoutItsCancel(t *testing.T) {
	for name, nest := range nestings {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var p *dispatch.Pool[int, int]
				cleanup := make(chan error, 1)
				p = openPool(t, func(ctx context.Context, in int) (int, error) {
					if in == 2 {
						<-ctx.Done()
						ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
						defer cancel()
						_, err := nest(ctx, p, 1)
						cleanup <- err
					}
					return in, nil
				}, dispatch.WithWorkers(1))
				f := dispatch.Must(p.Submit(t.Context(), 2))
				synctest.Wait()
				require.True(t, f.Cancel())
				require.NoError(t, <-cleanup)
			})
		})
	}
}

// The job counted as ended: Wait hung, and Shutdown became Stop.
func TestWaitAndShutdownInsideACanceledJobReturnErrInsideJob(t *testing.T) {
	inBubbles(t, map[string]func(ctx context.Context, p *dispatch.Pool[int, int]) error{
		"Wait":                func(ctx context.Context, p *dispatch.Pool[int, int]) error { return p.Wait(ctx) },
		"Wait without cancel": func(ctx context.Context, p *dispatch.Pool[int, int]) error { return p.Wait(context.WithoutCancel(ctx)) },
		"Shutdown":            func(ctx context.Context, p *dispatch.Pool[int, int]) error { return p.Shutdown(ctx) },
		"Shutdown without cancel": func(ctx context.Context, p *dispatch.Pool[int, int]) error {
			return p.Shutdown(context.WithoutCancel(ctx))
		},
	}, func(t *testing.T, end func(ctx context.Context, p *dispatch.Pool[int, int]) error) {
		var p *dispatch.Pool[int, int]
		var told notes[error]
		p = openPool(t, func(ctx context.Context, in int) (int, error) {
			if in == 1 {
				<-ctx.Done()
				told.add(end(ctx, p))
			}
			return in, nil
		}, dispatch.WithWorkers(1))
		f := dispatch.Must(p.Submit(t.Context(), 1))
		next := dispatch.Must(p.Submit(t.Context(), 2))
		synctest.Wait()
		require.True(t, f.Cancel())
		synctest.Wait()
		require.Equal(t, []error{dispatch.ErrInsideJob}, told.all())
		_, err := next.Wait(t.Context())
		require.NoError(t, err, "what was accepted is run")
	})
}

// What a job had waited for longest always had its place.
func TestWhatAJobWaitsForTakesTurnsWithItsPlace(t *testing.T) {
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

// A job that ran on a lent place kept its place in the queue as well.
func TestAJobThatIsBroughtForwardLeavesItsPlaceInTheQueue(t *testing.T) {
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

// A worker on a lent place went through all of a batch or a Map, also when the
// job that lent it had stopped waiting.
func TestALentPlaceIsGivenBackWhenTheWaitEnds(t *testing.T) {
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
				require.True(t, waits, "item %d runs beside the job on whose place it is", in)
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
