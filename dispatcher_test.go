package dispatch_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// The promises of the package documentation: at least one test for each, named
// after it. G01 to G08 are here, G09 in nest_test.go, G10 to G16 in promises_test.go,
// and G17 in lock_time_test.go and cost_test.go. Further tests with a promise's number
// stand beside their subject: go test -run TestG09 runs all of those of G9.

func TestG01WhatHappenedBeforeASubmitIsSeenByTheJobAndItsWorkAfterwards(t *testing.T) {
	// The race detector is the judge: nothing here is synchronised but by the pool.
	ctx := t.Context()
	handler := func(_ context.Context, n *int) (int, error) {
		*n *= 2
		return *n, nil
	}
	for name, run := range map[string]func(t *testing.T, p *dispatch.Pool[*int, int], n *int){
		"Process": func(t *testing.T, p *dispatch.Pool[*int, int], n *int) {
			_, err := p.Process(ctx, n)
			require.NoError(t, err)
		},
		"Wait": func(t *testing.T, p *dispatch.Pool[*int, int], n *int) {
			f := dispatch.Must(p.Submit(ctx, n))
			_, err := f.Wait(ctx)
			require.NoError(t, err)
		},
		"Done": func(t *testing.T, p *dispatch.Pool[*int, int], n *int) {
			<-dispatch.Must(p.Submit(ctx, n)).Done()
		},
		"Result": func(t *testing.T, p *dispatch.Pool[*int, int], n *int) {
			b := p.Batch(ctx)
			require.NoError(t, b.Add(n))
			require.NoError(t, (<-b.Results()).Err)
			b.Close()
		},
		"Batch.Wait": func(t *testing.T, p *dispatch.Pool[*int, int], n *int) {
			b := p.Batch(ctx)
			require.NoError(t, b.Add(n))
			dispatch.Must(b.Wait(ctx))
		},
		"All": func(t *testing.T, p *dispatch.Pool[*int, int], n *int) {
			b := p.Batch(ctx)
			require.NoError(t, b.Add(n))
			for r := range b.All() {
				require.NoError(t, r.Err)
			}
		},
		"Map": func(t *testing.T, p *dispatch.Pool[*int, int], n *int) {
			dispatch.Must(p.Map(ctx, []*int{n}))
		},
		"Pool.Wait": func(t *testing.T, p *dispatch.Pool[*int, int], n *int) {
			dispatch.Must(p.Submit(ctx, n))
			require.NoError(t, p.Wait(ctx))
		},
		"Close": func(t *testing.T, p *dispatch.Pool[*int, int], n *int) {
			dispatch.Must(p.Submit(ctx, n))
			require.NoError(t, p.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := dispatch.Must(dispatch.New(handler, dispatch.WithWorkers(2)))
			defer p.Close()
			n := new(int)
			*n = 21
			run(t, p, n)
			require.Equal(t, 42, *n)
		})
	}
}

func TestG02EveryAcceptedJobHasExactlyOneOutcome(t *testing.T) {
	// Completion, Cancel, a timeout, the caller's cancel and Stop come together at random.
	const rounds = 300
	for round := range rounds {
		var runs atomic.Int64
		p := dispatch.Must(dispatch.New(func(ctx context.Context, n int) (int, error) {
			runs.Add(1)
			switch n % 4 {
			case 1:
				panic(errors.New("panic"))
			case 2:
				runtime.Goexit()
			case 3:
				<-ctx.Done()
				return 0, ctx.Err()
			}
			return n, nil
		}, dispatch.WithWorkers(2), dispatch.WithPanicHandler(func(*dispatch.PanicError) {}), dispatch.WithJobTimeout(time.Duration(round%7)*50*time.Microsecond+time.Microsecond)))

		ctx, cancel := context.WithCancelCause(t.Context())
		futures := make([]*dispatch.Future[int], 16)
		for i := range futures {
			futures[i] = dispatch.Must(p.Submit(ctx, i))
		}
		var wg sync.WaitGroup
		for i, act := range []func(){
			func() {
				for _, f := range futures[:8] {
					f.Cancel()
				}
			},
			func() { cancel(errors.New("caller")) },
			func() { p.Stop() },
			func() { p.Stats() },
		} {
			if i == round%5 {
				continue
			}
			wg.Go(act)
		}

		// Several readers of one future see the same.
		type outcome struct {
			out int
			err error
		}
		seen := make([][3]outcome, len(futures))
		for r := range 3 {
			wg.Go(func() {
				for i, f := range futures {
					out, err := f.Wait(context.Background())
					seen[i][r] = outcome{out, err}
				}
			})
		}
		wg.Wait()
		cancel(nil)
		require.NoError(t, p.Close())
		for i := range futures {
			require.Equal(t, seen[i][0], seen[i][1])
			require.Equal(t, seen[i][0], seen[i][2])
		}
		s := p.Stats()
		requireRest(t, p)
		require.EqualValues(t, len(futures), s.Submitted)
		require.LessOrEqual(t, runs.Load(), int64(len(futures)))
	}
}

func TestG02ARefusedJobNeverRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newHeld()
		var ran []int
		p := dispatch.Must(dispatch.New(func(ctx context.Context, n int) (int, error) {
			ran = append(ran, n)
			return g.handle(ctx, n)
		}, dispatch.WithWorkers(1), dispatch.WithQueue(1), dispatch.WithOverflow(dispatch.Reject)))
		dispatch.Must(p.Submit(t.Context(), 1))
		dispatch.Must(p.Submit(t.Context(), 2))
		_, err := p.Submit(t.Context(), 3)
		require.ErrorIs(t, err, dispatch.ErrQueueFull)
		done, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = p.Process(done, 4)
		require.ErrorIs(t, err, context.Canceled)
		_, err = p.ProcessTimed(t.Context(), 5, 0)
		require.ErrorIs(t, err, dispatch.ErrTimeout)
		g.letAll()
		require.NoError(t, p.Close())
		_, err = p.Submit(t.Context(), 6)
		require.ErrorIs(t, err, dispatch.ErrClosed)
		require.Equal(t, []int{1, 2}, ran)
		require.EqualValues(t, 2, p.Stats().Submitted)
		require.EqualValues(t, 1, p.Stats().Rejected)
	})
}

func TestG03TheContextTellsWhyAndEndsWithTheHandler(t *testing.T) {
	type key struct{}
	errCaller := errors.New("the caller lost interest")
	for name, end := range map[string]struct {
		act   func(p *dispatch.Pool[int, int], f *dispatch.Future[int], cancel context.CancelCauseFunc)
		cause error
	}{
		"caller": {func(_ *dispatch.Pool[int, int], _ *dispatch.Future[int], cancel context.CancelCauseFunc) {
			cancel(errCaller)
		}, errCaller},
		"Cancel": {func(_ *dispatch.Pool[int, int], f *dispatch.Future[int], _ context.CancelCauseFunc) { f.Cancel() }, context.Canceled},
		"Stop":   {func(p *dispatch.Pool[int, int], _ *dispatch.Future[int], _ context.CancelCauseFunc) { p.Stop() }, dispatch.ErrStopped},
		"timeout": {func(*dispatch.Pool[int, int], *dispatch.Future[int], context.CancelCauseFunc) {
			time.Sleep(time.Minute)
		}, dispatch.ErrTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var cause error
				p := dispatch.Must(dispatch.New(func(ctx context.Context, n int) (int, error) {
					require.Equal(t, "value", ctx.Value(key{}))
					deadline, ok := ctx.Deadline()
					require.True(t, ok)
					require.Equal(t, time.Minute, time.Until(deadline))
					<-ctx.Done()
					cause = context.Cause(ctx)
					return 0, nil
				}, dispatch.WithJobTimeout(time.Minute)))
				ctx, cancel := context.WithCancelCause(context.WithValue(t.Context(), key{}, "value"))
				defer cancel(nil)
				f := dispatch.Must(p.Submit(ctx, 0))
				synctest.Wait()
				end.act(p, f, cancel)
				_, err := f.Wait(t.Context())
				require.ErrorIs(t, err, end.cause)
				require.NoError(t, p.Close())
				require.ErrorIs(t, cause, end.cause)
			})
		})
	}

	t.Run("return", func(t *testing.T) {
		var kept context.Context
		p := dispatch.Must(dispatch.New(func(ctx context.Context, n int) (int, error) {
			kept = ctx
			return n, nil
		}))
		defer p.Close()
		dispatch.Must(p.Process(t.Context(), 1))
		require.ErrorIs(t, kept.Err(), context.Canceled)
		<-kept.Done()
	})

	t.Run("costs nothing until it is asked for Done", func(t *testing.T) {
		p := dispatch.Must(dispatch.New(func(ctx context.Context, n int) (int, error) { return n, ctx.Err() }, dispatch.WithWorkers(1)))
		defer p.Close()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		least := 100.0 // others in this process allocate too
		for range 20 {
			least = min(least, testing.AllocsPerRun(100, func() { p.Process(ctx, 1) }))
		}
		require.LessOrEqual(t, least, 1.0+allocsOfRaceDetector)
	})
}

func TestG04ACancelResolvesAQueuedJobAtOnceAndItNeverRuns(t *testing.T) {
	errCaller := errors.New("the caller lost interest")
	for name, cancelIt := range map[string]func(f *dispatch.Future[int], cancel context.CancelCauseFunc){
		"Cancel":  func(f *dispatch.Future[int], _ context.CancelCauseFunc) { f.Cancel() },
		"context": func(_ *dispatch.Future[int], cancel context.CancelCauseFunc) { cancel(errCaller) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newHeld()
				var ran []int
				p := dispatch.Must(dispatch.New(func(ctx context.Context, n int) (int, error) {
					ran = append(ran, n)
					return g.handle(ctx, n)
				}, dispatch.WithWorkers(1)))
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				dispatch.Must(p.Submit(t.Context(), 1))
				f := dispatch.Must(p.Submit(ctx, 2))
				dispatch.Must(p.Submit(t.Context(), 3))
				synctest.Wait()
				cancelIt(f, cancel)
				synctest.Wait()
				select {
				case <-f.Done():
				default:
					t.Fatal("not resolved although its turn will not come for long")
				}
				requireSum(t, p.Stats())
				require.Equal(t, 1, p.Stats().Queued)
				require.EqualValues(t, 1, p.Stats().Canceled)
				g.letAll()
				require.NoError(t, p.Close())
				require.Equal(t, []int{1, 3}, ran)
				requireRest(t, p)
			})
		})
	}
}

func TestG04ACancelAnswersTheCallerOfARunningJobAtOnceAndKeepsItsWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newHeld()
		p := dispatch.Must(dispatch.New(g.handle, dispatch.WithWorkers(1))) // heeds no context
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("too slow"))
		defer cancel()
		start := time.Now()
		_, err := p.Process(ctx, 1)
		require.EqualError(t, err, "too slow")
		require.Equal(t, time.Second, time.Since(start))

		f := dispatch.Must(p.Submit(t.Context(), 2))
		synctest.Wait()
		require.Equal(t, 1, p.Stats().Running)
		require.Equal(t, 1, p.Stats().Queued)
		g.letAll()
		require.Equal(t, 2, dispatch.Must(f.Wait(t.Context())))
		require.NoError(t, p.Close())
	})
}

func TestG05InterruptsStayWithTheirJob(t *testing.T) {
	// Job A ends at the very moment of its timeout, and B follows on its worker.
	const pairs = 5000
	w := &interruptible{}
	p := dispatch.Must(dispatch.NewWorkers(func(context.Context) (dispatch.Worker[int, int], error) { return w, nil }, dispatch.WithWorkers(1), dispatch.WithMinWorkers(1)))
	defer p.Close()
	for range pairs {
		w.expectNone.Store(false)
		limit := 20 * time.Microsecond
		p.ProcessTimed(context.Background(), int(limit), limit)
		out, err := p.Process(context.Background(), 0)
		require.NoError(t, err, "B was told of A's timeout")
		require.Zero(t, out, "B was interrupted %d times", out)
	}
	requireRest(t, p)
}

// interruptible is a Worker. For A it is busy for the given time; for B it returns how
// often it was interrupted while it did nothing.
type interruptible struct {
	expectNone atomic.Bool
	stray      atomic.Int64
}

func (w *interruptible) Process(ctx context.Context, n int) (int, error) {
	if n > 0 {
		for start := time.Now(); time.Since(start) < time.Duration(n); {
		}
		return 0, nil
	}
	w.stray.Store(0)
	w.expectNone.Store(true)
	for range 50 {
		runtime.Gosched()
	}
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	w.expectNone.Store(false)
	return int(w.stray.Load()), nil
}

func (w *interruptible) Interrupt() {
	if w.expectNone.Load() {
		w.stray.Add(1)
	}
}

func TestG06TimeoutsAreNeverEarlyAndTheEarliestDecides(t *testing.T) {
	errCaller := errors.New("the caller's deadline")
	for name, limits := range map[string]struct{ caller, timed, job time.Duration }{
		"caller": {caller: 1, timed: 2, job: 3},
		"timed":  {caller: 2, timed: 1, job: 3},
		"job":    {caller: 3, timed: 2, job: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := dispatch.Must(dispatch.New(func(ctx context.Context, _ int) (int, error) {
					<-ctx.Done()
					return 0, ctx.Err()
				}, dispatch.WithJobTimeout(limits.job*time.Second)))
				defer p.Close()
				ctx, cancel := context.WithTimeoutCause(t.Context(), limits.caller*time.Second, errCaller)
				defer cancel()
				returned := make(chan error, 1)
				go func() {
					_, err := p.ProcessTimed(ctx, 1, limits.timed*time.Second)
					returned <- err
				}()
				time.Sleep(time.Second - 1)
				synctest.Wait()
				require.Empty(t, returned, "early")
				time.Sleep(1)
				synctest.Wait()
				require.Len(t, returned, 1, "late")
				err := <-returned
				if name == "caller" {
					require.ErrorIs(t, err, errCaller)
				} else {
					var timeout *dispatch.TimeoutError
					require.ErrorAs(t, err, &timeout)
					require.Equal(t, &dispatch.TimeoutError{Limit: time.Second, Ran: true}, timeout)
				}
				require.EqualValues(t, 1, p.Stats().TimedOut)
			})
		})
	}
	p := dispatch.Must(dispatch.New(func(context.Context, int) (int, error) { panic("ran") }))
	for _, limit := range []time.Duration{0, -1} {
		_, err := p.ProcessTimed(t.Context(), 1, limit)
		require.ErrorIs(t, err, dispatch.ErrTimeout)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
	require.NoError(t, p.Close())
}

func TestG07APanicBecomesAnErrorWithItsStackAndIsReportedOnce(t *testing.T) {
	var reported []*dispatch.PanicError
	p := dispatch.Must(dispatch.New(panicsDeepInside, dispatch.WithWorkers(1), dispatch.WithPanicHandler(func(e *dispatch.PanicError) {
		reported = append(reported, e)
		panic("in the handler too")
	}), quiet()))
	for i := range 3 {
		_, err := p.Process(t.Context(), i)
		var caught *dispatch.PanicError
		require.ErrorAs(t, err, &caught)
		require.ErrorIs(t, err, errDeep)
		require.Contains(t, string(caught.Stack), "panicsDeepInside")
		require.Len(t, reported, i+1)
		require.Same(t, caught, reported[i])
	}
	require.NoError(t, p.Close())
	require.EqualValues(t, 3, p.Stats().Panicked)
}

var errDeep = errors.New("deep")

func panicsDeepInside(context.Context, int) (int, error) { panic(errDeep) }

func TestG08GoexitEndsTheJobAndNotTheWorker(t *testing.T) {
	p := dispatch.Must(dispatch.New(func(_ context.Context, n int) (int, error) {
		if n%2 == 0 {
			runtime.Goexit()
		}
		return n, nil
	}, dispatch.WithWorkers(1)))
	for n := range 10 {
		out, err := p.Process(t.Context(), n)
		if n%2 == 0 {
			require.ErrorIs(t, err, dispatch.ErrGoexit)
		} else {
			require.NoError(t, err)
			require.Equal(t, n, out)
		}
	}
	require.Equal(t, 1, p.Stats().Workers)
	requireRest(t, p)

	b := p.Batch(t.Context())
	require.NoError(t, b.Add(0, 1, 2, 3))
	_, err := b.Wait(t.Context())
	require.ErrorIs(t, err, dispatch.ErrGoexit)
	_, err = p.Map(t.Context(), []int{1, 2, 3})
	require.ErrorIs(t, err, dispatch.ErrGoexit)
	require.NoError(t, p.Close())
	requireRest(t, p)
}
