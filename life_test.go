package dispatch_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// Drain, and a pool with a context.

func TestDrainTakesNoMoreRunsWhatWasAcceptedAndDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1))
		for i := range 3 {
			dispatch.Must(p.Submit(t.Context(), i))
		}
		for range 2 {
			p.Drain()
		}
		require.Equal(t, dispatch.Draining, p.Stats().State)
		_, err := p.Submit(t.Context(), 9)
		require.Equal(t, dispatch.ErrClosed, err)
		h.letAll()
		<-p.Done()
		require.Equal(t, []int{0, 1, 2}, h.entered())
		p.Drain()
		require.Equal(t, dispatch.Ended, p.Stats().State)
	})
}

func TestAJobMayDrainItsOwnPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *dispatch.Pool[int, int]
		p = openPool(t, func(ctx context.Context, in int) (int, error) {
			p.Drain()
			_, err := p.Process(ctx, 2)
			return in, err
		}, dispatch.WithWorkers(1))
		_, err := p.Process(t.Context(), 1)
		require.Equal(t, dispatch.ErrClosed, err)
		<-p.Done()
	})
}

func TestDrainEndsAPoolThatHasNeverRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, double)
		p.Drain()
		<-p.Done()
	})
}

func TestWithContextOfNilIsAnErrorOfNew(t *testing.T) {
	var none context.Context
	_, err := dispatch.New(double, dispatch.WithContext(none))
	require.ErrorContains(t, err, "WithContext(nil)")
}

func TestAPoolWhoseContextIsDoneAlreadyIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, double, dispatch.WithContext(canceledContext(t, errCause)))
		_, err := p.Process(t.Context(), 1)
		require.Equal(t, dispatch.ErrClosed, err)
		<-p.Done()
	})
}

func TestTheEndOfThePoolsContextStopsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(context.Background())
		var causes notes[error]
		p := openPool(t, func(ctx context.Context, in int) (int, error) {
			<-ctx.Done()
			causes.add(context.Cause(ctx))
			return in, nil
		}, dispatch.WithWorkers(1), dispatch.WithContext(ctx))
		running, waiting := dispatch.Must(p.Submit(t.Context(), 1)), dispatch.Must(p.Submit(t.Context(), 2))
		b := p.BatchOf(t.Context(), []int{10, 11})
		synctest.Wait()
		cancel(errCause)
		synctest.Wait()
		for _, f := range []*dispatch.Future[int]{running, waiting} {
			_, err := f.Wait(t.Context())
			require.ErrorIs(t, err, dispatch.ErrStopped)
			require.ErrorIs(t, err, errCause)
		}
		<-p.Done()
		require.Len(t, causes.all(), 1)
		require.ErrorIs(t, causes.all()[0], dispatch.ErrStopped)
		require.ErrorIs(t, causes.all()[0], errCause)
		_, err := b.Wait(t.Context())
		require.ErrorIs(t, err, dispatch.ErrStopped)
		require.ErrorIs(t, err, errCause)
		require.Equal(t, []int{2, 10, 11}, p.Stop(), "the next Stop gives back what never ran")
		require.Empty(t, p.Stop())
		_, err = p.Process(t.Context(), 1)
		require.Equal(t, dispatch.ErrClosed, err)
	})
}

func TestAPlainStopOfAPoolWithAContextGivesErrStoppedItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, untilDone, dispatch.WithContext(t.Context()))
		f := dispatch.Must(p.Submit(t.Context(), 1))
		synctest.Wait()
		p.Stop()
		_, err := f.Wait(t.Context())
		require.Equal(t, dispatch.ErrStopped, err)
	})
}

func TestNewWorkersContextDescendsFromThePoolsAndHandlersContextsDoNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		ctx, cancel := context.WithCancelCause(context.WithValue(context.Background(), key{}, "life"))
		var made context.Context
		var seen notes[any]
		p := openWorkers(t, func(ctx context.Context) (dispatch.Worker[int, int], error) {
			made = ctx
			return dispatch.Handler[int, int](func(ctx context.Context, in int) (int, error) {
				seen.add(ctx.Value(key{}))
				return in, nil
			}), nil
		}, dispatch.WithContext(ctx))
		_, err := p.Process(t.Context(), 1)
		require.NoError(t, err)
		require.Equal(t, "life", made.Value(key{}))
		require.NoError(t, made.Err())
		require.Equal(t, []any{nil}, seen.all())
		cancel(errCause)
		synctest.Wait()
		require.Equal(t, errCause, context.Cause(made), "the bare cause")
	})
}

func TestG12ThePoolsRegistrationWithItsContextGoesWhenItEnds(t *testing.T) {
	for name, end := range map[string]func(p *dispatch.Pool[int, int]){
		"Close": func(p *dispatch.Pool[int, int]) { _ = p.Close() },
		"Stop":  func(p *dispatch.Pool[int, int]) { p.Stop(); <-p.Done() },
	} {
		t.Run(name, func(t *testing.T) {
			ctx := newRegistrar(nil)
			p := dispatch.Must(dispatch.New(double, dispatch.WithContext(ctx)))
			require.NotZero(t, ctx.registered.Load())
			_, err := p.Process(t.Context(), 1)
			require.NoError(t, err)
			end(p)
			require.Zero(t, ctx.registered.Load())
		})
	}
}
