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
	"golang.org/x/sync/errgroup"

	"example.com/dispatch"
)

// The promises of the package, in the order of its documentation: one test or
// more for each, named after it.

// requireBalance checks the accounts of a pool in which no handler runs past
// the outcome of its job.
func requireBalance(t testing.TB, s dispatch.Stats) {
	t.Helper()
	ended := s.Succeeded + s.Failed + s.Panicked + s.Canceled + s.TimedOut + s.Dropped
	require.Equal(t, s.Submitted, ended+uint64(s.Queued)+uint64(s.Running), "%+v", s)
}

// requireRest checks the accounts of a pool that has nothing to do, from the
// inside too: no place is taken, and nothing is held.
func requireRest[In, Out any](t testing.TB, p *dispatch.Pool[In, Out]) {
	t.Helper()
	s := p.Stats()
	requireBalance(t, s)
	require.Zero(t, s.Running+s.Queued+s.Strays, "%+v", s)
	require.NoError(t, dispatch.Rest(p))
}

// gate is a handler's door: handlers wait at it until it is opened.
type gate chan struct{}

func (g gate) handler(_ context.Context, n int) (int, error) {
	<-g
	return n, nil
}

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
	// Completion, Cancel, a timeout, the caller's cancel and Stop meet at random.
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
		g := make(gate)
		var ran []int
		p := dispatch.Must(dispatch.New(func(ctx context.Context, n int) (int, error) {
			ran = append(ran, n)
			return g.handler(ctx, n)
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
		close(g)
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
				g := make(gate)
				var ran []int
				p := dispatch.Must(dispatch.New(func(ctx context.Context, n int) (int, error) {
					ran = append(ran, n)
					return g.handler(ctx, n)
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
				requireBalance(t, p.Stats())
				require.Equal(t, 1, p.Stats().Queued)
				require.EqualValues(t, 1, p.Stats().Canceled)
				close(g)
				require.NoError(t, p.Close())
				require.Equal(t, []int{1, 3}, ran)
				requireRest(t, p)
			})
		})
	}
}

func TestG04ACancelAnswersTheCallerOfARunningJobAtOnceAndKeepsItsWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := make(gate)
		p := dispatch.Must(dispatch.New(g.handler, dispatch.WithWorkers(1))) // heeds no context
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
		close(g)
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

// interruptible is a Worker that burns the time it is given (A), or returns how
// often it was interrupted while it did nothing (B).
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
	}), dispatch.WithLogger(discard())))
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

func TestG09NestingCannotDeadlock(t *testing.T) {
	type pool = *dispatch.Pool[int, int]
	for name, children := range map[string]func(ctx context.Context, p pool, n int) (int, error){
		"Process": func(ctx context.Context, p pool, n int) (int, error) {
			a, err := p.Process(ctx, n-1)
			b, err2 := p.Process(ctx, n-1)
			return a + b, errors.Join(err, err2)
		},
		"ProcessTimed": func(ctx context.Context, p pool, n int) (int, error) {
			a, err := p.ProcessTimed(ctx, n-1, time.Hour)
			b, err2 := p.ProcessTimed(ctx, n-1, time.Hour)
			return a + b, errors.Join(err, err2)
		},
		"Submit and Wait": func(ctx context.Context, p pool, n int) (int, error) {
			f, err := p.Submit(ctx, n-1)
			g, err2 := p.Submit(ctx, n-1)
			if err := errors.Join(err, err2); err != nil {
				return 0, err
			}
			a, err := f.Wait(ctx)
			b, err2 := g.Wait(ctx)
			return a + b, errors.Join(err, err2)
		},
		"Map": func(ctx context.Context, p pool, n int) (int, error) {
			outs, err := p.Map(ctx, []int{n - 1, n - 1})
			return sum(outs), err
		},
		"Batch.Wait": func(ctx context.Context, p pool, n int) (int, error) {
			b := p.Batch(ctx)
			if err := b.Add(n-1, n-1); err != nil {
				return 0, err
			}
			outs, err := b.Wait(ctx)
			return sum(outs), err
		},
		"All": func(ctx context.Context, p pool, n int) (total int, err error) {
			b := p.Batch(ctx)
			if err := b.Add(n-1, n-1); err != nil {
				return 0, err
			}
			for r := range b.All() {
				total, err = total+r.Out, errors.Join(err, r.Err)
			}
			return total, err
		},
		"Results": func(ctx context.Context, p pool, n int) (total int, err error) {
			b := p.Batch(ctx)
			if err := b.Add(n-1, n-1); err != nil {
				return 0, err
			}
			b.Close()
			for r := range b.Results() {
				total, err = total+r.Out, errors.Join(err, r.Err)
			}
			return total, err
		},
		"Stream": func(ctx context.Context, p pool, n int) (total int, err error) {
			for r := range p.Stream(ctx, func(yield func(int) bool) { _ = yield(n-1) && yield(n-1) }) {
				total, err = total+r.Out, errors.Join(err, r.Err)
			}
			return total, err
		},
		"goroutines": func(ctx context.Context, p pool, n int) (int, error) {
			var group errgroup.Group
			var total atomic.Int64
			for range 2 {
				group.Go(func() error {
					out, err := p.Process(ctx, n-1)
					total.Add(int64(out))
					return err
				})
			}
			err := group.Wait()
			return int(total.Load()), err
		},
	} {
		for _, workers := range []int{1, 2} {
			for _, queue := range []int{0, 1, 100} {
				t.Run(fmt.Sprintf("%s/workers=%d/queue=%d", name, workers, queue), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						var p pool
						p = dispatch.Must(dispatch.New(func(ctx context.Context, n int) (int, error) {
							if n == 0 {
								return 1, nil
							}
							return children(ctx, p, n)
						}, dispatch.WithWorkers(workers), dispatch.WithQueue(queue)))
						const depth = 6
						out, err := p.Process(t.Context(), depth)
						require.NoError(t, err)
						require.Equal(t, 1<<depth, out)
						require.NoError(t, p.Close())
						requireRest(t, p)
					})
				})
			}
		}
	}
}

func sum(ns []int) (total int) {
	for _, n := range ns {
		total += n
	}
	return total
}

func TestG09NestingThroughASecondPoolAndBackCannotDeadlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a, b *dispatch.Pool[int, int]
		a = dispatch.Must(dispatch.New(func(ctx context.Context, n int) (int, error) {
			if n == 0 {
				return 0, nil
			}
			return b.Process(ctx, n-1)
		}, dispatch.WithWorkers(1), dispatch.WithQueue(0)))
		b = dispatch.Must(dispatch.New(func(ctx context.Context, n int) (int, error) {
			out, err := a.Process(ctx, n)
			return out + 1, err
		}, dispatch.WithWorkers(1), dispatch.WithQueue(0)))
		out, err := a.Process(t.Context(), 20)
		require.NoError(t, err)
		require.Equal(t, 20, out)
		require.NoError(t, a.Close())
		require.NoError(t, b.Close())
	})
}

func TestG10AStrayLosesItsPlaceAndKeepsItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := make(gate)
		p := dispatch.Must(dispatch.New(func(ctx context.Context, n int) (int, error) {
			if n > 0 {
				return g.handler(ctx, n)
			}
			return n, nil
		}, dispatch.WithWorkers(1), dispatch.WithGrace(time.Second, 1)))
		_, err := p.ProcessTimed(t.Context(), 1, time.Minute)
		require.ErrorIs(t, err, dispatch.ErrTimeout)
		f := dispatch.Must(p.Submit(t.Context(), 0))
		time.Sleep(time.Second - 1)
		synctest.Wait()
		require.Equal(t, 1, p.Stats().Queued)
		require.Zero(t, p.Stats().Strays)
		time.Sleep(1)
		synctest.Wait()
		require.Equal(t, 1, p.Stats().Strays)
		dispatch.Must(f.Wait(t.Context()))

		closed := false
		go func() {
			p.Close()
			closed = true
		}()
		synctest.Wait()
		require.False(t, closed, "Close waits for strays")
		close(g)
		synctest.Wait()
		require.True(t, closed)
		requireRest(t, p)
	})
}

func TestG10WithoutGraceTheLimitHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := make(gate)
		p := dispatch.Must(dispatch.New(g.handler, dispatch.WithWorkers(1)))
		_, err := p.ProcessTimed(t.Context(), 1, time.Second)
		require.ErrorIs(t, err, dispatch.ErrTimeout)
		dispatch.Must(p.Submit(t.Context(), 2))
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Equal(t, 1, p.Stats().Running)
		require.Equal(t, 1, p.Stats().Queued)
		close(g)
		require.NoError(t, p.Close())
	})
}

func TestG11EverySubmitRacingTheEndRunsOrIsRefused(t *testing.T) {
	for name, end := range map[string]func(p *dispatch.Pool[int, int]) []int{
		"Close": func(p *dispatch.Pool[int, int]) []int { p.Close(); return nil },
		"Stop":  func(p *dispatch.Pool[int, int]) []int { return p.Stop() },
		"Shutdown": func(p *dispatch.Pool[int, int]) []int {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Microsecond)
			defer cancel()
			p.Shutdown(ctx)
			return p.Stop()
		},
	} {
		t.Run(name, func(t *testing.T) {
			const rounds, submitters = 1000, 4
			for range rounds {
				var ran, accepted, refused atomic.Int64
				p := dispatch.Must(dispatch.New(func(context.Context, int) (int, error) {
					ran.Add(1)
					return 0, nil
				}, dispatch.WithWorkers(2), dispatch.WithQueue(1)))
				var wg sync.WaitGroup
				for range submitters {
					wg.Go(func() {
						for i := 0; ; i++ {
							var err error
							switch i % 3 {
							case 0:
								_, err = p.Submit(context.Background(), i)
							case 1:
								b := p.Batch(context.Background())
								err = b.Add(i)
								b.Close()
							default:
								if _, err = p.TrySubmit(context.Background(), i); errors.Is(err, dispatch.ErrQueueFull) {
									continue
								}
							}
							if err != nil {
								if !errors.Is(err, dispatch.ErrClosed) {
									t.Errorf("refused with %v", err)
								}
								refused.Add(1)
								return
							}
							accepted.Add(1)
						}
					})
				}
				runtime.Gosched()
				back := end(p)
				wg.Wait()
				require.NoError(t, p.Close())
				require.EqualValues(t, submitters, refused.Load())
				require.Equal(t, accepted.Load(), ran.Load()+int64(len(back)))
				requireRest(t, p)
			}
		})
	}
}

func TestG11StopGivesBackWhatNeverRan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := dispatch.Must(dispatch.New(func(ctx context.Context, n int) (int, error) {
			<-ctx.Done()
			return n, context.Cause(ctx)
		}, dispatch.WithWorkers(1)))
		running := dispatch.Must(p.Submit(t.Context(), 0))
		synctest.Wait()
		queued := dispatch.Must(p.Submit(t.Context(), 1))
		dispatch.Must(p.Submit(t.Context(), 2)).Cancel()
		dispatch.Must(p.Submit(t.Context(), 3))
		b := p.Batch(t.Context())
		require.NoError(t, b.Add(4, 5))
		go p.Map(t.Context(), []int{6, 7})
		synctest.Wait()
		require.Equal(t, []int{1, 3, 4, 5, 6, 7}, p.Stop())
		require.Empty(t, p.Stop())
		for _, f := range []*dispatch.Future[int]{running, queued} {
			_, err := f.Wait(t.Context())
			require.ErrorIs(t, err, dispatch.ErrStopped)
		}
		_, err := b.Wait(t.Context())
		require.ErrorIs(t, err, dispatch.ErrStopped)
		<-p.Done()
		require.Equal(t, dispatch.Ended, p.Stats().State)
		requireRest(t, p)
	})
}

func TestG11AJobCannotWaitForItsOwnPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *dispatch.Pool[int, int]
		p = dispatch.Must(dispatch.New(func(ctx context.Context, n int) (int, error) {
			require.ErrorIs(t, p.Wait(ctx), dispatch.ErrInsideJob)
			require.ErrorIs(t, p.Shutdown(ctx), dispatch.ErrInsideJob)
			return n, nil
		}))
		out, err := p.Process(t.Context(), 1)
		require.NoError(t, err)
		require.Equal(t, 1, out)
		<-p.Done()
	})
}

func TestG12NothingIsLeftAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the bubble must end with the test
		g := make(gate)
		p := dispatch.Must(dispatch.New(g.handler, dispatch.WithWorkers(2), dispatch.WithJobTimeout(time.Hour), dispatch.WithGrace(time.Hour, 1)))
		caller := &countingContext{Context: t.Context(), done: make(chan struct{})}
		for i := range 10 {
			dispatch.Must(p.Submit(caller, i)) // nobody reads these
		}
		b := p.Batch(caller)
		require.NoError(t, b.Add(1, 2, 3)) // nor this
		walkedAway := p.Batch(caller)
		require.NoError(t, walkedAway.Add(1, 2, 3))
		walkedAway.Results()
		dispatch.Must(p.Submit(caller, 1)).Cancel()
		synctest.Wait()
		require.Positive(t, caller.registered.Load())
		close(g)
		p.Stop()
		<-p.Done()
		synctest.Wait()
		require.Zero(t, caller.registered.Load(), "registrations on the caller's context")
	})
}

// countingContext counts what is registered on it.
type countingContext struct {
	context.Context
	done       chan struct{}
	registered atomic.Int64
}

func (c *countingContext) Done() <-chan struct{} { return c.done }

func (c *countingContext) AfterFunc(func()) func() bool {
	c.registered.Add(1)
	var once sync.Once
	return func() bool {
		once.Do(func() { c.registered.Add(-1) })
		return true
	}
}

func TestG13ResizeWakesBlockedSubmittersAtOnceAndDisturbsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := make(gate)
		p := dispatch.Must(dispatch.New(g.handler, dispatch.WithWorkers(1), dispatch.WithQueue(0)))
		results := make(chan int, 4)
		for i := range 4 {
			go func() { results <- dispatch.Must(p.Process(t.Context(), i)) }()
		}
		synctest.Wait()
		require.Equal(t, 1, p.Stats().Running)
		require.NoError(t, p.Resize(3))
		synctest.Wait()
		require.Equal(t, 3, p.Stats().Running)

		require.NoError(t, p.Resize(1))
		synctest.Wait()
		require.Equal(t, 3, p.Stats().Running, "running jobs are not disturbed")
		g <- struct{}{}
		synctest.Wait()
		require.Equal(t, 2, p.Stats().Running)
		require.Equal(t, 2, p.Stats().Workers)
		close(g)
		synctest.Wait()
		require.Len(t, results, 4)
		require.Equal(t, 1, p.Stats().Workers)
		require.Error(t, p.Resize(0))
		require.NoError(t, p.Close())
		require.ErrorIs(t, p.Resize(1), dispatch.ErrClosed)
	})
}

func TestG14NeverMoreHandlersThanWorkersAndNoGoroutineForAQueuedJob(t *testing.T) {
	holdCollector(t)
	synctest.Test(t, func(t *testing.T) {
		const workers = 3
		var now, most int
		var mu sync.Mutex
		p := dispatch.Must(dispatch.New(func(context.Context, int) (int, error) {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			now--
			mu.Unlock()
			return 0, nil
		}, dispatch.WithWorkers(workers), dispatch.WithQueue(1000)))
		before := runtime.NumGoroutine()
		for i := range 500 {
			dispatch.Must(p.Submit(t.Context(), i))
		}
		b := p.Batch(t.Context())
		require.NoError(t, b.Add(make([]int, 500)...))
		go p.Map(t.Context(), make([]int, 500))
		synctest.Wait()
		require.LessOrEqual(t, runtime.NumGoroutine()-before, workers+2)
		require.NoError(t, p.Close())
		require.Equal(t, workers, most)
	})
}

func TestG14NothingOfADeliveredJobIsKeptAlive(t *testing.T) {
	type big [1 << 16]byte
	p := dispatch.Must(dispatch.New(func(_ context.Context, in *big) (*big, error) { return new(big), nil }, dispatch.WithWorkers(2), dispatch.WithMinWorkers(2)))
	defer p.Close()
	freed := make(chan struct{}, 1000)
	track := func(b *big) *big {
		runtime.SetFinalizer(b, func(*big) { freed <- struct{}{} })
		return b
	}
	const jobs = 8
	for range jobs {
		out, err := p.Process(t.Context(), track(new(big)))
		require.NoError(t, err)
		track(out)
	}
	outs, err := p.Map(t.Context(), []*big{track(new(big)), track(new(big))})
	require.NoError(t, err)
	track(outs[0])
	track(outs[1])
	outs = nil
	for left := 2*jobs + 4; left > 0; {
		runtime.GC()
		select {
		case <-freed:
			left--
		case <-time.After(5 * time.Second):
			t.Fatalf("%d inputs or outputs are still alive", left)
		}
	}
}

func TestG15ObserversNeverBlockAndCountersNeverFall(t *testing.T) {
	g := make(gate)
	p := dispatch.Must(dispatch.New(func(ctx context.Context, n int) (int, error) {
		if n < 0 {
			return g.handler(ctx, n)
		}
		return n, nil
	}, dispatch.WithWorkers(2), dispatch.WithQueue(4)))
	dispatch.Must(p.Submit(t.Context(), -1))
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for i := range 300 {
				p.Process(context.Background(), i)
				p.Map(context.Background(), make([]int, 50))
			}
		})
	}
	stop := make(chan struct{})
	wg.Go(func() {
		defer close(stop)
		for range 300 {
			b := p.Batch(context.Background())
			b.Add(make([]int, 50)...)
			b.Wait(context.Background())
		}
	})
	var last dispatch.Stats
	for reading := true; reading; {
		select {
		case <-stop:
			reading = false
		default:
		}
		s := p.Stats()
		requireBalance(t, s)
		require.GreaterOrEqual(t, s.Submitted, last.Submitted)
		require.GreaterOrEqual(t, s.Succeeded, last.Succeeded)
		last = s
	}
	close(g)
	wg.Wait()
	require.NoError(t, p.Close())
}

func TestG16NoLockIsHeldWhileUserCodeRuns(t *testing.T) {
	// Whatever user code is called from, it can call the pool.
	var p *dispatch.Pool[int, int]
	look := func() { p.Stats() }
	w := &hooks{look: func() { look() }}
	p = dispatch.Must(dispatch.NewWorkers(func(context.Context) (dispatch.Worker[int, int], error) {
		look()
		return w, nil
	}, dispatch.WithWorkers(1), dispatch.WithPanicHandler(func(*dispatch.PanicError) { look() })))
	b := p.Batch(t.Context(), dispatch.OnProgress(func(dispatch.Progress) { look() }))
	require.NoError(t, b.Add(1, 2))
	dispatch.Must(b.Wait(t.Context()))
	_, err := p.Process(t.Context(), -1)
	require.Error(t, err)
	_, err = p.ProcessTimed(t.Context(), 0, time.Millisecond)
	require.ErrorIs(t, err, dispatch.ErrTimeout)
	dispatch.Must(p.Map(lookingContext{t.Context(), func() { look() }}, []int{1, 2}))
	f := dispatch.Must(p.Submit(lookingContext{t.Context(), func() { look() }}, 1))
	dispatch.Must(f.Wait(lookingContext{t.Context(), func() { look() }}))
	require.NoError(t, p.Close())
}

// hooks is a Worker that looks at its pool from each of its methods.
type hooks struct{ look func() }

func (w *hooks) Process(ctx context.Context, n int) (int, error) {
	w.look()
	switch {
	case n < 0:
		panic("negative")
	case n == 0:
		<-ctx.Done()
	}
	return n, nil
}
func (w *hooks) Ready(context.Context) error { w.look(); return nil }
func (w *hooks) Interrupt()                  { w.look() }
func (w *hooks) Close() error                { w.look(); return nil }

// lookingContext is a context of the user's own, with code in each method.
type lookingContext struct {
	context.Context
	look func()
}

func (c lookingContext) Deadline() (time.Time, bool) { c.look(); return c.Context.Deadline() }
func (c lookingContext) Done() <-chan struct{}       { c.look(); return c.Context.Done() }
func (c lookingContext) Err() error                  { c.look(); return c.Context.Err() }
func (c lookingContext) Value(key any) any           { c.look(); return c.Context.Value(key) }

func TestG16APoolLivesInsideASynctestBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := dispatch.Must(dispatch.New(func(ctx context.Context, d time.Duration) (time.Duration, error) {
			start := time.Now()
			time.Sleep(d)
			return time.Since(start), nil
		}))
		for _, d := range []time.Duration{time.Second, time.Hour} {
			require.Equal(t, d, dispatch.Must(p.Process(t.Context(), d)))
		}
		require.NoError(t, p.Close())
	})
}
