package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

func TestAPausedPoolAcceptsJobsAndStartsNone(t *testing.T) {
	for name, submit := range map[string]func(p *dispatch.Pool[int, int]) error{
		"Process": func(p *dispatch.Pool[int, int]) error { _, err := p.Process(context.Background(), 1); return err },
		"ProcessTimed": func(p *dispatch.Pool[int, int]) error {
			_, err := p.ProcessTimed(context.Background(), 1, 24*time.Hour)
			return err
		},
		"Submit": func(p *dispatch.Pool[int, int]) error {
			_, err := dispatch.Must(p.Submit(context.Background(), 1)).Wait(context.Background())
			return err
		},
		"TrySubmit": func(p *dispatch.Pool[int, int]) error {
			_, err := dispatch.Must(p.TrySubmit(context.Background(), 1)).Wait(context.Background())
			return err
		},
		"Map": func(p *dispatch.Pool[int, int]) error { _, err := p.Map(context.Background(), []int{1, 1}); return err },
		"Batch": func(p *dispatch.Pool[int, int]) error {
			_, err := p.BatchOf(context.Background(), []int{1, 1}).Wait(context.Background())
			return err
		},
		"Stream": func(p *dispatch.Pool[int, int]) error {
			return errors.Join(streamed(context.Background(), p, slices.Values([]int{1, 1}))...)
		},
	} {
		for _, warm := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " warm ", warm), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var entered notes[int]
					p := openPool(t, func(_ context.Context, in int) (int, error) { entered.add(in); return in, nil }, dispatch.WithWorkers(2))
					if warm { // an idle worker stands by
						_, err := p.Process(t.Context(), 0)
						require.NoError(t, err)
					}
					n := len(entered.all())
					for range 2 {
						p.Pause()
					}
					require.True(t, p.Stats().Paused)
					c := callingErr(func() error { return submit(p) })
					time.Sleep(time.Hour)
					require.False(t, c.returned())
					require.Len(t, entered.all(), n)
					s := p.Stats()
					require.Zero(t, s.Running)
					require.NotZero(t, s.Queued)
					requireSum(t, s)
					p.Resume() // a flag, no counter
					require.NoError(t, c.requireReturn(t))
					require.False(t, p.Stats().Paused)
					require.Greater(t, len(entered.all()), n)
				})
			})
		}
	}
}

func TestAPausedPoolTakesAsManyAsItsWorkersAndQueueAndThenThePolicyDecides(t *testing.T) {
	for policy, want := range map[dispatch.Overflow]error{dispatch.Block: nil, dispatch.Reject: dispatch.ErrQueueFull, dispatch.DropOldest: nil, dispatch.CallerRuns: nil} {
		for _, warm := range []bool{false, true} {
			t.Run(fmt.Sprint(policy, " warm ", warm), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var entered notes[int]
					p := openPool(t, func(_ context.Context, in int) (int, error) { entered.add(in); return in, nil },
						dispatch.WithWorkers(2), dispatch.WithQueue(3), dispatch.WithOverflow(policy))
					if warm {
						_, err := p.Process(t.Context(), -1)
						require.NoError(t, err)
					}
					n := len(entered.all())
					p.Pause()
					for i := range 5 {
						_, err := p.TrySubmit(t.Context(), i)
						require.NoError(t, err, "job %d", i)
						synctest.Wait()
					}
					_, err := p.TrySubmit(t.Context(), 5)
					require.Equal(t, dispatch.ErrQueueFull, err)
					c := callingErr(func() error { _, err := p.Submit(t.Context(), 6); return err })
					require.Len(t, entered.all(), n)
					if policy == dispatch.Block || policy == dispatch.CallerRuns {
						require.False(t, c.returned(), "it waits for room")
						require.Equal(t, 1, p.Stats().Blocked)
					} else {
						require.Equal(t, want, c.requireReturn(t))
					}
					p.Resume()
					require.NoError(t, p.Wait(t.Context()))
					if policy == dispatch.Block || policy == dispatch.CallerRuns {
						require.NoError(t, c.requireReturn(t))
						require.Contains(t, entered.all(), 6)
					}
				})
			})
		}
	}
}

func TestWhatRunsGoesOnInAPauseAndSoDoesWhatItWaitsFor(t *testing.T) {
	for name, nest := range nestings {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var p *dispatch.Pool[int, int]
				p = openPool(t, func(ctx context.Context, in int) (int, error) {
					switch in {
					case 100:
						p.Pause()
						out, err := nest(ctx, p, 3)
						return out, err
					case 3: // and at any depth
						return nest(ctx, p, 2)
					}
					return in, nil
				}, dispatch.WithWorkers(1))
				c := calling(func() (int, error) { return p.Process(t.Context(), 100) })
				require.NoError(t, c.requireReturn(t))
				require.True(t, p.Stats().Paused)
				p.Resume()
			})
		})
	}
}

func TestWaitLimitsAndCancelsGoOnInAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, double, dispatch.WithWorkers(1))
		p.Pause()
		require.NoError(t, p.Wait(t.Context()), "nothing is queued")
		ctx, cancel := context.WithCancelCause(t.Context())
		canceled := calling(func() (int, error) { return p.Process(ctx, 1) })
		timed := calling(func() (int, error) { return p.ProcessTimed(t.Context(), 1, time.Minute) })
		f := dispatch.Must(p.Submit(t.Context(), 2))
		wait := callingErr(func() error { return p.Wait(t.Context()) })
		cancel(errCause)
		require.Equal(t, errCause, canceled.requireReturn(t))
		require.Equal(t, &dispatch.TimeoutError{Limit: time.Minute}, timed.requireReturnAfter(t, time.Minute))
		require.False(t, wait.returned(), "Wait waits")
		require.True(t, f.Cancel())
		require.NoError(t, wait.requireReturn(t))
		p.Resume()
	})
}

func TestIdleWorkersExpireInAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, double, dispatch.WithIdleTimeout(time.Minute))
		_, err := p.Process(t.Context(), 1)
		require.NoError(t, err)
		p.Pause()
		dispatch.Must(p.Submit(t.Context(), 1))
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		require.Zero(t, p.Stats().Workers)
		p.Resume()
		require.NoError(t, p.Wait(t.Context()))
	})
}

func TestAResumeStartsWhatWaitsInItsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1))
		p.Pause()
		for i := range 5 {
			dispatch.Must(p.Submit(t.Context(), i))
			synctest.Wait()
		}
		p.Resume()
		h.letAll()
		require.Equal(t, upTo(5), h.entered())
	})
}

func TestTheEndOfAPoolEndsItsPause(t *testing.T) {
	inBubbles(t, map[string]func(p *dispatch.Pool[int, int]){
		"Drain":    func(p *dispatch.Pool[int, int]) { p.Drain() },
		"Close":    func(p *dispatch.Pool[int, int]) { require.NoError(t, p.Close()) },
		"Shutdown": func(p *dispatch.Pool[int, int]) { require.NoError(t, p.Shutdown(context.Background())) },
	}, func(t *testing.T, end func(p *dispatch.Pool[int, int])) {
		var entered notes[int]
		p := openPool(t, func(_ context.Context, in int) (int, error) { entered.add(in); return in, nil }, dispatch.WithWorkers(2))
		p.Pause()
		b := p.BatchOf(t.Context(), []int{10, 11})
		for i := range 4 {
			dispatch.Must(p.Submit(t.Context(), i))
		}
		end(p)
		<-p.Done()
		require.ElementsMatch(t, []int{0, 1, 2, 3, 10, 11}, entered.all())
		require.False(t, p.Stats().Paused)
		_, err := b.Wait(t.Context())
		require.NoError(t, err)
	})
}

func TestAStopInAPauseStartsNothing(t *testing.T) {
	for _, warm := range []bool{false, true} {
		for range 50 { // in real time: a job that slips in does so by chance
			ctx, cancel := context.WithCancelCause(context.Background())
			var entered atomic.Int64
			p := dispatch.Must(dispatch.New(func(_ context.Context, in int) (int, error) { entered.Add(1); return in, nil },
				dispatch.WithWorkers(4), dispatch.WithContext(ctx)))
			if warm {
				_, err := p.Map(ctx, upTo(4))
				require.NoError(t, err)
			}
			before := entered.Load()
			p.Pause()
			for i := range 100 {
				dispatch.Must(p.Submit(context.Background(), i))
			}
			b := p.BatchOf(context.Background(), upTo(100))
			require.LessOrEqual(t, entered.Load(), before)
			if warm {
				require.Len(t, p.Stop(), 200)
			} else {
				cancel(errCause)
				requireSoon(t, p.Done(), "the end")
				require.Len(t, p.Stop(), 200)
			}
			requireSoon(t, p.Done(), "the end")
			<-b.Done()
			require.Equal(t, before, entered.Load())
			require.False(t, p.Stats().Paused)
			cancel(nil)
		}
	}
}

func TestPauseDoesNothingOnAPoolThatTakesNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1))
		dispatch.Must(p.Submit(t.Context(), 1))
		dispatch.Must(p.Submit(t.Context(), 2))
		p.Drain()
		p.Pause()
		require.False(t, p.Stats().Paused)
		h.letAll()
		<-p.Done()
		p.Pause()
		p.Resume()
		require.False(t, p.Stats().Paused)
	})
}

func TestABlockedSubmitterIsNotLetInByAResizeInAPauseToRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1), dispatch.WithQueue(0))
		p.Pause()
		dispatch.Must(p.Submit(t.Context(), 0))
		c := callingErr(func() error { _, err := p.Submit(t.Context(), 1); return err })
		require.False(t, c.returned())
		require.NoError(t, p.Resize(2))
		require.NoError(t, c.requireReturn(t), "there is room for one more")
		require.Empty(t, h.entered())
		p.Resume()
		require.Len(t, h.entered(), 2)
		h.letAll()
	})
}
