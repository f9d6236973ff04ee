package dispatch_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// Interrupt of a Worker: when it is called, and what happens if it hangs.

// hanging returns a pool of one worker, and a channel. Interrupt sends on that channel to
// Process, which does not wait for it. A job of 1 takes a second.
func hanging(opts ...dispatch.Option) (*dispatch.Pool[int, int], chan struct{}) {
	word := make(chan struct{})
	return workers(&workerOf{
		process: func(_ context.Context, in int) (int, error) {
			time.Sleep(time.Duration(in) * time.Second)
			return in, nil
		},
		interrupt: func() { word <- struct{}{} },
	}, append(opts, dispatch.WithWorkers(1))...), word
}

// Regression: the worker was lost for good, and WithGrace did not help.
func TestG10AWorkerWhoseInterruptHangsIsWrittenOff(t *testing.T) {
	inBubbles(t, map[string]func(p *dispatch.Pool[int, int]) error{
		"Process": func(p *dispatch.Pool[int, int]) error {
			_, err := p.ProcessTimed(context.Background(), 1, time.Second/2)
			return err
		},
		"Cancel": func(p *dispatch.Pool[int, int]) error {
			f := dispatch.Must(p.Submit(context.Background(), 1))
			synctest.Wait()
			f.Cancel()
			_, err := f.Wait(context.Background())
			return err
		},
		"Map": func(p *dispatch.Pool[int, int]) error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second/2)
			defer cancel()
			_, err := p.Map(ctx, []int{1})
			return err
		},
		"Batch": func(p *dispatch.Pool[int, int]) error {
			b := p.Batch(context.Background())
			_ = b.Add(1)
			synctest.Wait()
			b.Cancel()
			_, err := b.Wait(context.Background())
			return err
		},
	}, func(t *testing.T, run func(p *dispatch.Pool[int, int]) error) {
		p, word := hanging(dispatch.WithGrace(time.Minute, 1))
		_ = run(p) // an item that runs may have the outcome that its handler gives it
		time.Sleep(2 * time.Minute)
		require.Equal(t, 1, p.Stats().Strays)
		c := calling(func() (int, error) { return p.Process(context.Background(), 0) })
		require.NoError(t, c.requireReturn(t), "another worker has taken its place")
		require.Zero(t, c.out)
		requireSum(t, p.Stats())

		closed := make(chan struct{})
		go func() {
			defer close(closed)
			_ = p.Close()
		}()
		synctest.Wait()
		require.False(t, isClosed(closed), "Close waits for strays")
		<-word
		synctest.Wait()
		require.True(t, isClosed(closed))
		require.Zero(t, p.Stats().Strays)
	})
}

// If Interrupt returns in time, the worker's grace is forgotten.
func TestG10AnInterruptThatIsSlowIsNotWrittenOffBeforeItsGraceHasPassed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, word := hanging(dispatch.WithGrace(time.Minute, 1))
		_, err := p.ProcessTimed(t.Context(), 1, time.Second/2)
		require.ErrorIs(t, err, dispatch.ErrTimeout)
		time.Sleep(time.Minute - time.Second)
		require.Zero(t, p.Stats().Strays)
		<-word
		time.Sleep(time.Hour)
		require.Zero(t, p.Stats().Strays)
		out, err := p.Process(t.Context(), 2)
		require.NoError(t, err)
		require.Equal(t, 2, out)
		requireSound(t, p)
	})
}

// The next call of a Worker waits for its Interrupt, even without WithGrace.
func TestG05NothingIsCalledOnAWorkerWhileItsInterruptHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, word := hanging()
		_, err := p.ProcessTimed(t.Context(), 1, time.Second/2)
		require.ErrorIs(t, err, dispatch.ErrTimeout)
		returned := make(chan struct{})
		go func() {
			defer close(returned)
			_, _ = p.Process(t.Context(), 0)
		}()
		time.Sleep(time.Hour)
		require.False(t, isClosed(returned))
		<-word
		synctest.Wait()
		require.True(t, isClosed(returned))
		requireSound(t, p)
	})
}

// A job that waits behind a hanging Interrupt has its outcome when the grace has passed.
func TestG10AnItemWhoseInterruptHangsHasItsOutcomeWhenItsGraceHasPassed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, word := hanging(dispatch.WithJobTimeout(time.Second/2), dispatch.WithGrace(time.Minute, 1))
		b := p.Batch(t.Context())
		require.NoError(t, b.Add(1, 0))
		begin := time.Now()
		outs, err := b.Wait(t.Context())
		require.ErrorIs(t, err, dispatch.ErrTimeout)
		require.Equal(t, []int{0, 0}, outs)
		require.Equal(t, time.Minute+time.Second/2, time.Since(begin))
		<-word
		requireSound(t, p)
	})
}

// slowToHeed returns a second after its context is done.
func slowToHeed(ctx context.Context, in int) (int, error) {
	<-ctx.Done()
	time.Sleep(time.Second)
	return in, nil
}

func TestAnInterruptIsOverBeforeTheWorkersNextCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log notes[string]
		p := openWorkers(t, toolbox(&log, workerOf{
			process:   slowToHeed,
			interrupt: func() { time.Sleep(time.Hour); log.add("interrupted") },
		}), dispatch.WithWorkers(1))
		_, err := p.ProcessTimed(t.Context(), 1, time.Second)
		require.ErrorIs(t, err, dispatch.ErrTimeout)
		c := calling(func() (int, error) { return p.ProcessTimed(t.Context(), 2, 2*time.Hour) })
		require.ErrorIs(t, c.requireReturnAfter(t, 2*time.Hour), dispatch.ErrTimeout)
		require.NoError(t, p.Close())
		job := []string{"ready 0", "process 0", "interrupt 0", "processed 0", "interrupted"}
		require.Equal(t, slices.Concat([]string{"new 0"}, job, job, []string{"close 0"}), log.all())
	})
}

// Regression: Interrupt was called while the panic handler was being called with the panic
// of Process.
func TestInterruptIsNotBegunAfterProcessHasPanicked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log notes[string]
		p := openWorkers(t, toolbox(&log, workerOf{
			process: func(context.Context, int) (int, error) { panic(errTool) },
		}), dispatch.WithWorkers(1), dispatch.WithPanicHandler(func(*dispatch.PanicError) { time.Sleep(time.Minute) }))
		_, err := p.ProcessTimed(t.Context(), 1, time.Second)
		require.Error(t, err)
		require.NoError(t, p.Close())
		require.NotContains(t, log.all(), "interrupt 0")
	})
}
