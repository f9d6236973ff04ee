package dispatch_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// These tests check what the pool registers with the callers' contexts: jobs that share a
// context share one registration (G14).

// heldPool returns a pool of one worker, which is held, with room for any number of jobs.
func heldPool(t *testing.T) (*dispatch.Pool[int, int], *gated) {
	t.Helper()
	g := newGated()
	p := dispatch.Must(dispatch.New(g.handle, dispatch.WithWorkers(1), dispatch.WithQueue(dispatch.Unlimited)))
	_, err := p.Submit(context.Background(), 1)
	require.NoError(t, err)
	<-g.entered
	return p, g
}

func TestG14JobsThatShareAContextShareARegistration(t *testing.T) {
	p, g := heldPool(t)
	ctx := newRegistrar(nil)
	for range 1000 {
		_, err := p.Submit(ctx, 0)
		require.NoError(t, err)
	}
	require.LessOrEqual(t, ctx.registered.Load(), int64(1))
	for range 1000 {
		require.NoError(t, p.Batch(ctx).Add(0))
	}
	require.LessOrEqual(t, ctx.registered.Load(), int64(2), "batches may share one of their own")
	g.open()
	requireSound(t, p)
	require.Zero(t, ctx.registered.Load())
	ctx.end()
}

// Regression: without a method AfterFunc, each registration was a goroutine.
func TestG14WhatWaitsHasNoGoroutineWhateverItsContext(t *testing.T) {
	user := newUserContext(nil)
	type key int
	for name, of := range map[string]func(i int) context.Context{
		"a context of the user's":              func(int) context.Context { return user },
		"contexts with values of their own":    func(i int) context.Context { return context.WithValue(user, key(0), i) },
		"different types of the user's":        func(i int) context.Context { return doneOf{context.WithValue(user, key(0), i), user.done} },
		"contexts of the standard library's":   func(int) context.Context { return t.Context() },
		"values beside the standard library's": func(i int) context.Context { return context.WithValue(t.Context(), key(0), i) },
	} {
		t.Run(name, func(t *testing.T) {
			holdCollector(t)
			p, g := heldPool(t)
			before := runtime.NumGoroutine()
			for i := range 2000 {
				_, err := p.Submit(of(i), 0)
				require.NoError(t, err)
			}
			require.Less(t, runtime.NumGoroutine()-before, 10, "for 2000 jobs that wait")
			for i := range 2000 {
				require.NoError(t, p.Batch(of(i)).Add(0))
			}
			require.Less(t, runtime.NumGoroutine()-before, 10, "and for 2000 batches")
			g.open()
			requireSound(t, p)
		})
	}
	user.end()
}

// Regression: the end of a context that many queued jobs shared started a goroutine for
// each.
func TestG14TheEndOfAContextStartsOneGoroutineForAllItsJobs(t *testing.T) {
	const n = 20_000
	for name, wait := range map[string]func(p *dispatch.Pool[int, int], ctx context.Context) error{
		"jobs":    func(p *dispatch.Pool[int, int], ctx context.Context) error { _, err := p.Submit(ctx, 0); return err },
		"batches": func(p *dispatch.Pool[int, int], ctx context.Context) error { return p.Batch(ctx).Add(0) },
	} {
		t.Run(name, func(t *testing.T) {
			holdCollector(t)
			p, g := heldPool(t)
			ctx, cancel := context.WithCancelCause(context.Background())
			for range n / slow {
				require.NoError(t, wait(p, ctx))
			}
			before := runtime.NumGoroutine()
			var most atomic.Int64
			stop, stopped := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stopped)
				for !isClosed(stop) {
					most.Store(max(most.Load(), int64(runtime.NumGoroutine())))
					runtime.Gosched()
				}
			}()
			cancel(errUser)
			eventually(t, "all are resolved", func() bool { return p.Stats().Queued == 0 })
			close(stop)
			<-stopped
			require.Less(t, most.Load(), int64(before+100))
			require.Equal(t, uint64(n/slow), p.Stats().Canceled)
			g.open()
			requireSound(t, p)
		})
	}
}

// Contexts that share a Done channel may still have errors of their own.
func TestAJobEndsWithTheCauseOfItsOwnContextWhereSeveralShareAChannel(t *testing.T) {
	p, g := heldPool(t)
	done := make(chan struct{})
	var fs []*dispatch.Future[int]
	for i := range 10 {
		f, err := p.Submit(erringContext{lyingContext{done}, fmt.Errorf("error %d: %w", i, context.Canceled)}, 0)
		require.NoError(t, err)
		fs = append(fs, f)
	}
	close(done)
	for i, f := range fs {
		requireSoon(t, f.Done(), "the job")
		_, err := f.Wait(t.Context())
		require.EqualError(t, err, fmt.Sprintf("error %d: context canceled", i))
	}
	g.open()
	requireSound(t, p)
}

// exitingContext ends the goroutine that asks why it is done.
type exitingContext struct{ lyingContext }

func (c exitingContext) Err() error {
	if isClosed(c.done) {
		runtime.Goexit()
	}
	return nil
}

func TestAContextThatEndsItsGoroutineLeavesNoOtherJobOfItsChannelWaiting(t *testing.T) {
	p, g := heldPool(t)
	done := make(chan struct{})
	var fs []*dispatch.Future[int]
	for _, ctx := range []context.Context{
		exitingContext{lyingContext{done}}, erringContext{lyingContext{done}, errCause},
		exitingContext{lyingContext{done}}, erringContext{lyingContext{done}, errCause},
	} {
		f, err := p.Submit(ctx, 0)
		require.NoError(t, err)
		fs = append(fs, f)
	}
	close(done)
	for _, f := range fs {
		requireSoon(t, f.Done(), "the job")
	}
	g.open()
	requireSound(t, p)
}

func TestAContextThatCannotRegisterAFunctionStillEndsItsJob(t *testing.T) {
	p, g := heldPool(t)
	ctx := newRegistrar(func(method string) {
		if method == "AfterFunc" {
			panic(errUser)
		}
	})
	ctx.active.Store(true)
	f, err := p.Submit(ctx, 0)
	require.NoError(t, err)
	ctx.end()
	requireSoon(t, f.Done(), "the job") // while the worker is held
	_, err = f.Wait(t.Context())
	require.ErrorIs(t, err, context.Canceled)
	g.open()
	requireSound(t, p)
}

func TestARegistrationGoesWhenTheJobsHaveEnded(t *testing.T) {
	ctx := newRegistrar(nil)
	g := newGated()
	p := dispatch.Must(dispatch.New(g.handle, dispatch.WithWorkers(2)))
	for i := range 100 {
		f, err := p.Submit(ctx, 0)
		require.NoError(t, err)
		if i%2 == 0 {
			f.Cancel()
		}
		_, _ = f.Wait(t.Context())
		b := p.Batch(ctx)
		require.NoError(t, b.Add(0))
		_, _ = b.Wait(t.Context())
	}
	require.LessOrEqual(t, ctx.registered.Load(), int64(2))
	g.open()
	requireSound(t, p)
	require.Zero(t, ctx.registered.Load())
	ctx.end()
}

// Regression: a call of Add has the batch's context watched, if it is not. If two calls did
// so at once, while a worker ended the watch, each of them made one, and one watch stayed.
func TestABatchThatManyUseAtOnceIsWatchedOnce(t *testing.T) {
	ctx := newRegistrar(nil)
	p := openPool(t, double)
	for range 1000 / slow {
		b := p.Batch(ctx)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for range 50 {
					assert.NoError(t, b.Add(1))
				}
			})
		}
		all.Wait()
		b.Close()
		_, err := b.Wait(t.Context())
		require.NoError(t, err)
	}
	requireSound(t, p)
	require.Zero(t, ctx.registered.Load())
}

// Jobs that come and end while their context ends are each either ended by it or not.
func TestASharedRegistrationLosesNoJob(t *testing.T) {
	for range 200 / slow {
		p, g := heldPool(t)
		ctx, cancel := context.WithCancel(context.Background())
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for range 50 {
					f, err := p.Submit(ctx, 0)
					if err == nil {
						all.Go(func() {
							if _, err := f.Wait(context.Background()); err != nil && err != context.Canceled { //nolint:errorlint // just that
								t.Errorf("got %v", err)
							}
						})
					}
				}
			})
		}
		cancel()
		returned := make(chan struct{})
		go func() {
			defer close(returned)
			all.Wait()
		}()
		requireSoon(t, returned, "a job whose context is done") // while the worker is held
		g.open()
		requireSound(t, p)
	}
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

// Regression: the watch was recorded when it could already run.
func TestASubmitMayMeetTheEndOfItsContext(t *testing.T) {
	p := openPool(t, double, dispatch.WithWorkers(2))
	for range 2000 { // under the race detector
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		for range 3 {
			if _, err := p.Submit(ctx, 1); err != nil {
				require.Equal(t, context.Canceled, err)
			}
		}
		cancel()
	}
}

// watchedContext is a context of the user's own that counts what watches it,
// and calls unwatch when a watch ends.
type watchedContext struct {
	context.Context
	done    chan struct{}
	watches atomic.Int64
	unwatch func()
}

func (c *watchedContext) Done() <-chan struct{} { return c.done }

func (c *watchedContext) AfterFunc(func()) func() bool {
	c.watches.Add(1)
	return sync.OnceValue(func() bool {
		c.unwatch()
		c.watches.Add(-1)
		return true
	})
}

// Regression: the pool ended while the goroutine that had stopped a job was about to end
// the job's watch.
func TestNoWatchOfAContextIsLeftOnceDoneIsClosed(t *testing.T) {
	for range 200 { // Stop and the end of the pool race
		synctest.Test(t, func(t *testing.T) {
			p := openPool(t, double, dispatch.WithWorkers(1))
			ctx := &watchedContext{Context: context.Background(), done: make(chan struct{}), unwatch: func() {}}
			for range 20 {
				dispatch.Must(p.Submit(ctx, 1))
			}
			go p.Stop()
			<-p.Done()
			require.Zero(t, ctx.watches.Load())
		})
	}
}

// Regression: a worker counted as idle while it ended a watch.
func TestAContextThatIsSlowToEndItsWatchHoldsUpNoOtherJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, double, dispatch.WithWorkers(2))
		ctx := &watchedContext{Context: context.Background(), done: make(chan struct{}), unwatch: func() { time.Sleep(time.Hour) }}
		dispatch.Must(p.Submit(ctx, 1))
		synctest.Wait()
		c := callingErr(func() error { _, err := p.TrySubmit(t.Context(), 1); return err })
		require.NoError(t, c.requireReturn(t))
		next := calling(func() (int, error) { return p.Process(t.Context(), 1) })
		require.NoError(t, next.requireReturn(t))
	})
}
