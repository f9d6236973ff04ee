package dispatch_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// fill submits until the queue is full, and returns how many jobs it took.
func fill(t *testing.T, p *dispatch.Pool[int, int], in int) (n int) {
	t.Helper()
	for {
		_, err := p.TrySubmit(t.Context(), in)
		if errors.Is(err, dispatch.ErrQueueFull) {
			return n
		}
		require.NoError(t, err)
		n++
	}
}

// paced holds inputs above 0 until the test lets them go, one at a time.
type paced chan struct{}

func (pass paced) handle(_ context.Context, in int) (int, error) {
	if in > 0 {
		<-pass
	}
	return in, nil
}

// The room in the queue was computed before the jobs that had come were counted.
func TestTheQueueHoldsWhatItMayWhenItsJobsAreTakenOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for queue := range 6 {
			for limit := 1; limit <= 3; limit++ {
				pass := make(paced)
				p := dispatch.Must(dispatch.New(pass.handle, dispatch.WithWorkers(limit), dispatch.WithQueue(queue)))
				require.Equal(t, limit+queue, fill(t, p, 1))
				for range 4 * (queue + 1) {
					gone := min(3, limit+queue)
					for range gone {
						synctest.Wait()
						pass <- struct{}{}
						synctest.Wait()
					}
					require.Equal(t, gone, fill(t, p, 1))
					synctest.Wait()
					s := p.Stats()
					require.Equal(t, [2]int{limit, queue}, [2]int{s.Running, s.Queued})
				}
				close(pass)
				requireSound(t, p)
			}
		}
	})
}

// The same where the queue has run dry in between, and nobody has looked at it.
func TestTheQueueHoldsWhatItMayWhenItHasRunDry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for queue := 2; queue < 6; queue++ {
			for n := 1; n < queue; n++ {
				pass := make(paced)
				p := dispatch.Must(dispatch.New(pass.handle, dispatch.WithWorkers(1), dispatch.WithQueue(queue)))
				submitted(t, p, 1)
				synctest.Wait()
				submitted(t, p, 1+n) // the first in the queue, the others where a worker looks when that is empty
				for range 2 {
					pass <- struct{}{}
					synctest.Wait()
				}
				require.Equal(t, queue-(n-1), fill(t, p, 1))
				close(pass)
				requireSound(t, p)
			}
		}
	})
}

// After a Resize the queue can hold more than it has room for.
func TestAQueueThatHoldsTooManyTakesNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, less := range []int{1, 2, 3} {
			pass := make(paced)
			p := dispatch.Must(dispatch.New(pass.handle, dispatch.WithWorkers(1), dispatch.WithQueue(2)))
			require.Equal(t, 3, fill(t, p, 1))
			synctest.Wait()
			require.NoError(t, p.Resize(4))
			require.Equal(t, 3, fill(t, p, 1))
			require.NoError(t, p.Resize(less))
			require.Zero(t, fill(t, p, 1))
			for range 6 {
				synctest.Wait()
				pass <- struct{}{}
				synctest.Wait()
				if fill(t, p, 1) > 0 {
					synctest.Wait()
					require.Equal(t, 2, p.Stats().Queued)
				}
			}
			close(pass)
			requireSound(t, p)
		}
	})
}

// A job that was run before its turn, because another waited for it, left room
// that nobody was told of.
func TestWhoWaitsForRoomIsLetInWhenAJobIsBroughtForward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *dispatch.Pool[int, int]
		inner, pass := make(chan *dispatch.Future[int]), make(chan struct{})
		p = dispatch.Must(dispatch.New(func(ctx context.Context, in int) (int, error) {
			switch in {
			case 1:
				f, err := p.Submit(ctx, 2)
				if err != nil {
					return 0, err
				}
				inner <- f
				<-pass
				return f.Wait(ctx)
			case 2:
				<-pass
			}
			return in, nil
		}, dispatch.WithWorkers(1), dispatch.WithQueue(1)))
		_, err := p.Submit(t.Context(), 1)
		require.NoError(t, err)
		<-inner
		returned := make(chan struct{})
		go func() {
			defer close(returned)
			_, err := p.Submit(t.Context(), 3)
			require.NoError(t, err)
		}()
		synctest.Wait()
		require.False(t, isClosed(returned), "the queue is full")
		pass <- struct{}{} // now 1 waits for 2, which runs
		synctest.Wait()
		require.True(t, isClosed(returned), "there is room")
		close(pass)
		requireSound(t, p)
	})
}

// signalled is a context that calls what is registered with it before it closes
// its channel.
type signalled struct {
	context.Context
	mu    sync.Mutex
	funcs []func()
	done  chan struct{}
	err   error
}

func (c *signalled) Done() <-chan struct{} { return c.done }

func (c *signalled) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func (c *signalled) AfterFunc(f func()) func() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.funcs = append(c.funcs, f)
	return func() bool { return false }
}

func (c *signalled) end() {
	c.mu.Lock()
	c.err = context.Canceled
	funcs := c.funcs
	c.mu.Unlock()
	for _, f := range funcs {
		f()
	}
}

// It was accepted all the same, without ever having an outcome.
func TestAJobWhoseContextEndsWhileItWaitsForRoomIsNotAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *dispatch.Pool[int, int]
		ctxs, pass := make(chan *signalled, 1), make(chan struct{})
		errs := make(chan error, 1)
		p = dispatch.Must(dispatch.New(func(ctx context.Context, in int) (int, error) {
			switch in {
			case 1:
				var all sync.WaitGroup
				all.Go(func() { _, _ = p.Process(ctx, 2) }) // has the place of 1
				synctest.Wait()
				c := &signalled{Context: ctx, done: make(chan struct{})}
				ctxs <- c
				all.Go(func() {
					f, err := p.Submit(c, 3) // waits for room, or for that place
					if err == nil {
						_, err = f.Wait(context.Background())
					}
					errs <- err
				})
				all.Wait()
			case 2:
				<-pass
			}
			return in, nil
		}, dispatch.WithWorkers(1), dispatch.WithQueue(0)))
		_, err := p.Submit(t.Context(), 1)
		require.NoError(t, err)
		c := <-ctxs
		synctest.Wait()
		c.end()
		synctest.Wait()
		close(pass)
		synctest.Wait()
		close(c.done)
		require.Equal(t, context.Canceled, <-errs)
		require.NoError(t, p.Close())
		requireSum(t, p.Stats())
		require.LessOrEqual(t, p.Stats().Submitted, uint64(3))
	})
}

func TestARefusedSubmitLeavesNoRegistration(t *testing.T) {
	g := newGated()
	p := dispatch.Must(dispatch.New(g.handle, dispatch.WithWorkers(1), dispatch.WithQueue(0), dispatch.WithOverflow(dispatch.Reject)))
	ctx := newRegistrar(nil)
	_, err := p.Submit(context.Background(), 1)
	require.NoError(t, err)
	<-g.entered
	for range 3 {
		_, err = p.TrySubmit(ctx, 2)
		require.Equal(t, dispatch.ErrQueueFull, err)
		_, err = p.Submit(ctx, 2)
		require.Equal(t, dispatch.ErrQueueFull, err)
	}
	require.Zero(t, ctx.registered.Load())
	go p.Close()
	eventually(t, "it closes", func() bool { return p.Stats().State != dispatch.Running })
	_, err = p.Submit(ctx, 2)
	require.Equal(t, dispatch.ErrClosed, err)
	require.Equal(t, dispatch.ErrClosed, p.Batch(ctx).Add(1))
	_, err = p.Map(ctx, []int{1})
	require.Equal(t, dispatch.ErrClosed, err)
	require.Zero(t, ctx.registered.Load())
	g.open()
	requireSound(t, p)
	ctx.end()
}

// A place that a stray leaves is free for whoever waits, however it waits.
func TestG10ThePlaceOfAStrayIsTakenAtOnce(t *testing.T) {
	bubbles(t, map[string]struct {
		queue int
		next  func(p *dispatch.Pool[int, int]) error
	}{
		"by a job in the queue": {1, func(p *dispatch.Pool[int, int]) error { _, err := p.Process(context.Background(), 0); return err }},
		"by one that waits for room": {0, func(p *dispatch.Pool[int, int]) error {
			_, err := p.Process(context.Background(), 0)
			return err
		}},
		"by an item of a batch": {0, func(p *dispatch.Pool[int, int]) error {
			b := p.Batch(context.Background())
			_ = b.Add(0)
			_, err := b.Wait(context.Background())
			return err
		}},
		"by an input of a Map": {0, func(p *dispatch.Pool[int, int]) error {
			_, err := p.Map(context.Background(), []int{0})
			return err
		}},
	}, func(t *testing.T, r struct {
		queue int
		next  func(p *dispatch.Pool[int, int]) error
	}) {
		pass := make(paced)
		p := dispatch.Must(dispatch.New(pass.handle, dispatch.WithWorkers(1), dispatch.WithQueue(r.queue), dispatch.WithGrace(time.Minute, 1)))
		f, err := p.Submit(t.Context(), 1)
		require.NoError(t, err)
		synctest.Wait()
		begin := time.Now()
		f.Cancel()
		require.NoError(t, r.next(p))
		require.Equal(t, time.Minute, time.Since(begin))
		close(pass)
		requireSound(t, p)
	})
}

// The next item of the batch that the stray was at, too.
func TestG10TheNextItemOfAStraysBatchRunsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pass := make(paced)
		p := dispatch.Must(dispatch.New(pass.handle, dispatch.WithWorkers(1), dispatch.WithJobTimeout(time.Second), dispatch.WithGrace(time.Minute, 1)))
		b := p.Batch(t.Context())
		require.NoError(t, b.Add(1, 0, 0))
		begin := time.Now()
		_, err := b.Wait(t.Context())
		require.ErrorIs(t, err, dispatch.ErrTimeout)
		require.Equal(t, time.Minute+time.Second, time.Since(begin))
		close(pass)
		requireSound(t, p)
	})
}

// Wait returned while a job waited that had come since.
func TestWaitWaitsForAJobThatCameWhileItWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pass := make(paced)
		p := dispatch.Must(dispatch.New(pass.handle, dispatch.WithWorkers(1), dispatch.WithGrace(time.Minute, 1)))
		fs := submitted(t, p, 2)
		synctest.Wait()
		returned := make(chan struct{})
		go func() {
			defer close(returned)
			_ = p.Wait(context.Background())
		}()
		synctest.Wait()
		pass <- struct{}{} // the second runs
		synctest.Wait()
		submitted(t, p, 1)
		fs[1].Cancel() // it becomes a stray; the third runs
		time.Sleep(time.Hour)
		require.Equal(t, 1, p.Stats().Strays)
		require.Equal(t, 1, p.Stats().Running)
		require.False(t, isClosed(returned))
		close(pass)
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
		bubbles(t, rows, func(t *testing.T, r row) {
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
