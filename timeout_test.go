package dispatch_test

import (
	"context"
	"errors"
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
		before int // jobs that are in the way
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
		p := openWorkers(t, toolbox(&log, tool{process: func(ctx context.Context, in int) (int, error) {
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
