package dispatch_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// The context of a handler.

type ctxKey struct{}

func TestTheContextCarriesTheCallersValuesAndDeadlineHoweverTheJobCame(t *testing.T) {
	type seen struct {
		value    any
		deadline time.Time
	}
	look := func(ctx context.Context, asked bool) (seen, error) {
		if asked {
			_ = ctx.Done()
		}
		deadline, ok := ctx.Deadline()
		if !ok {
			return seen{}, errors.New("no deadline")
		}
		return seen{ctx.Value(ctxKey{}), deadline}, nil
	}
	for name, run := range map[string]func(ctx context.Context, p *dispatch.Pool[bool, seen]) ([]seen, error){
		"Process": func(ctx context.Context, p *dispatch.Pool[bool, seen]) ([]seen, error) {
			a, err := p.Process(ctx, false)
			b, err2 := p.Process(ctx, true)
			return []seen{a, b}, errors.Join(err, err2)
		},
		"ProcessTimed": func(ctx context.Context, p *dispatch.Pool[bool, seen]) ([]seen, error) {
			a, err := p.ProcessTimed(ctx, false, 2*time.Hour)
			b, err2 := p.ProcessTimed(ctx, true, 2*time.Hour)
			return []seen{a, b}, errors.Join(err, err2)
		},
		"Submit": func(ctx context.Context, p *dispatch.Pool[bool, seen]) ([]seen, error) {
			a, err := dispatch.Must(p.Submit(ctx, true)).Wait(ctx)
			return []seen{a}, err
		},
		"Map": func(ctx context.Context, p *dispatch.Pool[bool, seen]) ([]seen, error) {
			return p.Map(ctx, []bool{false, true, false})
		},
		"Batch": func(ctx context.Context, p *dispatch.Pool[bool, seen]) ([]seen, error) {
			b := p.Batch(ctx)
			_ = b.Add(false, true, false)
			return b.Wait(context.Background())
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := openPool(t, look)
			deadline := time.Now().Add(time.Hour)
			ctx, cancel := context.WithDeadline(context.WithValue(t.Context(), ctxKey{}, "v"), deadline)
			defer cancel()
			all, err := run(ctx, p)
			require.NoError(t, err)
			for _, s := range all {
				require.Equal(t, seen{"v", deadline}, s)
			}
		})
	}
}

func TestTheDeadlineIsTheEarliestOfThree(t *testing.T) {
	inBubbles(t, map[string]struct{ caller, call, job, want time.Duration }{
		"the caller's":   {1, 2, 3, 1},
		"the call's":     {2, 1, 3, 1},
		"the job's":      {3, 2, 1, 1},
		"only a job's":   {0, 0, 3, 3},
		"only a call's":  {0, 2, 0, 2},
		"none whatever":  {0, 0, 0, 0},
		"call and job":   {0, 5, 4, 4},
		"caller and job": {5, 0, 4, 4},
	}, func(t *testing.T, r struct{ caller, call, job, want time.Duration }) {
		p := openPool(t, func(ctx context.Context, _ int) (time.Duration, error) {
			if deadline, ok := ctx.Deadline(); ok {
				return time.Until(deadline), nil
			}
			return 0, nil
		}, dispatch.WithJobTimeout(r.job*time.Hour))
		ctx := t.Context()
		if r.caller != 0 {
			var cancel func()
			ctx, cancel = context.WithTimeout(ctx, r.caller*time.Hour)
			defer cancel()
		}
		var got time.Duration
		var err error
		if r.call != 0 {
			got, err = p.ProcessTimed(ctx, 1, r.call*time.Hour)
		} else {
			got, err = p.Process(ctx, 1)
		}
		require.NoError(t, err)
		require.Equal(t, r.want*time.Hour, got)
	})
}

// fate is what a handler finds in its context once that is done.
type fate struct{ err, cause error }

// TestCauseSaysWhyTheContextIsDone ends jobs in every way there is. Each row is
// tried on a handler that waits for Done, on one that has asked for it and looks
// later, and on one that first asks when it is over.
func TestCauseSaysWhyTheContextIsDone(t *testing.T) {
	type ending func(t *testing.T, p *dispatch.Pool[string, int], how string) error
	type row struct {
		how  string
		end  ending
		opts []dispatch.Option
		want fate
	}
	rows := map[string]row{}
	add := func(name string, want fate, end ending, opts ...dispatch.Option) {
		for _, how := range []string{"waits", "asks early", "asks late"} {
			rows[name+", "+how] = row{how, end, opts, want}
		}
	}
	ended := fate{context.Canceled, context.Canceled}
	add("Cancel", ended, func(t *testing.T, p *dispatch.Pool[string, int], how string) error {
		f := dispatch.Must(p.Submit(t.Context(), how))
		time.Sleep(time.Second)
		f.Cancel()
		_, err := f.Wait(t.Context())
		return err
	})
	stopped := fate{context.Canceled, dispatch.ErrStopped}
	add("Stop", stopped, func(t *testing.T, p *dispatch.Pool[string, int], how string) error {
		f := dispatch.Must(p.Submit(t.Context(), how))
		time.Sleep(time.Second)
		p.Stop()
		_, err := f.Wait(t.Context())
		return err
	})
	caller := func(t *testing.T, p *dispatch.Pool[string, int], how string) error {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errCause) })
		_, err := p.Process(ctx, how)
		return err
	}
	add("the caller's cancel", fate{context.Canceled, errCause}, caller)
	add("the caller's cancel, with other limits", fate{context.Canceled, errCause}, caller, dispatch.WithJobTimeout(time.Hour))
	add("the caller's deadline", fate{context.DeadlineExceeded, errCause}, func(t *testing.T, p *dispatch.Pool[string, int], how string) error {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errCause)
		defer cancel()
		_, err := p.Process(ctx, how)
		return err
	})
	timeout := fate{context.DeadlineExceeded, &dispatch.TimeoutError{Limit: time.Second, Ran: true}}
	add("ProcessTimed", timeout, func(t *testing.T, p *dispatch.Pool[string, int], how string) error {
		_, err := p.ProcessTimed(t.Context(), how, time.Second)
		return err
	})
	add("WithJobTimeout", timeout, func(t *testing.T, p *dispatch.Pool[string, int], how string) error {
		_, err := p.Process(t.Context(), how)
		return err
	}, dispatch.WithJobTimeout(time.Second))

	inBubbles(t, rows, func(t *testing.T, r row) {
		fates := make(chan fate, 1)
		p := openPool(t, func(ctx context.Context, how string) (int, error) {
			switch how {
			case "waits":
				<-ctx.Done()
			case "asks early":
				done := ctx.Done()
				time.Sleep(2 * time.Second)
				<-done
			case "asks late":
				time.Sleep(2 * time.Second)
			}
			fates <- fate{ctx.Err(), context.Cause(ctx)}
			return 0, nil
		}, r.opts...)
		require.Equal(t, r.want.cause, r.end(t, p, r.how), "the outcome is the cause")
		require.Equal(t, r.want, <-fates)
	})
}

func TestAContextDerivedFromTheJobsNeedsNoGoroutine(t *testing.T) {
	holdCollector(t)
	p := openPool(t, func(ctx context.Context, _ int) (int, error) {
		before := runtime.NumGoroutine()
		for range 100 {
			_, cancel := context.WithCancel(ctx)
			defer cancel()
			_, cancel = context.WithTimeout(ctx, time.Hour)
			defer cancel()
		}
		return runtime.NumGoroutine() - before, nil
	}, dispatch.WithJobTimeout(time.Hour))
	for name, run := range map[string]func() (int, error){
		"Process":      func() (int, error) { return p.Process(t.Context(), 1) },
		"ProcessTimed": func() (int, error) { return p.ProcessTimed(t.Context(), 1, time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			more, err := run()
			require.NoError(t, err)
			require.Less(t, more, 50)
		})
	}
}

func TestTheTasksOfOneJobDoNotEndTheContextOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, heedfulNap, dispatch.WithWorkers(1))
		for range 10 {
			_, err := p.ProcessTimed(t.Context(), time.Hour, time.Second)
			require.ErrorIs(t, err, dispatch.ErrTimeout)
			d, err := p.Process(t.Context(), time.Hour)
			require.NoError(t, err)
			require.Equal(t, time.Hour, d)
		}
	})
}

func TestWithAJobTimeoutEachItemHasAContextOfItsOwn(t *testing.T) {
	for name, run := range map[string]func(p *dispatch.Pool[int, context.Context]) ([]context.Context, error){
		"Map": func(p *dispatch.Pool[int, context.Context]) ([]context.Context, error) {
			return p.Map(t.Context(), upTo(10))
		},
		"Batch": func(p *dispatch.Pool[int, context.Context]) ([]context.Context, error) {
			b := p.Batch(t.Context())
			_ = b.Add(upTo(10)...)
			return b.Wait(t.Context())
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := openPool(t, func(ctx context.Context, _ int) (context.Context, error) { return ctx, nil },
				dispatch.WithWorkers(1), dispatch.WithJobTimeout(time.Hour))
			all, err := run(p)
			require.NoError(t, err)
			distinct := map[context.Context]bool{}
			for _, ctx := range all {
				distinct[ctx] = true
			}
			require.Len(t, distinct, 10)
		})
	}
}

func TestAnErrorOfTheContextGivesWayToItsCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, func(ctx context.Context, _ int) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		})
		for range 20 {
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errCause)
			_, err := p.Process(ctx, 1)
			require.Equal(t, errCause, err)
			b := p.Batch(ctx)
			cancel()
			require.ErrorIs(t, b.Add(1), errCause)
		}
		require.NoError(t, p.Close())
		require.Equal(t, uint64(20), p.Stats().TimedOut)
	})
}
