package dispatch_test

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// These tests check what ends a stream, and what it yields then.

func TestTheEndOfTheContextIsToldAtOnceAndOnce(t *testing.T) {
	for name, stream := range streams {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHeld() // heeds no context
				p := openPool(t, h.handle, dispatch.WithWorkers(2))
				ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errCause)
				defer cancel()
				c := calling(func() ([]dispatch.Result[int, int], error) {
					return slices.Collect(stream(ctx, p, -1, new(notes[int]))), nil
				})
				require.NoError(t, c.requireReturnAfter(t, time.Minute))
				require.Equal(t, []dispatch.Result[int, int]{{Index: -1, Err: errCause}}, c.out)
				require.Len(t, h.entered(), 2, "what waited never runs")
				h.letAll()
				require.NoError(t, p.Wait(t.Context()))
				s := p.Stats()
				require.Equal(t, [2]uint64{2, 2}, [2]uint64{s.TimedOut, s.Succeeded}, "what ran has the outcome of its handler")
			})
		})
	}
}

func TestAContextThatEndsInTheBodyIsWhatComesNext(t *testing.T) {
	for name, stream := range streams {
		t.Run(name, func(t *testing.T) {
			p := openPool(t, double)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			var all []dispatch.Result[int, int]
			for r := range stream(ctx, p, -1, new(notes[int])) {
				all = append(all, r)
				if len(all) == 3 {
					require.NoError(t, p.Wait(t.Context())) // further outcomes are there
					cancel(errCause)
				}
			}
			require.Len(t, all, 4)
			require.Equal(t, dispatch.Result[int, int]{Index: -1, Err: errCause}, all[3])
		})
	}
}

func TestAStreamWhoseContextIsDoneTakesNothing(t *testing.T) {
	p := openPool(t, double)
	want := []dispatch.Result[int, int]{{Index: -1, Err: errCause}}
	var taken notes[int]
	require.Equal(t, want, slices.Collect(p.Stream(canceledContext(t, errCause), counted(-1, &taken))))
	require.Empty(t, taken.all())
	ins := make(chan int, 1)
	ins <- 1
	require.Equal(t, want, slices.Collect(p.StreamChan(canceledContext(t, errCause), ins)))
	require.Len(t, ins, 1)
	require.Zero(t, p.Stats().Submitted)
}

func TestAClosingPoolRunsAllThatAStreamHasTaken(t *testing.T) {
	for name, stream := range streams {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHeld()
				p := openPool(t, h.handle, dispatch.WithWorkers(1), dispatch.WithQueue(0))
				c := calling(func() ([]dispatch.Result[int, int], error) {
					return slices.Collect(stream(t.Context(), p, -1, new(notes[int]), dispatch.LookAhead(5))), nil
				})
				end := callingErr(p.Close)
				h.letAll()
				require.NoError(t, c.requireReturn(t))
				require.NoError(t, end.requireReturn(t))
				require.Equal(t, []int{0, 1, 2, 3, 4}, h.entered())
				require.Len(t, c.out, 6)
				for i, r := range c.out[:5] {
					require.Equal(t, dispatch.Result[int, int]{Index: i, In: i, Out: i}, r)
				}
				require.Equal(t, dispatch.Result[int, int]{Index: -1, Err: dispatch.ErrClosed}, c.out[5])
			})
		})
	}
}

func TestAfterAStopWhatAStreamHadTakenHasBeenStopped(t *testing.T) {
	for name, stream := range streams {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := openPool(t, func(ctx context.Context, in int) (int, error) {
					<-ctx.Done()
					return in, context.Cause(ctx)
				}, dispatch.WithWorkers(1))
				c := calling(func() ([]dispatch.Result[int, int], error) {
					return slices.Collect(stream(t.Context(), p, -1, new(notes[int]), dispatch.LookAhead(4))), nil
				})
				require.Equal(t, []int{1, 2, 3}, p.Stop(), "what never ran is given back")
				require.NoError(t, c.requireReturn(t))
				require.Len(t, c.out, 5)
				seen := map[int]bool{}
				for _, r := range c.out[:4] {
					seen[r.Index] = true
					require.Equal(t, dispatch.ErrStopped, r.Err)
					require.Equal(t, r.Index, r.In)
				}
				require.Len(t, seen, 4)
				require.Equal(t, dispatch.Result[int, int]{Index: -1, Err: dispatch.ErrClosed}, c.out[4])
			})
		})
	}
}

func TestAClosingPoolEndsAStreamPromptlyThoughItsSourceIsSilent(t *testing.T) {
	inBubbles(t, map[string]func(p *dispatch.Pool[int, int]){
		"Close": func(p *dispatch.Pool[int, int]) { callingErr(p.Close) },
		"Stop":  func(p *dispatch.Pool[int, int]) { p.Stop() },
	}, func(t *testing.T, end func(p *dispatch.Pool[int, int])) {
		p := openPool(t, nap2, dispatch.WithWorkers(1))
		ins := make(chan int)
		c := calling(func() ([]dispatch.Result[int, int], error) {
			return slices.Collect(p.StreamChan(t.Context(), ins)), nil
		})
		ins <- 0
		time.Sleep(time.Hour)
		require.False(t, c.returned())
		end(p)
		require.NoError(t, c.requireReturn(t))
		require.Equal(t, []dispatch.Result[int, int]{{}, {Index: -1, Err: dispatch.ErrClosed}}, c.out)
	})
}

// nap2 takes as many seconds as its input says.
func nap2(ctx context.Context, in int) (int, error) {
	_, err := heedfulNap(ctx, time.Duration(in)*time.Second)
	return in, err
}

func TestAStreamOnAClosedPoolTakesNothingAndSaysSo(t *testing.T) {
	p := openPool(t, double)
	require.NoError(t, p.Close())
	ins := make(chan int, 1)
	ins <- 1
	want := []dispatch.Result[int, int]{{Index: -1, Err: dispatch.ErrClosed}}
	require.Equal(t, want, slices.Collect(p.StreamChan(t.Context(), ins)))
	require.Len(t, ins, 1)
	require.Equal(t, want, slices.Collect(p.Stream(t.Context(), slices.Values(upTo(3)))))
	require.Empty(t, slices.Collect(p.Stream(t.Context(), slices.Values(upTo(0)))), "nothing was refused")
	require.Zero(t, p.Stats().Submitted)
}

func TestAfterTheLastOutcomeOfAFinishedStreamNothingChangesIt(t *testing.T) {
	for what, end := range map[string]func(p *dispatch.Pool[int, int], cancel context.CancelCauseFunc){
		"a cancel": func(_ *dispatch.Pool[int, int], cancel context.CancelCauseFunc) { cancel(errCause) },
		"Close":    func(p *dispatch.Pool[int, int], _ context.CancelCauseFunc) { _ = p.Close() },
		"Stop":     func(p *dispatch.Pool[int, int], _ context.CancelCauseFunc) { p.Stop() },
	} {
		for _, ahead := range []int{1, 3, 10} {
			t.Run(fmt.Sprint(what, " ", ahead), func(t *testing.T) {
				p := openPool(t, double)
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				n := 0
				for r := range p.Stream(ctx, slices.Values(upTo(3)), dispatch.LookAhead(ahead)) {
					require.NoError(t, r.Err)
					if n++; n == 3 {
						end(p, cancel)
						runtime.Gosched()
					}
				}
				require.Equal(t, 3, n)
			})
		}
		t.Run(what+", a channel that is closed", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHeld()
				p := openPool(t, h.handle, dispatch.WithWorkers(4))
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				ins := make(chan int, 3)
				for i := range 3 {
					ins <- i
				}
				close(ins)
				n := 0
				c := callingErr(func() error {
					for r := range p.StreamChan(ctx, ins) {
						require.NoError(t, r.Err)
						if n++; n == 3 {
							end(p, cancel)
							time.Sleep(1)
						}
					}
					return nil
				})
				h.letAll()
				<-c.done
				require.Equal(t, 3, n)
			})
		})
	}
}

func TestWhileItsSourceIsOpenAStreamMayHaveMoreSoTheCancelWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, double)
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		ins := make(chan int, 1)
		ins <- 7
		var all []dispatch.Result[int, int]
		for r := range p.StreamChan(ctx, ins) {
			if all = append(all, r); len(all) == 1 {
				cancel(errCause)
			}
		}
		require.Equal(t, []dispatch.Result[int, int]{{In: 7, Out: 14}, {Index: -1, Err: errCause}}, all)
	})
}

// leavings are the ways to leave a loop over a stream during its first step.
var leavings = map[string]func(seq streamOf, inBody func()){
	"break": func(seq streamOf, inBody func()) {
		for range seq {
			inBody()
			break
		}
	},
	"panic": func(seq streamOf, inBody func()) {
		defer func() { _ = recover() }()
		for range seq {
			inBody()
			panic("boo")
		}
	},
	"Goexit": func(seq streamOf, inBody func()) {
		var wg sync.WaitGroup
		wg.Go(func() {
			for range seq {
				inBody()
				runtime.Goexit()
			}
		})
		wg.Wait()
	},
	"stop of a Pull": func(seq streamOf, inBody func()) {
		next, stop := iter.Pull(seq)
		_, _ = next()
		inBody()
		stop()
	},
}

func TestWhatWasTakenAndNotYieldedIsCanceledWhenTheLoopIsLeft(t *testing.T) {
	for name, stream := range streams {
		for how, leave := range leavings {
			for _, canceled := range []bool{false, true} {
				t.Run(fmt.Sprint(name, ", ", how, ", ctx done: ", canceled), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						var causes notes[error]
						p := openPool(t, func(ctx context.Context, in int) (int, error) {
							if in == 0 {
								return 0, nil
							}
							<-ctx.Done()
							causes.add(context.Cause(ctx))
							return 0, ctx.Err()
						}, dispatch.WithWorkers(3))
						ctx, cancel := context.WithCancelCause(t.Context())
						defer cancel(nil)
						want := context.Canceled
						var taken notes[int]
						leave(stream(ctx, p, -1, &taken, dispatch.LookAhead(6)), func() {
							synctest.Wait()
							if canceled {
								want = errCause
								cancel(errCause)
							}
						})
						require.NoError(t, p.Wait(t.Context()))
						for _, cause := range causes.all() {
							require.Equal(t, want, cause)
						}
						s := p.Stats()
						require.Equal(t, uint64(len(taken.all())), s.Submitted)
						require.Equal(t, s.Submitted-1, s.Canceled)
					})
				})
			}
		}
	}
}

// Regression: if a loop was left at the moment at which its context ended, chance decided
// whether the handlers saw the cause.
func TestHandlersOfAStreamThatIsLeftSeeTheCauseOfItsContextAlways(t *testing.T) {
	for range 200 {
		var causes notes[error]
		p := openPool(t, func(ctx context.Context, in int) (int, error) {
			if in > 0 {
				<-ctx.Done()
				causes.add(context.Cause(ctx))
			}
			return in, ctx.Err()
		}, dispatch.WithWorkers(4))
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		for range p.Stream(ctx, counted(-1, new(notes[int])), dispatch.Unordered()) {
			cancel(errCause)
			break
		}
		require.NoError(t, p.Wait(t.Context()))
		for _, cause := range causes.all() {
			require.Equal(t, errCause, cause)
		}
	}
}

func TestAFaultOfTheSourceCancelsWhatWasTaken(t *testing.T) {
	inBubbles(t, map[string]func(){
		"panic":  func() { panic("no more") },
		"Goexit": runtime.Goexit,
	}, func(t *testing.T, fault func()) {
		p := openPool(t, heedfulNap, dispatch.WithWorkers(1))
		var wg sync.WaitGroup
		wg.Go(func() {
			defer func() { _ = recover() }()
			for r := range p.Stream(t.Context(), func(yield func(time.Duration) bool) {
				yield(time.Hour)
				yield(time.Hour)
				fault()
			}, dispatch.LookAhead(5)) {
				t.Errorf("yielded %v", r)
			}
		})
		wg.Wait()
		synctest.Wait()
		require.Equal(t, uint64(2), p.Stats().Canceled)
	})
}

func TestG12AStreamThatIsLeftLeavesNothingWithItsContext(t *testing.T) {
	for name, stream := range streams {
		for how, leave := range leavings {
			t.Run(name+", "+how, func(t *testing.T) {
				ctx := newRegistrar(nil)
				p := dispatch.Must(dispatch.New(untilDone))
				leave(stream(ctx, p, -1, new(notes[int])), func() {})
				require.NoError(t, p.Close())
				require.Zero(t, ctx.registered.Load(), "registrations")
			})
		}
	}
}

// Regression: if Drain came between the stream's look at the pool and its sleep, nothing
// woke a StreamChan whose source was silent.
func TestAStreamThatWaitsForItsSourceDoesNotSleepOnceThePoolIsClosed(t *testing.T) {
	p := openPool(t, double)
	open, after := dispatch.StreamSleeps(p, p.Drain)
	require.False(t, open)
	require.True(t, after, "for an outcome it may wait")
	<-p.Done()
}

// A token that is left could block a worker that sends the next one.
func TestAStreamThatSomethingElseHasWokenTakesTheTokenOfItsSleep(t *testing.T) {
	p := openPool(t, double)
	require.Zero(t, dispatch.StreamTokens(p))
}

// Regression: ErrClosed was yielded in place of outcomes, and their inputs were canceled.
func TestAStreamYieldsWhatAClosingPoolHasAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(2), dispatch.WithQueue(0))
		c := calling(func() ([]yielded[int], error) { return collect(p.Stream(t.Context(), slices.Values(upTo(4)))), nil })
		closed := callingErr(p.Close)
		h.letAll()
		require.NoError(t, closed.requireReturn(t))
		require.NoError(t, c.requireReturn(t))
		require.Equal(t, []yielded[int]{{0, nil}, {1, nil}, {2, nil}, {3, nil}}, c.out)
	})
}
