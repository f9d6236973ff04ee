package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"example.com/dispatch"
)

func sum(ns []int) (total int) {
	for _, n := range ns {
		total += n
	}
	return total
}

func TestG09NestingCannotDeadlock(t *testing.T) {
	type pool = *dispatch.Pool[int, int]
	for name, children := range map[string]func(ctx context.Context, p pool, n int) (int, error){
		"Process": func(ctx context.Context, p pool, n int) (int, error) {
			a, err := p.Process(ctx, n-1)
			b, err2 := p.Process(ctx, n-1)
			return a + b, errors.Join(err, err2)
		},
		"ProcessTimed": func(ctx context.Context, p pool, n int) (int, error) {
			a, err := p.ProcessTimed(ctx, n-1, time.Hour)
			b, err2 := p.ProcessTimed(ctx, n-1, time.Hour)
			return a + b, errors.Join(err, err2)
		},
		"Submit and Wait": func(ctx context.Context, p pool, n int) (int, error) {
			f, err := p.Submit(ctx, n-1)
			g, err2 := p.Submit(ctx, n-1)
			if err := errors.Join(err, err2); err != nil {
				return 0, err
			}
			a, err := f.Wait(ctx)
			b, err2 := g.Wait(ctx)
			return a + b, errors.Join(err, err2)
		},
		"Map": func(ctx context.Context, p pool, n int) (int, error) {
			outs, err := p.Map(ctx, []int{n - 1, n - 1})
			return sum(outs), err
		},
		"Batch.Wait": func(ctx context.Context, p pool, n int) (int, error) {
			b := p.Batch(ctx)
			if err := b.Add(n-1, n-1); err != nil {
				return 0, err
			}
			outs, err := b.Wait(ctx)
			return sum(outs), err
		},
		"All": func(ctx context.Context, p pool, n int) (total int, err error) {
			b := p.Batch(ctx)
			if err := b.Add(n-1, n-1); err != nil {
				return 0, err
			}
			for r := range b.All() {
				total, err = total+r.Out, errors.Join(err, r.Err)
			}
			return total, err
		},
		"Results": func(ctx context.Context, p pool, n int) (total int, err error) {
			b := p.Batch(ctx)
			if err := b.Add(n-1, n-1); err != nil {
				return 0, err
			}
			b.Close()
			for r := range b.Results() {
				total, err = total+r.Out, errors.Join(err, r.Err)
			}
			return total, err
		},
		"Stream": func(ctx context.Context, p pool, n int) (total int, err error) {
			for r := range p.Stream(ctx, func(yield func(int) bool) { _ = yield(n-1) && yield(n-1) }) {
				total, err = total+r.Out, errors.Join(err, r.Err)
			}
			return total, err
		},
		"goroutines": func(ctx context.Context, p pool, n int) (int, error) {
			var group errgroup.Group
			var total atomic.Int64
			for range 2 {
				group.Go(func() error {
					out, err := p.Process(ctx, n-1)
					total.Add(int64(out))
					return err
				})
			}
			err := group.Wait()
			return int(total.Load()), err
		},
	} {
		for _, workers := range []int{1, 2} {
			for _, queue := range []int{0, 1, 100} {
				t.Run(fmt.Sprintf("%s/workers=%d/queue=%d", name, workers, queue), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						var p pool
						p = dispatch.Must(dispatch.New(func(ctx context.Context, n int) (int, error) {
							if n == 0 {
								return 1, nil
							}
							return children(ctx, p, n)
						}, dispatch.WithWorkers(workers), dispatch.WithQueue(queue)))
						const depth = 6
						out, err := p.Process(t.Context(), depth)
						require.NoError(t, err)
						require.Equal(t, 1<<depth, out)
						require.NoError(t, p.Close())
						requireRest(t, p)
					})
				})
			}
		}
	}
}

func TestG09NestingThroughASecondPoolAndBackCannotDeadlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a, b *dispatch.Pool[int, int]
		a = dispatch.Must(dispatch.New(func(ctx context.Context, n int) (int, error) {
			if n == 0 {
				return 0, nil
			}
			return b.Process(ctx, n-1)
		}, dispatch.WithWorkers(1), dispatch.WithQueue(0)))
		b = dispatch.Must(dispatch.New(func(ctx context.Context, n int) (int, error) {
			out, err := a.Process(ctx, n)
			return out + 1, err
		}, dispatch.WithWorkers(1), dispatch.WithQueue(0)))
		out, err := a.Process(t.Context(), 20)
		require.NoError(t, err)
		require.Equal(t, 20, out)
		require.NoError(t, a.Close())
		require.NoError(t, b.Close())
	})
}

// nestings are the ways in which a job may wait for others of a pool with its
// own context. Each runs a job for in and returns its outcome.
var nestings = map[string]func(ctx context.Context, p *dispatch.Pool[int, int], in int) (int, error){
	"Process": func(ctx context.Context, p *dispatch.Pool[int, int], in int) (int, error) { return p.Process(ctx, in) },
	"ProcessTimed": func(ctx context.Context, p *dispatch.Pool[int, int], in int) (int, error) {
		return p.ProcessTimed(ctx, in, time.Hour)
	},
	"Submit and Wait": func(ctx context.Context, p *dispatch.Pool[int, int], in int) (int, error) {
		f, err := p.Submit(ctx, in)
		if err != nil {
			return 0, err
		}
		return f.Wait(ctx)
	},
	"Map": func(ctx context.Context, p *dispatch.Pool[int, int], in int) (int, error) {
		outs, err := p.Map(ctx, []int{in, 0, in})
		if err != nil {
			return 0, err
		}
		return outs[2], nil
	},
	"Stream": func(ctx context.Context, p *dispatch.Pool[int, int], in int) (last int, err error) {
		for r := range p.Stream(ctx, slices.Values([]int{0, 0, 0, in})) {
			if last, err = r.Out, r.Err; err != nil {
				return 0, err
			}
		}
		return last, err
	},
	"Batch.Wait": func(ctx context.Context, p *dispatch.Pool[int, int], in int) (int, error) {
		b := p.Batch(ctx)
		if err := b.Add(in, 0); err != nil {
			return 0, err
		}
		outs, err := b.Wait(ctx)
		if err != nil {
			return 0, err
		}
		return outs[0], nil
	},
	"All": func(ctx context.Context, p *dispatch.Pool[int, int], in int) (last int, err error) {
		b := p.Batch(ctx)
		if err := b.Add(0, in); err != nil {
			return 0, err
		}
		for r := range b.All() {
			last, err = r.Out, errors.Join(err, r.Err)
		}
		return last, err
	},
	"Results": func(ctx context.Context, p *dispatch.Pool[int, int], in int) (most int, err error) {
		b := p.Batch(ctx)
		results := b.Results() // before there is anything
		if err := b.Add(in, 0); err != nil {
			return 0, err
		}
		b.Close()
		for r := range results {
			most, err = max(most, r.Out), errors.Join(err, r.Err)
		}
		return most, err
	},
}

// nestingPool returns a pool of one worker. Its job for n waits, as nest does, for a job of
// the same pool for n-1, and returns n.
func nestingPool(t *testing.T, nest func(ctx context.Context, p *dispatch.Pool[int, int], in int) (int, error), opts ...dispatch.Option) *dispatch.Pool[int, int] {
	t.Helper()
	var p *dispatch.Pool[int, int]
	p = openPool(t, func(ctx context.Context, in int) (int, error) {
		if in == 0 {
			return 0, nil
		}
		out, err := nest(ctx, p, in-1)
		return out + 1, err
	}, append(opts, dispatch.WithWorkers(1))...)
	return p
}

func TestEveryWaitInsideAJobEndsOnAPoolOfOne(t *testing.T) {
	const depth = 5
	for name, nest := range nestings {
		for what, opts := range map[string][]dispatch.Option{
			"with a queue": nil, "without": {dispatch.WithQueue(0)}, "with a job limit and grace": {dispatch.WithJobTimeout(time.Hour), dispatch.WithGrace(time.Hour, 1)},
		} {
			t.Run(name+" "+what, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := nestingPool(t, nest, opts...)
					for range 3 { // while other jobs wait in line as well
						calling(func() (int, error) { return p.Process(t.Context(), 2) })
					}
					out, err := p.Process(t.Context(), depth)
					require.NoError(t, err)
					require.Equal(t, depth, out)
				})
			})
		}
	}
}

func TestGoroutinesOfOneJobMayAllWaitAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *dispatch.Pool[int, int]
		p = openPool(t, func(ctx context.Context, in int) (int, error) {
			if in == 0 {
				time.Sleep(time.Second)
				return 1, nil
			}
			var wg sync.WaitGroup
			var total atomic.Int64
			for _, nest := range nestings {
				wg.Go(func() {
					out, err := nest(ctx, p, in-1)
					if err != nil {
						t.Error(err)
					}
					total.Add(int64(out))
				})
			}
			wg.Wait()
			return int(total.Load()), nil
		}, dispatch.WithWorkers(1))
		out, err := p.Process(t.Context(), 2)
		require.NoError(t, err)
		require.Equal(t, len(nestings)*len(nestings), out)
	})
}

func TestAJobMayWaitThroughASecondPoolAndBack(t *testing.T) {
	for name, there := range nestings {
		for back, nest := range nestings {
			t.Run(name+" and "+back, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var a, b *dispatch.Pool[int, int]
					a = openPool(t, func(ctx context.Context, in int) (int, error) {
						if in == 0 {
							return 0, nil
						}
						out, err := there(ctx, b, in)
						return out + 1, err
					}, dispatch.WithWorkers(1))
					b = openPool(t, func(ctx context.Context, in int) (int, error) {
						if in == 0 {
							return 0, nil
						}
						return nest(ctx, a, in-1)
					}, dispatch.WithWorkers(1))
					out, err := a.Process(t.Context(), 3)
					require.NoError(t, err)
					require.Equal(t, 3, out)
				})
			})
		}
	}
}

func TestAWorkerIsNeverEnteredWhileItIsInProcess(t *testing.T) {
	for name, nest := range nestings {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var p *dispatch.Pool[int, int]
				made := new(notes[string])
				p = openWorkers(t, func(context.Context) (dispatch.Worker[int, int], error) {
					made.add("one")
					var inside atomic.Bool
					return dispatch.Handler[int, int](func(ctx context.Context, in int) (int, error) {
						if !inside.CompareAndSwap(false, true) {
							t.Error("entered again")
						}
						defer inside.Store(false)
						if in == 0 {
							return 0, nil
						}
						out, err := nest(ctx, p, in-1)
						return out + 1, err
					}), nil
				}, dispatch.WithWorkers(1))
				out, err := p.Process(t.Context(), 3)
				require.NoError(t, err)
				require.Equal(t, 3, out)
				require.GreaterOrEqual(t, len(made.all()), 4, "each that waits keeps its own")
			})
		})
	}
}

func TestAJobThatIsNotWaitedForKeepsItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *dispatch.Pool[int, int]
		var entered notes[int]
		p = openPool(t, func(ctx context.Context, in int) (int, error) {
			entered.add(in)
			if in != 0 {
				return in, nil
			}
			for i := 1; i <= 3; i++ {
				dispatch.Must(p.Submit(ctx, i))
			}
			return dispatch.Must(p.Submit(context.WithoutCancel(ctx), 4)).Wait(ctx)
		}, dispatch.WithWorkers(1))
		out, err := p.Process(t.Context(), 0)
		require.NoError(t, err)
		require.Equal(t, 4, out)
		require.Equal(t, []int{0, 4}, entered.all()[:2], "what it waits for is taken out of turn, and nothing else")
	})
}

func TestAnErrorInsideIsTheCallersOwnAndHurtsNoOther(t *testing.T) {
	for name, nest := range nestings {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var p *dispatch.Pool[int, int]
				p = openPool(t, func(ctx context.Context, in int) (int, error) {
					if in <= 1 {
						return in, map[int]error{1: errOdd}[in]
					}
					_, err := nest(ctx, p, 1)
					if !errors.Is(err, errOdd) {
						return 0, errors.Join(errors.New("the error was lost"), err)
					}
					return 7, nil
				}, dispatch.WithWorkers(1))
				out, err := p.Process(t.Context(), 2)
				require.NoError(t, err)
				require.Equal(t, 7, out)
			})
		})
	}
}

func TestTheEndOfAJobsContextEndsWhatItWaitsFor(t *testing.T) {
	for name, nest := range nestings {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var p *dispatch.Pool[int, int]
				var told notes[error]
				p = openPool(t, func(ctx context.Context, in int) (int, error) {
					if in > 0 {
						return nest(ctx, p, in-1)
					}
					<-ctx.Done()
					told.add(context.Cause(ctx))
					return 0, ctx.Err()
				}, dispatch.WithWorkers(1))
				c := calling(func() (int, error) { return p.ProcessTimed(t.Context(), 2, time.Second) })
				require.ErrorIs(t, c.requireReturnAfter(t, time.Second), dispatch.ErrTimeout)
				require.NoError(t, p.Wait(t.Context()))
				require.NotEmpty(t, told.all())
				for _, cause := range told.all() {
					require.ErrorIs(t, cause, dispatch.ErrTimeout)
				}
			})
		})
	}
}

// Regression: a job that was canceled counted as ended, and lent its slot no more.
func TestACanceledJobMayStillWaitForItsPoolWithoutItsCancel(t *testing.T) {
	for name, nest := range nestings {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var p *dispatch.Pool[int, int]
				cleanup := make(chan error, 1)
				p = openPool(t, func(ctx context.Context, in int) (int, error) {
					if in == 2 {
						<-ctx.Done()
						ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
						defer cancel()
						_, err := nest(ctx, p, 1)
						cleanup <- err
					}
					return in, nil
				}, dispatch.WithWorkers(1))
				f := dispatch.Must(p.Submit(t.Context(), 2))
				synctest.Wait()
				require.True(t, f.Cancel())
				require.NoError(t, <-cleanup)
			})
		})
	}
}

// Regression: the job counted as ended, so Wait hung, and Shutdown became Stop.
func TestWaitAndShutdownInsideACanceledJobReturnErrInsideJob(t *testing.T) {
	inBubbles(t, map[string]func(ctx context.Context, p *dispatch.Pool[int, int]) error{
		"Wait":                func(ctx context.Context, p *dispatch.Pool[int, int]) error { return p.Wait(ctx) },
		"Wait without cancel": func(ctx context.Context, p *dispatch.Pool[int, int]) error { return p.Wait(context.WithoutCancel(ctx)) },
		"Shutdown":            func(ctx context.Context, p *dispatch.Pool[int, int]) error { return p.Shutdown(ctx) },
		"Shutdown without cancel": func(ctx context.Context, p *dispatch.Pool[int, int]) error {
			return p.Shutdown(context.WithoutCancel(ctx))
		},
	}, func(t *testing.T, end func(ctx context.Context, p *dispatch.Pool[int, int]) error) {
		var p *dispatch.Pool[int, int]
		var told notes[error]
		p = openPool(t, func(ctx context.Context, in int) (int, error) {
			if in == 1 {
				<-ctx.Done()
				told.add(end(ctx, p))
			}
			return in, nil
		}, dispatch.WithWorkers(1))
		f := dispatch.Must(p.Submit(t.Context(), 1))
		next := dispatch.Must(p.Submit(t.Context(), 2))
		synctest.Wait()
		require.True(t, f.Cancel())
		synctest.Wait()
		require.Equal(t, []error{dispatch.ErrInsideJob}, told.all())
		_, err := next.Wait(t.Context())
		require.NoError(t, err, "what was accepted is run")
	})
}

func TestG09AJobLendsItsSlotToItsBatchOnlyWhileItsLoopWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *dispatch.Pool[int, int]
		var entered atomic.Int64
		var most int64 // items that were entered while the body of the loop ran
		p = openPool(t, func(ctx context.Context, in int) (int, error) {
			if in > 0 {
				entered.Add(1)
				return in, nil
			}
			for r := range p.BatchOf(ctx, []int{1, 2, 3, 4}).All() {
				if r.Err != nil {
					return 0, r.Err
				}
				time.Sleep(time.Second) // what has begun while the loop waited goes on
				before := entered.Load()
				time.Sleep(time.Second)
				most = max(most, entered.Load()-before)
			}
			return int(entered.Load()), nil
		}, dispatch.WithWorkers(1))
		n, err := p.Process(t.Context(), 0)
		require.NoError(t, err)
		require.Equal(t, 4, n)
		require.Zero(t, most)
	})
}
