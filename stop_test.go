package dispatch_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// These tests check what Stop returns, and which call of Stop returns it.

// brought are the ways in which inputs from 1 to n come to a pool.
var brought = map[string]func(t *testing.T, p *dispatch.Pool[int, int], n int){
	"single jobs": func(t *testing.T, p *dispatch.Pool[int, int], n int) {
		t.Helper()
		submitted(t, p, n)
	},
	"a batch": func(t *testing.T, p *dispatch.Pool[int, int], n int) {
		t.Helper()
		require.NoError(t, p.Batch(t.Context()).Add(inputs(n)...))
	},
	"a batch that stops on an error": func(t *testing.T, p *dispatch.Pool[int, int], n int) {
		t.Helper()
		require.NoError(t, p.Batch(t.Context(), dispatch.StopOnError()).Add(inputs(n)...))
	},
	"a Map": func(t *testing.T, p *dispatch.Pool[int, int], n int) {
		t.Helper()
		go func() { _, _ = p.Map(context.Background(), inputs(n)) }()
		eventually(t, "the inputs have come", func() bool { return p.Stats().Submitted >= uint64(n) })
	},
}

// Regression: an item that was in Ready or in newWorker when Stop came was lost. It never
// ran, and was not returned.
func TestG11StopGivesBackWhatItMeetsBeforeItsHandlerIsEntered(t *testing.T) {
	for place, ready := range map[string]bool{"Ready": true, "newWorker": false} {
		for how, leave := range map[string]func(ctx context.Context) error{
			"fails":        func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) },
			"fails oddly":  func(ctx context.Context) error { <-ctx.Done(); return errUser },
			"panics":       func(ctx context.Context) error { <-ctx.Done(); panic(errUser) },
			"heeds it not": func(ctx context.Context) error { <-ctx.Done(); return nil },
		} {
			for name, bring := range brought {
				for setting, opts := range map[string][]dispatch.Option{
					"": nil, ", with limits": {dispatch.WithJobTimeout(time.Hour), dispatch.WithGrace(time.Hour, 1)},
				} {
					t.Run(fmt.Sprint(name, " in ", place, " that ", how, setting), func(t *testing.T) {
						var ran atomic.Int64
						entered := make(chan struct{}, 100)
						wait := func(ctx context.Context) error {
							entered <- struct{}{}
							return leave(ctx)
						}
						w := &workerOf{process: func(context.Context, int) (int, error) { ran.Add(1); return 0, nil }}
						if ready {
							w.ready = wait
						}
						p := dispatch.Must(dispatch.NewWorkers(func(ctx context.Context) (dispatch.Worker[int, int], error) {
							if !ready {
								if err := wait(ctx); err != nil {
									return nil, err
								}
							}
							return w, nil
						}, append(opts, dispatch.WithWorkers(2), quiet())...))
						bring(t, p, 5)
						<-entered
						<-entered
						back := p.Stop()
						requireSound(t, p)
						back = append(back, p.Stop()...)
						slices.Sort(back)
						require.Equal(t, inputs(5), back)
						require.Zero(t, ran.Load())
						require.Equal(t, uint64(5), p.Stats().Canceled)
					})
				}
			}
		}
	}
}

// Whenever Stop comes, each accepted input either has had its handler entered or is
// returned, and never both.
func TestG11EachInputIsRunOrGivenBackWheneverStopComes(t *testing.T) {
	const n = 20
	settings := map[string]func(process func(context.Context, int) (int, error)) *dispatch.Pool[int, int]{
		"a handler": func(process func(context.Context, int) (int, error)) *dispatch.Pool[int, int] {
			return dispatch.Must(dispatch.New(process, dispatch.WithWorkers(2)))
		},
		"a handler with a limit": func(process func(context.Context, int) (int, error)) *dispatch.Pool[int, int] {
			return dispatch.Must(dispatch.New(process, dispatch.WithWorkers(2), dispatch.WithJobTimeout(time.Hour)))
		},
		"a handler with a grace": func(process func(context.Context, int) (int, error)) *dispatch.Pool[int, int] {
			return dispatch.Must(dispatch.New(process, dispatch.WithWorkers(2), dispatch.WithGrace(time.Hour, 2)))
		},
		"workers": func(process func(context.Context, int) (int, error)) *dispatch.Pool[int, int] {
			return workers(&workerOf{process: process}, dispatch.WithWorkers(2))
		},
	}
	for setting, open := range settings {
		for name, bring := range brought {
			t.Run(setting+", "+name, func(t *testing.T) {
				for round := range 60 / slow {
					var mu sync.Mutex
					ran := make(map[int]bool)
					p := open(func(_ context.Context, in int) (int, error) {
						mu.Lock()
						defer mu.Unlock()
						ran[in] = true
						return in, nil
					})
					bring(t, p, n)
					for range round % 20 * 50 {
					}
					back := p.Stop()
					requireSound(t, p)
					back = append(back, p.Stop()...)
					for _, in := range back {
						require.False(t, ran[in], "%d has run and is given back", in)
						ran[in] = true
					}
					require.Len(t, ran, n, "accepted, and neither run nor given back")
				}
			})
		}
	}
}

// Regression: Stop returned a job that had been brought forward before jobs that were
// submitted earlier.
func TestG11StopGivesSingleJobsBackInTheOrderOfTheirSubmission(t *testing.T) {
	for name, bring := range map[string]func(ctx context.Context, p *dispatch.Pool[int, int]){
		"by Process": func(ctx context.Context, p *dispatch.Pool[int, int]) { _, _ = p.Process(ctx, 3) },
		"by Future.Wait": func(ctx context.Context, p *dispatch.Pool[int, int]) {
			f, err := p.Submit(context.WithoutCancel(ctx), 3)
			if err == nil {
				_, _ = f.Wait(ctx)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var made atomic.Int32
				entered, goOn, gate := make(chan struct{}), make(chan struct{}), make(chan struct{})
				var p *dispatch.Pool[int, int]
				p = dispatch.Must(dispatch.NewWorkers(func(context.Context) (dispatch.Worker[int, int], error) {
					if made.Add(1) == 2 { // the worker for the job that is brought forward is slow to be made
						<-gate
					}
					return &workerOf{process: func(ctx context.Context, in int) (int, error) {
						if in == 0 {
							close(entered)
							<-goOn
							bring(ctx, p)
						}
						return in, nil
					}}, nil
				}, dispatch.WithWorkers(1)))
				_, err := p.Submit(t.Context(), 0)
				require.NoError(t, err)
				<-entered
				submitted(t, p, 2)
				close(goOn)
				synctest.Wait()
				require.NoError(t, p.Batch(t.Context()).Add(5, 6))
				require.Equal(t, []int{1, 2, 3, 5, 6}, p.Stop())
				close(gate)
				requireSound(t, p)
				require.Empty(t, p.Stop(), "each is given back once")
			})
		})
	}
}

// Some of the jobs have a worker, which is in newWorker, and the others have none. Stop
// returns all of them in the order of submission.
func TestG11StopGivesBackInOrderWhateverAWorkerHasTaken(t *testing.T) {
	for range 100 / slow {
		p := dispatch.Must(dispatch.NewWorkers(func(ctx context.Context) (dispatch.Worker[int, int], error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}, dispatch.WithWorkers(3)))
		submitted(t, p, 10)
		back := p.Stop()
		requireSound(t, p)
		require.Equal(t, inputs(10), append(back, p.Stop()...))
	}
}

// Regression: a job that was canceled while Stop was on its way to it was returned,
// although its outcome was not ErrStopped.
func TestStopDoesNotGiveBackAJobThatWasCanceledMeanwhile(t *testing.T) {
	g := newGated()
	p := openPool(t, g.handle, dispatch.WithWorkers(1))
	dispatch.Must(p.Submit(t.Context(), 1))
	<-g.entered
	defer g.open()
	waiting := dispatch.Must(p.Submit(t.Context(), 2))
	canceled := false
	ctx := newRegistrar(func(method string) {
		if method == "stop" { // Stop seals the batch before it comes to the queue
			canceled = waiting.Cancel()
		}
	})
	_ = p.Batch(ctx).Results()
	ctx.active.Store(true)
	require.Empty(t, p.Stop())
	require.True(t, canceled)
	_, err := waiting.Wait(t.Context())
	require.Equal(t, context.Canceled, err)
}

// Regression: the stream had cleared the input before Stop read it.
func TestStopGivesBackTheInputOfAStreamThatItMeetsInReady(t *testing.T) {
	inReady, yielded := make(chan bool), make(chan bool)
	var results []dispatch.Result[int, int]
	p := workers(&workerOf{process: double, ready: func(ctx context.Context) error {
		inReady <- true
		<-ctx.Done()
		return nil
	}}, dispatch.WithWorkers(1))
	go func() {
		defer close(yielded)
		results = slices.Collect(p.Stream(context.Background(), slices.Values([]int{7})))
	}()
	<-inReady
	ctx := newRegistrar(func(method string) {
		if method == "stop" { // Stop ends the batch after the stream
			<-yielded
		}
	})
	require.NoError(t, p.Batch(ctx).Add(8))
	ctx.active.Store(true)
	within(t, "Stop", func() { require.Equal(t, []int{7, 8}, p.Stop()) })
	<-yielded
	require.Equal(t, []dispatch.Result[int, int]{{In: 7, Err: dispatch.ErrStopped}}, results)
	requireSound(t, p)
}

func TestStopStartsNothingWhileItIsOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1))
		defer h.letAll()
		dispatch.Must(p.Submit(t.Context(), 1))
		require.Equal(t, []int{1}, h.entered())
		dispatch.Must(p.Submit(t.Context(), 2))
		ctx := newRegistrar(func(method string) {
			if method == "stop" { // Stop seals the batch before it comes to the queue
				h.let(1)
				synctest.Wait()
			}
		})
		_ = p.Batch(ctx).Results()
		ctx.active.Store(true)
		require.Equal(t, []int{2}, p.Stop())
	})
}

// stopWhileDraining calls Stop while Drain is telling batches and streams that the pool no
// longer accepts jobs.
func stopWhileDraining(t *testing.T, p *dispatch.Pool[int, int]) {
	t.Helper()
	go p.Drain()
	for p.Stats().State == dispatch.Running {
		runtime.Gosched()
	}
	p.Stop()
	requireSoon(t, p.Done(), "the end")
}

func TestG11StopEndsTheBatchesThatADrainHasNotComeTo(t *testing.T) {
	for range 3 {
		p := openPool(t, double, dispatch.WithWorkers(1))
		p.Pause()
		for range 20_000 / slow {
			require.NoError(t, p.Batch(context.Background()).Add(1, 2))
		}
		stopWhileDraining(t, p)
	}
}

func TestG11StopEndsWithSubmittersThatADrainHasNotRefused(t *testing.T) {
	for range 3 {
		p := openPool(t, double, dispatch.WithWorkers(1), dispatch.WithQueue(1))
		p.Pause()
		n := 5_000 / slow
		returned := make(chan error, n)
		for range n {
			go func() {
				_, err := p.Process(context.Background(), 1)
				returned <- err // ErrClosed, or ErrStopped, or none: the Drain has ended the Pause
			}()
		}
		eventually(t, "all but two are blocked", func() bool { return p.Stats().Blocked == n-2 })
		stopWhileDraining(t, p)
		for range n {
			<-returned
		}
	}
}

// Regression: the job had failed in Ready, and Done had been called for it, but Stop
// returned it all the same.
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

// For the race detector. Regression: with telemetry the worker read the input of a job that
// Stop had taken from it.
func TestStopTakesAnInputThatNoWorkerReadsAnyMore(t *testing.T) {
	for range 500 {
		p := openPool(t, double, dispatch.WithWorkers(2), dispatch.WithTelemetry())
		_, err := p.Process(context.Background(), 1)
		require.NoError(t, err)
		_, err = p.Submit(context.Background(), 2)
		require.NoError(t, err)
		p.Stop()
		require.NoError(t, p.Close())
		s := p.Stats()
		require.Equal(t, s.Submitted, s.Wait.Count())
	}
}

// Regression: if a worker had claimed the input, Stop did not return it, and it did not
// run.
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
					p := openWorkers(t, toolbox(&log, workerOf{ready: func(context.Context) error {
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

// An item that is in newWorker when Stop comes is returned, whatever newWorker returns.
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
