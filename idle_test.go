package dispatch_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

func TestTheMinimumOfWorkersIsKeptOnceStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(4), dispatch.WithMinWorkers(2), dispatch.WithIdleTimeout(time.Minute))
		require.Zero(t, p.Stats().Workers, "New starts none")
		for i := range 4 {
			_, err := p.Submit(t.Context(), i)
			require.NoError(t, err)
		}
		require.Len(t, h.entered(), 4)
		h.letAll()
		synctest.Wait()
		require.Equal(t, 4, p.Stats().Workers)
		time.Sleep(time.Minute - 1)
		synctest.Wait()
		require.Equal(t, 4, p.Stats().Workers)
		time.Sleep(1)
		synctest.Wait()
		require.Equal(t, 2, p.Stats().Workers)
		time.Sleep(1000 * time.Hour)
		synctest.Wait()
		require.Equal(t, 2, p.Stats().Workers)
		require.NoError(t, p.Resize(1))
		synctest.Wait()
		require.Equal(t, 1, p.Stats().Workers, "a limit below the minimum counts")
	})
}

func TestWithNoIdleTimeNoWorkerIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, double, dispatch.WithIdleTimeout(0))
		_, err := p.Process(t.Context(), 1)
		require.NoError(t, err)
		synctest.Wait()
		require.Zero(t, p.Stats().Workers)
	})
}

func TestTheDefaultIdleTimeoutIsTenSecondsDownToNoWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, double, dispatch.WithWorkers(3))
		_, err := p.Process(t.Context(), 1)
		require.NoError(t, err)
		time.Sleep(10*time.Second - 1)
		synctest.Wait()
		require.Equal(t, 1, p.Stats().Workers)
		time.Sleep(1)
		synctest.Wait()
		require.Zero(t, p.Stats().Workers)
	})
}

// heldStop is a context whose stop functions wait for the test once hold is set.
type heldStop struct {
	*registrar
	hold atomic.Bool
	held atomic.Int64
	gate chan struct{}

	release func() // opens the gate
}

func newHeldStop(t *testing.T) *heldStop {
	t.Helper()
	c := &heldStop{gate: make(chan struct{})}
	c.release = sync.OnceFunc(func() { close(c.gate) })
	t.Cleanup(c.release)
	c.registrar = newRegistrar(func(method string) {
		if method == "stop" && c.hold.Load() {
			c.held.Add(1)
			<-c.gate
		}
	})
	c.active.Store(true)
	return c
}

// Regression: a worker counted as idle while it was ending the context of its run with a
// batch or a Map. A job that was handed to it waited, although another worker was idle.
func TestG17AWorkerThatEndsAContextIsNotIdle(t *testing.T) {
	rows := map[string]struct {
		run  func(p *dispatch.Pool[int, int], ctx context.Context)
		opts []dispatch.Option
	}{}
	runs := map[string]func(p *dispatch.Pool[int, int], ctx context.Context){
		"a batch": func(p *dispatch.Pool[int, int], ctx context.Context) { _ = p.Batch(ctx).Add(1) },
		"a batch that stops": func(p *dispatch.Pool[int, int], ctx context.Context) {
			_ = p.Batch(ctx, dispatch.StopOnSuccess()).Add(1)
		},
		"a batch that fails": func(p *dispatch.Pool[int, int], ctx context.Context) {
			_ = p.Batch(ctx, dispatch.StopOnError()).Add(-1)
		},
		"a batch whose context nobody asks": func(p *dispatch.Pool[int, int], ctx context.Context) { _ = p.Batch(ctx).Add(0) },
		"a batch with its own limit":        func(p *dispatch.Pool[int, int], ctx context.Context) { _ = p.Batch(ctx).Add(1) },
		"a Map":                             func(p *dispatch.Pool[int, int], ctx context.Context) { _, _ = p.Map(ctx, []int{1}) },
		"a Map that fails":                  func(p *dispatch.Pool[int, int], ctx context.Context) { _, _ = p.Map(ctx, []int{-1}) },
		"a job":                             func(p *dispatch.Pool[int, int], ctx context.Context) { _, _ = p.Submit(ctx, 1) },
		"a job that fails":                  func(p *dispatch.Pool[int, int], ctx context.Context) { _, _ = p.Submit(ctx, -1) },
		"Process":                           func(p *dispatch.Pool[int, int], ctx context.Context) { _, _ = p.Process(ctx, 1) },
	}
	for name, run := range runs {
		row := rows[name]
		row.run = run
		if name == "a batch with its own limit" {
			row.opts = []dispatch.Option{dispatch.WithJobTimeout(time.Hour)}
		}
		rows[name] = row
	}
	inBubbles(t, rows, func(t *testing.T, r struct {
		run  func(p *dispatch.Pool[int, int], ctx context.Context)
		opts []dispatch.Option
	}) {
		ctx := newHeldStop(t)
		p := dispatch.Must(dispatch.New(func(ctx context.Context, in int) (int, error) {
			if in != 0 {
				_ = ctx.Done()
			}
			if in < 0 {
				return 0, errUser
			}
			return in, nil
		}, append(r.opts, dispatch.WithWorkers(3))...))
		_, err := p.Process(t.Context(), 0)
		require.NoError(t, err)
		ctx.hold.Store(true)
		go r.run(p, ctx)
		synctest.Wait()
		s := p.Stats()
		for range 3 {
			returned := make(chan struct{})
			go func() {
				defer close(returned)
				_, _ = p.Process(t.Context(), 0)
			}()
			synctest.Wait()
			require.True(t, isClosed(returned), "a job waits for a worker that is busy: %+v, %d stop functions are held", s, ctx.held.Load())
		}
		ctx.release()
		synctest.Wait()
		ctx.end()
		requireSound(t, p)
	})
}

func TestG17JobsThatMeetEachGetAnIdleWorkerOfTheirOwn(t *testing.T) {
	const n = 32
	synctest.Test(t, func(t *testing.T) {
		meeting := make(chan struct{})
		p := openPool(t, func(_ context.Context, in int) (int, error) {
			if in > 0 {
				<-meeting
			}
			return in, nil
		}, dispatch.WithWorkers(n), dispatch.WithMinWorkers(n))
		require.NoError(t, p.Prestart(t.Context()))
		synctest.Wait()
		require.Equal(t, n, p.Stats().Idle)
		// Short jobs keep the workers that are awake busy while the others come.
		for i := range 2 * n {
			_, err := p.Submit(t.Context(), i%2)
			require.NoError(t, err)
		}
		synctest.Wait()
		require.Equal(t, n, p.Stats().Running, "no job waits behind one that blocks")
		close(meeting)
		p.Close()
	})
}

// Regression: Done was closed while Cancel was still at work and the batch was still
// registered with its context.
func TestG12DoneIsNotClosedBeforeABatchIsDoneWith(t *testing.T) {
	inBubbles(t, map[string]func(p *dispatch.Pool[int, int], b *dispatch.Batch[int, int], ctx *heldStop){
		"Cancel":      func(_ *dispatch.Pool[int, int], b *dispatch.Batch[int, int], _ *heldStop) { b.Cancel() },
		"Stop":        func(p *dispatch.Pool[int, int], _ *dispatch.Batch[int, int], _ *heldStop) { p.Stop() },
		"its context": func(_ *dispatch.Pool[int, int], _ *dispatch.Batch[int, int], ctx *heldStop) { ctx.end() },
		"its end":     func(*dispatch.Pool[int, int], *dispatch.Batch[int, int], *heldStop) {},
	}, func(t *testing.T, end func(p *dispatch.Pool[int, int], b *dispatch.Batch[int, int], ctx *heldStop)) {
		g := newGated()
		p := dispatch.Must(dispatch.New(func(ctx context.Context, in int) (int, error) {
			_ = ctx.Done()
			return g.handle(ctx, in)
		}, dispatch.WithWorkers(1)))
		ctx := newHeldStop(t)
		b := p.Batch(ctx)
		require.NoError(t, b.Add(1, 2, 3))
		require.Equal(t, 1, <-g.entered)
		ctx.hold.Store(true)
		go end(p, b, ctx)
		synctest.Wait()
		g.open()
		synctest.Wait()
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			_ = p.Close()
		}()
		synctest.Wait()
		if isClosed(p.Done()) {
			require.Zero(t, ctx.held.Load(), "calls of the context that are not over")
			require.Zero(t, ctx.registered.Load(), "registrations with the context")
			progress := b.Progress()
			require.Equal(t, progress.Total, progress.Done)
		}
		ctx.release()
		synctest.Wait()
		require.True(t, isClosed(closed))
		require.Zero(t, ctx.registered.Load(), "registrations with the context")
		requireSum(t, p.Stats())
		ctx.end()
	})
}

// Every reader of a batch that was canceled has all outcomes once Done is closed.
func TestG12OnceDoneIsClosedEveryItemHasItsOutcome(t *testing.T) {
	const n = 20_000 / slow
	for range 5 {
		p := dispatch.Must(dispatch.New(untilDone, dispatch.WithWorkers(2)))
		b := p.Batch(context.Background())
		ins := make([]int, n)
		for i := range ins {
			ins[i] = 1
		}
		require.NoError(t, b.Add(ins...))
		results := b.Results()
		eventually(t, "it runs", func() bool { return p.Stats().Running == 2 })
		canceled := make(chan struct{})
		go func() {
			defer close(canceled)
			b.Cancel()
		}()
		eventually(t, "it is canceled", func() bool { return b.Progress().Done > 0 })
		require.NoError(t, p.Close())
		require.Len(t, results, n, "what was there when the pool had ended")
		<-canceled
	}
}
