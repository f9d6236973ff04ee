package dispatch_test

import (
	"context"
	"errors"
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

func TestBatchOfCopiesItsInputsAndIsSealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1), dispatch.WithQueue(0))
		ins := upTo(5)
		b := p.BatchOf(t.Context(), ins)
		clear(ins)
		require.Equal(t, dispatch.ErrSealed, b.Add(9))
		require.Equal(t, dispatch.Progress{Total: 5}, b.Progress())
		require.Equal(t, []int{0}, h.entered(), "it starts at once")
		h.letAll()
		outs, err := b.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, upTo(5), outs)
		require.Equal(t, uint64(5), p.Stats().Submitted)
	})
}

func TestABatchOfNothingIsOver(t *testing.T) {
	p := openPool(t, double)
	for _, ins := range [][]int{nil, {}} {
		b := p.BatchOf(t.Context(), ins)
		requireSoon(t, b.Done(), "an empty batch")
		outs, err := b.Wait(t.Context())
		require.NoError(t, err)
		require.Empty(t, outs)
	}
}

func TestABatchOfThatIsNotAcceptedHasThatAsItsOutcomes(t *testing.T) {
	inBubbles(t, map[string]struct {
		refuse func(p *dispatch.Pool[int, int], cancel context.CancelCauseFunc)
		want   error
	}{
		"a closed pool":         {func(p *dispatch.Pool[int, int], _ context.CancelCauseFunc) { _ = p.Close() }, dispatch.ErrClosed},
		"a stopped pool":        {func(p *dispatch.Pool[int, int], _ context.CancelCauseFunc) { p.Stop() }, dispatch.ErrClosed},
		"a pool that drains":    {func(p *dispatch.Pool[int, int], _ context.CancelCauseFunc) { p.Drain() }, dispatch.ErrClosed},
		"a context that's done": {func(_ *dispatch.Pool[int, int], cancel context.CancelCauseFunc) { cancel(errCause) }, errCause},
	}, func(t *testing.T, r struct {
		refuse func(p *dispatch.Pool[int, int], cancel context.CancelCauseFunc)
		want   error
	}) {
		var entered notes[int]
		p := openPool(t, func(_ context.Context, in int) (int, error) { entered.add(in); return in, nil })
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		r.refuse(p, cancel)
		for _, n := range []int{3, 500} {
			var told notes[dispatch.Progress]
			b := p.BatchOf(ctx, upTo(n), dispatch.OnProgress(told.add))
			<-b.Done()
			require.Equal(t, dispatch.Progress{Total: n, Done: n, Failed: n}, b.Progress())
			all := told.all()
			require.NotEmpty(t, all, "OnProgress is told")
			require.Equal(t, b.Progress(), all[len(all)-1])
			for range 2 {
				outs, err := b.Wait(context.Background())
				require.Equal(t, make([]int, n), outs)
				joined, ok := err.(interface{ Unwrap() []error })
				require.True(t, ok, "%v", err)
				require.Equal(t, []error{r.want}, joined.Unwrap(), "once")
			}
			for _, results := range []func() []dispatch.Result[int, int]{
				func() []dispatch.Result[int, int] { return slices.Collect(b.All()) },
				func() (all []dispatch.Result[int, int]) {
					for r := range b.Results() {
						all = append(all, r)
					}
					return all
				},
			} {
				all := results()
				require.Len(t, all, n)
				for i, res := range all {
					require.Equal(t, dispatch.Result[int, int]{Index: i, In: i, Err: r.want}, res)
				}
			}
		}
		require.Zero(t, p.Stats().Submitted)
		require.Empty(t, entered.all())
	})
}

func TestBatchOfRefusesWhatIsWrong(t *testing.T) {
	p := openPool(t, double)
	var none context.Context
	require.PanicsWithValue(t, "dispatch: nil context given to Pool.BatchOf", func() { p.BatchOf(none, nil) })
	require.PanicsWithValue(t, "dispatch: BatchOf: option 1 is nil", func() { p.BatchOf(t.Context(), nil, dispatch.StopOnError(), nil) })
	for _, n := range []int{0, -2} {
		require.PanicsWithValue(t, fmt.Sprintf("dispatch: MaxRunning(%d): must be at least 1", n), func() { dispatch.MaxRunning(n) })
		require.PanicsWithValue(t, fmt.Sprintf("dispatch: MaxPending(%d): must be at least 1", n), func() { dispatch.MaxPending(n) })
	}
}

func TestDoneIsClosedWhenTheBatchIsOverAndDoesNotSealIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(2))
		b := batchOf(t, p, upTo(2))
		done := b.Done()
		require.True(t, done == b.Done(), "it is one channel")
		h.let(2)
		require.False(t, isClosed(done), "nobody has sealed it")
		require.NoError(t, b.Add(2))
		b.Close()
		synctest.Wait()
		require.False(t, isClosed(done), "one input has no outcome")
		h.let(1)
		require.True(t, isClosed(done))
		h.letAll()
	})
}

func TestDoneIsClosedAfterTheLastCallOfOnProgressHasReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, double)
		var returned atomic.Int64
		b := p.BatchOf(t.Context(), upTo(3), dispatch.OnProgress(func(now dispatch.Progress) {
			time.Sleep(time.Minute)
			if now.Done == 3 {
				returned.Add(1)
			}
		}))
		<-b.Done()
		require.Equal(t, int64(1), returned.Load())
	})
}

func TestTheEndOfThePoolOrTheContextSealsABatchWhoseDoneIsAwaited(t *testing.T) {
	for _, n := range []int{0, 3} {
		inBubbles(t, map[string]func(p *dispatch.Pool[int, int], cancel context.CancelCauseFunc){
			"the context": func(_ *dispatch.Pool[int, int], cancel context.CancelCauseFunc) { cancel(errCause) },
			"Close":       func(p *dispatch.Pool[int, int], _ context.CancelCauseFunc) { _ = p.Close() },
			"Drain":       func(p *dispatch.Pool[int, int], _ context.CancelCauseFunc) { p.Drain() },
			"Stop":        func(p *dispatch.Pool[int, int], _ context.CancelCauseFunc) { p.Stop() },
		}, func(t *testing.T, end func(p *dispatch.Pool[int, int], cancel context.CancelCauseFunc)) {
			p := openPool(t, double)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			b := p.Batch(ctx)
			require.NoError(t, b.Add(upTo(n)...))
			done := b.Done()
			time.Sleep(time.Hour)
			require.False(t, isClosed(done))
			end(p, cancel)
			synctest.Wait()
			require.True(t, isClosed(done))
			require.Error(t, b.Add(1))
		})
	}
}

func TestDoneOfABatchOnAPoolThatHasEndedIsClosed(t *testing.T) {
	p := openPool(t, double)
	before := p.Batch(t.Context())
	require.NoError(t, p.Close())
	requireSoon(t, before.Done(), "Done of a batch made before")
	requireSoon(t, p.Batch(t.Context()).Done(), "Done of one made after")
}

// bounded notes how many handlers run, and the most that ever did.
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

// A batch that is out of the list of what wants a worker, because it is at its
// bound, must count all the same when single jobs ask for their turn.
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

func TestAnInputThatIsWrittenOffFreesThePlaceInItsBatch(t *testing.T) {
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
			require.Equal(t, r.wants[0] == dispatch.ErrSealed, errors.Is(err, dispatch.ErrSealed))
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

func TestAnAddThatWaitsByTheJobThatMadeTheBatchLendsItsPlace(t *testing.T) {
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

func TestBatchOfTakesNoNoticeOfMaxPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1))
		b := p.BatchOf(t.Context(), upTo(10), dispatch.MaxPending(1))
		require.Equal(t, 10, b.Progress().Total)
		h.letAll()
	})
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

func TestErrHaltedIsAlsoACancel(t *testing.T) {
	require.ErrorIs(t, dispatch.ErrHalted, context.Canceled)
	require.NotErrorIs(t, context.Canceled, dispatch.ErrHalted)
	require.NotErrorIs(t, dispatch.ErrHalted, dispatch.ErrStopped)
	require.NotEqual(t, context.Canceled.Error(), dispatch.ErrHalted.Error())
}

// A sibling of the input that stops its batch may end in each of these ways.
func TestWhatAHaltedInputReturnsSaysWhetherItHasFailedItself(t *testing.T) {
	type sibling struct {
		end    func(ctx context.Context) (int, error)
		halted bool
		want   error // unless halted
	}
	siblings := map[string]sibling{
		"ctx.Err":                {func(ctx context.Context) (int, error) { return 0, ctx.Err() }, true, nil},
		"the cause":              {func(ctx context.Context) (int, error) { return 0, context.Cause(ctx) }, true, nil},
		"an error of its own":    {func(context.Context) (int, error) { return 0, errUser }, false, errUser},
		"a success all the same": {func(context.Context) (int, error) { return 7, nil }, false, nil},
	}
	type stop struct {
		opt   dispatch.BatchOption
		first error // what the first returns
	}
	for what, stop := range map[string]stop{"StopOnError": {dispatch.StopOnError(), errOdd}, "StopOnSuccess": {dispatch.StopOnSuccess(), nil}} {
		for name, r := range siblings {
			t.Run(what+", "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var causes notes[error]
					p := openPool(t, func(ctx context.Context, in int) (int, error) {
						switch in {
						case 0:
							time.Sleep(time.Second)
							return 0, stop.first
						case 1:
							<-ctx.Done()
							causes.add(context.Cause(ctx))
							return r.end(ctx)
						}
						return in, nil
					}, dispatch.WithWorkers(2))
					b := p.BatchOf(t.Context(), upTo(4), stop.opt)
					results := b.Results()
					_, err := b.Wait(t.Context())
					if stop.first != nil {
						require.Equal(t, []error{&dispatch.ItemError{Index: 0, Err: errOdd}}, causes.all())
					} else {
						require.Equal(t, []error{dispatch.ErrHalted}, causes.all())
					}

					want1 := r.want
					if r.halted {
						want1 = dispatch.ErrHalted
					}
					wants := []error{stop.first, want1, dispatch.ErrHalted, dispatch.ErrHalted}
					check := func(all []dispatch.Result[int, int]) {
						require.Len(t, all, 4)
						for _, res := range all {
							require.Equal(t, wants[res.Index], res.Err, "input %d", res.Index)
						}
					}
					check(slices.Collect(b.All()))
					var received []dispatch.Result[int, int]
					for res := range results {
						received = append(received, res)
					}
					require.LessOrEqual(t, len(received), 4)
					for _, res := range received {
						require.Equal(t, wants[res.Index], res.Err, "input %d", res.Index)
					}

					var own []error // those that Wait gives
					if stop.first != nil {
						own = append(own, &dispatch.ItemError{Index: 0, Err: stop.first})
					}
					if r.want != nil {
						own = append(own, &dispatch.ItemError{Index: 1, Err: r.want})
					}
					if own == nil {
						require.NoError(t, err)
						return
					}
					require.Equal(t, own, err.(interface{ Unwrap() []error }).Unwrap())
				})
			})
		}
	}
}

func TestResultsAskedForAfterABatchWasHaltedSaySo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, failOdd, dispatch.WithWorkers(1))
		b := p.BatchOf(t.Context(), []int{1, 2, 3}, dispatch.StopOnError())
		<-b.Done()
		errs := map[int]error{}
		for r := range b.Results() {
			errs[r.Index] = r.Err
		}
		require.Equal(t, map[int]error{0: errOdd, 1: dispatch.ErrHalted, 2: dispatch.ErrHalted}, errs)
	})
}

func TestAnAddAfterAFailureHasStoppedTheBatchNamesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, failOdd)
		b := batchOf(t, p, []int{2, 3}, dispatch.StopOnError())
		synctest.Wait()
		err := b.Add(4)
		require.ErrorIs(t, err, dispatch.ErrSealed)
		ierr, ok := errors.AsType[*dispatch.ItemError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, &dispatch.ItemError{Index: 1, Err: errOdd}, ierr)

		b = batchOf(t, p, []int{2}, dispatch.StopOnSuccess())
		synctest.Wait()
		err = b.Add(4)
		require.ErrorIs(t, err, dispatch.ErrSealed)
		require.ErrorIs(t, err, dispatch.ErrHalted)
	})
}

func TestTheCauseOfTheRestOfAMapIsTheFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var causes notes[error]
		p := openPool(t, func(ctx context.Context, in int) (int, error) {
			if in == 1 {
				time.Sleep(time.Second)
				return 0, errOdd
			}
			<-ctx.Done()
			causes.add(context.Cause(ctx))
			return 0, ctx.Err()
		}, dispatch.WithWorkers(3))
		_, err := p.Map(t.Context(), []int{0, 1, 2})
		require.Equal(t, &dispatch.ItemError{Index: 1, Err: errOdd}, err)
		require.Equal(t, []error{&dispatch.ItemError{Index: 1, Err: errOdd}, &dispatch.ItemError{Index: 1, Err: errOdd}}, causes.all())
	})
}

func TestWaitGivesTheCommonEndOnceAndTheItemsOwnFailuresOneByOne(t *testing.T) {
	type end struct {
		end  func(p *dispatch.Pool[int, int], b *dispatch.Batch[int, int], cancel context.CancelCauseFunc)
		want error
	}
	inBubbles(t, map[string]end{
		"Cancel": {func(_ *dispatch.Pool[int, int], b *dispatch.Batch[int, int], _ context.CancelCauseFunc) { b.Cancel() }, context.Canceled},
		"the context": {func(_ *dispatch.Pool[int, int], _ *dispatch.Batch[int, int], cancel context.CancelCauseFunc) {
			cancel(errCause)
		}, errCause},
		"Stop": {func(p *dispatch.Pool[int, int], _ *dispatch.Batch[int, int], _ context.CancelCauseFunc) { p.Stop() }, dispatch.ErrStopped},
	}, func(t *testing.T, r end) {
		p := openPool(t, func(ctx context.Context, in int) (int, error) {
			switch {
			case in < 3:
				return failOdd(ctx, in)
			case in == 3:
				<-ctx.Done()
				return 0, errUser // a failure of its own, after the end
			}
			<-ctx.Done()
			return 0, ctx.Err()
		}, dispatch.WithWorkers(2))
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		b := p.BatchOf(ctx, upTo(10))
		synctest.Wait()
		r.end(p, b, cancel)
		outs, err := b.Wait(t.Context())
		require.Len(t, outs, 10)
		require.Equal(t, []error{
			&dispatch.ItemError{Index: 1, Err: errOdd}, &dispatch.ItemError{Index: 3, Err: errUser}, r.want,
		}, err.(interface{ Unwrap() []error }).Unwrap())
		for res := range b.All() { // item by item
			switch {
			case res.Index == 1:
				require.Equal(t, errOdd, res.Err)
			case res.Index == 3:
				require.Equal(t, errUser, res.Err)
			case res.Index < 3:
				require.NoError(t, res.Err)
			default:
				require.Equal(t, r.want, res.Err)
			}
		}
	})
}

func TestTheJobLimitOfAnInputIsAFailureOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, heedfulNap, dispatch.WithJobTimeout(time.Second))
		_, err := p.BatchOf(t.Context(), []time.Duration{time.Millisecond, time.Hour}).Wait(t.Context())
		joined, ok := err.(interface{ Unwrap() []error })
		require.True(t, ok, "%v", err)
		require.Equal(t, []error{&dispatch.ItemError{Index: 1, Err: &dispatch.TimeoutError{Limit: time.Second, Ran: true}}}, joined.Unwrap())
	})
}

func TestTheDeadlineOfABatchsContextIsACommonEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, heedfulNap, dispatch.WithWorkers(2))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := p.BatchOf(ctx, slices.Repeat([]time.Duration{time.Hour}, 5)).Wait(t.Context())
		joined, ok := err.(interface{ Unwrap() []error })
		require.True(t, ok, "%v", err)
		require.Len(t, joined.Unwrap(), 1, "%v", err)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, ok = errors.AsType[*dispatch.ItemError](err)
		require.False(t, ok, "%v", err)
	})
}
