package dispatch_test

import (
	"context"
	"iter"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// counted gives the numbers from 0 up, forever if n is negative, and counts how many have
// been taken.
func counted(n int, taken *notes[int]) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := 0; i != n; i++ {
			taken.add(i)
			if !yield(i) {
				return
			}
		}
	}
}

func TestAStreamYieldsInTheOrderOfTheInputs(t *testing.T) {
	for _, workers := range []int{1, 3, dispatch.Unlimited} {
		p := openPool(t, func(_ context.Context, in int) (int, error) {
			if in%3 == 0 {
				runtime.Gosched()
			}
			return 2 * in, nil
		}, dispatch.WithWorkers(workers), dispatch.WithQueue(0), dispatch.WithOverflow(dispatch.Reject))
		for _, n := range []int{0, 1, 500} {
			i := 0
			for r := range p.Stream(t.Context(), slices.Values(upTo(n))) {
				out, err := r.Out, r.Err
				require.NoError(t, err)
				require.Equal(t, 2*i, out)
				i++
			}
			require.Equal(t, n, i)
		}
	}
}

func TestAStreamDoesNothingBeforeItsLoopAndRunsOnceForEach(t *testing.T) {
	p := openPool(t, double, dispatch.WithWorkers(1))
	var taken notes[int]
	seq := p.Stream(t.Context(), counted(3, &taken))
	require.Empty(t, taken.all())
	for range 2 {
		require.Len(t, collect(seq), 3)
	}
	require.Len(t, taken.all(), 6)
}

func TestAStreamIsAtMostTwiceTheLimitAhead(t *testing.T) {
	inBubbles(t, map[string]struct{ limit, queue, ahead int }{
		"one":                {1, 100, 2},
		"many":               {4, 100, 8},
		"unlimited":          {dispatch.Unlimited, 100, 2 * runtime.GOMAXPROCS(0)},
		"room for all of it": {2, 2, 4},
	}, func(t *testing.T, row struct{ limit, queue, ahead int }) {
		var taken notes[int]
		p := openPool(t, double, dispatch.WithWorkers(row.limit), dispatch.WithQueue(row.queue))
		i := 0
		for r := range p.Stream(t.Context(), counted(50, &taken)) {
			out, err := r.Out, r.Err
			require.NoError(t, err)
			require.Equal(t, 2*i, out)
			time.Sleep(time.Second) // a slow reader: the jobs would be done by now
			require.LessOrEqual(t, len(taken.all())-i, row.ahead)
			i++
		}
		require.Equal(t, 50, i)
	})
	synctest.Test(t, func(t *testing.T) { // and with slow jobs it does go so far
		var taken notes[int]
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(4))
		c := callingErr(func() error {
			for range p.Stream(t.Context(), counted(-1, &taken)) {
				break
			}
			return nil
		})
		require.Len(t, taken.all(), 8)
		h.letAll()
		require.NoError(t, c.requireReturn(t))
	})
}

func TestAStreamGivesAnOutcomeAsSoonAsTheLoopComesForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, nap, dispatch.WithWorkers(2))
		start := time.Now()
		ins := []time.Duration{time.Second, 3 * time.Second, time.Second, time.Second}
		wants := []time.Duration{1, 3, 3, 3}
		i := 0
		for r := range p.Stream(t.Context(), slices.Values(ins)) {
			out, err := r.Out, r.Err
			require.NoError(t, err)
			require.Equal(t, ins[i], out)
			require.Equal(t, wants[i]*time.Second, time.Since(start), "outcome %d", i)
			i++
		}
	})
}

func TestAFailedItemIsYieldedAndTheStreamGoesOn(t *testing.T) {
	p := openPool(t, func(ctx context.Context, in int) (int, error) {
		switch in {
		case 2:
			panic("boo")
		case 4:
			runtime.Goexit()
		}
		return failOdd(ctx, in)
	}, dispatch.WithPanicHandler(func(*dispatch.PanicError) {}))
	all := collect(p.Stream(t.Context(), slices.Values(upTo(7))))
	require.Len(t, all, 7)
	var perr *dispatch.PanicError
	require.ErrorAs(t, all[2].err, &perr)
	require.Equal(t, dispatch.ErrGoexit, all[4].err)
	for _, i := range []int{1, 3, 5} {
		require.Equal(t, yielded[int]{0, errOdd}, all[i])
	}
	for _, i := range []int{0, 6} {
		require.Equal(t, yielded[int]{i, nil}, all[i])
	}
}

func TestTheEndOfTheContextEndsAStreamWithItsCauseOnce(t *testing.T) {
	inBubbles(t, map[string]int{"while jobs run": 2, "while the stream waits for room": 0}, func(t *testing.T, queue int) {
		var causes notes[error]
		p := openPool(t, func(ctx context.Context, in int) (int, error) {
			if in > 1 {
				<-ctx.Done()
				causes.add(context.Cause(ctx))
			}
			return in, ctx.Err()
		}, dispatch.WithWorkers(1), dispatch.WithQueue(queue))
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errCause)
		defer cancel()
		var taken notes[int]
		c := calling(func() ([]yielded[int], error) { return collect(p.Stream(ctx, counted(-1, &taken))), nil })
		require.NoError(t, c.requireReturnAfter(t, time.Second))
		require.Equal(t, []yielded[int]{{0, nil}, {1, nil}, {0, errCause}}, c.out)
		require.Equal(t, []error{errCause}, causes.all())
	})
	p := openPool(t, double)
	require.Equal(t, []yielded[int]{{0, errCause}}, collect(p.Stream(canceledContext(t, errCause), slices.Values(upTo(3)))))
	require.Zero(t, p.Stats().Submitted)
}

func TestLeavingAStreamCancelsWhatItHasSubmitted(t *testing.T) {
	inBubbles(t, map[string]func(seq iter.Seq[dispatch.Result[int, int]]){
		"break": func(seq iter.Seq[dispatch.Result[int, int]]) {
			for range seq {
				break
			}
		},
		"panic": func(seq iter.Seq[dispatch.Result[int, int]]) {
			defer func() { _ = recover() }()
			for range seq {
				panic("boo")
			}
		},
	}, func(t *testing.T, leave func(seq iter.Seq[dispatch.Result[int, int]])) {
		var entered notes[int]
		p := openPool(t, func(ctx context.Context, in int) (int, error) {
			entered.add(in)
			if in > 0 {
				<-ctx.Done()
			}
			return in, ctx.Err()
		}, dispatch.WithWorkers(1))
		var taken notes[int]
		leave(p.Stream(t.Context(), counted(-1, &taken)))
		require.NoError(t, p.Wait(t.Context()))
		require.Subset(t, []int{0, 1}, entered.all())
		s := p.Stats()
		require.Equal(t, s.Submitted-1, s.Canceled)
		require.Equal(t, uint64(len(taken.all())), s.Submitted)
	})
}

func TestAPanicOfTheInputsLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, heedfulNap, dispatch.WithWorkers(1))
		require.PanicsWithValue(t, "no more", func() {
			collect(p.Stream(t.Context(), func(yield func(time.Duration) bool) {
				yield(time.Hour)
				panic("no more")
			}))
		})
		synctest.Wait()
		require.Zero(t, p.Stats().Running)
	})
}

func TestTheEndOfThePoolEndsAStream(t *testing.T) {
	inBubbles(t, map[string]func(p *dispatch.Pool[int, int]){
		"Close": func(p *dispatch.Pool[int, int]) { callingErr(p.Close) },
		"Stop":  func(p *dispatch.Pool[int, int]) { p.Stop() },
	}, func(t *testing.T, end func(p *dispatch.Pool[int, int])) {
		p := openPool(t, double, dispatch.WithWorkers(1))
		var all []yielded[int]
		for r := range p.Stream(t.Context(), counted(-1, new(notes[int]))) {
			out, err := r.Out, r.Err
			all = append(all, yielded[int]{out, err})
			if len(all) == 2 {
				end(p)
			}
		}
		last := all[len(all)-1]
		require.Equal(t, yielded[int]{0, dispatch.ErrClosed}, last)
		for _, y := range all[:len(all)-1] {
			require.NotEqual(t, dispatch.ErrClosed, y.err, "it is given once")
		}
		require.LessOrEqual(t, len(all), 2+2+1)
	})
}

// Regression: a stream whose context ended while its source was silent and nothing was
// under way reported that the pool was closed.
func TestAStreamWhoseContextEndsWhileItsSourceIsSilentSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, double, dispatch.WithWorkers(1))
		ctx, cancel := context.WithCancelCause(t.Context())
		silent := func(yield func(int) bool) {
			cancel(errCause)
			synctest.Wait()
			yield(1)
		}
		for range 2 {
			results := slices.Collect(p.Stream(ctx, silent))
			require.Equal(t, []dispatch.Result[int, int]{{Index: -1, Err: errCause}}, results)
		}
	})
}
