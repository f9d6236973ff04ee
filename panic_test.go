package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// The values of panics are user code too: a pool calls their methods when it reports a
// panic.

type stringPanics struct{}

func (v stringPanics) String() string { panic(v) }

type panickingError struct{ _ int }

func (v *panickingError) Error() string { panic(v) }

type stringExits struct{}

func (stringExits) String() string { runtime.Goexit(); return "" }

type formatPanics struct{}

func (v formatPanics) Format(fmt.State, rune) { panic(v) }

var panicValues = map[string]any{
	"whose String panics":     stringPanics{},
	"whose Error panics":      new(panickingError),
	"whose String exits":      stringExits{},
	"whose Format panics":     formatPanics{},
	"that is a nil pointer":   (*panickingError)(nil),
	"that cannot be compared": []int{1},
}

// oddHooks are the places where user code may panic although nobody waits for it, or where
// its panic is an outcome. Each returns the error of a job, if it has one.
var oddHooks = map[string]func(t *testing.T, odd func(), opts ...dispatch.Option) (*dispatch.Pool[int, int], error){
	"a handler": func(_ *testing.T, odd func(), opts ...dispatch.Option) (*dispatch.Pool[int, int], error) {
		p := dispatch.Must(dispatch.New(func(_ context.Context, in int) (int, error) {
			if in > 0 {
				odd()
			}
			return in, nil
		}, opts...))
		_, err := p.Process(context.Background(), 1)
		return p, err
	},
	"a handler of a batch": func(_ *testing.T, odd func(), opts ...dispatch.Option) (*dispatch.Pool[int, int], error) {
		p := dispatch.Must(dispatch.New(func(_ context.Context, in int) (int, error) {
			if in > 0 {
				odd()
			}
			return in, nil
		}, opts...))
		b := p.Batch(context.Background())
		_ = b.Add(0, 1, 0)
		_, err := b.Wait(context.Background())
		return p, err
	},
	"a handler of a Map": func(_ *testing.T, odd func(), opts ...dispatch.Option) (*dispatch.Pool[int, int], error) {
		p := dispatch.Must(dispatch.New(func(_ context.Context, in int) (int, error) {
			if in > 0 {
				odd()
			}
			return in, nil
		}, opts...))
		_, err := p.Map(context.Background(), []int{0, 1, 0})
		return p, err
	},
	"Ready": func(_ *testing.T, odd func(), opts ...dispatch.Option) (*dispatch.Pool[int, int], error) {
		first := true
		p := workers(&workerOf{
			ready: func(context.Context) error {
				if first {
					first = false
					odd()
				}
				return nil
			},
			process: func(_ context.Context, in int) (int, error) { return in, nil },
		}, opts...)
		_, err := p.Process(context.Background(), 1)
		return p, err
	},
	"newWorker": func(_ *testing.T, odd func(), opts ...dispatch.Option) (*dispatch.Pool[int, int], error) {
		first := true
		p := dispatch.Must(dispatch.NewWorkers(func(context.Context) (dispatch.Worker[int, int], error) {
			if first {
				first = false
				odd()
			}
			return &workerOf{process: func(_ context.Context, in int) (int, error) { return in, nil }}, nil
		}, opts...))
		_, err := p.Process(context.Background(), 1)
		return p, err
	},
	"the panic handler": func(_ *testing.T, odd func(), opts ...dispatch.Option) (*dispatch.Pool[int, int], error) {
		p := dispatch.Must(dispatch.New(func(_ context.Context, in int) (int, error) {
			if in > 0 {
				panic(errUser)
			}
			return in, nil
		}, append(opts, dispatch.WithPanicHandler(func(*dispatch.PanicError) { odd() }))...))
		_, err := p.Process(context.Background(), 1)
		return p, err
	},
	"the logger": func(_ *testing.T, odd func(), opts ...dispatch.Option) (*dispatch.Pool[int, int], error) {
		p := dispatch.Must(dispatch.New(func(_ context.Context, in int) (int, error) {
			if in > 0 {
				panic(errUser)
			}
			return in, nil
		}, append(opts, dispatch.WithLogger(slog.New(oddLog{odd})))...))
		_, err := p.Process(context.Background(), 1)
		return p, err
	},
	"Interrupt": func(t *testing.T, odd func(), opts ...dispatch.Option) (*dispatch.Pool[int, int], error) {
		t.Helper()
		entered := make(chan struct{}, 1)
		p := workers(&workerOf{
			process: func(ctx context.Context, in int) (int, error) {
				if in > 0 {
					entered <- struct{}{}
					<-ctx.Done()
				}
				return in, nil
			},
			interrupt: odd,
		}, opts...)
		f := dispatch.Must(p.Submit(context.Background(), 1))
		<-entered
		f.Cancel()
		_, err := f.Wait(context.Background())
		return p, err
	},
	"Close": func(t *testing.T, odd func(), opts ...dispatch.Option) (*dispatch.Pool[int, int], error) {
		t.Helper()
		p := workers(&workerOf{
			process: func(_ context.Context, in int) (int, error) { return in, nil },
			close:   func() error { odd(); return nil },
		}, opts...)
		_, err := p.Process(context.Background(), 0)
		within(t, "Close", func() { require.NoError(t, p.Close()) })
		return p, errors.Join(err, errUser)
	},
	"OnProgress": func(_ *testing.T, odd func(), opts ...dispatch.Option) (*dispatch.Pool[int, int], error) {
		p := dispatch.Must(dispatch.New(func(_ context.Context, in int) (int, error) { return in, nil }, opts...))
		b := p.Batch(context.Background(), dispatch.OnProgress(func(dispatch.Progress) { odd() }))
		_ = b.Add(1)
		_, err := b.Wait(context.Background())
		return p, errors.Join(err, errUser)
	},
}

// oddLog is a handler of log lines.
type oddLog struct{ odd func() }

func (l oddLog) Enabled(context.Context, slog.Level) bool { return true }

func (l oddLog) Handle(context.Context, slog.Record) error { l.odd(); return nil }

func (l oddLog) WithAttrs([]slog.Attr) slog.Handler { return l }

func (l oddLog) WithGroup(string) slog.Handler { return l }

// Regression: the text of the value was made outside the code that contains panics.
func TestAPanicMayHaveAnyValue(t *testing.T) {
	for hook, run := range oddHooks {
		for name, value := range panicValues {
			t.Run(fmt.Sprint("in ", hook, ", of a value ", name), func(t *testing.T) {
				logger := dispatch.WithLogger(slog.New(slog.NewTextHandler(io.Discard, nil))) //nolint:sloglint // it is to print the value
				within(t, "the job", func() {
					p, err := run(t, func() { panic(value) }, logger, dispatch.WithWorkers(1))
					require.Error(t, err)
					requireSound(t, p)
				})
			})
		}
	}
}

func TestAPanicIsToldOfWhateverItsValue(t *testing.T) {
	for name, value := range panicValues {
		t.Run(name, func(t *testing.T) {
			var lines lineCount
			p := dispatch.Must(dispatch.New(func(_ context.Context, in int) (int, error) {
				if in > 0 {
					panic(value)
				}
				return in, nil
			}, dispatch.WithLogger(slog.New(slog.NewTextHandler(&lines, nil)))))
			_, err := p.Process(context.Background(), 1)
			perr, ok := errors.AsType[*dispatch.PanicError](err)
			require.True(t, ok)
			require.NotEmpty(t, perr.Stack)
			requireSound(t, p)
			require.Equal(t, lineCount(1), lines)
		})
	}
}

// lineCount counts what is written.
type lineCount int

func (n *lineCount) Write(line []byte) (int, error) { *n++; return len(line), nil }

// Regression: a panic with the value nil counted as a success.
func TestAPanicOfNilIsAPanic(t *testing.T) {
	t.Setenv("GODEBUG", "panicnil=1")
	for hook, run := range oddHooks {
		t.Run(hook, func(t *testing.T) {
			within(t, "the job", func() {
				p, err := run(t, func() { panic(nil) }, quiet(), dispatch.WithWorkers(1))
				switch hook {
				case "a handler", "a handler of a batch", "a handler of a Map", "Ready", "newWorker":
					perr, ok := errors.AsType[*dispatch.PanicError](err)
					require.True(t, ok, "%v", err)
					require.NotEmpty(t, perr.Stack)
					require.Equal(t, uint64(1), p.Stats().Panicked)
				default:
					require.Error(t, err)
				}
				requireSound(t, p)
			})
		})
	}
}

// A hook that ends its goroutine ends nothing else.
func TestAHookMayExit(t *testing.T) {
	for hook, run := range oddHooks {
		t.Run(hook, func(t *testing.T) {
			within(t, "the job", func() {
				p, err := run(t, runtime.Goexit, quiet(), dispatch.WithWorkers(1))
				require.Error(t, err)
				requireSound(t, p)
			})
		})
	}
}

func TestAPanicErrorUnwrapsToAnErrorAndToNothingElse(t *testing.T) {
	require.Equal(t, errTool, errors.Unwrap(&dispatch.PanicError{Value: errTool}))
	require.NoError(t, errors.Unwrap(&dispatch.PanicError{Value: "text"}))
	require.Contains(t, (&dispatch.PanicError{Value: 42}).Error(), "42")
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
