package dispatch_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// Regression: Wait returned although a job that had come since was waiting.
func TestWaitWaitsForAJobThatCameWhileItWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pass := newGated()
		p := dispatch.Must(dispatch.New(pass.handle, dispatch.WithWorkers(1), dispatch.WithGrace(time.Minute, 1)))
		fs := submitted(t, p, 2)
		synctest.Wait()
		returned := make(chan struct{})
		go func() {
			defer close(returned)
			_ = p.Wait(context.Background())
		}()
		synctest.Wait()
		pass.let(1) // the second runs
		synctest.Wait()
		submitted(t, p, 1)
		fs[1].Cancel() // it becomes a stray; the third runs
		time.Sleep(time.Hour)
		require.Equal(t, 1, p.Stats().Strays)
		require.Equal(t, 1, p.Stats().Running)
		require.False(t, isClosed(returned))
		pass.open()
		synctest.Wait()
		require.True(t, isClosed(returned))
		requireSound(t, p)
	})
}

// A job that was canceled while its worker got ready is not waited for.
func TestWaitDoesNotWaitForAJobThatWasCanceledBeforeItStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		p := workers(&workerOf{
			ready:   func(context.Context) error { <-gate; return nil },
			process: func(_ context.Context, in int) (int, error) { return in, nil },
		}, dispatch.WithWorkers(1))
		f, err := p.Submit(t.Context(), 1)
		require.NoError(t, err)
		returned := make(chan struct{})
		go func() {
			defer close(returned)
			_ = p.Wait(context.Background())
		}()
		synctest.Wait()
		require.False(t, isClosed(returned))
		f.Cancel()
		synctest.Wait()
		require.True(t, isClosed(returned))
		close(gate)
		requireSound(t, p)
	})
}
