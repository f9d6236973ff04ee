package dispatch_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"weak"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// Jobs that share a context share one registration with it (G14).

// heldPool is a pool of one whose worker is held, with room for any number of jobs.
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

// Without a method AfterFunc, each registration was a goroutine.
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

// The end of a context that many queued jobs share started a goroutine for each.
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

// Contexts that are done by one channel may still have errors of their own.
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

// Jobs that come and end while their context does are each ended by it, or not.
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

// allocated returns how many bytes a run of f allocates.
func allocated(f func()) uint64 {
	const runs = 50
	f()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		f()
	}
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) / runs
}

// A batch made room for sixteen inputs, and for 128 results, whatever their size.
func TestG14ABatchOfOneTakesLittleMoreThanItsInput(t *testing.T) {
	type page [4096]byte
	p := dispatch.Must(dispatch.New(func(context.Context, page) (page, error) { return page{}, nil }, dispatch.WithWorkers(1)))
	for name, row := range map[string]struct {
		most    uint64
		results bool
	}{
		"alone":        {40 << 10, false},
		"with Results": {64 << 10, true},
	} {
		bytes := allocated(func() {
			b := p.Batch(context.Background())
			require.NoError(t, b.Add(page{}))
			b.Close()
			if row.results {
				for range b.Results() {
				}
			} else {
				_, err := b.Wait(context.Background())
				require.NoError(t, err)
			}
		})
		require.Less(t, bytes, row.most, name)
	}
	require.NoError(t, p.Close())
}

// The worker channel was made for all workers there could be.
func TestG14APoolForManyWorkersTakesNoMoreBeforeItHasThem(t *testing.T) {
	of := func(workers int) uint64 {
		return allocated(func() { dispatch.Must(dispatch.New(untilDone, dispatch.WithWorkers(workers))).Stop() })
	}
	one := of(1)
	require.Less(t, of(1024), one+1024)
	require.Less(t, of(dispatch.Unlimited), one+1024)
}

func TestG14AFutureDoesNotKeepItsCallersContext(t *testing.T) {
	for name, end := range map[string]struct {
		in  int
		end func(t *testing.T, p *dispatch.Pool[int, int], f *dispatch.Future[int], cancel func())
	}{
		"that has succeeded": {0, func(*testing.T, *dispatch.Pool[int, int], *dispatch.Future[int], func()) {}},
		"that has failed":    {-1, func(*testing.T, *dispatch.Pool[int, int], *dispatch.Future[int], func()) {}},
		"that was canceled": {1, func(_ *testing.T, _ *dispatch.Pool[int, int], f *dispatch.Future[int], _ func()) {
			f.Cancel()
		}},
		"that its context has ended": {1, func(_ *testing.T, _ *dispatch.Pool[int, int], _ *dispatch.Future[int], cancel func()) {
			cancel()
		}},
		"that was stopped": {1, func(_ *testing.T, p *dispatch.Pool[int, int], _ *dispatch.Future[int], _ func()) { p.Stop() }},
	} {
		for _, asked := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", asked: ", asked), func(t *testing.T) {
				g := newGated()
				p := dispatch.Must(dispatch.New(func(ctx context.Context, in int) (int, error) {
					if asked {
						_ = ctx.Done()
					}
					if in < 0 {
						return 0, errUser
					}
					return g.handle(ctx, in)
				}, dispatch.WithWorkers(1)))
				f, kept := func() (*dispatch.Future[int], weak.Pointer[payload]) {
					load := new(payload)
					ctx, cancel := context.WithCancel(context.WithValue(context.Background(), payloadKey{}, load))
					defer cancel()
					f := dispatch.Must(p.Submit(ctx, end.in))
					if end.in > 0 {
						<-g.entered
					}
					end.end(t, p, f, cancel)
					_, _ = f.Wait(context.Background())
					return f, weak.Make(load)
				}()
				g.open()
				within(t, "Close", func() { _ = p.Close() }) // the handler has returned
				requireCollected(t, kept, "the caller's context")
				runtime.KeepAlive(f)
				runtime.KeepAlive(p)
			})
		}
	}
}
