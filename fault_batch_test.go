package dispatch_test

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// A sealed batch with one item left was taken for one with nothing to do.
func TestStopAndTheContextReachTheLastItemOfASealedBatch(t *testing.T) {
	type end struct {
		act   func(p *dispatch.Pool[int, int], cancel context.CancelCauseFunc) (unrun []int)
		cause error
	}
	ends := map[string]end{
		"Stop":    {func(p *dispatch.Pool[int, int], _ context.CancelCauseFunc) []int { return p.Stop() }, dispatch.ErrStopped},
		"context": {func(_ *dispatch.Pool[int, int], cancel context.CancelCauseFunc) []int { cancel(errCause); return nil }, errCause},
	}
	for name, end := range ends {
		t.Run(name+" and an item that waits", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHeld()
				p := openPool(t, h.handle, dispatch.WithWorkers(1))
				dispatch.Must(p.Submit(t.Context(), 0)) // keeps the only worker
				require.Equal(t, []int{0}, h.entered())
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				b := p.Batch(ctx)
				require.NoError(t, b.Add(1))
				b.Close()
				unrun := end.act(p, cancel)
				synctest.Wait()
				require.Equal(t, dispatch.Progress{Total: 1, Done: 1, Failed: 1}, b.Progress())
				_, err := b.Wait(context.Background())
				require.ErrorIs(t, err, end.cause)
				h.letAll()
				require.Equal(t, []int{0}, h.entered())
				if name == "Stop" {
					require.Equal(t, []int{1}, unrun)
				}
			})
		})
		t.Run(name+" and an item that runs", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := openPool(t, func(ctx context.Context, in int) (int, error) {
					_, err := heedfulNap(ctx, time.Duration(in)*time.Second)
					return in, err
				}, dispatch.WithWorkers(2))
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				b := p.Batch(ctx)
				require.NoError(t, b.Add(1, 3600))
				b.Close()
				time.Sleep(2 * time.Second)
				require.Equal(t, 1, b.Progress().Done)
				require.Empty(t, end.act(p, cancel))
				c := calling(func() ([]int, error) { return b.Wait(context.Background()) })
				require.ErrorIs(t, c.requireReturn(t), end.cause)
				require.Equal(t, 1, c.out[0])
			})
		})
	}
}

// Of several loops that waited for one item, only the first was told of it.
func TestSeveralLoopsOverAllMayWaitForTheSameItem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, nap, dispatch.WithWorkers(1))
		b := batchOf(t, p, []time.Duration{time.Second, time.Second})
		var loops []*call[[]dispatch.Result[time.Duration, time.Duration]]
		for range 3 {
			loops = append(loops, calling(func() ([]dispatch.Result[time.Duration, time.Duration], error) {
				return slices.Collect(b.All()), nil
			}))
		}
		time.Sleep(2 * time.Second)
		for _, loop := range loops {
			require.NoError(t, loop.requireReturn(t))
			require.Len(t, loop.out, 2)
		}
	})
}

// slowly is an OnProgress that takes an hour.
func slowly(dispatch.Progress) { time.Sleep(time.Hour) }

// A worker that was in OnProgress counted as idle, and was waited for.
func TestASlowOnProgressHoldsUpNoOtherJob(t *testing.T) {
	inBubbles(t, map[string]func(ctx context.Context, p *dispatch.Pool[int, int]) error{
		"TrySubmit": func(ctx context.Context, p *dispatch.Pool[int, int]) error { _, err := p.TrySubmit(ctx, 1); return err },
		"Submit":    func(ctx context.Context, p *dispatch.Pool[int, int]) error { _, err := p.Submit(ctx, 1); return err },
		"Process":   func(ctx context.Context, p *dispatch.Pool[int, int]) error { _, err := p.Process(ctx, 1); return err },
		"ProcessTimed": func(ctx context.Context, p *dispatch.Pool[int, int]) error {
			_, err := p.ProcessTimed(ctx, 1, 1)
			return err
		},
		"Map": func(ctx context.Context, p *dispatch.Pool[int, int]) error { _, err := p.Map(ctx, upTo(5)); return err },
	}, func(t *testing.T, run func(ctx context.Context, p *dispatch.Pool[int, int]) error) {
		p := openPool(t, double, dispatch.WithWorkers(2))
		b := p.Batch(t.Context(), dispatch.OnProgress(slowly))
		require.NoError(t, b.Add(1))
		synctest.Wait() // the item is done, and OnProgress is told of it
		c := callingErr(func() error { return run(t.Context(), p) })
		require.NoError(t, c.requireReturn(t))
	})
}

// A worker called OnProgress with its next item in its hand.
func TestAnItemDoesNotWaitForOnProgressWhileAWorkerIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pass := make(chan struct{})
		p := openPool(t, func(_ context.Context, in int) (int, error) {
			if in == 0 {
				<-pass
			}
			return in, nil
		}, dispatch.WithWorkers(2))
		dispatch.Must(p.Submit(t.Context(), 0))
		synctest.Wait()
		b := p.Batch(t.Context(), dispatch.OnProgress(slowly))
		require.NoError(t, b.Add(1, 2))
		synctest.Wait()
		close(pass)
		synctest.Wait()
		require.Equal(t, 2, b.Progress().Done)
	})
}

// Whoever sealed a batch told OnProgress of it, for as long as that took.
func TestTheEndOfABatchDoesNotWaitForOnProgress(t *testing.T) {
	inBubbles(t, map[string]struct {
		end   func(ctx context.Context, b *dispatch.Batch[int, int])
		after time.Duration
	}{
		"Stop":     {func(_ context.Context, b *dispatch.Batch[int, int]) { b.Pool().Stop() }, 0},
		"Shutdown": {func(ctx context.Context, b *dispatch.Batch[int, int]) { _ = b.Pool().Shutdown(ctx) }, time.Second},
		"Close":    {func(_ context.Context, b *dispatch.Batch[int, int]) { b.Close() }, 0},
		"Cancel":   {func(_ context.Context, b *dispatch.Batch[int, int]) { b.Cancel() }, 0},
		"Wait":     {func(ctx context.Context, b *dispatch.Batch[int, int]) { _, _ = b.Wait(ctx) }, time.Second},
	}, func(t *testing.T, r struct {
		end   func(ctx context.Context, b *dispatch.Batch[int, int])
		after time.Duration
	}) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1))
		b := p.Batch(t.Context(), dispatch.OnProgress(slowly))
		require.NoError(t, b.Add(1, 2))
		require.Equal(t, []int{1}, h.entered())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		r.end(ctx, b)
		require.Equal(t, r.after, time.Since(start))
		h.letAll()
	})
}

// OnProgress was called by a worker, which a job that it waited for was given to.
func TestOnProgressMayWaitForAJobOfItsPool(t *testing.T) {
	for workers := range 3 {
		synctest.Test(t, func(t *testing.T) {
			p := openPool(t, double, dispatch.WithWorkers(workers+1))
			var told notes[error]
			b := p.Batch(t.Context(), dispatch.OnProgress(func(dispatch.Progress) {
				_, err := p.ProcessTimed(context.Background(), 7, time.Second)
				told.add(err)
			}))
			require.NoError(t, b.Add(1))
			synctest.Wait() // it is not sealed
			require.Equal(t, []error{nil}, told.all())
			outs, err := b.Wait(t.Context())
			require.NoError(t, err)
			require.Equal(t, []int{2}, outs)
		})
	}
}

// An OnProgress that called runtime.Goexit took along whoever called it.
func TestAnOnProgressThatCallsGoexitLosesNothing(t *testing.T) {
	inBubbles(t, map[string]struct {
		opts    []dispatch.BatchOption
		handler dispatch.Handler[int, int]
		end     func(b *dispatch.Batch[int, int], cancel func())
	}{
		"where handlers do so too": {
			nil, func(context.Context, int) (int, error) { runtime.Goexit(); return 0, nil },
			func(b *dispatch.Batch[int, int], _ func()) { b.Close() },
		},
		"of a failure that stops the batch": {
			[]dispatch.BatchOption{dispatch.StopOnError()}, func(context.Context, int) (int, error) { return 0, errOdd },
			func(b *dispatch.Batch[int, int], _ func()) { b.Close() },
		},
		"of a Cancel":             {nil, heedSecond, func(b *dispatch.Batch[int, int], _ func()) { b.Cancel() }},
		"of the context's end":    {nil, heedSecond, func(_ *dispatch.Batch[int, int], cancel func()) { cancel() }},
		"of the end of the pool":  {nil, heedSecond, func(b *dispatch.Batch[int, int], _ func()) { b.Pool().Stop() }},
		"of a drain of the pool":  {nil, heedSecond, func(b *dispatch.Batch[int, int], _ func()) { _ = b.Pool().Close() }},
		"of a Close of the batch": {nil, heedSecond, func(b *dispatch.Batch[int, int], _ func()) { b.Close() }},
	}, func(t *testing.T, r struct {
		opts    []dispatch.BatchOption
		handler dispatch.Handler[int, int]
		end     func(b *dispatch.Batch[int, int], cancel func())
	}) {
		p := openPool(t, r.handler, dispatch.WithWorkers(1))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		b := p.Batch(ctx, append(r.opts, dispatch.OnProgress(func(dispatch.Progress) { runtime.Goexit() }))...)
		require.NoError(t, b.Add(1, 2, 3))
		beside := p.Batch(t.Context())
		require.NoError(t, beside.Add(1))
		synctest.Wait()
		ended := callingErr(func() error { r.end(b, cancel); return nil })
		time.Sleep(time.Minute)
		require.True(t, ended.returned())
		require.Equal(t, 3, b.Progress().Done)
		for _, b := range []*dispatch.Batch[int, int]{b, beside} {
			c := calling(func() ([]int, error) { return b.Wait(context.Background()) })
			_ = c.requireReturn(t)
		}
		if p.Stats().State == dispatch.Running {
			_, err := p.ProcessTimed(t.Context(), 1, time.Minute)
			require.NotErrorIs(t, err, dispatch.ErrTimeout, "the worker is lost")
		}
		require.NoError(t, p.Close())
	})
}

// An item that was written off did not count as a failure.
func TestAnItemThatIsWrittenOffStopsABatchThatIsToStopOnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1), dispatch.WithJobTimeout(time.Second), dispatch.WithGrace(time.Second, 1))
		b := batchOf(t, p, []int{1, 2, 3}, dispatch.StopOnError())
		c := calling(func() ([]int, error) { return b.Wait(t.Context()) })
		require.ErrorIs(t, c.requireReturnAfter(t, 2*time.Second), dispatch.ErrTimeout)
		require.NotErrorIs(t, c.err, dispatch.ErrHalted, "what was halted has not failed")
		for r := range b.All() {
			require.Equal(t, r.Index > 0, r.Err == dispatch.ErrHalted)
		}
		require.Equal(t, []int{1}, h.entered())
		h.letAll()
	})
}

// A Cancel that came after the last outcome left the goroutine of Results there.
func TestACancelFreesABatchThatIsOverOfItsUnreadResults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, double, dispatch.WithWorkers(1))
		b := p.Batch(t.Context())
		results := b.Results()
		require.NoError(t, b.Add(upTo(500)...))
		_, err := b.Wait(t.Context())
		require.NoError(t, err)
		b.Cancel()
		synctest.Wait() // nobody reads yet
		require.Less(t, len(indices(results)), 500, "what does not fit is not sent")
	})
}

// lazyContext is a context of the user's own, which tells those that derive from
// it one after another, each a second later than the one before.
type lazyContext struct {
	context.Context
	derived notes[bool]
}

func (c *lazyContext) Value(any) any { return nil }

func (c *lazyContext) AfterFunc(f func()) func() bool {
	c.derived.add(true)
	late := time.Duration(len(c.derived.all())) * time.Second
	return context.AfterFunc(c.Context, func() { time.AfterFunc(late, f) })
}

// The handler's context was asked again, after it had been canceled.
func TestADeadlineOfTheCallersCountsAsATimeoutHoweverItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, func(ctx context.Context, in int) (int, error) {
			time.Sleep(time.Second) // the batch is the first to watch
			<-ctx.Done()
			return in, ctx.Err()
		}, dispatch.WithWorkers(1))
		deadline, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		b := p.Batch(&lazyContext{Context: deadline})
		require.NoError(t, b.Add(1))
		_, err := b.Wait(t.Context())
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, p.Close())
		s := p.Stats()
		require.Equal(t, [2]uint64{1, 0}, [2]uint64{s.TimedOut, s.Canceled})
	})
}

// Done was closed while Stop, on its way out, had yet to end the batches.
func TestThePoolEndsAfterItsBatchesAndTheirWatches(t *testing.T) {
	for range 500 {
		p := dispatch.Must(dispatch.New(double, dispatch.WithWorkers(1)))
		ctx, cancel := context.WithCancel(t.Context())
		b := p.Batch(ctx)
		require.NoError(t, b.Add(upTo(50)...))
		go p.Stop()
		<-p.Done()
		ended, watched := b.Ended()
		require.True(t, ended && !watched, "ended %v, watched %v", ended, watched)
		cancel()
	}
}

// WithJobTimeout gave way to whatever had ended the batch, long before the limit.
func TestAnItemThatRunsWhenItsBatchEndsHasItsHandlersOutcomeAlsoWithAJobTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, func(_ context.Context, d time.Duration) (time.Duration, error) {
			time.Sleep(d)
			return d, nil
		}, dispatch.WithWorkers(2), dispatch.WithJobTimeout(time.Minute))
		b := p.Batch(t.Context())
		require.NoError(t, b.Add(time.Second, time.Hour))
		synctest.Wait()
		b.Cancel()
		outs, err := b.Wait(t.Context())
		require.Equal(t, []time.Duration{time.Second, 0}, outs)
		require.EqualError(t, err, "context canceled", "what comes after the limit is dropped")
	})
}

// A worker that saw the end of the context before the batch had heard of it took
// that for the failure of its input: the others were halted for it, and Wait
// returned neither outputs nor an error.
func TestTheEndOfTheContextIsNoFailureThatStopsABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, func(_ context.Context, in int) (int, error) {
			time.Sleep(time.Minute + time.Millisecond)
			return in, context.DeadlineExceeded
		}, dispatch.WithWorkers(1))
		deadline, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		b := p.Batch(&lazyContext{Context: deadline}, dispatch.StopOnError())
		require.NoError(t, b.Add(1, 2))
		for r := range b.All() {
			require.Equal(t, context.DeadlineExceeded, r.Err)
		}
		_, err := b.Wait(t.Context())
		require.EqualError(t, err, context.DeadlineExceeded.Error())
	})
}
