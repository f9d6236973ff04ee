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

// indices receives all of a batch's results.
func indices[In, Out any](results <-chan dispatch.Result[In, Out]) (is []int) {
	for r := range results {
		is = append(is, r.Index)
	}
	return is
}

func TestResultsComeInTheOrderOfCompletion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, nap, dispatch.WithWorkers(3))
		b := batchOf(t, p, []time.Duration{3 * time.Second, time.Second, 2 * time.Second})
		b.Close()
		start := time.Now()
		for i, want := range []int{1, 2, 0} {
			r := <-b.Results()
			require.Equal(t, want, r.Index)
			require.Equal(t, time.Duration(i+1)*time.Second, time.Since(start), "each as it comes")
			require.Equal(t, r.In, r.Out)
		}
		_, open := <-b.Results()
		require.False(t, open)
	})
}

func TestResultsAskedForLateHaveAllAndAreTheSameChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, double, dispatch.WithWorkers(1))
		for _, sealed := range []bool{true, false} {
			b := batchOf(t, p, upTo(500))
			if sealed {
				b.Close()
			}
			require.NoError(t, p.Wait(t.Context()))
			results := b.Results()
			require.Equal(t, results, b.Results())
			if !sealed {
				for i := range 500 {
					require.Equal(t, i, (<-results).Index)
				}
				synctest.Wait()
				select {
				case <-results:
					require.Fail(t, "the channel of a batch that is not sealed stays open")
				default:
				}
				require.NoError(t, b.Add(7))
				require.Equal(t, 500, (<-results).Index)
				b.Close()
				require.Empty(t, indices(results))
				continue
			}
			require.Equal(t, upTo(500), indices(results))
		}
	})
}

func TestResultsThatNobodyReadsStopNobody(t *testing.T) {
	inBubbles(t, map[string]int{"with room": 100, "beyond the room": 5000}, func(t *testing.T, n int) {
		p := openPool(t, double, dispatch.WithWorkers(1))
		b := p.Batch(t.Context())
		results := b.Results() // room for 128
		require.NoError(t, b.Add(upTo(n)...))
		out, err := p.Process(t.Context(), 1)
		require.NoError(t, err)
		require.Equal(t, 2, out)
		require.NoError(t, p.Close())
		outs, err := b.Wait(t.Context())
		require.NoError(t, err)
		require.Len(t, outs, n)
		if n > 128 { // the one goroutine that stays; reading ends it
			require.Equal(t, upTo(n), indices(results))
		}
	})
}

func TestACancelFreesABatchOfItsUnreadResults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, double, dispatch.WithWorkers(1))
		b := p.Batch(t.Context())
		results := b.Results()
		require.NoError(t, b.Add(upTo(500)...))
		synctest.Wait()
		b.Cancel()
		synctest.Wait() // nobody reads yet
		is := indices(results)
		require.GreaterOrEqual(t, len(is), 128)
		require.Less(t, len(is), 500, "what does not fit is not sent")
		outs, err := b.Wait(t.Context())
		require.NoError(t, err, "while Wait has everything")
		require.Len(t, outs, 500)
	})
}

func TestTheEndOfThePoolClosesResults(t *testing.T) {
	inBubbles(t, map[string]struct {
		ins []int
		end func(p *dispatch.Pool[int, int])
	}{
		"Close":             {upTo(3), func(p *dispatch.Pool[int, int]) { _ = p.Close() }},
		"Stop":              {upTo(3), func(p *dispatch.Pool[int, int]) { p.Stop() }},
		"Close of an empty": {nil, func(p *dispatch.Pool[int, int]) { _ = p.Close() }},
	}, func(t *testing.T, r struct {
		ins []int
		end func(p *dispatch.Pool[int, int])
	}) {
		p := openPool(t, double, dispatch.WithWorkers(1))
		b := batchOf(t, p, r.ins)
		results := b.Results()
		r.end(p)
		require.Len(t, indices(results), len(r.ins))
	})
}

func TestSeveralReadersShareResultsAndEachLoopOverAllHasThem(t *testing.T) {
	p := openPool(t, double, dispatch.WithWorkers(2))
	b := batchOf(t, p, upTo(1000))
	var shared notes[int]
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for r := range b.Results() {
				shared.add(r.Index)
			}
		})
		wg.Go(func() {
			next := 0
			for r := range b.All() {
				if r.Index == next {
					next++
				}
			}
			if next != 1000 {
				t.Errorf("a loop ended after %d", next)
			}
		})
	}
	wg.Wait()
	require.ElementsMatch(t, upTo(1000), shared.all())
}

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

func TestResultsThatCameBeforeComeInTheOrderOfTheInputsAndThenAsTheyCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gates := [4]chan struct{}{}
		for i := range gates {
			gates[i] = make(chan struct{})
		}
		p := openPool(t, func(_ context.Context, in int) (int, error) { <-gates[in]; return in, nil }, dispatch.WithWorkers(4))
		b := p.Batch(t.Context())
		require.NoError(t, b.Add(0, 1, 2, 3))
		b.Close()
		var got []int
		for _, i := range []int{2, 0} {
			close(gates[i])
			synctest.Wait()
		}
		results := b.Results()
		for _, i := range []int{3, 1} {
			close(gates[i])
			synctest.Wait()
		}
		for r := range results {
			got = append(got, r.Out)
		}
		require.Equal(t, []int{0, 2, 3, 1}, got)
	})
}

func TestWhoHasTheLastResultFindsThePlaceFree(t *testing.T) {
	p := openPool(t, func(_ context.Context, in int) (int, error) { return in, nil }, dispatch.WithWorkers(1), dispatch.WithQueue(0))
	for range 200 {
		b := p.Batch(t.Context())
		require.NoError(t, b.Add(1, 2, 3))
		b.Close()
		results := b.Results()
		for range 3 {
			<-results
		}
		f, err := p.TrySubmit(t.Context(), 4)
		require.NoError(t, err)
		_, err = f.Wait(t.Context())
		require.NoError(t, err)
	}
}

func TestNoOutcomeOvertakesThoseThatWaitForRoomInResults(t *testing.T) {
	p := openPool(t, func(_ context.Context, in int) (int, error) { return in, nil }, dispatch.WithWorkers(1))
	for range 20 {
		b := p.Batch(t.Context())
		results := b.Results() // has room for 128
		require.NoError(t, b.Add(upTo(5000)...))
		b.Close()
		for i := range 5000 {
			require.Equal(t, i, (<-results).Index)
		}
	}
}
