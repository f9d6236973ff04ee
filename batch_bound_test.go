package dispatch_test

import (
	"context"
	"errors"
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

// MaxRunning and MaxPending.

// bounded records how many handlers run, and the most that ever ran at once.
type bounded struct{ now, most atomic.Int64 }

func (b *bounded) enter() {
	now := b.now.Add(1)
	for most := b.most.Load(); now > most && !b.most.CompareAndSwap(most, now); most = b.most.Load() {
	}
}

func (b *bounded) leave() { b.now.Add(-1) }

func TestNeverMoreInputsOfABatchRunThanItMayAndOthersTakeTheRest(t *testing.T) {
	for _, most := range []int{1, 2, 3} {
		synctest.Test(t, func(t *testing.T) {
			h := newHeld()
			p := openPool(t, h.handle, dispatch.WithWorkers(4))
			b := p.BatchOf(t.Context(), upTo(20), dispatch.MaxRunning(most))
			require.Len(t, h.entered(), most, "and so many do")
			other := p.BatchOf(t.Context(), upTo(20))
			require.Len(t, h.entered(), 4, "another has the workers that it leaves")
			require.Equal(t, 36, p.Stats().Queued)
			other.Cancel()
			b.Cancel()
			h.letAll()
		})
	}
}

func TestTheBoundOfABatchHoldsThroughoutAndAcrossResize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var run bounded
		p := openPool(t, func(_ context.Context, in int) (int, error) {
			run.enter()
			defer run.leave()
			time.Sleep(time.Duration(1+in%3) * time.Second)
			return in, nil
		}, dispatch.WithWorkers(2))
		start := time.Now()
		b := p.BatchOf(t.Context(), slices.Repeat([]int{0}, 30), dispatch.MaxRunning(3))
		for _, n := range []int{8, 1, dispatch.Unlimited, 2, 5} {
			time.Sleep(1500 * time.Millisecond)
			require.NoError(t, p.Resize(n))
		}
		_, err := b.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, int64(3), run.most.Load())
		require.Less(t, time.Since(start), 20*time.Second, "and it is used")
	})
}

func TestABatchAtItsBoundGoesOnAsItsInputsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, nap, dispatch.WithWorkers(8))
		start := time.Now()
		b := p.BatchOf(t.Context(), slices.Repeat([]time.Duration{time.Second}, 10), dispatch.MaxRunning(2))
		_, err := b.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, 5*time.Second, time.Since(start))
	})
}

// A batch at its bound is not in the list of groups that want a worker. It must count all
// the same when single jobs ask for their turn.
func TestSingleJobsAndABoundedBatchTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1))
		b := p.BatchOf(t.Context(), upTo(5), dispatch.MaxRunning(1))
		synctest.Wait()
		for i := range 3 {
			dispatch.Must(p.Submit(t.Context(), 100+i))
		}
		h.letAll()
		_, err := b.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, []int{0, 100, 1, 101, 2, 102, 3, 4}, h.entered())
	})
}

func TestManyBoundedBatchesShareThePool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const tenants = 5
		var runs [tenants]bounded
		p := openPool(t, func(_ context.Context, in int) (int, error) {
			run := &runs[in%tenants]
			run.enter()
			defer run.leave()
			time.Sleep(time.Second)
			return in, nil
		}, dispatch.WithWorkers(tenants))
		start := time.Now()
		var batches []*dispatch.Batch[int, int]
		for tenant := range tenants {
			batches = append(batches, p.BatchOf(t.Context(), slices.Repeat([]int{tenant}, 10), dispatch.MaxRunning(1)))
		}
		for _, b := range batches {
			_, err := b.Wait(t.Context())
			require.NoError(t, err)
		}
		require.Equal(t, 10*time.Second, time.Since(start), "no worker is without work")
		for i := range runs {
			require.Equal(t, int64(1), runs[i].most.Load())
		}
	})
}

func TestAnInputThatIsWrittenOffMakesRoomInItsBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(3), dispatch.WithJobTimeout(time.Second), dispatch.WithGrace(time.Second, 1))
		b := p.BatchOf(t.Context(), upTo(3), dispatch.MaxRunning(1))
		time.Sleep(2*time.Second - 1)
		require.Equal(t, []int{0}, h.entered())
		time.Sleep(1)
		require.Equal(t, []int{0, 1}, h.entered())
		h.letAll()
		_, err := b.Wait(t.Context())
		require.ErrorIs(t, err, dispatch.ErrTimeout)
	})
}

func TestAnInputThatWaitsForItsOwnPoolGoesOnCounting(t *testing.T) {
	for name, nest := range nestings {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var run bounded
				var p *dispatch.Pool[int, int]
				p = openPool(t, func(ctx context.Context, in int) (int, error) {
					if in < 100 {
						time.Sleep(time.Second)
						return in, nil
					}
					run.enter()
					defer run.leave()
					return nest(ctx, p, 1)
				}, dispatch.WithWorkers(4))
				b := p.BatchOf(t.Context(), slices.Repeat([]int{100}, 6), dispatch.MaxRunning(2))
				_, err := b.Wait(t.Context())
				require.NoError(t, err)
				require.Equal(t, int64(2), run.most.Load())
			})
		})
	}
}

func TestABoundedBatchOfAJobOnAPoolOfOneEnds(t *testing.T) {
	for _, most := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			var run bounded
			var p *dispatch.Pool[int, int]
			p = openPool(t, func(ctx context.Context, in int) (int, error) {
				if in == 0 {
					run.enter()
					defer run.leave()
					time.Sleep(time.Second)
					return 1, nil
				}
				outs, err := p.BatchOf(ctx, make([]int, 5), dispatch.MaxRunning(most)).Wait(ctx)
				return sum(outs), err
			}, dispatch.WithWorkers(1))
			out, err := p.Process(t.Context(), 1)
			require.NoError(t, err)
			require.Equal(t, 5, out)
			require.Equal(t, int64(1), run.most.Load())
		})
	}
}

func TestAFailureInABoundedBatchHoldsUpNoOther(t *testing.T) {
	inBubbles(t, map[string]func(){
		"panic":  func() { panic("boo") },
		"Goexit": runtime.Goexit,
	}, func(t *testing.T, fail func()) {
		p := openPool(t, func(_ context.Context, in int) (int, error) {
			if in%2 == 0 {
				fail()
			}
			return in, nil
		}, dispatch.WithWorkers(2), quiet())
		b := p.BatchOf(t.Context(), upTo(8), dispatch.MaxRunning(1))
		_, err := b.Wait(t.Context())
		require.Error(t, err)
		require.Equal(t, dispatch.Progress{Total: 8, Done: 8, Failed: 4}, b.Progress())
	})
}

func TestAddWaitsWhileAsManyInputsArePendingAsMayBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1))
		b := p.Batch(t.Context(), dispatch.MaxPending(3))
		require.NoError(t, b.Add(upTo(3)...))
		c := callingErr(func() error { return b.Add(3, 4, 5, 6) })
		for done := range 4 {
			require.False(t, c.returned(), "%d are done", done)
			require.Equal(t, dispatch.Progress{Total: 3 + done, Done: done}, b.Progress(), "it adds as room comes")
			h.let(1)
		}
		require.NoError(t, c.requireReturn(t))
		require.Equal(t, dispatch.Progress{Total: 7, Done: 4}, b.Progress())
		h.letAll()
		outs, err := b.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, upTo(7), outs)
	})
}

func TestNeverMoreInputsArePendingThanMayBeWhoeverAdds(t *testing.T) {
	p := openPool(t, double, dispatch.WithWorkers(4))
	for _, most := range []int{1, 3, 50} {
		var worst atomic.Int64
		b := p.Batch(t.Context(), dispatch.MaxPending(most))
		stop := make(chan struct{})
		var watcher, adders sync.WaitGroup
		watcher.Go(func() {
			for !isClosed(stop) {
				now := b.Progress()
				worst.Store(max(worst.Load(), int64(now.Total-now.Done)))
			}
		})
		for range 4 {
			adders.Go(func() {
				for range 20 {
					if err := b.Add(upTo(7)...); err != nil {
						t.Error(err)
					}
				}
			})
		}
		within(t, "Add", adders.Wait)
		outs, err := b.Wait(t.Context())
		close(stop)
		watcher.Wait()
		require.NoError(t, err)
		require.Len(t, outs, 4*20*7)
		require.LessOrEqual(t, worst.Load(), int64(most))
	}
}

func TestTheWaitOfAddEndsWithTheBatch(t *testing.T) {
	type end struct {
		end   func(p *dispatch.Pool[int, int], b *dispatch.Batch[int, int], cancel context.CancelCauseFunc)
		wants []error
	}
	inBubbles(t, map[string]end{
		"the context": {func(_ *dispatch.Pool[int, int], _ *dispatch.Batch[int, int], cancel context.CancelCauseFunc) {
			cancel(errCause)
		}, []error{dispatch.ErrSealed, errCause}},
		"Cancel": {func(_ *dispatch.Pool[int, int], b *dispatch.Batch[int, int], _ context.CancelCauseFunc) { b.Cancel() }, []error{dispatch.ErrSealed, context.Canceled}},
		"Close":  {func(_ *dispatch.Pool[int, int], b *dispatch.Batch[int, int], _ context.CancelCauseFunc) { b.Close() }, []error{dispatch.ErrSealed}},
		"Wait": {func(_ *dispatch.Pool[int, int], b *dispatch.Batch[int, int], _ context.CancelCauseFunc) {
			go func() { _, _ = b.Wait(context.Background()) }()
		}, []error{dispatch.ErrSealed}},
		"All": {func(_ *dispatch.Pool[int, int], b *dispatch.Batch[int, int], _ context.CancelCauseFunc) {
			go func() { _ = slices.Collect(b.All()) }()
		}, []error{dispatch.ErrSealed}},
		"Drain": {func(p *dispatch.Pool[int, int], _ *dispatch.Batch[int, int], _ context.CancelCauseFunc) { p.Drain() }, []error{dispatch.ErrClosed}},
		"Stop":  {func(p *dispatch.Pool[int, int], _ *dispatch.Batch[int, int], _ context.CancelCauseFunc) { p.Stop() }, []error{dispatch.ErrClosed}},
		"Close of the pool": {func(p *dispatch.Pool[int, int], _ *dispatch.Batch[int, int], _ context.CancelCauseFunc) {
			go func() { _ = p.Close() }()
		}, []error{dispatch.ErrClosed}},
	}, func(t *testing.T, r end) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1))
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		b := p.Batch(ctx, dispatch.MaxPending(2))
		c := callingErr(func() error { return b.Add(upTo(5)...) })
		second := callingErr(func() error { return b.Add(9) })
		require.False(t, c.returned() || second.returned())
		r.end(p, b, cancel)
		for _, c := range []*call[struct{}]{c, second} {
			err := c.requireReturn(t)
			for _, want := range r.wants {
				require.ErrorIs(t, err, want)
			}
			require.Equal(t, errors.Is(r.wants[0], dispatch.ErrSealed), errors.Is(err, dispatch.ErrSealed))
		}
		require.Equal(t, 2, b.Progress().Total, "some may be in")
		h.letAll()
	})
}

func TestAFailureThatStopsABatchEndsTheWaitOfAdd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, func(ctx context.Context, in int) (int, error) {
			_, _ = h.handle(ctx, in)
			return failOdd(ctx, in)
		}, dispatch.WithWorkers(1))
		b := p.Batch(t.Context(), dispatch.MaxPending(1), dispatch.StopOnError())
		c := callingErr(func() error { return b.Add(1, 2) })
		require.False(t, c.returned())
		h.let(1)
		err := c.requireReturn(t)
		require.ErrorIs(t, err, dispatch.ErrSealed)
		ierr, ok := errors.AsType[*dispatch.ItemError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, &dispatch.ItemError{Index: 0, Err: errOdd}, ierr)
		h.letAll()
	})
}

func TestAnAddThatWaitsByTheJobThatMadeTheBatchLendsItsSlot(t *testing.T) {
	for _, most := range []int{1, 2, 4} {
		synctest.Test(t, func(t *testing.T) {
			var p *dispatch.Pool[int, int]
			p = openPool(t, func(ctx context.Context, in int) (int, error) {
				if in < 100 {
					return in, nil
				}
				b := p.Batch(ctx, dispatch.MaxPending(most))
				for i := range 10 {
					if err := b.Add(i, i); err != nil {
						return 0, err
					}
				}
				outs, err := b.Wait(ctx)
				return sum(outs), err
			}, dispatch.WithWorkers(1))
			out, err := p.Process(t.Context(), 100)
			require.NoError(t, err)
			require.Equal(t, 90, out)
		})
	}
}

func TestAnAddOfNothingNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1))
		b := p.Batch(t.Context(), dispatch.MaxPending(1))
		require.NoError(t, b.Add(1))
		c := callingErr(func() error { return b.Add() })
		require.NoError(t, c.requireReturn(t))
		h.letAll()
	})
}
