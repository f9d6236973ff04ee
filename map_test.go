package dispatch_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

func TestMapGivesTheOutputsInTheOrderOfTheInputs(t *testing.T) {
	for _, workers := range []int{1, 2, 7, 100, dispatch.Unlimited} {
		p := openPool(t, func(_ context.Context, in int) (int, error) {
			if in%5 == 0 {
				runtime.Gosched()
			}
			return 2 * in, nil
		}, dispatch.WithWorkers(workers))
		for _, n := range []int{0, 1, 2, 63, 64, 65, 1000} {
			outs, err := p.Map(t.Context(), upTo(n))
			require.NoError(t, err)
			require.Len(t, outs, n)
			for i, out := range outs {
				require.Equal(t, 2*i, out)
			}
		}
	}
}

func TestMapOfLongJobsRunsAsManyAtOnceAsThereAreWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, nap, dispatch.WithWorkers(3))
		ins := make([]time.Duration, 10)
		for i := range ins {
			ins[i] = time.Second
		}
		c := calling(func() ([]time.Duration, error) { return p.Map(t.Context(), ins) })
		require.NoError(t, c.requireReturnAfter(t, 4*time.Second))
	})
}

func TestTheFirstErrorOfAMapCancelsTheRest(t *testing.T) {
	inBubbles(t, map[string]struct {
		fail func() error
		want func(t *testing.T, err error)
	}{
		"error": {func() error { return errOdd }, func(t *testing.T, err error) { require.Equal(t, errOdd, err) }},
		"panic": {func() error { panic(errOdd) }, func(t *testing.T, err error) {
			var perr *dispatch.PanicError
			require.ErrorAs(t, err, &perr)
			require.ErrorIs(t, err, errOdd)
		}},
		"Goexit": {func() error { runtime.Goexit(); return nil }, func(t *testing.T, err error) { require.Equal(t, dispatch.ErrGoexit, err) }},
	}, func(t *testing.T, r struct {
		fail func() error
		want func(t *testing.T, err error)
	}) {
		var canceled notes[error]
		var entered notes[int]
		p := openPool(t, func(ctx context.Context, in int) (int, error) {
			entered.add(in)
			if in == 1 {
				time.Sleep(time.Second)
				return 0, r.fail()
			}
			<-ctx.Done()
			canceled.add(context.Cause(ctx))
			time.Sleep(time.Minute)
			return in, nil
		}, dispatch.WithWorkers(3), dispatch.WithPanicHandler(func(*dispatch.PanicError) {}))
		// The spans of three workers begin at 0, 1 and 2.
		c := calling(func() ([]int, error) { return p.Map(t.Context(), upTo(3)) })
		err := c.requireReturnAfter(t, time.Second+time.Minute) // it waits for those that have started
		require.Nil(t, c.out)
		var ierr *dispatch.ItemError
		require.ErrorAs(t, err, &ierr)
		require.Equal(t, 1, ierr.Index)
		r.want(t, ierr.Err)
		require.Equal(t, []error{ierr, ierr}, canceled.all())
	})
}

func TestAfterTheFirstErrorOfAMapNothingMoreStarts(t *testing.T) {
	var entered notes[int]
	p := openPool(t, func(_ context.Context, in int) (int, error) {
		entered.add(in)
		return failOdd(t.Context(), in)
	}, dispatch.WithWorkers(1))
	outs, err := p.Map(t.Context(), []int{2, 4, 5, 6, 7})
	require.Nil(t, outs)
	require.Equal(t, &dispatch.ItemError{Index: 2, Err: errOdd}, err)
	require.ErrorIs(t, err, errOdd)
	require.ErrorContains(t, err, "item 2: odd")
	require.Equal(t, []int{2, 4, 5}, entered.all())
}

func TestTheContextEndsAMapAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1))
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errCause)
		defer cancel()
		c := calling(func() ([]int, error) { return p.Map(ctx, upTo(4)) })
		h.let(1)
		err := c.requireReturnAfter(t, time.Second)
		var ierr *dispatch.ItemError
		require.ErrorAs(t, err, &ierr)
		require.Equal(t, errCause, ierr.Err)
		require.NotZero(t, ierr.Index, "item 0 has its outcome")
		require.Nil(t, c.out)
		require.Equal(t, 1, p.Stats().Running, "a handler that has started keeps its worker")
		h.letAll()
		require.Equal(t, []int{0, 1}, h.entered())

		outs, err := p.Map(ctx, upTo(4))
		require.Nil(t, outs)
		require.ErrorIs(t, err, errCause)
		require.Equal(t, uint64(4), p.Stats().Submitted, "nothing has been taken of the second")
	})
}

func TestMapOnAPoolThatHasEndedRunsNothing(t *testing.T) {
	h := newHeld()
	p := openPool(t, h.handle)
	require.NoError(t, p.Close())
	for _, n := range []int{0, 3} {
		outs, err := p.Map(t.Context(), upTo(n))
		require.Nil(t, outs)
		require.Equal(t, dispatch.ErrClosed, err)
	}
	require.Empty(t, h.all())
}

func TestAMapThatHasBegunIsFinishedByCloseAndEndedByStop(t *testing.T) {
	inBubbles(t, map[string]bool{"Close": false, "Stop": true}, func(t *testing.T, stop bool) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1))
		c := calling(func() ([]int, error) { return p.Map(t.Context(), upTo(4)) })
		if stop {
			require.Equal(t, []int{1, 2, 3}, p.Stop())
		} else {
			callingErr(p.Close)
		}
		h.letAll()
		err := c.requireReturn(t)
		if stop {
			require.ErrorIs(t, err, dispatch.ErrStopped)
			require.Equal(t, []int{0}, h.entered())
		} else {
			require.NoError(t, err)
			require.Equal(t, upTo(4), c.out)
		}
	})
}

func TestTheJobLimitIsForEachInputOfAMap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, heedfulNap, dispatch.WithWorkers(1), dispatch.WithJobTimeout(time.Second))
		ins := []time.Duration{time.Second - 1, time.Second - 1, time.Second - 1}
		_, err := p.Map(t.Context(), ins)
		require.NoError(t, err)
		c := calling(func() ([]time.Duration, error) { return p.Map(t.Context(), append(ins, time.Second+1)) })
		require.Equal(t, &dispatch.ItemError{Index: 3, Err: &dispatch.TimeoutError{Limit: time.Second, Ran: true}}, c.requireReturnAfter(t, 4*time.Second-3))
	})
}

func TestAMapTakesTurnsWithSingleJobsAndOtherMaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1))
		calling(func() ([]int, error) { return p.Map(t.Context(), []int{10, 11, 12, 13, 14}) })
		calling(func() ([]int, error) { return p.Map(t.Context(), []int{20, 21}) })
		for i := range 3 {
			dispatch.Must(p.Submit(t.Context(), i))
		}
		h.letAll()
		all := h.entered()
		kinds := make([]int, len(all))
		for i, in := range all {
			kinds[i] = in / 10
		}
		require.Equal(t, 1, kinds[0])
		// From then on singles take every other turn, and the maps the rest in turn.
		require.Equal(t, []int{0, 0, 0}, []int{kinds[1], kinds[3], kinds[5]}, "%v", all)
		require.ElementsMatch(t, []int{1, 2}, []int{kinds[2], kinds[4]}, "%v", all)
		require.Len(t, all, 10)
	})
}

func TestManyMapsAtOnceEachGetTheirOwn(t *testing.T) {
	p := openPool(t, func(_ context.Context, in int) (int, error) {
		if in == 777 {
			return 0, errOdd
		}
		return -in, nil
	}, dispatch.WithWorkers(3))
	done := make(chan error, 16)
	for k := range cap(done) {
		go func() {
			rnd := rand.New(rand.NewPCG(uint64(k), 0))
			for range 50 {
				n := rnd.IntN(100)
				ins := upTo(n)
				if fail := k%4 == 0 && n > 0; fail {
					ins[rnd.IntN(n)] = 777
					if _, err := p.Map(context.Background(), ins); !errors.Is(err, errOdd) {
						done <- errors.New("the error was lost")
						return
					}
					continue
				}
				outs, err := p.Map(context.Background(), ins)
				for i := range outs {
					if outs[i] != -i {
						err = errors.New("a foreign output")
					}
				}
				if err != nil || len(outs) != n {
					done <- errors.Join(err, errors.New("a wrong Map"))
					return
				}
			}
			done <- nil
		}()
	}
	for range cap(done) {
		require.NoError(t, <-done)
	}
}

// Regression: Batch.Add did not make a Map that was under way give way.
func TestAMapGivesWayToABatchThatComesLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, func(_ context.Context, in int) (int, error) {
			time.Sleep(time.Second)
			return in, nil
		}, dispatch.WithWorkers(1))
		m := calling(func() ([]int, error) { return p.Map(t.Context(), upTo(100)) })
		time.Sleep(1500 * time.Millisecond)
		b := batchOf(t, p, []int{1})
		c := calling(func() ([]int, error) { return b.Wait(t.Context()) })
		time.Sleep(5 * time.Second)
		require.NoError(t, c.requireReturn(t))
		<-m.done
		require.NoError(t, m.err)
	})
}

// Regression: if all inputs were claimed, the error named the first one, whatever its
// outcome.
func TestTheErrorOfAMapNamesAnInputThatHasNoOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, nap, dispatch.WithWorkers(2))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := p.Map(ctx, []time.Duration{time.Millisecond, time.Hour})
		var ierr *dispatch.ItemError
		require.ErrorAs(t, err, &ierr)
		require.Equal(t, 1, ierr.Index)
	})
}

// Regression: an input that was written off was counted again when its handler returned.
func TestAnInputThatIsWrittenOffIsCountedOnce(t *testing.T) {
	for _, stray := range []int{1, 2} { // which of the two is written off is chance
		synctest.Test(t, func(t *testing.T) {
			pass := []chan struct{}{nil, make(chan struct{}), make(chan struct{})}
			p := openWorkers(t, toolbox(new(notes[string]), workerOf{
				process: func(_ context.Context, in int) (int, error) {
					if in == 0 {
						time.Sleep(time.Second)
						return 0, errOdd
					}
					<-pass[in]
					return in, nil
				},
				close: func() error { time.Sleep(time.Second); return nil },
			}), dispatch.WithWorkers(3), dispatch.WithGrace(time.Second, 1))
			c := calling(func() ([]int, error) { return p.Map(t.Context(), []int{1, 2, 0}) })
			time.Sleep(2 * time.Second)
			requireStrays(t, p, 1, 1)
			last := p.Stats()
			for _, in := range []int{stray, 3 - stray} {
				close(pass[in])
				synctest.Wait()
				s := p.Stats()
				require.GreaterOrEqual(t, s.Succeeded, last.Succeeded)
				require.GreaterOrEqual(t, s.Canceled, last.Canceled)
				requireSum(t, s)
				last = s
				time.Sleep(5 * time.Second)
				synctest.Wait()
				require.GreaterOrEqual(t, p.Stats().Succeeded, last.Succeeded)
			}
			require.ErrorIs(t, c.requireReturn(t), errOdd)
			require.Equal(t, uint64(3), last.Succeeded+last.Failed+last.Canceled)
		})
	}
}

// Regression: a handler that Stop had interrupted was still running when the context ended.
// The error said that its input had ended with ErrStopped, although the input had no
// outcome.
func TestAMapWhoseContextEndsAfterStopSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1))
		ctx, cancel := context.WithCancelCause(t.Context())
		var err error
		go func() { _, err = p.Map(ctx, []int{1}) }()
		require.Equal(t, []int{1}, h.entered())
		require.Empty(t, p.Stop())
		cancel(errCause)
		synctest.Wait()
		require.Equal(t, &dispatch.ItemError{Index: 0, Err: errCause}, err)
		h.letAll()
	})
}
