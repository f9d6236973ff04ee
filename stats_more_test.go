package dispatch_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

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

func TestTheLimitsAreAlwaysToldAndFollowResize(t *testing.T) {
	p := openPool(t, double, dispatch.WithWorkers(2), dispatch.WithQueue(0))
	s := p.Stats()
	require.Equal(t, [2]int{2, 0}, [2]int{s.MaxRunning, s.MaxQueued})
	require.NoError(t, p.Resize(dispatch.Unlimited))
	require.Equal(t, dispatch.Unlimited, p.Stats().MaxRunning)
	require.NoError(t, p.Close())
	require.Equal(t, dispatch.Unlimited, p.Stats().MaxRunning)
}

func TestPausedIsToldUntilTheResume(t *testing.T) {
	p := openPool(t, double)
	require.False(t, p.Stats().Paused)
	p.Pause()
	require.True(t, p.Stats().Paused)
	require.Equal(t, dispatch.Running, p.Stats().State, "it takes jobs")
	p.Resume()
	require.False(t, p.Stats().Paused)
}

func TestWithoutTelemetryTheTimesAreZero(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, nap, dispatch.WithWorkers(1))
		dispatch.Must(p.Submit(t.Context(), time.Second))
		dispatch.Must(p.Submit(t.Context(), time.Second))
		time.Sleep(time.Millisecond)
		s := p.Stats()
		require.False(t, s.Telemetry)
		require.Equal(t, [2]time.Duration{}, [2]time.Duration{s.OldestWait, s.LongestRun})
		require.Equal(t, dispatch.Histogram{}, s.Wait)
		require.True(t, p.Running() == nil && p.Failures() == nil)
	})
}
