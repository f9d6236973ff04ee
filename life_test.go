package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

func TestDrainTakesNoMoreRunsWhatWasAcceptedAndDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1))
		for i := range 3 {
			dispatch.Must(p.Submit(t.Context(), i))
		}
		for range 2 {
			p.Drain()
		}
		require.Equal(t, dispatch.Draining, p.Stats().State)
		_, err := p.Submit(t.Context(), 9)
		require.Equal(t, dispatch.ErrClosed, err)
		h.letAll()
		<-p.Done()
		require.Equal(t, []int{0, 1, 2}, h.entered())
		p.Drain()
		require.Equal(t, dispatch.Ended, p.Stats().State)
	})
}

func TestAJobMayDrainItsOwnPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *dispatch.Pool[int, int]
		p = openPool(t, func(ctx context.Context, in int) (int, error) {
			p.Drain()
			_, err := p.Process(ctx, 2)
			return in, err
		}, dispatch.WithWorkers(1))
		_, err := p.Process(t.Context(), 1)
		require.Equal(t, dispatch.ErrClosed, err)
		<-p.Done()
	})
}

func TestDrainEndsAPoolThatHasNeverRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, double)
		p.Drain()
		<-p.Done()
	})
}

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
			return errors.Join(streamed(p, context.Background(), slices.Values([]int{1, 1}))...)
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
					requireBalance(t, s)
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

func TestWithContextOfNilIsAnErrorOfNew(t *testing.T) {
	var none context.Context
	_, err := dispatch.New(double, dispatch.WithContext(none))
	require.ErrorContains(t, err, "WithContext(nil)")
}

func TestAPoolWhoseContextIsDoneAlreadyIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, double, dispatch.WithContext(canceledContext(t, errCause)))
		_, err := p.Process(t.Context(), 1)
		require.Equal(t, dispatch.ErrClosed, err)
		<-p.Done()
	})
}

func TestTheEndOfThePoolsContextStopsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(context.Background())
		var causes notes[error]
		p := openPool(t, func(ctx context.Context, in int) (int, error) {
			<-ctx.Done()
			causes.add(context.Cause(ctx))
			return in, nil
		}, dispatch.WithWorkers(1), dispatch.WithContext(ctx))
		running, waiting := dispatch.Must(p.Submit(t.Context(), 1)), dispatch.Must(p.Submit(t.Context(), 2))
		b := p.BatchOf(t.Context(), []int{10, 11})
		synctest.Wait()
		cancel(errCause)
		synctest.Wait()
		for _, f := range []*dispatch.Future[int]{running, waiting} {
			_, err := f.Wait(t.Context())
			require.ErrorIs(t, err, dispatch.ErrStopped)
			require.ErrorIs(t, err, errCause)
		}
		<-p.Done()
		require.Len(t, causes.all(), 1)
		require.ErrorIs(t, causes.all()[0], dispatch.ErrStopped)
		require.ErrorIs(t, causes.all()[0], errCause)
		_, err := b.Wait(t.Context())
		require.ErrorIs(t, err, dispatch.ErrStopped)
		require.ErrorIs(t, err, errCause)
		require.Equal(t, []int{2, 10, 11}, p.Stop(), "the next Stop gives back what never ran")
		require.Empty(t, p.Stop())
		_, err = p.Process(t.Context(), 1)
		require.Equal(t, dispatch.ErrClosed, err)
	})
}

func TestAPlainStopOfAPoolWithAContextGivesErrStoppedItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, untilDone, dispatch.WithContext(t.Context()))
		f := dispatch.Must(p.Submit(t.Context(), 1))
		synctest.Wait()
		p.Stop()
		_, err := f.Wait(t.Context())
		require.Equal(t, dispatch.ErrStopped, err)
	})
}

func TestNewWorkersContextDescendsFromThePoolsAndHandlersContextsDoNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		ctx, cancel := context.WithCancelCause(context.WithValue(context.Background(), key{}, "life"))
		var made context.Context
		var seen notes[any]
		p := openWorkers(t, func(ctx context.Context) (dispatch.Worker[int, int], error) {
			made = ctx
			return dispatch.Handler[int, int](func(ctx context.Context, in int) (int, error) {
				seen.add(ctx.Value(key{}))
				return in, nil
			}), nil
		}, dispatch.WithContext(ctx))
		_, err := p.Process(t.Context(), 1)
		require.NoError(t, err)
		require.Equal(t, "life", made.Value(key{}))
		require.NoError(t, made.Err())
		require.Equal(t, []any{nil}, seen.all())
		cancel(errCause)
		synctest.Wait()
		require.Equal(t, errCause, context.Cause(made), "the bare cause")
	})
}

func TestG12ThePoolsRegistrationWithItsContextGoesWhenItEnds(t *testing.T) {
	for name, end := range map[string]func(p *dispatch.Pool[int, int]){
		"Close": func(p *dispatch.Pool[int, int]) { _ = p.Close() },
		"Stop":  func(p *dispatch.Pool[int, int]) { p.Stop(); <-p.Done() },
	} {
		t.Run(name, func(t *testing.T) {
			ctx := newRegistrar(nil)
			p := dispatch.Must(dispatch.New(double, dispatch.WithContext(ctx)))
			require.NotZero(t, ctx.registered.Load())
			_, err := p.Process(t.Context(), 1)
			require.NoError(t, err)
			end(p)
			require.Zero(t, ctx.registered.Load())
		})
	}
}

func TestPrestartMakesTheMinimumAllAtOnceAndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var run bounded
		p := openWorkers(t, func(context.Context) (dispatch.Worker[int, int], error) {
			run.enter()
			defer run.leave()
			time.Sleep(time.Minute)
			return dispatch.Handler[int, int](double), nil
		}, dispatch.WithWorkers(5), dispatch.WithMinWorkers(3))
		c := callingErr(func() error { return p.Prestart(t.Context()) })
		second := callingErr(func() error { return p.Prestart(t.Context()) })
		s := p.Stats()
		require.Equal(t, [3]int{}, [3]int{s.Running, s.Queued, int(s.Submitted)}, "no job")
		require.NoError(t, p.Wait(t.Context()), "nor waited for")
		require.NoError(t, c.requireReturnAfter(t, time.Minute))
		require.NoError(t, second.requireReturn(t), "calls share one making")
		require.Equal(t, int64(3), run.most.Load())
		synctest.Wait()
		s = p.Stats()
		require.Equal(t, [2]int{3, 3}, [2]int{s.Workers, s.Idle})
		start := time.Now()
		require.NoError(t, p.Prestart(t.Context()), "they live")
		_, err := p.Process(t.Context(), 1)
		require.NoError(t, err)
		require.Zero(t, time.Since(start), "the job finds a worker that is made")
		time.Sleep(time.Hour)
		require.Equal(t, 3, p.Stats().Workers, "they stay")
	})
}

func TestPrestartWithoutAMinimumDoesNothing(t *testing.T) {
	p := openPool(t, double)
	require.NoError(t, p.Prestart(t.Context()))
	require.Zero(t, p.Stats().Workers)
	var none context.Context
	require.PanicsWithValue(t, "dispatch: nil context given to Pool.Prestart", func() { _ = p.Prestart(none) })
}

func TestPrestartStartsOnlyWhatTheMinimumIsShortOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var made atomic.Int64
		p := openWorkers(t, func(context.Context) (dispatch.Worker[int, int], error) {
			made.Add(1)
			return dispatch.Handler[int, int](double), nil
		}, dispatch.WithWorkers(5), dispatch.WithMinWorkers(3))
		_, err := p.Process(t.Context(), 1)
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, p.Prestart(t.Context()))
		require.Equal(t, int64(3), made.Load())
		require.NoError(t, p.Resize(1))
		synctest.Wait()
		require.NoError(t, p.Prestart(t.Context()))
		require.Equal(t, int64(3), made.Load(), "the limit counts")
	})
}

func TestAWorkerThatPrestartCannotMakeLeavesAndTheNextCallTriesAgain(t *testing.T) {
	inBubbles(t, map[string]struct {
		fail func() error
		is   func(err error) bool
	}{
		"error":  {func() error { return errUser }, func(err error) bool { return err == errUser }},
		"panic":  {func() error { panic(errUser) }, func(err error) bool { _, ok := errors.AsType[*dispatch.PanicError](err); return ok }},
		"Goexit": {func() error { runtime.Goexit(); return nil }, func(err error) bool { return err == dispatch.ErrGoexit }},
	}, func(t *testing.T, r struct {
		fail func() error
		is   func(err error) bool
	}) {
		var calls atomic.Int64
		p := openWorkers(t, func(context.Context) (dispatch.Worker[int, int], error) {
			if calls.Add(1) == 2 {
				if err := r.fail(); err != nil {
					return nil, err
				}
			}
			return dispatch.Handler[int, int](double), nil
		}, dispatch.WithWorkers(4), dispatch.WithMinWorkers(3), quiet())
		err := p.Prestart(t.Context())
		require.True(t, r.is(err), "%v", err)
		synctest.Wait()
		require.Equal(t, 2, p.Stats().Workers)
		require.NoError(t, p.Prestart(t.Context()))
		require.Equal(t, int64(4), calls.Load())
		synctest.Wait()
		require.Equal(t, 3, p.Stats().Workers)
		s := p.Stats()
		require.Zero(t, s.Submitted+s.Failed+s.Panicked, "they are no jobs")
		_, err = p.Process(t.Context(), 1)
		require.NoError(t, err)
	})
}

func TestTheContextEndsTheWaitOfPrestartAndNotTheMaking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openWorkers(t, func(context.Context) (dispatch.Worker[int, int], error) {
			time.Sleep(time.Minute)
			return dispatch.Handler[int, int](double), nil
		}, dispatch.WithWorkers(2), dispatch.WithMinWorkers(2))
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errCause)
		defer cancel()
		c := callingErr(func() error { return p.Prestart(ctx) })
		require.Equal(t, errCause, c.requireReturnAfter(t, time.Second))
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, 2, p.Stats().Idle)
		require.NoError(t, p.Prestart(ctx), "there is nothing to wait for")
	})
}

func TestPrestartOnAPoolThatTakesNoMoreIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1), dispatch.WithMinWorkers(1))
		dispatch.Must(p.Submit(t.Context(), 1))
		p.Drain()
		require.Equal(t, dispatch.ErrClosed, p.Prestart(t.Context()))
		h.letAll()
		<-p.Done()
		require.Equal(t, dispatch.ErrClosed, p.Prestart(t.Context()))
	})
}

func TestBeingMadeTakesAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openWorkers(t, func(context.Context) (dispatch.Worker[int, int], error) {
			time.Sleep(time.Minute)
			return dispatch.Handler[int, int](double), nil
		}, dispatch.WithWorkers(2), dispatch.WithMinWorkers(2), dispatch.WithQueue(0))
		c := callingErr(func() error { return p.Prestart(t.Context()) })
		_, err := p.TrySubmit(t.Context(), 1)
		require.Equal(t, dispatch.ErrQueueFull, err)
		require.NoError(t, c.requireReturnAfter(t, time.Minute))
		synctest.Wait()
		_, err = p.TrySubmit(t.Context(), 1)
		require.NoError(t, err)
	})
}

func TestAStopDuringAPrestartHangsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openWorkers(t, func(ctx context.Context) (dispatch.Worker[int, int], error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}, dispatch.WithWorkers(2), dispatch.WithMinWorkers(2))
		c := callingErr(func() error { return p.Prestart(t.Context()) })
		require.False(t, c.returned())
		p.Stop()
		require.Equal(t, dispatch.ErrStopped, c.requireReturn(t))
		<-p.Done()
	})
}

func TestPrestartWorksInAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, double, dispatch.WithWorkers(2), dispatch.WithMinWorkers(2))
		p.Pause()
		c := callingErr(func() error { return p.Prestart(t.Context()) })
		require.NoError(t, c.requireReturn(t))
		require.Equal(t, 2, p.Stats().Workers)
	})
}

func TestOnlySoManySubmittersMayBeBlocked(t *testing.T) {
	for _, most := range []int{0, 1, 3} {
		inBubbles(t, map[string]func(p *dispatch.Pool[int, int], i int) error{
			"Process": func(p *dispatch.Pool[int, int], i int) error {
				_, err := p.Process(context.Background(), i)
				return err
			},
			"ProcessTimed": func(p *dispatch.Pool[int, int], i int) error {
				_, err := p.ProcessTimed(context.Background(), i, time.Hour)
				return err
			},
			"Submit": func(p *dispatch.Pool[int, int], i int) error { _, err := p.Submit(context.Background(), i); return err },
		}, func(t *testing.T, submit func(p *dispatch.Pool[int, int], i int) error) {
			h := newHeld()
			p := openPool(t, h.handle, dispatch.WithWorkers(1), dispatch.WithQueue(1), dispatch.WithMaxBlocked(most))
			dispatch.Must(p.Submit(t.Context(), 0))
			dispatch.Must(p.Submit(t.Context(), 0))
			var calls []*call[struct{}]
			for i := range most {
				calls = append(calls, callingErr(func() error { return submit(p, i) }))
			}
			require.Equal(t, most, p.Stats().Blocked)
			for range 2 {
				require.Equal(t, dispatch.ErrQueueFull, callingErr(func() error { return submit(p, 9) }).requireReturn(t))
			}
			s := p.Stats()
			require.Equal(t, [2]uint64{2, 2}, [2]uint64{s.Submitted, s.Rejected})
			for _, c := range calls {
				require.False(t, c.returned())
			}
			h.letAll()
			for _, c := range calls {
				require.NoError(t, c.requireReturn(t))
			}
			require.NotContains(t, h.entered(), 9)
		})
	}
}

func TestWithMaxBlockedIsRefusedWhereItMeansNothing(t *testing.T) {
	_, err := dispatch.New(double, dispatch.WithMaxBlocked(-1))
	require.EqualError(t, err, "dispatch: WithMaxBlocked(-1): must not be negative")
	for _, policy := range []dispatch.Overflow{dispatch.Reject, dispatch.DropOldest, dispatch.CallerRuns} {
		for _, opts := range [][]dispatch.Option{
			{dispatch.WithMaxBlocked(3), dispatch.WithOverflow(policy)}, {dispatch.WithOverflow(policy), dispatch.WithMaxBlocked(3)},
		} {
			_, err := dispatch.New(double, opts...)
			require.ErrorContains(t, err, "WithMaxBlocked(3)")
		}
	}
}

func TestAJobThatWaitsForItsOwnPoolIsNeverTurnedAwayByWithMaxBlocked(t *testing.T) {
	for name, nest := range nestings {
		if name == "Submit and Wait" {
			continue // a Submit does not wait for its job, and may be refused
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var p *dispatch.Pool[int, int]
				p = openPool(t, func(ctx context.Context, in int) (int, error) {
					if in == 0 {
						return 0, nil
					}
					out, err := nest(ctx, p, in-1)
					return out + 1, err
				}, dispatch.WithWorkers(1), dispatch.WithQueue(0), dispatch.WithMaxBlocked(0))
				out, err := p.Process(t.Context(), 3)
				require.NoError(t, err)
				require.Equal(t, 3, out)
			})
		})
	}
}
