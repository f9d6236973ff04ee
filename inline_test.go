package dispatch_test

import (
	"bytes"
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

// goroutine names the goroutine that calls it.
func goroutine() string {
	stack := make([]byte, 64)
	stack = stack[:runtime.Stack(stack, false)]
	return string(bytes.Fields(stack)[1])
}

// where is a handler that returns the name of the goroutine that it runs on.
func where(context.Context, int) (string, error) { return goroutine(), nil }

func TestProcessRunsOnItsCallersGoroutineWhereNothingWaits(t *testing.T) {
	p := closing(t, dispatch.Must(dispatch.New(where, dispatch.WithInline())))
	for range 3 {
		on, err := p.Process(t.Context(), 1)
		require.NoError(t, err)
		require.Equal(t, goroutine(), on)
	}
	require.Zero(t, p.Stats().Workers, "and no worker has been needed")

	p = closing(t, dispatch.Must(dispatch.New(where)))
	on, err := p.Process(t.Context(), 1)
	require.NoError(t, err)
	require.NotEqual(t, goroutine(), on, "only with the option")
}

func TestAllOtherWaysRunOnWorkers(t *testing.T) {
	for name, run := range map[string]func(p *dispatch.Pool[int, string], ctx context.Context) (string, error){
		"ProcessTimed": func(p *dispatch.Pool[int, string], ctx context.Context) (string, error) {
			return p.ProcessTimed(ctx, 1, time.Hour)
		},
		"Submit": func(p *dispatch.Pool[int, string], ctx context.Context) (string, error) {
			return dispatch.Must(p.Submit(ctx, 1)).Wait(ctx)
		},
		"Map": func(p *dispatch.Pool[int, string], ctx context.Context) (string, error) {
			outs, err := p.Map(ctx, []int{1})
			return outs[0], err
		},
		"BatchOf": func(p *dispatch.Pool[int, string], ctx context.Context) (string, error) {
			outs, err := p.BatchOf(ctx, []int{1}).Wait(ctx)
			return outs[0], err
		},
		"Stream": func(p *dispatch.Pool[int, string], ctx context.Context) (on string, err error) {
			for r := range p.Stream(ctx, func(yield func(int) bool) { yield(1) }) {
				on, err = r.Out, r.Err
			}
			return on, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := closing(t, dispatch.Must(dispatch.New(where, dispatch.WithInline())))
			on, err := run(p, t.Context())
			require.NoError(t, err)
			require.NotEqual(t, goroutine(), on)
		})
	}
}

func TestWithInlineIsRefusedWhereItCannotBe(t *testing.T) {
	_, err := dispatch.New(double, dispatch.WithInline(), dispatch.WithGrace(time.Second, 1))
	require.ErrorContains(t, err, "WithInline")
	require.ErrorContains(t, err, "WithGrace")
	_, err = dispatch.New(double, dispatch.WithJobTimeout(time.Second), dispatch.WithInline())
	require.ErrorContains(t, err, "WithInline")
	require.ErrorContains(t, err, "WithJobTimeout")
	_, err = dispatch.NewWorkers(func(context.Context) (dispatch.Worker[int, int], error) {
		return dispatch.Handler[int, int](double), nil
	}, dispatch.WithInline())
	require.ErrorContains(t, err, "NewWorkers")
	require.ErrorContains(t, err, "WithInline")
	for _, policy := range []dispatch.Overflow{dispatch.Block, dispatch.Reject, dispatch.DropOldest, dispatch.CallerRuns} {
		p, err := dispatch.New(double, dispatch.WithInline(), dispatch.WithOverflow(policy))
		require.NoError(t, err)
		require.NoError(t, p.Close())
	}
}

func TestInlineCallsTakeSlotsAndWaitTheirTurnForOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(2), dispatch.WithInline())
		var calls []*call[int]
		for i := range 5 {
			calls = append(calls, calling(func() (int, error) { return p.Process(t.Context(), i) }))
		}
		require.Equal(t, []int{0, 1}, h.entered())
		s := p.Stats()
		require.Equal(t, [3]int{2, 3, 0}, [3]int{s.Running, s.Queued, s.Workers}, "running, queued, workers")
		requireSum(t, s)
		for i := range 5 {
			h.let(1)
			require.LessOrEqual(t, p.Stats().Running, 2)
			require.Len(t, h.entered(), min(5, 3+i))
		}
		for i, c := range calls {
			require.NoError(t, c.requireReturn(t))
			require.Equal(t, i, c.out)
		}
	})
}

func TestAnInlineCallOvertakesNoJobThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1), dispatch.WithInline())
		for i := range 6 {
			if i%2 == 0 {
				calling(func() (int, error) { return p.Process(t.Context(), i) })
			} else {
				dispatch.Must(p.Submit(t.Context(), i))
			}
		}
		for i := range 6 {
			require.Equal(t, upTo(i+1), h.entered())
			h.let(1)
		}
	})
}

func TestAPausedPoolRunsNothingInline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var entered notes[int]
		p := openPool(t, func(_ context.Context, in int) (int, error) { entered.add(in); return in, nil }, dispatch.WithInline())
		p.Pause()
		c := calling(func() (int, error) { return p.Process(t.Context(), 1) })
		require.False(t, c.returned())
		require.Empty(t, entered.all())
		p.Resume()
		require.NoError(t, c.requireReturn(t))
	})
}

func TestANestedProcessRunsOnTheGoroutineOfItsJobAtAnyDepth(t *testing.T) {
	var p *dispatch.Pool[int, string]
	p = closing(t, dispatch.Must(dispatch.New(func(ctx context.Context, in int) (string, error) {
		if in == 0 {
			return goroutine(), nil
		}
		return p.Process(ctx, in-1)
	}, dispatch.WithWorkers(1), dispatch.WithInline())))
	on, err := p.Process(t.Context(), 20)
	require.NoError(t, err)
	require.Equal(t, goroutine(), on)
	require.Zero(t, p.Stats().Workers)
	// Also of a job that a worker runs.
	p = closing(t, dispatch.Must(dispatch.New(func(ctx context.Context, in int) (string, error) {
		on, err := goroutine(), error(nil)
		if in > 0 {
			on, err = p.Process(ctx, in-1)
		}
		if on != goroutine() {
			t.Error("another goroutine")
		}
		return on, err
	}, dispatch.WithWorkers(1), dispatch.WithInline())))
	_, err = dispatch.Must(p.Submit(t.Context(), 5)).Wait(t.Context())
	require.NoError(t, err)
}

func TestEveryNestingEndsOnAPoolOfOneThatRunsInline(t *testing.T) {
	for name, nest := range nestings {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := nestingPool(t, nest, dispatch.WithInline())
				var calls []*call[int]
				for range 3 {
					calls = append(calls, calling(func() (int, error) { return p.Process(t.Context(), 3) }))
				}
				for _, c := range calls {
					require.NoError(t, c.requireReturn(t))
					require.Equal(t, 3, c.out)
				}
			})
		})
	}
}

func TestTheCallerOfAnInlineRunIsAnsweredWhenTheHandlerReturnsWithTheCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told time.Duration
		start := time.Now()
		p := openPool(t, func(ctx context.Context, in int) (int, error) {
			<-ctx.Done()
			told = time.Since(start)
			time.Sleep(time.Minute)
			return in, nil
		}, dispatch.WithInline())
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errCause)
		defer cancel()
		_, err := p.Process(ctx, 1)
		require.Equal(t, errCause, err)
		require.Equal(t, time.Second, told, "the handler is told at the limit")
		require.Equal(t, time.Minute+time.Second, time.Since(start))
		require.Equal(t, uint64(1), p.Stats().TimedOut)
	})
}

func TestProcessTimedIsBackInTimeAlsoWithWithInline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithInline())
		start := time.Now()
		_, err := p.ProcessTimed(t.Context(), 1, time.Second)
		require.ErrorIs(t, err, dispatch.ErrTimeout)
		require.Equal(t, time.Second, time.Since(start))
		h.letAll()
	})
}

func TestAStopTellsAnInlineHandlerAndItsCallerGetsErrStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cause error
		p := openPool(t, func(ctx context.Context, in int) (int, error) {
			<-ctx.Done()
			cause = context.Cause(ctx)
			time.Sleep(time.Minute)
			return in, nil
		}, dispatch.WithInline())
		c := calling(func() (int, error) { return p.Process(t.Context(), 1) })
		require.Empty(t, p.Stop(), "it has been entered")
		synctest.Wait()
		require.False(t, isClosed(p.Done()), "Done waits")
		require.Equal(t, dispatch.ErrStopped, c.requireReturnAfter(t, time.Minute))
		require.Equal(t, dispatch.ErrStopped, cause)
		require.True(t, isClosed(p.Done()))
	})
}

func TestAPanicOfAnInlineHandlerHasTheStackOfItsCaller(t *testing.T) {
	p := openPool(t, panicsDeepInside, dispatch.WithInline(), quiet())
	_, err := p.Process(t.Context(), 1)
	perr, ok := errors.AsType[*dispatch.PanicError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, errDeep, perr.Value)
	require.Contains(t, string(perr.Stack), "panicsDeepInside")
	require.Contains(t, string(perr.Stack), "TestAPanicOfAnInlineHandlerHasTheStackOfItsCaller")
	require.Equal(t, uint64(1), p.Stats().Panicked)
}

func TestAGoexitOfAnInlineHandlerEndsItsCallersGoroutineAndAllJobsOnIt(t *testing.T) {
	for _, depth := range []int{0, 3} {
		t.Run(fmt.Sprint(depth), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var p *dispatch.Pool[int, int]
				p = openPool(t, func(ctx context.Context, in int) (int, error) {
					switch {
					case in < 0:
						return in, nil
					case in == 0:
						runtime.Goexit()
					}
					return p.Process(ctx, in-1)
				}, dispatch.WithWorkers(1), dispatch.WithInline())
				returned := false
				var wg sync.WaitGroup
				wg.Go(func() {
					_, _ = p.Process(t.Context(), depth)
					returned = true
				})
				wg.Wait()
				require.False(t, returned)
				s := p.Stats()
				require.Equal(t, uint64(depth+1), s.Failed, "each counts")
				require.Zero(t, s.Running)
				requireSum(t, s)
				out, err := p.Process(t.Context(), -1)
				require.NoError(t, err, "the slots are free")
				require.Equal(t, -1, out)
			})
		})
	}
}

func TestSlotsOfCallersCostNoIdleWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, nap, dispatch.WithWorkers(2), dispatch.WithInline())
		_, err := p.Map(t.Context(), []time.Duration{time.Second, time.Second})
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, 2, p.Stats().Workers)
		for range 3 {
			c := calling(func() (time.Duration, error) { return p.Process(t.Context(), time.Millisecond) })
			s := p.Stats()
			require.Equal(t, [3]int{2, 2, 1}, [3]int{s.Workers, s.Idle, s.Running}, "workers, idle, running")
			<-c.done
		}
		synctest.Wait()
		require.Equal(t, 2, p.Stats().Idle)
	})
}

func TestWhatWaitedForTheSlotOfAnInlineCallHasItWhenThatReturns(t *testing.T) {
	inBubbles(t, map[string]func(p *dispatch.Pool[int, int]) error{
		"a queued job": func(p *dispatch.Pool[int, int]) error {
			_, err := dispatch.Must(p.Submit(context.Background(), 1)).Wait(context.Background())
			return err
		},
		"a batch": func(p *dispatch.Pool[int, int]) error {
			_, err := p.BatchOf(context.Background(), []int{1}).Wait(context.Background())
			return err
		},
		"Wait":                func(p *dispatch.Pool[int, int]) error { return p.Wait(context.Background()) },
		"Close":               func(p *dispatch.Pool[int, int]) error { return p.Close() },
		"another inline call": func(p *dispatch.Pool[int, int]) error { _, err := p.Process(context.Background(), 1); return err },
	}, func(t *testing.T, wait func(p *dispatch.Pool[int, int]) error) {
		h := newHeld()
		p := openPool(t, func(ctx context.Context, in int) (int, error) {
			if in > 0 {
				return in, nil
			}
			return h.handle(ctx, in)
		}, dispatch.WithWorkers(1), dispatch.WithInline())
		c := calling(func() (int, error) { return p.Process(t.Context(), 0) })
		w := callingErr(func() error { return wait(p) })
		require.False(t, w.returned())
		h.letAll()
		require.NoError(t, c.requireReturn(t))
		require.NoError(t, w.requireReturn(t))
	})
}

func TestNeverMoreHandlersThanWorkersWithWithInline(t *testing.T) {
	var run bounded
	p := openPool(t, func(_ context.Context, in int) (int, error) {
		run.enter()
		defer run.leave()
		runtime.Gosched()
		return in, nil
	}, dispatch.WithWorkers(3), dispatch.WithInline())
	var wg sync.WaitGroup
	var done atomic.Int64
	for range 16 {
		wg.Go(func() {
			for i := range 200 {
				if out, err := p.Process(t.Context(), i); err != nil || out != i {
					t.Errorf("%d, %v", out, err)
				}
				done.Add(1)
			}
		})
	}
	wg.Go(func() { dispatch.Must(p.Map(t.Context(), upTo(1000))) })
	within(t, "Process", wg.Wait)
	require.LessOrEqual(t, run.most.Load(), int64(3))
	require.Equal(t, uint64(4200), p.Stats().Succeeded)
}

func TestTheContextOfAnInlineHandlerIsLikeAnyOther(t *testing.T) {
	type key struct{}
	var kept context.Context
	p := openPool(t, func(ctx context.Context, in int) (int, error) {
		kept = ctx
		if ctx.Err() != nil || ctx.Value(key{}) != "value" {
			t.Error("another context")
		}
		return in, nil
	}, dispatch.WithInline())
	_, err := p.Process(context.WithValue(t.Context(), key{}, "value"), 1)
	require.NoError(t, err)
	require.Error(t, kept.Err(), "it is done once the handler has returned")
	_, err = p.Process(canceledContext(t, errCause), 1)
	require.Equal(t, errCause, err)
	require.Equal(t, uint64(1), p.Stats().Submitted)
}

func TestAnInlineCallLeavesTheProfilerLabelsOfItsCaller(t *testing.T) {
	p := openPool(t, double, dispatch.WithInline(), dispatch.WithTelemetry(), dispatch.WithName("inline labels"))
	_, err := p.Process(t.Context(), 1)
	require.NoError(t, err)
	for _, block := range labeled(t, "inline labels") {
		require.NotContains(t, block, "TestAnInlineCallLeaves")
	}
}

func TestInlineCallsAtOnceAreCountedOnceEachByTelemetry(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(16)) // more than there are processors, so that goroutines are preempted anywhere
	p := openPool(t, double, dispatch.WithInline(), dispatch.WithTelemetry(), dispatch.WithWorkers(64))
	const callers, each = 32, 10_000 / slow
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for i := range each {
				_, _ = p.Process(t.Context(), i)
			}
		})
	}
	within(t, "Process", wg.Wait)
	s := p.Stats()
	require.EqualValues(t, callers*each, s.Run.Count())
	require.EqualValues(t, callers*each, s.Wait.Count())
	require.Empty(t, p.Running())
}

func TestAPanicIsTheOutcomeOfAnInlineCallAlsoIfThePanicHandlerEndsTheGoroutine(t *testing.T) {
	p := openPool(t, func(context.Context, int) (int, error) { panic("boo") }, dispatch.WithInline(),
		dispatch.WithPanicHandler(func(*dispatch.PanicError) { runtime.Goexit() }))
	for range 2 {
		within(t, "Process", func() { _, _ = p.Process(t.Context(), 1) })
	}
	require.EqualValues(t, 2, p.Stats().Panicked)
	require.NoError(t, dispatch.Rest(p))
}
