package dispatch_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// The promises of the package documentation, from G10 to G16: see dispatcher_test.go.

func TestG10AStrayLosesItsSlotAndKeepsItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newHeld()
		p := dispatch.Must(dispatch.New(func(ctx context.Context, n int) (int, error) {
			if n > 0 {
				return g.handle(ctx, n)
			}
			return n, nil
		}, dispatch.WithWorkers(1), dispatch.WithGrace(time.Second, 1)))
		_, err := p.ProcessTimed(t.Context(), 1, time.Minute)
		require.ErrorIs(t, err, dispatch.ErrTimeout)
		f := dispatch.Must(p.Submit(t.Context(), 0))
		time.Sleep(time.Second - 1)
		synctest.Wait()
		require.Equal(t, 1, p.Stats().Queued)
		require.Zero(t, p.Stats().Strays)
		time.Sleep(1)
		synctest.Wait()
		require.Equal(t, 1, p.Stats().Strays)
		dispatch.Must(f.Wait(t.Context()))

		closed := false
		go func() {
			p.Close()
			closed = true
		}()
		synctest.Wait()
		require.False(t, closed, "Close waits for strays")
		g.letAll()
		synctest.Wait()
		require.True(t, closed)
		requireRest(t, p)
	})
}

func TestG10WithoutGraceTheLimitHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newHeld()
		p := dispatch.Must(dispatch.New(g.handle, dispatch.WithWorkers(1)))
		_, err := p.ProcessTimed(t.Context(), 1, time.Second)
		require.ErrorIs(t, err, dispatch.ErrTimeout)
		dispatch.Must(p.Submit(t.Context(), 2))
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Equal(t, 1, p.Stats().Running)
		require.Equal(t, 1, p.Stats().Queued)
		g.letAll()
		require.NoError(t, p.Close())
	})
}

func TestG11EverySubmitRacingTheEndRunsOrIsRefused(t *testing.T) {
	for name, end := range map[string]func(p *dispatch.Pool[int, int]) []int{
		"Close": func(p *dispatch.Pool[int, int]) []int { p.Close(); return nil },
		"Stop":  func(p *dispatch.Pool[int, int]) []int { return p.Stop() },
		"Shutdown": func(p *dispatch.Pool[int, int]) []int {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Microsecond)
			defer cancel()
			p.Shutdown(ctx)
			return p.Stop()
		},
	} {
		t.Run(name, func(t *testing.T) {
			const rounds, submitters = 1000, 4
			for range rounds {
				var ran, accepted, refused atomic.Int64
				p := dispatch.Must(dispatch.New(func(context.Context, int) (int, error) {
					ran.Add(1)
					return 0, nil
				}, dispatch.WithWorkers(2), dispatch.WithQueue(1)))
				var wg sync.WaitGroup
				for range submitters {
					wg.Go(func() {
						for i := 0; ; i++ {
							var err error
							switch i % 3 {
							case 0:
								_, err = p.Submit(context.Background(), i)
							case 1:
								b := p.Batch(context.Background())
								err = b.Add(i)
								b.Close()
							default:
								if _, err = p.TrySubmit(context.Background(), i); errors.Is(err, dispatch.ErrQueueFull) {
									continue
								}
							}
							if err != nil {
								if !errors.Is(err, dispatch.ErrClosed) {
									t.Errorf("refused with %v", err)
								}
								refused.Add(1)
								return
							}
							accepted.Add(1)
						}
					})
				}
				runtime.Gosched()
				back := end(p)
				wg.Wait()
				require.NoError(t, p.Close())
				require.EqualValues(t, submitters, refused.Load())
				require.Equal(t, accepted.Load(), ran.Load()+int64(len(back)))
				requireRest(t, p)
			}
		})
	}
}

func TestG11StopGivesBackWhatNeverRan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := dispatch.Must(dispatch.New(func(ctx context.Context, n int) (int, error) {
			<-ctx.Done()
			return n, context.Cause(ctx)
		}, dispatch.WithWorkers(1)))
		running := dispatch.Must(p.Submit(t.Context(), 0))
		synctest.Wait()
		queued := dispatch.Must(p.Submit(t.Context(), 1))
		dispatch.Must(p.Submit(t.Context(), 2)).Cancel()
		dispatch.Must(p.Submit(t.Context(), 3))
		b := p.Batch(t.Context())
		require.NoError(t, b.Add(4, 5))
		go p.Map(t.Context(), []int{6, 7})
		synctest.Wait()
		require.Equal(t, []int{1, 3, 4, 5, 6, 7}, p.Stop())
		require.Empty(t, p.Stop())
		for _, f := range []*dispatch.Future[int]{running, queued} {
			_, err := f.Wait(t.Context())
			require.ErrorIs(t, err, dispatch.ErrStopped)
		}
		_, err := b.Wait(t.Context())
		require.ErrorIs(t, err, dispatch.ErrStopped)
		<-p.Done()
		require.Equal(t, dispatch.Ended, p.Stats().State)
		requireRest(t, p)
	})
}

func TestG11AJobCannotWaitForItsOwnPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *dispatch.Pool[int, int]
		p = dispatch.Must(dispatch.New(func(ctx context.Context, n int) (int, error) {
			require.ErrorIs(t, p.Wait(ctx), dispatch.ErrInsideJob)
			require.ErrorIs(t, p.Shutdown(ctx), dispatch.ErrInsideJob)
			return n, nil
		}))
		out, err := p.Process(t.Context(), 1)
		require.NoError(t, err)
		require.Equal(t, 1, out)
		<-p.Done()
	})
}

func TestG12NothingIsLeftAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the bubble must end with the test
		g := newHeld()
		p := dispatch.Must(dispatch.New(g.handle, dispatch.WithWorkers(2), dispatch.WithJobTimeout(time.Hour), dispatch.WithGrace(time.Hour, 1)))
		caller := &countingContext{Context: t.Context(), done: make(chan struct{})}
		for i := range 10 {
			dispatch.Must(p.Submit(caller, i)) // nobody reads these
		}
		b := p.Batch(caller)
		require.NoError(t, b.Add(1, 2, 3)) // nor this
		walkedAway := p.Batch(caller)
		require.NoError(t, walkedAway.Add(1, 2, 3))
		walkedAway.Results()
		dispatch.Must(p.Submit(caller, 1)).Cancel()
		synctest.Wait()
		require.Positive(t, caller.registered.Load())
		g.letAll()
		p.Stop()
		<-p.Done()
		synctest.Wait()
		require.Zero(t, caller.registered.Load(), "registrations on the caller's context")
	})
}

// countingContext counts what is registered on it.
type countingContext struct {
	context.Context
	done       chan struct{}
	registered atomic.Int64
}

func (c *countingContext) Done() <-chan struct{} { return c.done }

func (c *countingContext) AfterFunc(func()) func() bool {
	c.registered.Add(1)
	var once sync.Once
	return func() bool {
		once.Do(func() { c.registered.Add(-1) })
		return true
	}
}

func TestG13ResizeWakesBlockedSubmittersAtOnceAndDisturbsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newHeld()
		p := dispatch.Must(dispatch.New(g.handle, dispatch.WithWorkers(1), dispatch.WithQueue(0)))
		results := make(chan int, 4)
		for i := range 4 {
			go func() { results <- dispatch.Must(p.Process(t.Context(), i)) }()
		}
		synctest.Wait()
		require.Equal(t, 1, p.Stats().Running)
		require.NoError(t, p.Resize(3))
		synctest.Wait()
		require.Equal(t, 3, p.Stats().Running)

		require.NoError(t, p.Resize(1))
		synctest.Wait()
		require.Equal(t, 3, p.Stats().Running, "running jobs are not disturbed")
		g.let(1)
		synctest.Wait()
		require.Equal(t, 2, p.Stats().Running)
		require.Equal(t, 2, p.Stats().Workers)
		g.letAll()
		synctest.Wait()
		require.Len(t, results, 4)
		require.Equal(t, 1, p.Stats().Workers)
		require.Error(t, p.Resize(0))
		require.NoError(t, p.Close())
		require.ErrorIs(t, p.Resize(1), dispatch.ErrClosed)
	})
}

func TestG14NeverMoreHandlersThanWorkersAndNoGoroutineForAQueuedJob(t *testing.T) {
	holdCollector(t)
	synctest.Test(t, func(t *testing.T) {
		const workers = 3
		var now, most int
		var mu sync.Mutex
		p := dispatch.Must(dispatch.New(func(context.Context, int) (int, error) {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			now--
			mu.Unlock()
			return 0, nil
		}, dispatch.WithWorkers(workers), dispatch.WithQueue(1000)))
		before := runtime.NumGoroutine()
		for i := range 500 {
			dispatch.Must(p.Submit(t.Context(), i))
		}
		b := p.Batch(t.Context())
		require.NoError(t, b.Add(make([]int, 500)...))
		go p.Map(t.Context(), make([]int, 500))
		synctest.Wait()
		require.LessOrEqual(t, runtime.NumGoroutine()-before, workers+2)
		require.NoError(t, p.Close())
		require.Equal(t, workers, most)
	})
}

func TestG14NothingOfADeliveredJobIsKeptAlive(t *testing.T) {
	type big [1 << 16]byte
	p := dispatch.Must(dispatch.New(func(_ context.Context, in *big) (*big, error) { return new(big), nil }, dispatch.WithWorkers(2), dispatch.WithMinWorkers(2)))
	defer p.Close()
	freed := make(chan struct{}, 1000)
	track := func(b *big) *big {
		runtime.SetFinalizer(b, func(*big) { freed <- struct{}{} })
		return b
	}
	const jobs = 8
	for range jobs {
		out, err := p.Process(t.Context(), track(new(big)))
		require.NoError(t, err)
		track(out)
	}
	outs, err := p.Map(t.Context(), []*big{track(new(big)), track(new(big))})
	require.NoError(t, err)
	track(outs[0])
	track(outs[1])
	outs = nil
	for left := 2*jobs + 4; left > 0; {
		runtime.GC()
		select {
		case <-freed:
			left--
		case <-time.After(patience):
			t.Fatalf("%d inputs or outputs are still alive", left)
		}
	}
}

func TestG15ObserversNeverBlockAndCountersNeverFall(t *testing.T) {
	g := newHeld()
	p := dispatch.Must(dispatch.New(func(ctx context.Context, n int) (int, error) {
		if n < 0 {
			return g.handle(ctx, n)
		}
		return n, nil
	}, dispatch.WithWorkers(2), dispatch.WithQueue(4)))
	dispatch.Must(p.Submit(t.Context(), -1))
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for i := range 300 {
				p.Process(context.Background(), i)
				p.Map(context.Background(), make([]int, 50))
			}
		})
	}
	stop := make(chan struct{})
	wg.Go(func() {
		defer close(stop)
		for range 300 {
			b := p.Batch(context.Background())
			b.Add(make([]int, 50)...)
			b.Wait(context.Background())
		}
	})
	var last dispatch.Stats
	for reading := true; reading; {
		select {
		case <-stop:
			reading = false
		default:
		}
		s := p.Stats()
		requireSum(t, s)
		require.GreaterOrEqual(t, s.Submitted, last.Submitted)
		require.GreaterOrEqual(t, s.Succeeded, last.Succeeded)
		last = s
	}
	g.letAll()
	wg.Wait()
	require.NoError(t, p.Close())
}

func TestG16NoLockIsHeldWhileUserCodeRuns(t *testing.T) {
	// User code may call the pool, wherever the pool calls it from.
	var p *dispatch.Pool[int, int]
	look := func() { p.Stats() }
	w := &hooks{look: func() { look() }}
	p = dispatch.Must(dispatch.NewWorkers(func(context.Context) (dispatch.Worker[int, int], error) {
		look()
		return w, nil
	}, dispatch.WithWorkers(1), dispatch.WithPanicHandler(func(*dispatch.PanicError) { look() })))
	b := p.Batch(t.Context(), dispatch.OnProgress(func(dispatch.Progress) { look() }))
	require.NoError(t, b.Add(1, 2))
	dispatch.Must(b.Wait(t.Context()))
	_, err := p.Process(t.Context(), -1)
	require.Error(t, err)
	_, err = p.ProcessTimed(t.Context(), 0, time.Millisecond)
	require.ErrorIs(t, err, dispatch.ErrTimeout)
	dispatch.Must(p.Map(lookingContext{t.Context(), func() { look() }}, []int{1, 2}))
	f := dispatch.Must(p.Submit(lookingContext{t.Context(), func() { look() }}, 1))
	dispatch.Must(f.Wait(lookingContext{t.Context(), func() { look() }}))
	require.NoError(t, p.Close())
}

// hooks is a Worker that calls look in each of its methods.
type hooks struct{ look func() }

func (w *hooks) Process(ctx context.Context, n int) (int, error) {
	w.look()
	switch {
	case n < 0:
		panic("negative")
	case n == 0:
		<-ctx.Done()
	}
	return n, nil
}

func (w *hooks) Ready(context.Context) error { w.look(); return nil }

func (w *hooks) Interrupt() { w.look() }

func (w *hooks) Close() error { w.look(); return nil }

// lookingContext is a context of the user's own, with code in each method.
type lookingContext struct {
	context.Context
	look func()
}

func (c lookingContext) Deadline() (time.Time, bool) { c.look(); return c.Context.Deadline() }

func (c lookingContext) Done() <-chan struct{} { c.look(); return c.Context.Done() }

func (c lookingContext) Err() error { c.look(); return c.Context.Err() }

func (c lookingContext) Value(key any) any { c.look(); return c.Context.Value(key) }

func TestG16APoolLivesInsideASynctestBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := dispatch.Must(dispatch.New(func(ctx context.Context, d time.Duration) (time.Duration, error) {
			start := time.Now()
			time.Sleep(d)
			return time.Since(start), nil
		}))
		for _, d := range []time.Duration{time.Second, time.Hour} {
			require.Equal(t, d, dispatch.Must(p.Process(t.Context(), d)))
		}
		require.NoError(t, p.Close())
	})
}
