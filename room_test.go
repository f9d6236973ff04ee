package dispatch_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

func TestAPoolTakesExactlyItsWorkersAndItsQueue(t *testing.T) {
	inBubbles(t, map[string]struct{ workers, queue int }{
		"one and none":  {1, 0},
		"one and one":   {1, 1},
		"many and none": {5, 0},
		"many":          {3, 7},
	}, func(t *testing.T, r struct{ workers, queue int }) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(r.workers), dispatch.WithQueue(r.queue))
		try := func() error { _, err := p.TrySubmit(t.Context(), 1); return err }
		for i := range r.workers + r.queue {
			require.NoError(t, try(), "job %d", i)
		}
		for range 3 {
			require.Equal(t, dispatch.ErrQueueFull, try())
		}
		synctest.Wait()
		require.Equal(t, dispatch.ErrQueueFull, try())
		h.let(1) // and no more than one place is free
		require.NoError(t, try())
		require.Equal(t, dispatch.ErrQueueFull, try())
		require.Equal(t, uint64(5), p.Stats().Rejected)
		h.letAll()
	})
}

func TestAFullQueueIsMetAsThePolicySays(t *testing.T) {
	// One job runs, another is queued, and the third is submitted by each method.
	full := func(t *testing.T, o dispatch.Overflow) (*held, *dispatch.Pool[int, int], []*dispatch.Future[int]) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1), dispatch.WithQueue(1), dispatch.WithOverflow(o))
		running := dispatch.Must(p.Submit(t.Context(), 0))
		synctest.Wait()
		return h, p, []*dispatch.Future[int]{running, dispatch.Must(p.Submit(t.Context(), 1))}
	}
	submits := map[string]func(p *dispatch.Pool[int, int]) error{
		"Process": func(p *dispatch.Pool[int, int]) error { _, err := p.Process(context.Background(), 2); return err },
		"ProcessTimed": func(p *dispatch.Pool[int, int]) error {
			_, err := p.ProcessTimed(context.Background(), 2, time.Hour)
			return err
		},
		"Submit": func(p *dispatch.Pool[int, int]) error { _, err := p.Submit(context.Background(), 2); return err },
	}
	for name, submit := range submits {
		t.Run("Block "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, p, _ := full(t, dispatch.Block)
				c := callingErr(func() error { return submit(p) })
				time.Sleep(time.Hour - 1)
				require.False(t, c.returned())
				h.letAll()
				require.NoError(t, c.requireReturn(t))
				require.Equal(t, []int{0, 1, 2}, h.entered())
			})
		})
		t.Run("Reject "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, p, _ := full(t, dispatch.Reject)
				require.Equal(t, dispatch.ErrQueueFull, submit(p))
				h.letAll()
				require.Equal(t, []int{0, 1}, h.entered())
			})
		})
		t.Run("DropOldest "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, p, fs := full(t, dispatch.DropOldest)
				c := callingErr(func() error { return submit(p) })
				_, err := fs[1].Wait(t.Context())
				require.Equal(t, dispatch.ErrDropped, err, "at once, for the one that waited")
				h.letAll()
				require.NoError(t, c.requireReturn(t))
				out, err := fs[0].Wait(t.Context())
				require.NoError(t, err)
				require.Zero(t, out)
				require.Equal(t, []int{0, 2}, h.entered())
			})
		})
		t.Run("CallerRuns "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, p, _ := full(t, dispatch.CallerRuns)
				c := callingErr(func() error { return submit(p) })
				require.Equal(t, []int{0, 2}, h.entered(), "on top of the limit")
				require.Equal(t, 2, p.Stats().Running)
				require.False(t, c.returned(), "its submitter waits for the outcome")
				h.letAll()
				require.NoError(t, c.requireReturn(t))
				require.Equal(t, []int{0, 2, 1}, h.entered())
			})
		})
	}
	for name, o := range map[string]dispatch.Overflow{"Block": dispatch.Block, "Reject": dispatch.Reject, "DropOldest": dispatch.DropOldest, "CallerRuns": dispatch.CallerRuns} {
		t.Run(name+" TrySubmit", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, p, _ := full(t, o)
				_, err := p.TrySubmit(t.Context(), 2)
				require.Equal(t, dispatch.ErrQueueFull, err)
				h.letAll()
				require.Equal(t, []int{0, 1}, h.entered())
			})
		})
	}
}

func TestWithoutAQueueAJobIsTakenOnlyIfAWorkerCanTakeItNow(t *testing.T) {
	for name, o := range map[string]dispatch.Overflow{"Reject": dispatch.Reject, "DropOldest": dispatch.DropOldest} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHeld()
				p := openPool(t, h.handle, dispatch.WithWorkers(1), dispatch.WithQueue(0), dispatch.WithOverflow(o))
				f := dispatch.Must(p.Submit(t.Context(), 0))
				_, err := p.Submit(t.Context(), 1)
				require.Equal(t, dispatch.ErrQueueFull, err)
				h.let(1)
				_, err = f.Wait(t.Context())
				require.NoError(t, err)
				dispatch.Must(p.Submit(t.Context(), 2)) // the worker is free as soon as the outcome is there
				h.letAll()
			})
		})
	}
}

func TestDropOldestDropsInTheOrderOfSubmits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1), dispatch.WithQueue(3), dispatch.WithOverflow(dispatch.DropOldest))
		var fs []*dispatch.Future[int]
		for i := range 10 {
			fs = append(fs, dispatch.Must(p.Submit(t.Context(), i)))
			synctest.Wait()
			for j, f := range fs {
				select {
				case <-f.Done():
					require.True(t, 0 < j && j <= i-3, "job %d at %d", j, i)
				default:
					require.True(t, j == 0 || j > i-3, "job %d at %d", j, i)
				}
			}
		}
		h.letAll()
		require.Equal(t, []int{0, 7, 8, 9}, h.entered())
		require.Equal(t, uint64(6), p.Stats().Dropped)
	})
}

func TestBlockedSubmittersAreServedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1), dispatch.WithQueue(1))
		var calls []*call[*dispatch.Future[int]]
		for i := range 8 {
			calls = append(calls, calling(func() (*dispatch.Future[int], error) { return p.Submit(t.Context(), i) }))
		}
		for i := range 8 {
			for j, c := range calls {
				require.Equal(t, j <= i+1, c.returned(), "submit %d when %d have run", j, i)
			}
			_, err := p.TrySubmit(t.Context(), 99)
			if i < 7 {
				require.Equal(t, dispatch.ErrQueueFull, err, "nobody overtakes those that wait")
			} else {
				require.NoError(t, err)
			}
			h.let(1)
		}
		h.letAll()
		require.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7, 99}, h.entered())
	})
}

func TestTheContextEndsTheWaitForRoomAndTheJobNeverRuns(t *testing.T) {
	inBubbles(t, map[string]func(ctx context.Context, p *dispatch.Pool[int, int]) error{
		"Process": func(ctx context.Context, p *dispatch.Pool[int, int]) error { _, err := p.Process(ctx, 2); return err },
		"ProcessTimed": func(ctx context.Context, p *dispatch.Pool[int, int]) error {
			_, err := p.ProcessTimed(ctx, 2, time.Hour)
			return err
		},
		"Submit": func(ctx context.Context, p *dispatch.Pool[int, int]) error { _, err := p.Submit(ctx, 2); return err },
	}, func(t *testing.T, submit func(ctx context.Context, p *dispatch.Pool[int, int]) error) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1), dispatch.WithQueue(1))
		dispatch.Must(p.Submit(t.Context(), 0))
		dispatch.Must(p.Submit(t.Context(), 1))
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errCause)
		defer cancel()
		first := callingErr(func() error { return submit(ctx, p) })
		second := calling(func() (int, error) { return p.Process(t.Context(), 3) })
		require.Equal(t, errCause, first.requireReturnAfter(t, time.Second))
		require.Equal(t, uint64(2), p.Stats().Submitted)
		h.letAll()
		require.NoError(t, second.requireReturn(t))
		require.Equal(t, []int{0, 1, 3}, h.entered())
	})
}

func TestTheEndOfThePoolEndsTheWaitForRoom(t *testing.T) {
	inBubbles(t, map[string]func(p *dispatch.Pool[int, int]){
		"Close": func(p *dispatch.Pool[int, int]) { callingErr(p.Close) },
		"Stop":  func(p *dispatch.Pool[int, int]) { require.Equal(t, []int{1}, p.Stop()) },
	}, func(t *testing.T, end func(p *dispatch.Pool[int, int])) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1), dispatch.WithQueue(1))
		dispatch.Must(p.Submit(t.Context(), 0))
		dispatch.Must(p.Submit(t.Context(), 1))
		var calls []*call[int]
		for range 3 {
			calls = append(calls, calling(func() (int, error) { return p.Process(t.Context(), 2) }))
		}
		synctest.Wait()
		end(p)
		for _, c := range calls {
			require.Equal(t, dispatch.ErrClosed, c.requireReturn(t))
		}
		h.letAll()
		require.NotContains(t, h.entered(), 2)
	})
}

func TestUnlimitedWorkersStartEveryJobAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(dispatch.Unlimited), dispatch.WithQueue(0))
		for i := range 3000 {
			_, err := p.TrySubmit(t.Context(), i)
			require.NoError(t, err)
		}
		synctest.Wait()
		require.Equal(t, 3000, p.Stats().Running)
		h.letAll()
		synctest.Wait()
		require.Equal(t, 3000, p.Stats().Idle)
		_, err := p.Process(t.Context(), 1)
		require.NoError(t, err)
		require.Equal(t, 3000, p.Stats().Workers, "an idle one is used again")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.LessOrEqual(t, p.Stats().Workers, 1)
	})
}

func TestResizeToUnlimitedTakesAllThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1), dispatch.WithQueue(1))
		for i := range 50 {
			calling(func() (int, error) { return p.Process(t.Context(), i) })
		}
		require.NoError(t, p.Resize(dispatch.Unlimited))
		require.Len(t, h.entered(), 50)
		require.Error(t, p.Resize(0))
		require.ErrorContains(t, p.Resize(-4), "-4")
		require.Equal(t, 50, p.Stats().Running)
		h.letAll()
	})
}
