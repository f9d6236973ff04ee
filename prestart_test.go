package dispatch_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

func TestPrestartMakesTheMinimumAllAtOnceAndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var run bounded
		p := openWorkers(t, func(context.Context) (dispatch.Worker[int, int], error) {
			run.enter()
			defer run.leave()
			time.Sleep(time.Minute)
			return dispatch.Handler[int, int](double), nil
		}, dispatch.WithWorkers(5), dispatch.WithMinWorkers(3))
		c := callingErr(func() error { return p.Prestart(t.Context()) })
		second := callingErr(func() error { return p.Prestart(t.Context()) })
		s := p.Stats()
		require.Equal(t, [3]int{}, [3]int{s.Running, s.Queued, int(s.Submitted)}, "no job")
		require.NoError(t, p.Wait(t.Context()), "nor waited for")
		require.NoError(t, c.requireReturnAfter(t, time.Minute))
		require.NoError(t, second.requireReturn(t), "calls share one making")
		require.Equal(t, int64(3), run.most.Load())
		synctest.Wait()
		s = p.Stats()
		require.Equal(t, [2]int{3, 3}, [2]int{s.Workers, s.Idle})
		start := time.Now()
		require.NoError(t, p.Prestart(t.Context()), "they live")
		_, err := p.Process(t.Context(), 1)
		require.NoError(t, err)
		require.Zero(t, time.Since(start), "the job finds a worker that is made")
		time.Sleep(time.Hour)
		require.Equal(t, 3, p.Stats().Workers, "they stay")
	})
}

func TestPrestartWithoutAMinimumDoesNothing(t *testing.T) {
	p := openPool(t, double)
	require.NoError(t, p.Prestart(t.Context()))
	require.Zero(t, p.Stats().Workers)
	var none context.Context
	require.PanicsWithValue(t, "dispatch: nil context given to Pool.Prestart", func() { _ = p.Prestart(none) })
}

func TestPrestartStartsOnlyWhatTheMinimumIsShortOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var made atomic.Int64
		p := openWorkers(t, func(context.Context) (dispatch.Worker[int, int], error) {
			made.Add(1)
			return dispatch.Handler[int, int](double), nil
		}, dispatch.WithWorkers(5), dispatch.WithMinWorkers(3))
		_, err := p.Process(t.Context(), 1)
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, p.Prestart(t.Context()))
		require.Equal(t, int64(3), made.Load())
		require.NoError(t, p.Resize(1))
		synctest.Wait()
		require.NoError(t, p.Prestart(t.Context()))
		require.Equal(t, int64(3), made.Load(), "the limit counts")
	})
}

func TestAWorkerThatPrestartCannotMakeLeavesAndTheNextCallTriesAgain(t *testing.T) {
	inBubbles(t, map[string]struct {
		fail func() error
		is   func(err error) bool
	}{
		"error":  {func() error { return errUser }, func(err error) bool { return err == errUser }}, //nolint:errorlint // as it is
		"panic":  {func() error { panic(errUser) }, func(err error) bool { _, ok := errors.AsType[*dispatch.PanicError](err); return ok }},
		"Goexit": {func() error { runtime.Goexit(); return nil }, func(err error) bool { return err == dispatch.ErrGoexit }}, //nolint:errorlint // as it is
	}, func(t *testing.T, r struct {
		fail func() error
		is   func(err error) bool
	}) {
		var calls atomic.Int64
		p := openWorkers(t, func(context.Context) (dispatch.Worker[int, int], error) {
			if calls.Add(1) == 2 {
				if err := r.fail(); err != nil {
					return nil, err
				}
			}
			return dispatch.Handler[int, int](double), nil
		}, dispatch.WithWorkers(4), dispatch.WithMinWorkers(3), quiet())
		err := p.Prestart(t.Context())
		require.True(t, r.is(err), "%v", err)
		synctest.Wait()
		require.Equal(t, 2, p.Stats().Workers)
		require.NoError(t, p.Prestart(t.Context()))
		require.Equal(t, int64(4), calls.Load())
		synctest.Wait()
		require.Equal(t, 3, p.Stats().Workers)
		s := p.Stats()
		require.Zero(t, s.Submitted+s.Failed+s.Panicked, "they are no jobs")
		_, err = p.Process(t.Context(), 1)
		require.NoError(t, err)
	})
}

func TestTheContextEndsTheWaitOfPrestartAndNotTheMaking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openWorkers(t, func(context.Context) (dispatch.Worker[int, int], error) {
			time.Sleep(time.Minute)
			return dispatch.Handler[int, int](double), nil
		}, dispatch.WithWorkers(2), dispatch.WithMinWorkers(2))
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errCause)
		defer cancel()
		c := callingErr(func() error { return p.Prestart(ctx) })
		require.Equal(t, errCause, c.requireReturnAfter(t, time.Second))
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, 2, p.Stats().Idle)
		require.NoError(t, p.Prestart(ctx), "there is nothing to wait for")
	})
}

func TestPrestartOnAPoolThatTakesNoMoreIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1), dispatch.WithMinWorkers(1))
		dispatch.Must(p.Submit(t.Context(), 1))
		p.Drain()
		require.Equal(t, dispatch.ErrClosed, p.Prestart(t.Context()))
		h.letAll()
		<-p.Done()
		require.Equal(t, dispatch.ErrClosed, p.Prestart(t.Context()))
	})
}

func TestBeingMadeTakesASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openWorkers(t, func(context.Context) (dispatch.Worker[int, int], error) {
			time.Sleep(time.Minute)
			return dispatch.Handler[int, int](double), nil
		}, dispatch.WithWorkers(2), dispatch.WithMinWorkers(2), dispatch.WithQueue(0))
		c := callingErr(func() error { return p.Prestart(t.Context()) })
		_, err := p.TrySubmit(t.Context(), 1)
		require.Equal(t, dispatch.ErrQueueFull, err)
		require.NoError(t, c.requireReturnAfter(t, time.Minute))
		synctest.Wait()
		_, err = p.TrySubmit(t.Context(), 1)
		require.NoError(t, err)
	})
}

func TestAStopDuringAPrestartHangsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openWorkers(t, func(ctx context.Context) (dispatch.Worker[int, int], error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}, dispatch.WithWorkers(2), dispatch.WithMinWorkers(2))
		c := callingErr(func() error { return p.Prestart(t.Context()) })
		require.False(t, c.returned())
		p.Stop()
		require.Equal(t, dispatch.ErrStopped, c.requireReturn(t))
		<-p.Done()
	})
}

func TestPrestartWorksInAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, double, dispatch.WithWorkers(2), dispatch.WithMinWorkers(2))
		p.Pause()
		c := callingErr(func() error { return p.Prestart(t.Context()) })
		require.NoError(t, c.requireReturn(t))
		require.Equal(t, 2, p.Stats().Workers)
	})
}
