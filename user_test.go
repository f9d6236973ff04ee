package dispatch_test

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// The tests of package dispatch_test see a pool as its users do: through what it
// exports, and through the code that they bring along.

// patience bounds every wait in real time: only a broken promise takes as long.
const patience = 10 * time.Second

// errUser is what code of the user's panics with.
var errUser = errors.New("code of the user's")

// within fails the test if f takes too long. f may end its goroutine.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	requireSoon(t, done, what)
}

// requireSoon fails the test if done is not closed soon.
func requireSoon(t *testing.T, done <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		require.FailNow(t, what+" has not returned")
	}
}

// eventually waits until ok, in real time.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for begin := time.Now(); !ok(); runtime.Gosched() {
		if time.Since(begin) > patience {
			require.FailNow(t, "never: "+what)
		}
	}
}

// bubbles runs each row as a subtest in a bubble of its own.
func bubbles[R any](t *testing.T, rows map[string]R, f func(t *testing.T, row R)) {
	t.Helper()
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, row) })
		})
	}
}

// isClosed tells whether the channel is closed, or has something to give.
func isClosed[T any](ch <-chan T) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// holdCollector lets no garbage collection begin before the test has ended. The
// runtime's count of goroutines takes in dead ones for as long as a collection
// frees their stacks.
func holdCollector(t *testing.T) {
	t.Helper()
	percent := debug.SetGCPercent(-1)
	t.Cleanup(func() { debug.SetGCPercent(percent) })
	runtime.GC() // ends one that has begun
}

// oneProcessor has goroutines take turns: one that has been started does not
// run before the one that has started it waits.
func oneProcessor(t *testing.T) {
	t.Helper()
	n := runtime.GOMAXPROCS(1)
	t.Cleanup(func() { runtime.GOMAXPROCS(n) })
}

// quiet is a logger for tests that provoke what would be logged.
func quiet() dispatch.Option { return dispatch.WithLogger(slog.New(slog.DiscardHandler)) }

// gated is a handler that holds inputs above 0 until the gate opens, and returns
// its input.
type gated struct {
	entered chan int // the inputs that are held
	gate    chan struct{}
	once    sync.Once
}

func newGated() *gated { return &gated{entered: make(chan int, 1<<10), gate: make(chan struct{})} }

func (g *gated) handle(_ context.Context, in int) (int, error) {
	if in > 0 {
		g.entered <- in
		<-g.gate
	}
	return in, nil
}

func (g *gated) open() { g.once.Do(func() { close(g.gate) }) }

// untilDone is a handler that holds inputs above 0 until their context is done.
func untilDone(ctx context.Context, in int) (int, error) {
	if in > 0 {
		<-ctx.Done()
		return 0, context.Cause(ctx)
	}
	return in, nil
}

// requireSound asserts that the pool works, that each of its jobs has had one
// outcome, and that it ends and leaves nothing behind. A job of 0 returns 0.
func requireSound(t *testing.T, p *dispatch.Pool[int, int]) {
	t.Helper()
	bg := context.Background()
	if p.Stats().State == dispatch.Running {
		within(t, "Wait of a sound pool", func() { require.NoError(t, p.Wait(bg)) })
		within(t, "Process of a sound pool", func() {
			out, err := p.Process(bg, 0)
			require.NoError(t, err)
			require.Zero(t, out)
		})
	}
	within(t, "Close of a sound pool", func() { require.NoError(t, p.Close()) })
	requireSum(t, p.Stats())
	s := p.Stats()
	require.Equal(t, dispatch.Ended, s.State)
	require.Zero(t, [5]int{s.Running, s.Queued, s.Workers, s.Idle, s.Strays}, "running, queued, workers, idle, strays")
}

// requireSum asserts that what was accepted has one outcome, or waits, or runs.
func requireSum(t *testing.T, s dispatch.Stats) {
	t.Helper()
	sum := s.Succeeded + s.Failed + s.Panicked + s.Canceled + s.TimedOut + s.Dropped + uint64(s.Queued) + uint64(s.Running)
	require.Equal(t, s.Submitted, sum, "%+v", s)
}

// streamed runs a stream to its end and returns the errors that it gave.
func streamed(p *dispatch.Pool[int, int], ctx context.Context, ins iter.Seq[int]) (errs []error) {
	for r := range p.Stream(ctx, ins) {
		errs = append(errs, r.Err)
	}
	return errs
}

// workerOf is a Worker of functions; all but process may be nil.
type workerOf struct {
	process   func(ctx context.Context, in int) (int, error)
	ready     func(ctx context.Context) error
	interrupt func()
	close     func() error
}

func (w *workerOf) Process(ctx context.Context, in int) (int, error) { return w.process(ctx, in) }

func (w *workerOf) Ready(ctx context.Context) error {
	if w.ready == nil {
		return nil
	}
	return w.ready(ctx)
}

func (w *workerOf) Interrupt() {
	if w.interrupt != nil {
		w.interrupt()
	}
}

func (w *workerOf) Close() error {
	if w.close == nil {
		return nil
	}
	return w.close()
}

// workers returns a pool whose workers are all like w.
func workers(w *workerOf, opts ...dispatch.Option) *dispatch.Pool[int, int] {
	return dispatch.Must(dispatch.NewWorkers(func(context.Context) (dispatch.Worker[int, int], error) { return w, nil }, opts...))
}

// submitted submits inputs from 1 to n and returns their futures.
func submitted(t *testing.T, p *dispatch.Pool[int, int], n int) []*dispatch.Future[int] {
	t.Helper()
	fs := make([]*dispatch.Future[int], n)
	for i := range fs {
		f, err := p.Submit(t.Context(), i+1)
		require.NoError(t, err)
		fs[i] = f
	}
	return fs
}

// inputs returns the numbers from 1 to n.
func inputs(n int) []int {
	ins := make([]int, n)
	for i := range ins {
		ins[i] = i + 1
	}
	return ins
}

// payload is what a context carries and a future must not keep.
type payload [1 << 12]byte

type payloadKey struct{}

// requireCollected asserts that nothing but the test keeps what is pointed to.
func requireCollected[T any](t *testing.T, kept weak.Pointer[T], what string) {
	t.Helper()
	begin := time.Now()
	for kept.Value() != nil && time.Since(begin) < time.Second {
		runtime.GC()
	}
	require.True(t, kept.Value() == nil, what+" is kept")
}
