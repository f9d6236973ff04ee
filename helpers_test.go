package dispatch_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// inBubbles runs each row as a subtest in a bubble of its own.
func inBubbles[R any](t *testing.T, rows map[string]R, f func(t *testing.T, row R)) {
	t.Helper()
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, row) })
		})
	}
}

// openPool returns a pool that is closed at the end of the test, and checked.
func openPool[In, Out any](t *testing.T, handler dispatch.Handler[In, Out], opts ...dispatch.Option) *dispatch.Pool[In, Out] {
	t.Helper()
	return closing(t, dispatch.Must(dispatch.New(handler, opts...)))
}

// openWorkers is openPool for a pool of Workers.
func openWorkers[In, Out any](t *testing.T, newWorker func(context.Context) (dispatch.Worker[In, Out], error), opts ...dispatch.Option) *dispatch.Pool[In, Out] {
	t.Helper()
	return closing(t, dispatch.Must(dispatch.NewWorkers(newWorker, opts...)))
}

func closing[In, Out any](t *testing.T, p *dispatch.Pool[In, Out]) *dispatch.Pool[In, Out] {
	t.Cleanup(func() {
		require.NoError(t, p.Close())
		require.Equal(t, dispatch.Ended, p.Stats().State)
		requireRest(t, p)
	})
	return p
}

// notes are what goroutines of a test write down, in order.
type notes[T any] struct {
	mu   sync.Mutex
	list []T
}

func (n *notes[T]) add(v T) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, v)
}

func (n *notes[T]) all() []T {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]T(nil), n.list...)
}

// held is a handler that notes its input and returns it when the test lets it,
// whatever its context says.
type held struct {
	notes[int]
	pass chan struct{}
}

func newHeld() *held { return &held{pass: make(chan struct{})} }

func (h *held) handle(_ context.Context, in int) (int, error) {
	h.add(in)
	<-h.pass
	return in, nil
}

// entered returns the inputs whose handlers have been entered, in order.
func (h *held) entered() []int {
	synctest.Wait()
	return h.all()
}

// let has n handlers return.
func (h *held) let(n int) {
	for range n {
		h.pass <- struct{}{}
	}
	synctest.Wait()
}

// letAll has all handlers return, those that have not been entered as well.
func (h *held) letAll() { close(h.pass) }

// call is a call on a goroutine of its own.
type call[T any] struct {
	out  T
	err  error
	done chan struct{}
}

func calling[T any](f func() (T, error)) *call[T] {
	c := &call[T]{done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.out, c.err = f()
	}()
	synctest.Wait()
	return c
}

func callingErr(f func() error) *call[struct{}] {
	return calling(func() (struct{}, error) { return struct{}{}, f() })
}

// returned tells whether the call has returned once all is at rest.
func (c *call[T]) returned() bool {
	synctest.Wait()
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// requireReturn asserts that the call returns at this moment, and gives its
// error.
func (c *call[T]) requireReturn(t *testing.T) error {
	t.Helper()
	require.True(t, c.returned(), "the call has not returned")
	return c.err
}

// requireReturnAfter asserts that the call returns d from now, to the
// nanosecond, and gives its error.
func (c *call[T]) requireReturnAfter(t *testing.T, d time.Duration) error {
	t.Helper()
	time.Sleep(d - 1)
	require.False(t, c.returned(), "the call has returned early")
	time.Sleep(1)
	return c.requireReturn(t)
}

// nap is a handler that takes as long as its input says, whatever its context
// says, and returns it.
func nap(_ context.Context, d time.Duration) (time.Duration, error) {
	time.Sleep(d)
	return d, nil
}

// heedfulNap is nap that ends with its context, and returns the cause.
func heedfulNap(ctx context.Context, d time.Duration) (time.Duration, error) {
	select {
	case <-time.After(d):
		return d, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// double is the handler where it does not matter what a job does.
func double(_ context.Context, in int) (int, error) { return 2 * in, nil }

// upTo returns the numbers from 0 to n-1.
func upTo(n int) []int {
	ins := make([]int, n)
	for i := range ins {
		ins[i] = i
	}
	return ins
}

// logbook is where a pool logs to in a test: a note a line.
type logbook struct{ notes[string] }

func (l *logbook) Write(line []byte) (int, error) {
	l.add(string(line))
	return len(line), nil
}

func (l *logbook) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// requireLine asserts that exactly one line has been logged, with all of parts
// in it.
func (l *logbook) requireLine(t *testing.T, parts ...string) {
	t.Helper()
	lines := l.all()
	require.Len(t, lines, 1, strings.Join(lines, ""))
	for _, part := range parts {
		require.Contains(t, lines[0], part)
	}
}

// tool is a Worker that notes what happens to it, with its number. Its
// functions may be nil.
type tool struct {
	id        int
	log       *notes[string]
	ready     func(ctx context.Context) error
	process   func(ctx context.Context, in int) (int, error)
	interrupt func()
	close     func() error
}

func (w *tool) note(what string) { w.log.add(fmt.Sprint(what, " ", w.id)) }

func (w *tool) Ready(ctx context.Context) error {
	w.note("ready")
	if w.ready == nil {
		return nil
	}
	return w.ready(ctx)
}

func (w *tool) Process(ctx context.Context, in int) (int, error) {
	w.note("process")
	defer w.note("processed")
	if w.process == nil {
		return in, nil
	}
	return w.process(ctx, in)
}

func (w *tool) Interrupt() {
	w.note("interrupt")
	if w.interrupt != nil {
		w.interrupt()
	}
}

func (w *tool) Close() error {
	w.note("close")
	if w.close == nil {
		return nil
	}
	return w.close()
}

// toolbox makes tools like the one given, numbered from 0, that note to log.
func toolbox(log *notes[string], like tool) func(context.Context) (dispatch.Worker[int, int], error) {
	var mu sync.Mutex
	made := 0
	return func(context.Context) (dispatch.Worker[int, int], error) {
		mu.Lock()
		defer mu.Unlock()
		w := like
		w.id, w.log = made, log
		made++
		w.note("new")
		return &w, nil
	}
}
