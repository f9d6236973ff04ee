package dispatch_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// A Batch.Add did not ask a Map that was under way to give way.
func TestAMapGivesWayToABatchThatComesLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, func(_ context.Context, in int) (int, error) {
			time.Sleep(time.Second)
			return in, nil
		}, dispatch.WithWorkers(1))
		m := calling(func() ([]int, error) { return p.Map(t.Context(), upTo(100)) })
		time.Sleep(1500 * time.Millisecond)
		b := batchOf(t, p, []int{1})
		c := calling(func() ([]int, error) { return b.Wait(t.Context()) })
		time.Sleep(5 * time.Second)
		require.NoError(t, c.requireReturn(t))
		<-m.done
		require.NoError(t, m.err)
	})
}

// Where all inputs were claimed, the error named the first whatever its outcome.
func TestTheErrorOfAMapNamesAnInputThatHasNoOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, nap, dispatch.WithWorkers(2))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := p.Map(ctx, []time.Duration{time.Millisecond, time.Hour})
		var ierr *dispatch.ItemError
		require.ErrorAs(t, err, &ierr)
		require.Equal(t, 1, ierr.Index)
	})
}

// An input that was written off was counted again when its handler returned.
func TestAnInputThatIsWrittenOffIsCountedOnce(t *testing.T) {
	for _, stray := range []int{1, 2} { // which of the two is written off is chance
		synctest.Test(t, func(t *testing.T) {
			pass := []chan struct{}{nil, make(chan struct{}), make(chan struct{})}
			p := openWorkers(t, toolbox(new(notes[string]), tool{
				process: func(_ context.Context, in int) (int, error) {
					if in == 0 {
						time.Sleep(time.Second)
						return 0, errOdd
					}
					<-pass[in]
					return in, nil
				},
				close: func() error { time.Sleep(time.Second); return nil },
			}), dispatch.WithWorkers(3), dispatch.WithGrace(time.Second, 1))
			c := calling(func() ([]int, error) { return p.Map(t.Context(), []int{1, 2, 0}) })
			time.Sleep(2 * time.Second)
			requireStrays(t, p, 1, 1)
			last := p.Stats()
			for _, in := range []int{stray, 3 - stray} {
				close(pass[in])
				synctest.Wait()
				s := p.Stats()
				require.GreaterOrEqual(t, s.Succeeded, last.Succeeded)
				require.GreaterOrEqual(t, s.Canceled, last.Canceled)
				requireBalance(t, s)
				last = s
				time.Sleep(5 * time.Second)
				synctest.Wait()
				require.GreaterOrEqual(t, p.Stats().Succeeded, last.Succeeded)
			}
			require.ErrorIs(t, c.requireReturn(t), errOdd)
			require.Equal(t, uint64(3), last.Succeeded+last.Failed+last.Canceled)
		})
	}
}

// A worker that had claimed an input read it without regard to Map's return.
func TestAMapThatHasReturnedDoesNotReadItsInputs(t *testing.T) {
	// For the race detector, which a bubble would tell of an order that is not there.
	pass := make(chan struct{})
	p := openPool(t, func(_ context.Context, in int) (int, error) { <-pass; return in, nil }, dispatch.WithWorkers(4))
	defer close(pass)
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		ins := upTo(100)
		_, err := p.Map(ctx, ins)
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		for i := range ins {
			ins[i] = -1
		}
	}
}

// The handler that Stop had interrupted was still at work when the context ended:
// its input was said to have ended with ErrStopped, and had no outcome.
func TestAMapWhoseContextEndsAfterStopSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1))
		ctx, cancel := context.WithCancelCause(t.Context())
		var err error
		go func() { _, err = p.Map(ctx, []int{1}) }()
		require.Equal(t, []int{1}, h.entered())
		require.Empty(t, p.Stop())
		cancel(errCause)
		synctest.Wait()
		require.Equal(t, &dispatch.ItemError{Index: 0, Err: errCause}, err)
		h.letAll()
	})
}
