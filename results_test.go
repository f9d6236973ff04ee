package dispatch_test

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

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

func TestWhoHasTheLastResultFindsTheSlotFree(t *testing.T) {
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

// Regression: an outcome was sent twice if Results was called while the outcome was being
// delivered.
func TestResultsGivesEachOutcomeOnceWheneverItIsCalled(t *testing.T) {
	const n = 2000
	var at atomic.Int64 // the item that is being handled
	p := dispatch.Must(dispatch.New(func(_ context.Context, in int) (int, error) {
		at.Store(int64(in))
		return in, nil
	}, dispatch.WithWorkers(1)))
	ins := inputs(n)
	for round := range 1000 / slow {
		at.Store(0)
		b := p.Batch(context.Background())
		require.NoError(t, b.Add(ins...))
		b.Close()
		for spin := 0; at.Load() < int64(round%1000); spin++ {
			if spin > 10_000 {
				runtime.Gosched()
			}
		}
		given := [n]int{}
		total := 0
		for r := range b.Results() {
			given[r.Index]++
			total++
		}
		if total != n {
			for i := range given {
				require.Equal(t, 1, given[i], "the outcome of item %d", i)
			}
		}
	}
	requireSound(t, p)
}

// Regression: the channel of a call of Results that came after a cancel was not closed
// after the outcomes that came later.
func TestResultsEndsForAReaderThatComesAfterACancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pass := newGated()
		p := dispatch.Must(dispatch.New(pass.handle, dispatch.WithWorkers(3)))
		b := p.Batch(t.Context())
		ins := make([]int, 500)
		for i := range ins {
			ins[i] = 1
		}
		require.NoError(t, b.Add(ins...))
		synctest.Wait()
		b.Cancel()
		results := b.Results()
		pass.open()
		n := 0
		for range results {
			n++
		}
		require.Equal(t, len(ins), n)
		requireSound(t, p)
	})
}

// Regression: if several loops waited for one item, only the first was told of it.
func TestSeveralLoopsOverAllMayWaitForTheSameItem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, nap, dispatch.WithWorkers(1))
		b := batchOf(t, p, []time.Duration{time.Second, time.Second})
		var loops []*call[[]dispatch.Result[time.Duration, time.Duration]]
		for range 3 {
			loops = append(loops, calling(func() ([]dispatch.Result[time.Duration, time.Duration], error) {
				return slices.Collect(b.All()), nil
			}))
		}
		time.Sleep(2 * time.Second)
		for _, loop := range loops {
			require.NoError(t, loop.requireReturn(t))
			require.Len(t, loop.out, 2)
		}
	})
}

// Regression: a Cancel after the last outcome left the goroutine of Results behind.
func TestACancelFreesABatchThatIsOverOfItsUnreadResults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, double, dispatch.WithWorkers(1))
		b := p.Batch(t.Context())
		results := b.Results()
		require.NoError(t, b.Add(upTo(500)...))
		_, err := b.Wait(t.Context())
		require.NoError(t, err)
		b.Cancel()
		synctest.Wait() // nobody reads yet
		require.Less(t, len(indices(results)), 500, "what does not fit is not sent")
	})
}
