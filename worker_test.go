package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

var errTool = errors.New("no tool")

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
				require.Contains(t, string(perr.Stack), "worker_test.go")
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

// life is what the notes of one tool say between its beginning and its end.
func life(all []string, id int) (life []string) {
	suffix := fmt.Sprint(" ", id)
	for _, note := range all {
		if what, ok := strings.CutSuffix(note, suffix); ok {
			life = append(life, what)
		}
	}
	return life
}

func TestAWorkerIsMadeAskedUsedAndClosedOnceAndInOrder(t *testing.T) {
	once := []string{"new", "ready", "process", "processed", "close"}
	twice := []string{"new", "ready", "process", "processed", "ready", "process", "processed", "close"}
	type row struct {
		process func(ctx context.Context, in int) (int, error)
		use     func(t *testing.T, p *dispatch.Pool[int, int])
		want    [][]string // the life of each tool
	}
	two := func(t *testing.T, p *dispatch.Pool[int, int]) {
		for i := range 2 {
			_, _ = p.Process(t.Context(), i)
		}
	}
	inBubbles(t, map[string]row{
		"shutdown": {use: two, want: [][]string{twice}},
		"stop":     {use: func(t *testing.T, p *dispatch.Pool[int, int]) { two(t, p); p.Stop() }, want: [][]string{twice}},
		"an error": {
			process: func(context.Context, int) (int, error) { return 0, errTool },
			use:     two, want: [][]string{twice},
		},
		"panics, and goes on": {
			process: func(context.Context, int) (int, error) { panic("boo") },
			use:     two, want: [][]string{twice},
		},
		"Goexit, and is replaced": {
			process: func(context.Context, int) (int, error) { runtime.Goexit(); return 0, nil },
			use:     two, want: [][]string{once, once},
		},
		"idle expiry": {
			use: func(t *testing.T, p *dispatch.Pool[int, int]) {
				_, _ = p.Process(t.Context(), 1)
				time.Sleep(10 * time.Second)
				synctest.Wait()
				_, _ = p.Process(t.Context(), 1)
			}, want: [][]string{once, once},
		},
		"a batch": {
			use: func(t *testing.T, p *dispatch.Pool[int, int]) {
				b := p.Batch(t.Context())
				_ = b.Add(1, 2)
				_, _ = b.Wait(t.Context())
			}, want: [][]string{twice},
		},
		"a Map": {
			use: func(t *testing.T, p *dispatch.Pool[int, int]) { _, _ = p.Map(t.Context(), []int{1, 2}) }, want: [][]string{twice},
		},
		"an interrupt": {
			process: slowToHeed,
			use: func(t *testing.T, p *dispatch.Pool[int, int]) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				f := dispatch.Must(p.Submit(ctx, 1))
				_, _ = f.Wait(context.Background())
				f.Cancel()
				p.Stop()
			}, want: [][]string{{"new", "ready", "process", "interrupt", "processed", "close"}},
		},
	}, func(t *testing.T, r row) {
		var log notes[string]
		var lines logbook
		p := openWorkers(t, toolbox(&log, tool{process: r.process}), dispatch.WithWorkers(1), dispatch.WithLogger(lines.logger()))
		r.use(t, p)
		require.NoError(t, p.Close())
		all := log.all()
		var want []string
		for id, notes := range r.want {
			require.Equal(t, notes, life(all, id))
			want = append(want, notes...)
		}
		require.Len(t, all, len(want), "no further tool: %v", all)
	})
}

func TestShrinkingByResizeClosesTheWorkersTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log notes[string]
		h := newHeld()
		p := openWorkers(t, toolbox(&log, tool{process: h.handle}), dispatch.WithWorkers(4))
		closed := func() (n int) {
			synctest.Wait()
			for _, note := range log.all() {
				if strings.HasPrefix(note, "close ") {
					n++
				}
			}
			return n
		}
		for i := range 4 {
			dispatch.Must(p.Submit(t.Context(), i))
		}
		require.Len(t, h.entered(), 4)
		require.NoError(t, p.Resize(2))
		require.Zero(t, closed(), "Resize disturbs no job")
		h.let(1)
		require.Equal(t, 1, closed())
		h.let(1)
		require.Equal(t, 2, closed())
		h.letAll()
		require.Equal(t, 2, closed())
		require.NoError(t, p.Resize(1))
		require.Equal(t, 3, closed(), "an idle one goes at once")
		require.NoError(t, p.Close())
		require.Equal(t, 4, closed())
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
		p := openWorkers(t, toolbox(&log, tool{ready: r.ready}), dispatch.WithWorkers(1), dispatch.WithLogger(lines.logger()))
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
		p := openWorkers(t, toolbox(new(notes[string]), tool{ready: func(ctx context.Context) error {
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

// slowToHeed returns a second after its context is done.
func slowToHeed(ctx context.Context, in int) (int, error) {
	<-ctx.Done()
	time.Sleep(time.Second)
	return in, nil
}

func TestAnInterruptIsOverBeforeTheWorkersNextCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log notes[string]
		p := openWorkers(t, toolbox(&log, tool{
			process:   slowToHeed,
			interrupt: func() { time.Sleep(time.Hour); log.add("interrupted") },
		}), dispatch.WithWorkers(1))
		_, err := p.ProcessTimed(t.Context(), 1, time.Second)
		require.ErrorIs(t, err, dispatch.ErrTimeout)
		c := calling(func() (int, error) { return p.ProcessTimed(t.Context(), 2, 2*time.Hour) })
		require.ErrorIs(t, c.requireReturnAfter(t, 2*time.Hour), dispatch.ErrTimeout)
		require.NoError(t, p.Close())
		job := []string{"ready 0", "process 0", "interrupt 0", "processed 0", "interrupted"}
		require.Equal(t, slices.Concat([]string{"new 0"}, job, job, []string{"close 0"}), log.all())
	})
}

func TestAHookThatFailsIsLoggedAndDisturbsNothing(t *testing.T) {
	inBubbles(t, map[string]struct {
		like tool
		line string
	}{
		"an error of Close":     {tool{close: func() error { return errTool }}, "closing a worker failed"},
		"a panic of Close":      {tool{close: func() error { panic("no tool") }}, "Close of a worker panicked"},
		"a panic of Interrupt":  {tool{process: slowToHeed, interrupt: func() { panic("no tool") }}, "Interrupt of a worker panicked"},
		"a Goexit of Interrupt": {tool{process: slowToHeed, interrupt: runtime.Goexit}, ""},
		"a Goexit of Close":     {tool{close: func() error { runtime.Goexit(); return nil }}, ""},
	}, func(t *testing.T, r struct {
		like tool
		line string
	}) {
		var log logbook
		p := openWorkers(t, toolbox(new(notes[string]), r.like), dispatch.WithWorkers(1), dispatch.WithLogger(log.logger()), dispatch.WithName("n"))
		_, err := p.ProcessTimed(t.Context(), 1, time.Second)
		if r.like.process != nil {
			require.ErrorIs(t, err, dispatch.ErrTimeout)
			synctest.Wait()
		} else {
			require.NoError(t, err)
		}
		require.NoError(t, p.Close())
		if r.line == "" {
			require.Empty(t, log.all())
			return
		}
		log.requireLine(t, r.line, "no tool", "pool=n")
	})
}

func TestAPanicHandlerOrLoggerThatFailsChangesNoOutcome(t *testing.T) {
	inBubbles(t, map[string]func(log *logbook) dispatch.Option{
		"a panic of the panic handler": func(*logbook) dispatch.Option {
			return dispatch.WithPanicHandler(func(*dispatch.PanicError) { panic("worse") })
		},
		"a Goexit of the panic handler": func(*logbook) dispatch.Option {
			return dispatch.WithPanicHandler(func(*dispatch.PanicError) { runtime.Goexit() })
		},
	}, func(t *testing.T, opt func(log *logbook) dispatch.Option) {
		var log logbook
		p := openPool(t, func(context.Context, int) (int, error) { panic(errTool) },
			dispatch.WithWorkers(1), dispatch.WithLogger(log.logger()), opt(&log))
		for range 2 {
			_, err := p.Process(t.Context(), 1)
			require.ErrorIs(t, err, errTool)
		}
		require.Equal(t, uint64(2), p.Stats().Panicked)
	})
}

func TestAPanicErrorUnwrapsToAnErrorAndToNothingElse(t *testing.T) {
	require.Equal(t, errTool, errors.Unwrap(&dispatch.PanicError{Value: errTool}))
	require.NoError(t, errors.Unwrap(&dispatch.PanicError{Value: "text"}))
	require.Contains(t, (&dispatch.PanicError{Value: 42}).Error(), "42")
}

func TestAWorkerNeedsNoHooks(t *testing.T) {
	p := openWorkers(t, func(context.Context) (dispatch.Worker[int, int], error) {
		return dispatch.Handler[int, int](double), nil
	})
	out, err := p.Process(t.Context(), 4)
	require.NoError(t, err)
	require.Equal(t, 8, out)
}
