package dispatch_test

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// The options of Stream, and StreamChan.

type streamOf = iter.Seq[dispatch.Result[int, int]]

// streams are the ways to stream inputs. taken records each input as the stream takes it.
var streams = map[string]func(ctx context.Context, p *dispatch.Pool[int, int], n int, taken *notes[int], opts ...dispatch.StreamOption) streamOf{
	"Stream": func(ctx context.Context, p *dispatch.Pool[int, int], n int, taken *notes[int], opts ...dispatch.StreamOption) streamOf {
		return p.Stream(ctx, counted(n, taken), opts...)
	},
	"Stream, unordered": func(ctx context.Context, p *dispatch.Pool[int, int], n int, taken *notes[int], opts ...dispatch.StreamOption) streamOf {
		return p.Stream(ctx, counted(n, taken), append(opts, dispatch.Unordered())...)
	},
	"StreamChan": fed,
	"StreamChan, unordered": func(ctx context.Context, p *dispatch.Pool[int, int], n int, taken *notes[int], opts ...dispatch.StreamOption) streamOf {
		opts = append(opts, dispatch.Unordered())
		return fed(ctx, p, n, taken, opts...)
	},
}

// fed is a StreamChan whose source is fed only while the loop runs.
func fed(ctx context.Context, p *dispatch.Pool[int, int], n int, taken *notes[int], opts ...dispatch.StreamOption) streamOf {
	return func(yield func(dispatch.Result[int, int]) bool) {
		ins, left := make(chan int), make(chan struct{})
		var feeder sync.WaitGroup
		feeder.Go(func() {
			defer close(ins)
			for i := 0; i != n; i++ {
				select {
				case ins <- i:
					taken.add(i)
				case <-left:
					return
				}
			}
		})
		defer feeder.Wait()
		defer close(left)
		p.StreamChan(ctx, ins, opts...)(yield)
	}
}

func TestAStreamTakesExactlyAsManyInputsAheadAsItMay(t *testing.T) {
	for name, stream := range streams {
		for _, ahead := range []int{1, 2, 5, 70} {
			t.Run(fmt.Sprint(name, " ", ahead), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := newHeld()
					p := openPool(t, h.handle, dispatch.WithWorkers(3), dispatch.WithQueue(1), dispatch.WithOverflow(dispatch.Reject))
					var taken notes[int]
					n := 2*ahead + 3
					yielded := 0
					c := callingErr(func() error {
						for r := range stream(t.Context(), p, n, &taken, dispatch.LookAhead(ahead)) {
							require.NoError(t, r.Err)
							time.Sleep(1) // until it has gone as far as it goes
							// The outcome in the body of the loop counts.
							require.LessOrEqual(t, len(taken.all())-yielded, ahead)
							yielded++
						}
						return nil
					})
					require.Len(t, taken.all(), ahead, "with no outcome yet it has gone as far as it may")
					h.letAll()
					<-c.done
					require.Equal(t, n, yielded)
				})
			})
		}
	}
}

func TestALookAheadOfOneTakesTheNextInputWhenTheBodyIsDone(t *testing.T) {
	for name, stream := range streams {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := openPool(t, double)
				var taken notes[int]
				i := 0
				for r := range stream(t.Context(), p, 10, &taken, dispatch.LookAhead(1)) {
					require.Equal(t, dispatch.Result[int, int]{Index: i, In: i, Out: 2 * i}, r)
					i++
					time.Sleep(time.Second)
					synctest.Wait()
					require.Len(t, taken.all(), i)
				}
				require.Equal(t, 10, i)
			})
		})
	}
}

func TestTheDefaultLookAheadIsTwiceTheLimitWhenTheLoopStarts(t *testing.T) {
	for name, stream := range streams {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHeld()
				p := openPool(t, h.handle, dispatch.WithWorkers(1))
				var taken notes[int]
				seq := stream(t.Context(), p, 50, &taken)
				require.NoError(t, p.Resize(4))
				c := callingErr(func() error {
					for r := range seq {
						require.NoError(t, r.Err)
					}
					return nil
				})
				require.Len(t, taken.all(), 8, "not that when it was made")
				require.NoError(t, p.Resize(6))
				synctest.Wait()
				require.Len(t, taken.all(), 8, "nor a later one")
				h.letAll()
				require.NoError(t, c.requireReturn(t))
			})
		})
	}
}

func TestAStreamRefusesWhatIsWrongAndANilOptionIsNone(t *testing.T) {
	p := openPool(t, double)
	for _, n := range []int{0, -3} {
		require.PanicsWithValue(t, fmt.Sprintf("dispatch: LookAhead(%d): must be at least 1", n), func() { dispatch.LookAhead(n) })
	}
	var none context.Context
	require.PanicsWithValue(t, "dispatch: nil context given to Pool.Stream", func() { p.Stream(none, slices.Values(upTo(1))) })
	require.PanicsWithValue(t, "dispatch: nil context given to Pool.StreamChan", func() { p.StreamChan(none, nil) })
	for name, stream := range streams {
		t.Run(name, func(t *testing.T) {
			require.Len(t, collect(stream(t.Context(), p, 3, new(notes[int]), nil, dispatch.LookAhead(2), nil)), 3)
		})
	}
}

func TestAnUnorderedStreamYieldsOutcomesAsTheyCome(t *testing.T) {
	inBubbles(t, map[string]func(ctx context.Context, p *dispatch.Pool[time.Duration, time.Duration], ins []time.Duration) iter.Seq[dispatch.Result[time.Duration, time.Duration]]{
		"Stream": func(ctx context.Context, p *dispatch.Pool[time.Duration, time.Duration], ins []time.Duration) iter.Seq[dispatch.Result[time.Duration, time.Duration]] {
			return p.Stream(ctx, slices.Values(ins), dispatch.Unordered(), dispatch.LookAhead(10))
		},
		"StreamChan": func(ctx context.Context, p *dispatch.Pool[time.Duration, time.Duration], ins []time.Duration) iter.Seq[dispatch.Result[time.Duration, time.Duration]] {
			ch := make(chan time.Duration, len(ins))
			for _, in := range ins {
				ch <- in
			}
			close(ch)
			return p.StreamChan(ctx, ch, dispatch.Unordered(), dispatch.LookAhead(10))
		},
	}, func(t *testing.T, stream func(ctx context.Context, p *dispatch.Pool[time.Duration, time.Duration], ins []time.Duration) iter.Seq[dispatch.Result[time.Duration, time.Duration]]) {
		p := openPool(t, nap, dispatch.WithWorkers(4))
		ins := []time.Duration{4 * time.Second, time.Second, 3 * time.Second, 2 * time.Second}
		start := time.Now()
		var order []int
		for r := range stream(t.Context(), p, ins) {
			require.Equal(t, dispatch.Result[time.Duration, time.Duration]{Index: r.Index, In: ins[r.Index], Out: ins[r.Index]}, r)
			require.Equal(t, r.In, time.Since(start), "as soon as it is there")
			order = append(order, r.Index)
		}
		require.Equal(t, []int{1, 3, 2, 0}, order)
	})
}

func TestAStreamKeepsTheOrderHoweverItsJobsEnd(t *testing.T) {
	for _, ahead := range []int{1, 3, 64, 200} {
		synctest.Test(t, func(t *testing.T) {
			p := openPool(t, func(_ context.Context, in int) (int, error) {
				time.Sleep(time.Duration(rand.IntN(100)))
				return 2 * in, nil
			}, dispatch.WithWorkers(8))
			ins := make(chan int)
			go func() {
				defer close(ins)
				for i := range 500 {
					ins <- i
				}
			}()
			i := 0
			for r := range p.StreamChan(t.Context(), ins, dispatch.LookAhead(ahead)) {
				require.Equal(t, dispatch.Result[int, int]{Index: i, In: i, Out: 2 * i}, r)
				i++
			}
			require.Equal(t, 500, i)
		})
	}
}

func TestAStreamChanYieldsOutcomesWhileItsSourceIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, double)
		ins := make(chan int)
		var outs notes[int]
		c := callingErr(func() error {
			for r := range p.StreamChan(t.Context(), ins) {
				outs.add(r.Out)
			}
			return nil
		})
		for i := range 3 {
			ins <- i
			time.Sleep(time.Hour)
			require.Len(t, outs.all(), i+1)
		}
		require.False(t, c.returned())
		require.NoError(t, p.Wait(t.Context()), "a stream that has nothing to do does not keep the pool busy")
		close(ins)
		require.NoError(t, c.requireReturn(t))
		require.Equal(t, []int{0, 2, 4}, outs.all())
	})
}

func TestANilSourceWaitsForTheContextOrThePool(t *testing.T) {
	inBubbles(t, map[string]struct {
		end  func(p *dispatch.Pool[int, int], cancel context.CancelCauseFunc)
		want error
	}{
		"the context": {func(_ *dispatch.Pool[int, int], cancel context.CancelCauseFunc) { cancel(errCause) }, errCause},
		"Close":       {func(p *dispatch.Pool[int, int], _ context.CancelCauseFunc) { _ = p.Close() }, dispatch.ErrClosed},
		"Stop":        {func(p *dispatch.Pool[int, int], _ context.CancelCauseFunc) { p.Stop() }, dispatch.ErrClosed},
	}, func(t *testing.T, r struct {
		end  func(p *dispatch.Pool[int, int], cancel context.CancelCauseFunc)
		want error
	}) {
		p := openPool(t, double)
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		c := calling(func() ([]dispatch.Result[int, int], error) { return slices.Collect(p.StreamChan(ctx, nil)), nil })
		time.Sleep(time.Hour)
		require.False(t, c.returned())
		r.end(p, cancel)
		require.NoError(t, c.requireReturn(t))
		require.Equal(t, []dispatch.Result[int, int]{{Index: -1, Err: r.want}}, c.out)
	})
}

func TestNoPolicyForAFullQueueConcernsAStream(t *testing.T) {
	for name, stream := range streams {
		for _, policy := range []dispatch.Overflow{dispatch.Block, dispatch.Reject, dispatch.DropOldest, dispatch.CallerRuns} {
			t.Run(fmt.Sprint(name, " ", policy), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := newHeld()
					p := openPool(t, h.handle, dispatch.WithWorkers(1), dispatch.WithQueue(1), dispatch.WithOverflow(policy))
					first := dispatch.Must(p.Submit(t.Context(), 100))
					second := dispatch.Must(p.Submit(t.Context(), 101)) // the queue is full
					c := calling(func() ([]dispatch.Result[int, int], error) {
						return slices.Collect(stream(t.Context(), p, 8, new(notes[int]), dispatch.LookAhead(4))), nil
					})
					require.Equal(t, []int{100}, h.entered(), "nothing runs on top of the limit")
					require.Equal(t, 5, p.Stats().Queued)
					h.letAll()
					require.NoError(t, c.requireReturn(t))
					require.Len(t, c.out, 8)
					for _, r := range c.out {
						require.NoError(t, r.Err)
					}
					for _, f := range []*dispatch.Future[int]{first, second} {
						_, err := f.Wait(t.Context())
						require.NoError(t, err, "nor does a stream drop anything")
					}
				})
			})
		}
	}
}

func TestTheInputsOfAStreamTakeTurnsWithSingleJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1))
		c := calling(func() ([]yielded[int], error) {
			return collect(p.Stream(t.Context(), slices.Values(upTo(4)), dispatch.LookAhead(4))), nil
		})
		for i := range 3 {
			dispatch.Must(p.Submit(t.Context(), 100+i))
		}
		h.letAll()
		require.NoError(t, c.requireReturn(t))
		require.Equal(t, []int{0, 100, 1, 101, 2, 102, 3}, h.entered())
	})
}

func TestAJobLimitAnswersAStreamWhenTheHandlerReturns(t *testing.T) {
	inBubbles(t, map[string]struct {
		opts []dispatch.Option
		want time.Duration
	}{
		"WithJobTimeout":           {[]dispatch.Option{dispatch.WithJobTimeout(time.Second)}, time.Minute},
		"WithJobTimeout and grace": {[]dispatch.Option{dispatch.WithJobTimeout(time.Second), dispatch.WithGrace(time.Second, 1)}, 2 * time.Second},
	}, func(t *testing.T, r struct {
		opts []dispatch.Option
		want time.Duration
	}) {
		p := openPool(t, nap, append(r.opts, dispatch.WithWorkers(1))...)
		start := time.Now()
		n := 0
		for res := range p.Stream(t.Context(), slices.Values([]time.Duration{time.Minute})) {
			n++
			require.Equal(t, &dispatch.TimeoutError{Limit: time.Second, Ran: true}, res.Err)
			require.Equal(t, r.want, time.Since(start))
			require.Equal(t, time.Minute, res.In)
		}
		require.Equal(t, 1, n)
	})
}

func TestG14AStreamKeepsNoInputAndNoOutputThatItHasYielded(t *testing.T) {
	for name, opt := range map[string]dispatch.StreamOption{"ordered": nil, "unordered": dispatch.Unordered()} {
		t.Run(name, func(t *testing.T) {
			p := openPool(t, func(_ context.Context, in *payload) (*payload, error) { return new(payload), nil }, dispatch.WithWorkers(2))
			var ins []weak.Pointer[payload]
			var source iter.Seq[*payload] = func(yield func(*payload) bool) {
				for range 200 {
					in := new(payload)
					ins = append(ins, weak.Make(in))
					if !yield(in) {
						return
					}
				}
			}
			next, stop := iter.Pull(p.Stream(t.Context(), source, opt))
			defer stop()
			outs := map[int]weak.Pointer[payload]{} // of what has been yielded
			func() {
				for range 95 {
					r, ok := next()
					require.True(t, ok)
					outs[r.Index] = weak.Make(r.Out)
				}
			}()
			_, _ = next() // so that nothing holds the last outcome
			require.NoError(t, p.Wait(t.Context()))
			for i, out := range outs {
				requireCollected(t, ins[i], fmt.Sprint("input ", i))
				requireCollected(t, out, fmt.Sprint("output ", i))
			}
		})
	}
}

func TestAJobThatStreamsLendsItsSlotOnlyWhileItWaits(t *testing.T) {
	for name, stream := range streams {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var p *dispatch.Pool[int, int]
				var entered notes[int]
				p = openPool(t, func(ctx context.Context, in int) (int, error) {
					if in < 100 {
						entered.add(in)
						time.Sleep(time.Second)
						return in, nil
					}
					done := 0
					for r := range stream(ctx, p, 12, new(notes[int]), dispatch.LookAhead(6)) {
						require.NoError(t, r.Err)
						time.Sleep(time.Hour) // the slot is taken
						done++
						// One more may have been entered before the loop had its outcome.
						require.LessOrEqual(t, len(entered.all()), done+1)
					}
					return done, nil
				}, dispatch.WithWorkers(1))
				out, err := p.Process(t.Context(), 100)
				require.NoError(t, err)
				require.Equal(t, 12, out)
			})
		})
	}
}

func TestAStreamMayBeUsedByManyLoopsAtOnce(t *testing.T) {
	p := openPool(t, double, dispatch.WithWorkers(2))
	seq := p.Stream(t.Context(), slices.Values(upTo(300)))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			i := 0
			for r := range seq {
				if r != (dispatch.Result[int, int]{Index: i, In: i, Out: 2 * i}) {
					t.Errorf("%+v at %d", r, i)
				}
				i++
			}
			if i != 300 {
				t.Errorf("%d outcomes", i)
			}
		})
	}
	wg.Wait()
}
