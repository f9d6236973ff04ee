package dispatch_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

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

func TestEveryWaitInsideAJobEndsOnAPoolOfOne(t *testing.T) {
	const depth = 5 // a job for n waits for one for n-1, and gives n
	for name, nest := range nestings {
		for what, opts := range map[string][]dispatch.Option{
			"with a queue": nil, "without": {dispatch.WithQueue(0)}, "with a job limit and grace": {dispatch.WithJobTimeout(time.Hour), dispatch.WithGrace(time.Hour, 1)},
		} {
			t.Run(name+" "+what, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var p *dispatch.Pool[int, int]
					p = openPool(t, func(ctx context.Context, in int) (int, error) {
						if in == 0 {
							return 0, nil
						}
						out, err := nest(ctx, p, in-1)
						return out + 1, err
					}, append(opts, dispatch.WithWorkers(1))...)
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

func TestNoMoreThanNHandlersRunThatDoNotWait(t *testing.T) {
	const n = 3
	for name, nest := range nestings {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var p *dispatch.Pool[int, int]
				var busy, most atomic.Int64
				work := func() {
					now := busy.Add(1)
					for {
						old := most.Load()
						if now <= old || most.CompareAndSwap(old, now) {
							break
						}
					}
					time.Sleep(time.Second)
					busy.Add(-1)
				}
				p = openPool(t, func(ctx context.Context, in int) (int, error) {
					work()
					if in == 0 {
						return 0, nil
					}
					out, err := nest(ctx, p, in-1)
					return out + 1, err
				}, dispatch.WithWorkers(n))
				var calls []*call[int]
				for range 2 * n {
					calls = append(calls, calling(func() (int, error) { return p.Process(t.Context(), 3) }))
				}
				for _, c := range calls {
					<-c.done
					require.NoError(t, c.err)
					require.Equal(t, 3, c.out)
				}
				require.Equal(t, int64(n), most.Load())
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
