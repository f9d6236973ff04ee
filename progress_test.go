package dispatch_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// Progress and OnProgress.

func TestOnProgressIsSerialMonotoneAndToldTheEnd(t *testing.T) {
	inBubbles(t, map[string]struct {
		n    int
		opts []dispatch.BatchOption
		slow time.Duration
	}{
		"no inputs":     {0, nil, 0},
		"one":           {1, nil, 0},
		"many":          {200, nil, 0},
		"slow":          {200, nil, time.Second},
		"stop on error": {200, []dispatch.BatchOption{dispatch.StopOnError()}, time.Millisecond},
	}, func(t *testing.T, r struct {
		n    int
		opts []dispatch.BatchOption
		slow time.Duration
	}) {
		p := openPool(t, failOdd, dispatch.WithWorkers(4))
		var told notes[dispatch.Progress]
		var serial sync.Mutex
		b := p.Batch(t.Context(), append(r.opts, dispatch.OnProgress(func(now dispatch.Progress) {
			if !serial.TryLock() {
				t.Error("called twice at once")
				return
			}
			defer serial.Unlock()
			time.Sleep(r.slow)
			told.add(now)
		}))...)
		require.NoError(t, b.Add(upTo(r.n)...))
		_, _ = b.Wait(t.Context())
		all := told.all()
		require.NotEmpty(t, all)
		var last dispatch.Progress
		for _, now := range all {
			require.True(t, now.Total >= last.Total && now.Done >= last.Done && now.Failed >= last.Failed, "%v after %v", now, last)
			require.LessOrEqual(t, now.Done, now.Total)
			last = now
		}
		require.Equal(t, r.n, last.Done, "the end has been told before the batch is over")
		require.Equal(t, b.Progress(), last)
	})
}

func TestAnOnProgressThatFailsIsLoggedAndTheBatchEnds(t *testing.T) {
	inBubbles(t, map[string]func(){
		"panic":  func() { panic("no progress") },
		"Goexit": runtime.Goexit,
	}, func(t *testing.T, fail func()) {
		var log logbook
		p := openPool(t, double, dispatch.WithWorkers(1), dispatch.WithLogger(log.logger()))
		failed := false
		b := p.Batch(t.Context(), dispatch.OnProgress(func(dispatch.Progress) {
			if !failed {
				failed = true
				fail()
			}
		}))
		require.NoError(t, b.Add(1, 2, 3))
		outs, err := b.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, []int{2, 4, 6}, outs)
		_, err = p.Process(t.Context(), 1)
		require.NoError(t, err)
		require.NoError(t, p.Close())
		if len(log.all()) > 0 {
			log.requireLine(t, "OnProgress", "no progress")
		}
	})
}

func TestOnProgressMayUseTheBatchAndThePool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, double, dispatch.WithWorkers(1))
		var b *dispatch.Batch[int, int]
		b = p.Batch(t.Context(), dispatch.OnProgress(func(now dispatch.Progress) {
			if now.Total < 5 {
				_ = b.Add(now.Total)
			} else {
				b.Close()
			}
			_ = b.Progress()
			_, _ = p.TrySubmit(context.Background(), 1)
			_ = p.Stats()
		}))
		require.NoError(t, b.Add(0))
		require.Equal(t, upTo(5), indices(b.Results()))
	})
}

func TestProgressAndStatsCountWhatAWorkerHasHandledInOneGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1))
		b := p.Batch(t.Context())
		require.NoError(t, b.Add(0, 1, 2, 3))
		h.let(2)
		require.Equal(t, dispatch.Progress{Total: 4, Done: 2}, b.Progress())
		s := p.Stats()
		require.Equal(t, [4]int{4, 2, 1, 1}, [4]int{int(s.Submitted), int(s.Succeeded), s.Running, s.Queued})
		h.letAll()
		dispatch.Must(b.Wait(t.Context()))
		require.Equal(t, dispatch.Progress{Total: 4, Done: 4}, b.Progress())
	})
}

// slowly is an OnProgress that takes an hour.
func slowly(dispatch.Progress) { time.Sleep(time.Hour) }

// A worker that was in OnProgress counted as idle, and was waited for.
func TestASlowOnProgressHoldsUpNoOtherJob(t *testing.T) {
	inBubbles(t, map[string]func(ctx context.Context, p *dispatch.Pool[int, int]) error{
		"TrySubmit": func(ctx context.Context, p *dispatch.Pool[int, int]) error { _, err := p.TrySubmit(ctx, 1); return err },
		"Submit":    func(ctx context.Context, p *dispatch.Pool[int, int]) error { _, err := p.Submit(ctx, 1); return err },
		"Process":   func(ctx context.Context, p *dispatch.Pool[int, int]) error { _, err := p.Process(ctx, 1); return err },
		"ProcessTimed": func(ctx context.Context, p *dispatch.Pool[int, int]) error {
			_, err := p.ProcessTimed(ctx, 1, 1)
			return err
		},
		"Map": func(ctx context.Context, p *dispatch.Pool[int, int]) error { _, err := p.Map(ctx, upTo(5)); return err },
	}, func(t *testing.T, run func(ctx context.Context, p *dispatch.Pool[int, int]) error) {
		p := openPool(t, double, dispatch.WithWorkers(2))
		b := p.Batch(t.Context(), dispatch.OnProgress(slowly))
		require.NoError(t, b.Add(1))
		synctest.Wait() // the item is done, and OnProgress is told of it
		c := callingErr(func() error { return run(t.Context(), p) })
		require.NoError(t, c.requireReturn(t))
	})
}

// A worker called OnProgress with its next item in its hand.
func TestAnItemDoesNotWaitForOnProgressWhileAWorkerIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pass := make(chan struct{})
		p := openPool(t, func(_ context.Context, in int) (int, error) {
			if in == 0 {
				<-pass
			}
			return in, nil
		}, dispatch.WithWorkers(2))
		dispatch.Must(p.Submit(t.Context(), 0))
		synctest.Wait()
		b := p.Batch(t.Context(), dispatch.OnProgress(slowly))
		require.NoError(t, b.Add(1, 2))
		synctest.Wait()
		close(pass)
		synctest.Wait()
		require.Equal(t, 2, b.Progress().Done)
	})
}

// Whoever sealed a batch told OnProgress of it, for as long as that took.
func TestTheEndOfABatchDoesNotWaitForOnProgress(t *testing.T) {
	inBubbles(t, map[string]struct {
		end   func(ctx context.Context, b *dispatch.Batch[int, int])
		after time.Duration
	}{
		"Stop":     {func(_ context.Context, b *dispatch.Batch[int, int]) { dispatch.PoolOf(b).Stop() }, 0},
		"Shutdown": {func(ctx context.Context, b *dispatch.Batch[int, int]) { _ = dispatch.PoolOf(b).Shutdown(ctx) }, time.Second},
		"Close":    {func(_ context.Context, b *dispatch.Batch[int, int]) { b.Close() }, 0},
		"Cancel":   {func(_ context.Context, b *dispatch.Batch[int, int]) { b.Cancel() }, 0},
		"Wait":     {func(ctx context.Context, b *dispatch.Batch[int, int]) { _, _ = b.Wait(ctx) }, time.Second},
	}, func(t *testing.T, r struct {
		end   func(ctx context.Context, b *dispatch.Batch[int, int])
		after time.Duration
	}) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1))
		b := p.Batch(t.Context(), dispatch.OnProgress(slowly))
		require.NoError(t, b.Add(1, 2))
		require.Equal(t, []int{1}, h.entered())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		r.end(ctx, b)
		require.Equal(t, r.after, time.Since(start))
		h.letAll()
	})
}

// OnProgress was called by a worker, which a job that it waited for was given to.
func TestOnProgressMayWaitForAJobOfItsPool(t *testing.T) {
	for workers := range 3 {
		synctest.Test(t, func(t *testing.T) {
			p := openPool(t, double, dispatch.WithWorkers(workers+1))
			var told notes[error]
			b := p.Batch(t.Context(), dispatch.OnProgress(func(dispatch.Progress) {
				_, err := p.ProcessTimed(context.Background(), 7, time.Second)
				told.add(err)
			}))
			require.NoError(t, b.Add(1))
			synctest.Wait() // it is not sealed
			require.Equal(t, []error{nil}, told.all())
			outs, err := b.Wait(t.Context())
			require.NoError(t, err)
			require.Equal(t, []int{2}, outs)
		})
	}
}

// An OnProgress that called runtime.Goexit took along whoever called it.
func TestAnOnProgressThatCallsGoexitLosesNothing(t *testing.T) {
	inBubbles(t, map[string]struct {
		opts    []dispatch.BatchOption
		handler dispatch.Handler[int, int]
		end     func(b *dispatch.Batch[int, int], cancel func())
	}{
		"where handlers do so too": {
			nil, func(context.Context, int) (int, error) { runtime.Goexit(); return 0, nil },
			func(b *dispatch.Batch[int, int], _ func()) { b.Close() },
		},
		"of a failure that stops the batch": {
			[]dispatch.BatchOption{dispatch.StopOnError()}, func(context.Context, int) (int, error) { return 0, errOdd },
			func(b *dispatch.Batch[int, int], _ func()) { b.Close() },
		},
		"of a Cancel":             {nil, heedSecond, func(b *dispatch.Batch[int, int], _ func()) { b.Cancel() }},
		"of the context's end":    {nil, heedSecond, func(_ *dispatch.Batch[int, int], cancel func()) { cancel() }},
		"of the end of the pool":  {nil, heedSecond, func(b *dispatch.Batch[int, int], _ func()) { dispatch.PoolOf(b).Stop() }},
		"of a drain of the pool":  {nil, heedSecond, func(b *dispatch.Batch[int, int], _ func()) { _ = dispatch.PoolOf(b).Close() }},
		"of a Close of the batch": {nil, heedSecond, func(b *dispatch.Batch[int, int], _ func()) { b.Close() }},
	}, func(t *testing.T, r struct {
		opts    []dispatch.BatchOption
		handler dispatch.Handler[int, int]
		end     func(b *dispatch.Batch[int, int], cancel func())
	}) {
		p := openPool(t, r.handler, dispatch.WithWorkers(1))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		b := p.Batch(ctx, append(r.opts, dispatch.OnProgress(func(dispatch.Progress) { runtime.Goexit() }))...)
		require.NoError(t, b.Add(1, 2, 3))
		beside := p.Batch(t.Context())
		require.NoError(t, beside.Add(1))
		synctest.Wait()
		ended := callingErr(func() error { r.end(b, cancel); return nil })
		time.Sleep(time.Minute)
		require.True(t, ended.returned())
		require.Equal(t, 3, b.Progress().Done)
		for _, b := range []*dispatch.Batch[int, int]{b, beside} {
			c := calling(func() ([]int, error) { return b.Wait(context.Background()) })
			_ = c.requireReturn(t)
		}
		if p.Stats().State == dispatch.Running {
			_, err := p.ProcessTimed(t.Context(), 1, time.Minute)
			require.NotErrorIs(t, err, dispatch.ErrTimeout, "the worker is lost")
		}
		require.NoError(t, p.Close())
	})
}
