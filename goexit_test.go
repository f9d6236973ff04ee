package dispatch_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// Handlers that call runtime.Goexit.

// Regression: when a panic handler called Goexit, its panic became that of the next job.
func TestAGoexitIsNotTakenForThePanicOfTheJobBefore(t *testing.T) {
	p := openPool(t, func(_ context.Context, in int) (int, error) {
		if in == 1 {
			panic(errTool)
		}
		runtime.Goexit()
		return 0, nil
	}, dispatch.WithWorkers(1), dispatch.WithPanicHandler(func(*dispatch.PanicError) { runtime.Goexit() }))
	_, err := p.Process(t.Context(), 1)
	require.ErrorIs(t, err, errTool)
	_, err = p.Process(t.Context(), 2)
	require.Equal(t, dispatch.ErrGoexit, err)
}

// Regression: a worker counted as idle while it closed the Worker that Goexit had left
// behind.
func TestASlowCloseAfterAGoexitHoldsUpNoOtherJob(t *testing.T) {
	for _, workers := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			p := openWorkers(t, toolbox(new(notes[string]), workerOf{
				process: func(_ context.Context, in int) (int, error) {
					if in == 0 {
						runtime.Goexit()
					}
					return in, nil
				},
				close: func() error { time.Sleep(time.Hour); return nil },
			}), dispatch.WithWorkers(workers))
			_, err := p.Process(t.Context(), 0)
			require.ErrorIs(t, err, dispatch.ErrGoexit)
			synctest.Wait()
			c := calling(func() (int, error) { return p.Process(t.Context(), 1) })
			require.NoError(t, c.requireReturn(t))
		})
	}
}

// Regression: an item that called Goexit after its limit ended with ErrGoexit.
func TestALateGoexitOfAnItemIsDropped(t *testing.T) {
	inBubbles(t, map[string]func(p *dispatch.Pool[int, int]) error{
		"Batch": func(p *dispatch.Pool[int, int]) error {
			b := p.Batch(context.Background())
			_ = b.Add(1)
			_, err := b.Wait(context.Background())
			return err
		},
		"Map": func(p *dispatch.Pool[int, int]) error { _, err := p.Map(context.Background(), upTo(1)); return err },
	}, func(t *testing.T, run func(p *dispatch.Pool[int, int]) error) {
		p := openPool(t, func(context.Context, int) (int, error) {
			time.Sleep(time.Minute)
			runtime.Goexit()
			return 0, nil
		}, dispatch.WithJobTimeout(time.Second))
		err := run(p)
		require.ErrorIs(t, err, dispatch.ErrTimeout)
		require.NotErrorIs(t, err, dispatch.ErrGoexit)
		s := p.Stats()
		require.Equal(t, [2]uint64{1, 0}, [2]uint64{s.TimedOut, s.Failed})
	})
}

// A Worker that Goexit has left behind, and whose Close takes its time, holds up
// nobody.
func TestG08ABrokenWorkerHoldsUpNobodyWhileItIsClosed(t *testing.T) {
	type row struct {
		queue int
		next  func(p *dispatch.Pool[int, int]) error
	}
	rows := map[string]row{
		"Wait":    {1, func(p *dispatch.Pool[int, int]) error { return p.Wait(context.Background()) }},
		"Process": {1, func(p *dispatch.Pool[int, int]) error { _, err := p.Process(context.Background(), 0); return err }},
		"Process that waits for room": {0, func(p *dispatch.Pool[int, int]) error {
			_, err := p.Process(context.Background(), 0)
			return err
		}},
		"Submit": {1, func(p *dispatch.Pool[int, int]) error {
			f, err := p.Submit(context.Background(), 0)
			if err == nil {
				_, err = f.Wait(context.Background())
			}
			return err
		}},
		"Map": {1, func(p *dispatch.Pool[int, int]) error { _, err := p.Map(context.Background(), []int{0}); return err }},
		"Batch": {1, func(p *dispatch.Pool[int, int]) error {
			b := p.Batch(context.Background())
			_ = b.Add(0)
			_, err := b.Wait(context.Background())
			return err
		}},
	}
	for _, before := range []bool{false, true} {
		inBubbles(t, rows, func(t *testing.T, r row) {
			goOn, gate := make(chan struct{}), make(chan struct{})
			p := workers(&workerOf{
				process: func(ctx context.Context, in int) (int, error) {
					if in > 0 {
						<-goOn
						runtime.Goexit()
					}
					return in, nil
				},
				close: func() error { <-gate; return nil },
			}, dispatch.WithWorkers(1), dispatch.WithQueue(r.queue))
			f, err := p.Submit(t.Context(), 1)
			require.NoError(t, err)
			returned := make(chan error, 1)
			call := func() { returned <- r.next(p) }
			if before {
				synctest.Wait()
				go call()
				synctest.Wait()
			}
			close(goOn)
			_, err = f.Wait(t.Context())
			require.Equal(t, dispatch.ErrGoexit, err)
			synctest.Wait()
			if !before {
				go call()
				synctest.Wait()
			}
			require.Len(t, returned, 1)
			require.NoError(t, <-returned)
			close(gate)
			requireSound(t, p)
		})
	}
}
