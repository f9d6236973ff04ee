package dispatch_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// What ends a batch before all of it has run, and what its items are told.

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
			require.Equal(t, r.Index > 0, errors.Is(r.Err, dispatch.ErrHalted))
		}
		require.Equal(t, []int{1}, h.entered())
		h.letAll()
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
		ended, watched := dispatch.BatchEnded(b)
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
