package dispatch_test

import (
	"context"
	"errors"
	"math"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

func TestALimitOfZeroOrLessIsATimeoutAndTheJobDoesNotRun(t *testing.T) {
	h := newHeld()
	p := openPool(t, h.handle)
	for _, limit := range []time.Duration{0, -1, -time.Hour} {
		_, err := p.ProcessTimed(t.Context(), 1, limit)
		require.Equal(t, &dispatch.TimeoutError{Limit: limit}, err)
	}
	require.Empty(t, h.all())
	require.Zero(t, p.Stats().Submitted)
}

func TestATimeoutIsADeadlineExceededAndANetTimeout(t *testing.T) {
	for _, ran := range []bool{false, true} {
		var err error = &dispatch.TimeoutError{Limit: time.Second, Ran: ran}
		require.ErrorIs(t, err, dispatch.ErrTimeout)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, context.Canceled)
		require.ErrorContains(t, err, "1s")
		var timeout interface{ Timeout() bool }
		require.ErrorAs(t, err, &timeout)
		require.True(t, timeout.Timeout())
		var nerr net.Error
		require.NotErrorAs(t, err, &nerr, "it is not from the network")
	}
	require.NotEqual(t, (&dispatch.TimeoutError{Ran: true}).Error(), (&dispatch.TimeoutError{}).Error())
}

func TestProcessTimedLimitsTheWaitForRoomTheQueueAndTheRunToTheNanosecond(t *testing.T) {
	inBubbles(t, map[string]struct {
		before int // jobs submitted before
		policy dispatch.Overflow
		want   *dispatch.TimeoutError
	}{
		"while it runs":                      {0, dispatch.Block, &dispatch.TimeoutError{Limit: time.Second, Ran: true}},
		"in the queue":                       {1, dispatch.Block, &dispatch.TimeoutError{Limit: time.Second}},
		"waiting for room":                   {2, dispatch.Block, &dispatch.TimeoutError{Limit: time.Second}},
		"behind another that waits for room": {3, dispatch.Block, &dispatch.TimeoutError{Limit: time.Second}},
		"run by its caller":                  {2, dispatch.CallerRuns, &dispatch.TimeoutError{Limit: time.Second, Ran: true}},
	}, func(t *testing.T, r struct {
		before int
		policy dispatch.Overflow
		want   *dispatch.TimeoutError
	}) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1), dispatch.WithQueue(1), dispatch.WithOverflow(r.policy))
		for i := range r.before {
			calling(func() (int, error) { return p.Process(t.Context(), i) })
		}
		c := calling(func() (int, error) { return p.ProcessTimed(t.Context(), 9, time.Second) })
		require.Equal(t, r.want, c.requireReturnAfter(t, time.Second))
		require.Zero(t, c.out)
		h.letAll()
		entered := h.entered()
		require.Len(t, entered, r.before+map[bool]int{true: 1}[r.want.Ran])
		if !r.want.Ran {
			require.NotContains(t, entered, 9)
		}
	})
}

func TestTheLimitOfProcessTimedRunsOnWhileTheJobMovesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, nap, dispatch.WithWorkers(1), dispatch.WithQueue(1))
		for range 2 {
			calling(func() (time.Duration, error) { return p.Process(t.Context(), time.Second) })
		}
		c := calling(func() (time.Duration, error) { return p.ProcessTimed(t.Context(), time.Hour, 3*time.Second) })
		// one second for room, one in the queue, one running
		require.Equal(t, &dispatch.TimeoutError{Limit: 3 * time.Second, Ran: true}, c.requireReturnAfter(t, 3*time.Second))
	})
}

func TestAJobLimitCountsTheRunAndNotTheQueue(t *testing.T) {
	for name, run := range map[string]func(p *dispatch.Pool[time.Duration, time.Duration], d time.Duration) error{
		"Process": func(p *dispatch.Pool[time.Duration, time.Duration], d time.Duration) error {
			_, err := p.Process(context.Background(), d)
			return err
		},
		"Submit": func(p *dispatch.Pool[time.Duration, time.Duration], d time.Duration) error {
			_, err := dispatch.Must(p.Submit(context.Background(), d)).Wait(context.Background())
			return err
		},
		"Map": func(p *dispatch.Pool[time.Duration, time.Duration], d time.Duration) error {
			_, err := p.Map(context.Background(), []time.Duration{d})
			if item, ok := errors.AsType[*dispatch.ItemError](err); ok {
				return item.Err
			}
			return err
		},
		"Batch": func(p *dispatch.Pool[time.Duration, time.Duration], d time.Duration) error {
			b := p.Batch(context.Background())
			_ = b.Add(d)
			b.Close()
			return (<-b.Results()).Err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := openPool(t, heedfulNap, dispatch.WithWorkers(1), dispatch.WithJobTimeout(time.Second))
				calling(func() (time.Duration, error) { return p.Process(t.Context(), time.Second-1) })
				c := callingErr(func() error { return run(p, time.Second-1) })
				require.NoError(t, c.requireReturnAfter(t, 2*(time.Second-1)))
				c = callingErr(func() error { return run(p, time.Hour) })
				require.Equal(t, &dispatch.TimeoutError{Limit: time.Second, Ran: true}, c.requireReturnAfter(t, time.Second))
			})
		})
	}
}

func TestALateResultIsDropped(t *testing.T) {
	inBubbles(t, map[string]func(p *dispatch.Pool[time.Duration, time.Duration]) (time.Duration, error){
		"ProcessTimed": func(p *dispatch.Pool[time.Duration, time.Duration]) (time.Duration, error) {
			return p.ProcessTimed(context.Background(), time.Minute, time.Second)
		},
		"WithJobTimeout": func(p *dispatch.Pool[time.Duration, time.Duration]) (time.Duration, error) {
			return p.Process(context.Background(), time.Minute)
		},
		"Batch": func(p *dispatch.Pool[time.Duration, time.Duration]) (time.Duration, error) {
			b := p.Batch(context.Background())
			_ = b.Add(time.Minute)
			outs, err := b.Wait(context.Background())
			return outs[0], err
		},
	}, func(t *testing.T, run func(p *dispatch.Pool[time.Duration, time.Duration]) (time.Duration, error)) {
		p := openPool(t, nap, dispatch.WithJobTimeout(2*time.Second))
		out, err := run(p)
		require.ErrorIs(t, err, dispatch.ErrTimeout)
		require.Zero(t, out)
		require.NoError(t, p.Close())
		s := p.Stats()
		require.Equal(t, [2]uint64{1, 0}, [2]uint64{s.TimedOut, s.Succeeded})
	})
}

func TestTheEarliestOfThreeLimitsDecidesAndTheErrorTellsWhich(t *testing.T) {
	type limits struct{ caller, call, job time.Duration }
	for name, row := range map[string]struct {
		limits
		queued time.Duration // how long the job waits for its turn
		after  time.Duration
		want   error
	}{
		"the caller's":                            {limits{1, 2, 3}, 0, 1, errCause},
		"the call's":                              {limits{2, 1, 3}, 0, 1, &dispatch.TimeoutError{Limit: time.Second, Ran: true}},
		"the job's":                               {limits{3, 2, 1}, 0, 1, &dispatch.TimeoutError{Limit: time.Second, Ran: true}},
		"the job's alone":                         {limits{0, 0, 1}, 0, 1, &dispatch.TimeoutError{Limit: time.Second, Ran: true}},
		"the caller's in the queue":               {limits{1, 2, 3}, 5, 1, errCause},
		"the call's in the queue":                 {limits{3, 2, 1}, 5, 2, &dispatch.TimeoutError{Limit: 2 * time.Second}},
		"the call's, though the job's is shorter": {limits{9, 5, 3}, 4, 5, &dispatch.TimeoutError{Limit: 5 * time.Second, Ran: true}},
		"the job's, from its start":               {limits{9, 8, 3}, 4, 7, &dispatch.TimeoutError{Limit: 3 * time.Second, Ran: true}},
		"the caller's, after a wait":              {limits{6, 8, 3}, 4, 6, errCause},
	} {
		for who, handler := range map[string]dispatch.Handler[time.Duration, time.Duration]{"heedful": heedfulNap, "heedless": nap} {
			t.Run(name+" "+who, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var opts []dispatch.Option
					if row.job != 0 {
						opts = append(opts, dispatch.WithJobTimeout(row.job*time.Second))
					}
					p := openPool(t, func(ctx context.Context, d time.Duration) (time.Duration, error) {
						if d == 0 {
							return nap(ctx, row.queued*time.Second)
						}
						return handler(ctx, d)
					}, append(opts, dispatch.WithWorkers(1))...)
					dispatch.Must(p.Submit(t.Context(), 0))
					ctx := t.Context()
					if row.caller != 0 {
						var cancel func()
						ctx, cancel = context.WithTimeoutCause(ctx, row.caller*time.Second, errCause)
						defer cancel()
					}
					c := calling(func() (time.Duration, error) {
						if row.call == 0 {
							return p.Process(ctx, time.Hour)
						}
						return p.ProcessTimed(ctx, time.Hour, row.call*time.Second)
					})
					require.Equal(t, row.want, c.requireReturnAfter(t, row.after*time.Second))
				})
			})
		}
	}
}

func TestACallWhoseContextIsDoneDoesNotRun(t *testing.T) {
	h := newHeld()
	p := openPool(t, h.handle)
	ctx := canceledContext(t, errCause)
	for name, run := range map[string]func() error{
		"Process":      func() error { _, err := p.Process(ctx, 1); return err },
		"ProcessTimed": func() error { _, err := p.ProcessTimed(ctx, 1, time.Hour); return err },
		"Submit":       func() error { _, err := p.Submit(ctx, 1); return err },
		"TrySubmit":    func() error { _, err := p.TrySubmit(ctx, 1); return err },
	} {
		require.Equal(t, errCause, run(), name)
	}
	require.Empty(t, h.all())
	require.Zero(t, p.Stats().Submitted)
}

func TestATimedOutHandlerKeepsItsWorkerUntilItReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, nap, dispatch.WithWorkers(1))
		_, err := p.ProcessTimed(t.Context(), time.Minute, time.Second)
		require.ErrorIs(t, err, dispatch.ErrTimeout)
		c := calling(func() (time.Duration, error) { return p.Process(t.Context(), time.Second) })
		require.NoError(t, c.requireReturnAfter(t, time.Minute))
	})
}

func TestAJobThatEndsInTimeIsNotInterruptedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log notes[string]
		p := openWorkers(t, toolbox(&log, workerOf{process: func(ctx context.Context, in int) (int, error) {
			_, err := heedfulNap(ctx, time.Duration(in)*time.Second)
			return in, err
		}}), dispatch.WithWorkers(1), dispatch.WithJobTimeout(3*time.Second))
		for range 5 { // each begins within the limit of the one before
			_, err := p.ProcessTimed(t.Context(), 1, 2*time.Second)
			require.NoError(t, err)
			_, err = p.Process(t.Context(), 2)
			require.NoError(t, err)
		}
		time.Sleep(time.Minute)
		require.NotContains(t, log.all(), "interrupt 0")
	})
}

// Regression: the sum of now and a limit near the end of time overflowed to a time before
// now.
func TestTheLongestLimitsAreNeverExceeded(t *testing.T) {
	inBubbles(t, map[string]struct {
		opt dispatch.Option
		run func(p *dispatch.Pool[time.Duration, time.Duration]) error
	}{
		"ProcessTimed": {dispatch.WithJobTimeout(0), func(p *dispatch.Pool[time.Duration, time.Duration]) error {
			_, err := p.ProcessTimed(context.Background(), time.Second, math.MaxInt64)
			return err
		}},
		"WithJobTimeout": {dispatch.WithJobTimeout(math.MaxInt64), func(p *dispatch.Pool[time.Duration, time.Duration]) error {
			_, err := p.Process(context.Background(), time.Second)
			return err
		}},
		"WithIdleTimeout": {dispatch.WithIdleTimeout(math.MaxInt64), func(p *dispatch.Pool[time.Duration, time.Duration]) error {
			_, err := p.Process(context.Background(), time.Second)
			return err
		}},
	}, func(t *testing.T, r struct {
		opt dispatch.Option
		run func(p *dispatch.Pool[time.Duration, time.Duration]) error
	}) {
		p := openPool(t, heedfulNap, r.opt)
		time.Sleep(time.Second) // so that the pool's clock is not at 0
		require.NoError(t, r.run(p))
		time.Sleep(time.Second)
		require.Equal(t, 1, p.Stats().Workers)
	})
}

// If two limits end a job at the same moment, the error names that of the call.
func TestTheLimitOfTheCallIsToldWhereBothPassAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 20 {
			p := dispatch.Must(dispatch.New(func(ctx context.Context, in int) (int, error) {
				if in > 0 {
					<-ctx.Done()
				} else {
					time.Sleep(time.Minute)
				}
				return in, nil
			}, dispatch.WithWorkers(1), dispatch.WithJobTimeout(2*time.Minute)))
			_, err := p.Submit(t.Context(), 0)
			require.NoError(t, err)
			_, err = p.ProcessTimed(t.Context(), 1, 3*time.Minute)
			require.Equal(t, &dispatch.TimeoutError{Limit: 3 * time.Minute, Ran: true}, err)
			require.NoError(t, p.Close())
		}
	})
}

// detached is a context without the cancellation of its parent, made in the way that was
// usual before context.WithoutCancel: it inherits the deadline, but does not end at it.
type detached struct{ context.Context }

func (detached) Done() <-chan struct{} { return nil }

func (detached) Err() error { return nil }

// Regression: there was no timer if the context named an earlier deadline.
func TestLimitsHoldWithAContextThatDoesNotEndAtItsDeadline(t *testing.T) {
	limit := dispatch.WithJobTimeout(time.Minute)
	rows := map[string]struct {
		call string
		opts []dispatch.Option
	}{}
	for name := range calls {
		rows[name+" with WithJobTimeout"] = struct {
			call string
			opts []dispatch.Option
		}{name, []dispatch.Option{limit}}
	}
	inBubbles(t, rows, func(t *testing.T, r struct {
		call string
		opts []dispatch.Option
	}) {
		parent, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		p := dispatch.Must(dispatch.New(untilDone, append(r.opts, dispatch.WithWorkers(2))...))
		begin := time.Now()
		err := calls[r.call](p, detached{parent}, 1)
		require.ErrorIs(t, err, dispatch.ErrTimeout)
		require.Zero(t, time.Since(begin)%time.Minute)
		requireSound(t, p)
	})
	t.Run("ProcessTimed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			parent, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			p := dispatch.Must(dispatch.New(untilDone, dispatch.WithWorkers(1)))
			begin := time.Now()
			_, err := p.ProcessTimed(detached{parent}, 1, time.Minute)
			require.Equal(t, &dispatch.TimeoutError{Limit: time.Minute, Ran: true}, err)
			require.Equal(t, time.Minute, time.Since(begin))
			requireSound(t, p)
		})
	})
	t.Run("ProcessTimed in the queue and for room", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			parent, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			g := newGated()
			p := dispatch.Must(dispatch.New(g.handle, dispatch.WithWorkers(1), dispatch.WithQueue(1)))
			_, err := p.Submit(t.Context(), 1)
			require.NoError(t, err)
			for range 2 {
				begin := time.Now()
				_, err = p.ProcessTimed(detached{parent}, 2, time.Minute)
				require.Equal(t, &dispatch.TimeoutError{Limit: time.Minute}, err)
				require.Equal(t, time.Minute, time.Since(begin))
				_, err = p.TrySubmit(t.Context(), 2) // now the queue is full
				require.True(t, err == nil || errors.Is(err, dispatch.ErrQueueFull))
			}
			g.open()
			requireSound(t, p)
		})
	})
}

// An earlier deadline of a context that does end at it decides, as before.
func TestADeadlineOfTheCallersThatIsKeptStillDecides(t *testing.T) {
	inBubbles(t, map[string]func(p *dispatch.Pool[int, int], ctx context.Context) error{
		"ProcessTimed": func(p *dispatch.Pool[int, int], ctx context.Context) error {
			_, err := p.ProcessTimed(ctx, 1, time.Minute)
			return err
		},
		"WithJobTimeout": func(p *dispatch.Pool[int, int], ctx context.Context) error { _, err := p.Process(ctx, 1); return err },
		"the same moment": func(p *dispatch.Pool[int, int], ctx context.Context) error {
			_, err := p.ProcessTimed(ctx, 1, time.Second)
			return err
		},
	}, func(t *testing.T, call func(p *dispatch.Pool[int, int], ctx context.Context) error) {
		for range 20 {
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errUser)
			p := dispatch.Must(dispatch.New(untilDone, dispatch.WithJobTimeout(time.Hour)))
			begin := time.Now()
			require.Equal(t, errUser, call(p, ctx))
			require.Equal(t, time.Second, time.Since(begin))
			require.NoError(t, p.Close())
			require.Equal(t, uint64(1), p.Stats().TimedOut)
			cancel()
		}
	})
}
