package dispatch_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// A panic handler that called Goexit left its panic to the next job.
func TestAGoexitIsNotTakenForThePanicOfTheJobBefore(t *testing.T) {
	p := openPool(t, func(_ context.Context, in int) (int, error) {
		if in == 1 {
			panic(errTool)
		}
		runtime.Goexit()
		return 0, nil
	}, dispatch.WithWorkers(1), dispatch.WithPanicHandler(func(*dispatch.PanicError) { runtime.Goexit() }))
	_, err := p.Process(t.Context(), 1)
	require.ErrorIs(t, err, errTool)
	_, err = p.Process(t.Context(), 2)
	require.Equal(t, dispatch.ErrGoexit, err)
}

// A worker that closed what Goexit had left counted as idle.
func TestASlowCloseAfterAGoexitHoldsUpNoOtherJob(t *testing.T) {
	for _, workers := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			p := openWorkers(t, toolbox(new(notes[string]), tool{
				process: func(_ context.Context, in int) (int, error) {
					if in == 0 {
						runtime.Goexit()
					}
					return in, nil
				},
				close: func() error { time.Sleep(time.Hour); return nil },
			}), dispatch.WithWorkers(workers))
			_, err := p.Process(t.Context(), 0)
			require.ErrorIs(t, err, dispatch.ErrGoexit)
			synctest.Wait()
			c := calling(func() (int, error) { return p.Process(t.Context(), 1) })
			require.NoError(t, c.requireReturn(t))
		})
	}
}

// An item that called Goexit after its limit ended with ErrGoexit.
func TestALateGoexitOfAnItemIsDropped(t *testing.T) {
	inBubbles(t, map[string]func(p *dispatch.Pool[int, int]) error{
		"Batch": func(p *dispatch.Pool[int, int]) error {
			b := p.Batch(context.Background())
			_ = b.Add(1)
			_, err := b.Wait(context.Background())
			return err
		},
		"Map": func(p *dispatch.Pool[int, int]) error { _, err := p.Map(context.Background(), upTo(1)); return err },
	}, func(t *testing.T, run func(p *dispatch.Pool[int, int]) error) {
		p := openPool(t, func(context.Context, int) (int, error) {
			time.Sleep(time.Minute)
			runtime.Goexit()
			return 0, nil
		}, dispatch.WithJobTimeout(time.Second))
		err := run(p)
		require.ErrorIs(t, err, dispatch.ErrTimeout)
		require.NotErrorIs(t, err, dispatch.ErrGoexit)
		s := p.Stats()
		require.Equal(t, [2]uint64{1, 0}, [2]uint64{s.TimedOut, s.Failed})
	})
}

// plain is a constructor of Workers without hooks that takes five seconds.
func plain(entered *notes[int]) func(context.Context) (dispatch.Worker[int, int], error) {
	return func(context.Context) (dispatch.Worker[int, int], error) {
		time.Sleep(5 * time.Second)
		return dispatch.Handler[int, int](func(_ context.Context, in int) (int, error) {
			entered.add(in)
			return in, nil
		}), nil
	}
}

// A job that was canceled while its Worker was made was processed all the same.
func TestAJobThatIsCanceledDuringTheConstructorNeverRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var entered notes[int]
		p := openWorkers(t, plain(&entered))
		f := dispatch.Must(p.Submit(t.Context(), 1))
		time.Sleep(time.Second)
		require.True(t, f.Cancel())
		require.NoError(t, p.Close())
		require.Empty(t, entered.all())
	})
}

// A job that timed out before Process was entered was said to have run.
func TestATimeoutBeforeProcessIsEnteredSaysThatTheJobDidNotRun(t *testing.T) {
	untilDone := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	slow := func(log *notes[string]) func(context.Context) (dispatch.Worker[int, int], error) {
		quick := toolbox(log, tool{})
		return func(ctx context.Context) (dispatch.Worker[int, int], error) {
			time.Sleep(5 * time.Second)
			return quick(ctx)
		}
	}
	for name, newWorker := range map[string]func(log *notes[string]) func(context.Context) (dispatch.Worker[int, int], error){
		"in the constructor": slow,
		"in the constructor, no hooks": func(*notes[string]) func(context.Context) (dispatch.Worker[int, int], error) {
			return plain(new(notes[int]))
		},
		"in Ready": func(log *notes[string]) func(context.Context) (dispatch.Worker[int, int], error) {
			return toolbox(log, tool{ready: untilDone})
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range 50 { // in Ready the worker and the caller race
				synctest.Test(t, func(t *testing.T) {
					var log notes[string]
					p := openWorkers(t, newWorker(&log))
					_, err := p.ProcessTimed(t.Context(), 1, time.Second)
					require.Equal(t, &dispatch.TimeoutError{Limit: time.Second}, err)
					require.NoError(t, p.Close())
					require.NotContains(t, log.all(), "process 0")
				})
			}
		})
	}
}

// A context that ended in Ready was seen only when its callback came.
func TestAJobWhoseContextEndsInReadyIsNotProcessed(t *testing.T) {
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			var log notes[string]
			ctx, cancel := context.WithCancel(t.Context())
			p := openWorkers(t, toolbox(&log, tool{ready: func(context.Context) error { cancel(); return nil }}))
			_, err := p.Process(ctx, 1)
			require.Equal(t, context.Canceled, err)
			require.NoError(t, p.Close())
			require.NotContains(t, log.all(), "process 0")
		})
	}
}

// A worker had claimed the input: Stop did not give it back, and it was not run.
func TestStopGivesBackOrRunsWhatAWorkerHasClaimed(t *testing.T) {
	submits := map[string]func(ctx context.Context, p *dispatch.Pool[int, int]){
		"Submit": func(ctx context.Context, p *dispatch.Pool[int, int]) { dispatch.Must(p.Submit(ctx, 1)) },
		"Batch":  func(ctx context.Context, p *dispatch.Pool[int, int]) { _ = p.Batch(ctx).Add(1) },
		"Map": func(ctx context.Context, p *dispatch.Pool[int, int]) {
			calling(func() ([]int, error) { return p.Map(ctx, []int{1}) })
		},
	}
	for name, submit := range submits {
		for what, opt := range map[string]dispatch.Option{"": dispatch.WithJobTimeout(0), " with a job limit": dispatch.WithJobTimeout(time.Hour)} {
			t.Run(name+what+" in Ready", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var log notes[string]
					p := openWorkers(t, toolbox(&log, tool{ready: func(context.Context) error {
						time.Sleep(time.Second)
						return nil
					}}), dispatch.WithWorkers(1), opt)
					submit(context.Background(), p)
					synctest.Wait()
					back := len(p.Stop())
					require.NoError(t, p.Close())
					ran := 0
					for _, note := range log.all() {
						if note == "process 0" {
							ran++
						}
					}
					require.Equal(t, 1, back+ran, "given back %d times, run %d times", back, ran)
				})
			})
			t.Run(name+what+" in the constructor", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var entered notes[int]
					p := openWorkers(t, plain(&entered), dispatch.WithWorkers(1), opt)
					submit(context.Background(), p)
					synctest.Wait()
					back := p.Stop()
					require.NoError(t, p.Close())
					require.Equal(t, []int{1}, append(back, entered.all()...))
				})
			})
		}
	}
}

// An item that Stop meets in the constructor is given back, whatever comes of that.
func TestAnItemThatStopMeetsInTheConstructorIsGivenBack(t *testing.T) {
	inBubbles(t, map[string]dispatch.Option{"no job limit": dispatch.WithJobTimeout(0), "a job limit": dispatch.WithJobTimeout(time.Hour)}, func(t *testing.T, opt dispatch.Option) {
		p := openWorkers(t, func(context.Context) (dispatch.Worker[int, int], error) {
			time.Sleep(time.Second)
			return nil, errTool
		}, opt)
		b := batchOf(t, p, []int{1})
		synctest.Wait()
		require.Equal(t, []int{1}, p.Stop())
		_, err := b.Wait(context.Background())
		require.ErrorIs(t, err, dispatch.ErrStopped)
		require.NotErrorIs(t, err, errTool)
	})
}

// Interrupt was called while the panic handler was told of Process's panic.
func TestInterruptIsNotBegunAfterProcessHasPanicked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log notes[string]
		p := openWorkers(t, toolbox(&log, tool{
			process: func(context.Context, int) (int, error) { panic(errTool) },
		}), dispatch.WithWorkers(1), dispatch.WithPanicHandler(func(*dispatch.PanicError) { time.Sleep(time.Minute) }))
		_, err := p.ProcessTimed(t.Context(), 1, time.Second)
		require.Error(t, err)
		require.NoError(t, p.Close())
		require.NotContains(t, log.all(), "interrupt 0")
	})
}

// readyAt is a Worker whose Ready waits for the gate, whatever its context says.
type readyAt struct{ gate chan struct{} }

func (w readyAt) Ready(context.Context) error { <-w.gate; return nil }

func (w readyAt) Process(_ context.Context, d time.Duration) (int, error) {
	time.Sleep(d)
	return 0, nil
}

// A job that was canceled and written off in Ready was taken off twice from what
// runs: Wait returned while another job ran.
func TestAStrayInReadyCountsOnceAmongWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		gates := make(chan chan struct{}, 2)
		open, shut := make(chan struct{}), make(chan struct{})
		close(open)
		gates <- open
		gates <- shut
		p := openWorkers(t, func(context.Context) (dispatch.Worker[time.Duration, int], error) {
			return readyAt{<-gates}, nil
		}, dispatch.WithWorkers(2), dispatch.WithGrace(time.Second, 1))
		dispatch.Must(p.Submit(ctx, time.Minute))
		synctest.Wait()
		f := dispatch.Must(p.Submit(ctx, 0))
		synctest.Wait()
		require.True(t, f.Cancel())
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, 1, p.Stats().Strays)
		require.Equal(t, 1, p.Stats().Running)
		require.NoError(t, p.Wait(ctx))
		require.Equal(t, 0, p.Stats().Running)
		require.Equal(t, uint64(1), p.Stats().Succeeded)
		close(shut)
	})
}

// An idle worker kept the error of its last job.
func TestAnIdleWorkerKeepsNothingOfItsLastJob(t *testing.T) {
	type big struct{ error }
	var kept weak.Pointer[big]
	p := openPool(t, func(context.Context, int) (int, error) {
		err := &big{errTool}
		kept = weak.Make(err)
		return 0, err
	}, dispatch.WithWorkers(1))
	_, err := p.Process(t.Context(), 1)
	require.Error(t, err)
	err = nil
	require.Eventually(t, func() bool { runtime.GC(); return kept.Value() == nil }, 5*time.Second, time.Millisecond)
	require.NoError(t, err)
}
