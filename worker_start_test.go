package dispatch_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// These tests are about newWorker and Ready.

func TestAConstructorThatFailsAnswersTheJobThatNeededItAndTheNextTriesAgain(t *testing.T) {
	inBubbles(t, map[string]struct {
		fail func() (dispatch.Worker[int, int], error)
		want func(t *testing.T, err error)
	}{
		"error": {
			func() (dispatch.Worker[int, int], error) { return nil, errTool },
			func(t *testing.T, err error) { require.Equal(t, errTool, err) },
		},
		"error with a worker": {
			func() (dispatch.Worker[int, int], error) { return dispatch.Handler[int, int](double), errTool },
			func(t *testing.T, err error) { require.Equal(t, errTool, err) },
		},
		"panic": {
			func() (dispatch.Worker[int, int], error) { panic(errTool) },
			func(t *testing.T, err error) {
				var perr *dispatch.PanicError
				require.ErrorAs(t, err, &perr)
				require.ErrorIs(t, err, errTool)
				require.Contains(t, string(perr.Stack), "worker_start_test.go")
			},
		},
		"Goexit": {
			func() (dispatch.Worker[int, int], error) { runtime.Goexit(); return nil, nil },
			func(t *testing.T, err error) { require.ErrorIs(t, err, dispatch.ErrGoexit) },
		},
		"nil": {
			func() (dispatch.Worker[int, int], error) { return nil, nil },
			func(t *testing.T, err error) { require.ErrorContains(t, err, "nil Worker") },
		},
	}, func(t *testing.T, r struct {
		fail func() (dispatch.Worker[int, int], error)
		want func(t *testing.T, err error)
	}) {
		var log logbook
		tries := 0
		p := openWorkers(t, func(context.Context) (dispatch.Worker[int, int], error) {
			if tries++; tries < 3 {
				return r.fail()
			}
			return dispatch.Handler[int, int](double), nil
		}, dispatch.WithWorkers(1), dispatch.WithLogger(log.logger()))
		for range 2 {
			_, err := p.Process(t.Context(), 1)
			r.want(t, err)
		}
		for range 3 {
			out, err := p.Process(t.Context(), 21)
			require.NoError(t, err)
			require.Equal(t, 42, out)
		}
		require.Equal(t, 3, tries, "a worker that has its Worker makes no other")
	})
}

func TestAConstructorFailsTheItemThatNeededItAndNoOther(t *testing.T) {
	for name, run := range map[string]func(p *dispatch.Pool[int, int]) error{
		"Batch": func(p *dispatch.Pool[int, int]) error {
			b := p.Batch(context.Background())
			_ = b.Add(upTo(3)...)
			_, err := b.Wait(context.Background())
			return err
		},
		"Map": func(p *dispatch.Pool[int, int]) error { _, err := p.Map(context.Background(), upTo(3)); return err },
	} {
		t.Run(name, func(t *testing.T) {
			tries := 0
			p := openWorkers(t, func(context.Context) (dispatch.Worker[int, int], error) {
				if tries++; tries == 1 {
					return nil, errTool
				}
				return dispatch.Handler[int, int](double), nil
			}, dispatch.WithWorkers(1))
			var ierr *dispatch.ItemError
			err := run(p)
			require.ErrorAs(t, err, &ierr)
			require.Equal(t, &dispatch.ItemError{Index: 0, Err: errTool}, ierr)
			require.Equal(t, uint64(1), p.Stats().Failed)
		})
	}
}

func TestTheConstructorsContextIsThePools(t *testing.T) {
	inBubbles(t, map[string]struct {
		end   func(p *dispatch.Pool[int, int])
		cause error
	}{
		"Close": {func(p *dispatch.Pool[int, int]) { _ = p.Close() }, dispatch.ErrClosed},
		"Stop":  {func(p *dispatch.Pool[int, int]) { p.Stop(); _ = p.Close() }, dispatch.ErrStopped},
	}, func(t *testing.T, r struct {
		end   func(p *dispatch.Pool[int, int])
		cause error
	}) {
		var made context.Context
		p := openWorkers(t, func(ctx context.Context) (dispatch.Worker[int, int], error) {
			made = ctx
			return dispatch.Handler[int, int](double), nil
		})
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), ctxKey{}, "job"))
		_, err := p.Process(ctx, 1)
		require.NoError(t, err)
		cancel()
		require.NoError(t, made.Err(), "it is not that of the job")
		require.Nil(t, made.Value(ctxKey{}))
		r.end(p)
		<-made.Done()
		require.Equal(t, r.cause, context.Cause(made))
	})
}

func TestAConstructorThatBlocksIsToldByStopAndHangsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openWorkers(t, func(ctx context.Context) (dispatch.Worker[int, int], error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}, dispatch.WithWorkers(1))
		c := calling(func() (int, error) { return p.ProcessTimed(t.Context(), 1, time.Second) })
		require.ErrorIs(t, c.requireReturnAfter(t, time.Second), dispatch.ErrTimeout)
		f := dispatch.Must(p.Submit(t.Context(), 2))
		require.Equal(t, []int{2}, p.Stop())
		_, err := f.Wait(t.Context())
		require.Equal(t, dispatch.ErrStopped, err)
	})
}

func TestAnErrorOfReadyIsTheOutcomeAndTheJobIsNotProcessed(t *testing.T) {
	inBubbles(t, map[string]struct {
		ready func(context.Context) error
		want  error
	}{
		"error":  {func(context.Context) error { return errTool }, errTool},
		"panic":  {func(context.Context) error { panic(errTool) }, errTool},
		"Goexit": {func(context.Context) error { runtime.Goexit(); return nil }, dispatch.ErrGoexit},
		"a cancel while it waits": {func(ctx context.Context) error {
			time.AfterFunc(time.Second, ctx.Value(ctxKey{}).(context.CancelFunc))
			time.Sleep(time.Hour)
			return nil
		}, context.Canceled},
	}, func(t *testing.T, r struct {
		ready func(context.Context) error
		want  error
	}) {
		var log notes[string]
		var lines logbook
		p := openWorkers(t, toolbox(&log, workerOf{ready: r.ready}), dispatch.WithWorkers(1), dispatch.WithLogger(lines.logger()))
		for range 2 {
			ctx, cancel := context.WithCancel(t.Context())
			_, err := p.Process(context.WithValue(ctx, ctxKey{}, cancel), 1)
			cancel()
			require.ErrorIs(t, err, r.want)
		}
		require.NoError(t, p.Close())
		for _, note := range log.all() {
			require.NotContains(t, note, "process")
			require.NotContains(t, note, "interrupt")
		}
	})
}

func TestReadyGetsTheContextOfTheJobAndMayWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var values notes[any]
		p := openWorkers(t, toolbox(new(notes[string]), workerOf{ready: func(ctx context.Context) error {
			values.add(ctx.Value(ctxKey{}))
			time.Sleep(time.Minute)
			return nil
		}}), dispatch.WithWorkers(1))
		for _, v := range []any{"a", "b"} {
			c := calling(func() (int, error) { return p.Process(context.WithValue(t.Context(), ctxKey{}, v), 1) })
			require.NoError(t, c.requireReturnAfter(t, time.Minute))
		}
		require.Equal(t, []any{"a", "b"}, values.all())
	})
}

// plain is a newWorker that takes five seconds. Its Workers have no methods besides
// Process.
func plain(entered *notes[int]) func(context.Context) (dispatch.Worker[int, int], error) {
	return func(context.Context) (dispatch.Worker[int, int], error) {
		time.Sleep(5 * time.Second)
		return dispatch.Handler[int, int](func(_ context.Context, in int) (int, error) {
			entered.add(in)
			return in, nil
		}), nil
	}
}

// Regression: a job that was canceled while its Worker was being made was processed all the
// same.
func TestAJobThatIsCanceledDuringTheConstructorNeverRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var entered notes[int]
		p := openWorkers(t, plain(&entered))
		f := dispatch.Must(p.Submit(t.Context(), 1))
		time.Sleep(time.Second)
		require.True(t, f.Cancel())
		require.NoError(t, p.Close())
		require.Empty(t, entered.all())
	})
}

// Regression: a job that timed out before Process was entered was reported as having run.
func TestATimeoutBeforeProcessIsEnteredSaysThatTheJobDidNotRun(t *testing.T) {
	untilDone := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	slow := func(log *notes[string]) func(context.Context) (dispatch.Worker[int, int], error) {
		quick := toolbox(log, workerOf{})
		return func(ctx context.Context) (dispatch.Worker[int, int], error) {
			time.Sleep(5 * time.Second)
			return quick(ctx)
		}
	}
	for name, newWorker := range map[string]func(log *notes[string]) func(context.Context) (dispatch.Worker[int, int], error){
		"in the constructor": slow,
		"in the constructor, no hooks": func(*notes[string]) func(context.Context) (dispatch.Worker[int, int], error) {
			return plain(new(notes[int]))
		},
		"in Ready": func(log *notes[string]) func(context.Context) (dispatch.Worker[int, int], error) {
			return toolbox(log, workerOf{ready: untilDone})
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range 50 { // in Ready the worker and the caller race
				synctest.Test(t, func(t *testing.T) {
					var log notes[string]
					p := openWorkers(t, newWorker(&log))
					_, err := p.ProcessTimed(t.Context(), 1, time.Second)
					require.Equal(t, &dispatch.TimeoutError{Limit: time.Second}, err)
					require.NoError(t, p.Close())
					require.NotContains(t, log.all(), "process 0")
				})
			}
		})
	}
}

// Regression: a context that ended during Ready was noticed only when its callback came.
func TestAJobWhoseContextEndsInReadyIsNotProcessed(t *testing.T) {
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			var log notes[string]
			ctx, cancel := context.WithCancel(t.Context())
			p := openWorkers(t, toolbox(&log, workerOf{ready: func(context.Context) error { cancel(); return nil }}))
			_, err := p.Process(ctx, 1)
			require.Equal(t, context.Canceled, err)
			require.NoError(t, p.Close())
			require.NotContains(t, log.all(), "process 0")
		})
	}
}
