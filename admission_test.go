package dispatch_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// These tests check whether a job is accepted, and how a submitter waits.

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
		h.let(1) // and no more than one slot is free
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

func TestBlockedCountsSubmittersThatWaitForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1), dispatch.WithQueue(1))
		require.Zero(t, p.Stats().Blocked)
		ctx, cancel := context.WithCancelCause(t.Context())
		var calls []*call[int]
		for i := range 4 {
			calls = append(calls, calling(func() (int, error) { return p.Process(ctx, i) }))
		}
		submit := callingErr(func() error { _, err := p.Submit(t.Context(), 4); return err })
		require.Equal(t, 3, p.Stats().Blocked)
		h.let(1)
		require.Equal(t, 2, p.Stats().Blocked)
		cancel(errCause)
		for _, c := range calls[1:] {
			require.Equal(t, errCause, c.requireReturn(t))
		}
		require.NoError(t, submit.requireReturn(t), "there is room in the queue")
		require.Zero(t, p.Stats().Blocked)
		h.letAll()
	})
}

func TestAJobThatWaitsForRoomInItsOwnPoolCountsInBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *dispatch.Pool[int, int]
		var blocked int
		h := newHeld()
		p = openPool(t, func(ctx context.Context, in int) (int, error) {
			if in < 100 {
				return h.handle(ctx, in)
			}
			first := calling(func() (int, error) { return p.Process(ctx, 1) }) // uses the loan
			second := calling(func() (int, error) { return p.Process(ctx, 2) })
			blocked = p.Stats().Blocked
			h.letAll()
			<-first.done
			<-second.done
			return in, nil
		}, dispatch.WithWorkers(1), dispatch.WithQueue(0), dispatch.WithMaxBlocked(0))
		_, err := p.Process(t.Context(), 100)
		require.NoError(t, err)
		require.Equal(t, 1, blocked)
	})
}

func TestGaveUpCountsThoseWhoseWaitForRoomEndedAndNoOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1), dispatch.WithQueue(1))
		dispatch.Must(p.Submit(t.Context(), 0))
		dispatch.Must(p.Submit(t.Context(), 1))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		calling(func() (int, error) { return p.Process(ctx, 2) })
		callingErr(func() error { _, err := p.Submit(ctx, 3); return err })
		calling(func() (int, error) { return p.ProcessTimed(t.Context(), 4, time.Second) })
		require.Zero(t, p.Stats().GaveUp)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, uint64(3), p.Stats().GaveUp)
		_, _ = p.Process(ctx, 5) // done before it could wait
		_, _ = p.TrySubmit(t.Context(), 6)
		calling(func() (int, error) { return p.Process(t.Context(), 7) })
		p.Drain() // refuses the one that waits
		synctest.Wait()
		s := p.Stats()
		require.Equal(t, [3]uint64{2, 3, 1}, [3]uint64{s.Submitted, s.GaveUp, s.Rejected}, "submitted, gave up, rejected")
		require.Zero(t, s.Blocked)
		h.letAll()
	})
}
