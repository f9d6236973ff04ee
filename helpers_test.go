package dispatch_test

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// Helpers of the tests of package dispatch_test. Tests see a pool as its users do: through
// what it exports, and through the user code that they bring.

// patience bounds every wait in real time: only a broken promise makes a test wait as long.
const patience = 30 * time.Second

var (
	errUser  = errors.New("code of the user's")
	errOdd   = errors.New("odd")     // of handlers
	errTool  = errors.New("no tool") // of workers
	errCause = errors.New("the cause")
)

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
	for begin := time.Now(); !ok(); time.Sleep(100 * time.Microsecond) {
		if time.Since(begin) > patience {
			require.FailNow(t, "never: "+what)
		}
	}
}

// inBubbles runs each row as a subtest in a bubble of its own.
func inBubbles[R any](t *testing.T, rows map[string]R, f func(t *testing.T, row R)) {
	t.Helper()
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, row) })
		})
	}
}

// isClosed reports whether a receive from the channel would not block.
func isClosed[T any](ch <-chan T) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// holdCollector keeps garbage collections from starting until the test has ended. The
// runtime's count of goroutines includes dead ones for as long as a collection is freeing
// their stacks.
func holdCollector(t *testing.T) {
	t.Helper()
	percent := debug.SetGCPercent(-1)
	t.Cleanup(func() { debug.SetGCPercent(percent) })
	runtime.GC() // ends one that has begun
}

// oneProcessor makes goroutines take turns: a goroutine that has been started does not run
// before the goroutine that has started it waits.
func oneProcessor(t *testing.T) {
	t.Helper()
	n := runtime.GOMAXPROCS(1)
	t.Cleanup(func() { runtime.GOMAXPROCS(n) })
}

// quiet is a logger for tests that provoke what would be logged.
func quiet() dispatch.Option { return dispatch.WithLogger(slog.New(slog.DiscardHandler)) }

// call is a function call on a goroutine of its own.
type call[T any] struct {
	out  T
	err  error
	done chan struct{}
}

// returned reports whether the call has returned once every goroutine is blocked.
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

// notes are what the goroutines of a test record, in order.
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

// logbook collects what a pool logs in a test: one note per line.
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

// requireSum asserts that each accepted job has one outcome, or waits, or runs. It is for a
// pool in which no handler runs past the outcome of its job.
func requireSum(t testing.TB, s dispatch.Stats) {
	t.Helper()
	ended := s.Succeeded + s.Failed + s.Panicked + s.Canceled + s.TimedOut + s.Dropped
	require.Equal(t, s.Submitted, ended+uint64(s.Queued)+uint64(s.Running), "%+v", s)
}

// requireRest checks a pool that has nothing to do: its Stats add up, and its scheduler has
// no slot taken and holds nothing.
func requireRest[In, Out any](t testing.TB, p *dispatch.Pool[In, Out]) {
	t.Helper()
	s := p.Stats()
	requireSum(t, s)
	require.Zero(t, s.Running+s.Queued+s.Strays, "%+v", s)
	require.NoError(t, dispatch.Rest(p))
}

// requireCollected asserts that only the test keeps the object alive.
func requireCollected[T any](t *testing.T, kept weak.Pointer[T], what string) {
	t.Helper()
	begin := time.Now()
	for kept.Value() != nil && time.Since(begin) < patience {
		runtime.GC()
	}
	require.Nil(t, kept.Value(), what+" is kept")
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

// streamed runs a stream to its end and returns the errors that it gave.
func streamed(ctx context.Context, p *dispatch.Pool[int, int], ins iter.Seq[int]) (errs []error) {
	for r := range p.Stream(ctx, ins) {
		errs = append(errs, r.Err)
	}
	return errs
}

// batchOf returns a batch with the inputs in it.
func batchOf[In, Out any](t *testing.T, p *dispatch.Pool[In, Out], ins []In, opts ...dispatch.BatchOption) *dispatch.Batch[In, Out] {
	t.Helper()
	b := p.Batch(t.Context(), opts...)
	require.NoError(t, b.Add(ins...))
	return b
}

// indices receives all of a batch's results.
func indices[In, Out any](results <-chan dispatch.Result[In, Out]) (is []int) {
	for r := range results {
		is = append(is, r.Index)
	}
	return is
}

// yielded is what one step of a stream gives.
type yielded[Out any] struct {
	out Out
	err error
}

func collect[In, Out any](seq iter.Seq[dispatch.Result[In, Out]]) (all []yielded[Out]) {
	for r := range seq {
		all = append(all, yielded[Out]{r.Out, r.Err})
	}
	return all
}

// fill submits until the queue is full, and returns how many jobs it took.
func fill(t *testing.T, p *dispatch.Pool[int, int], in int) (n int) {
	t.Helper()
	for {
		_, err := p.TrySubmit(t.Context(), in)
		if errors.Is(err, dispatch.ErrQueueFull) {
			return n
		}
		require.NoError(t, err)
		n++
	}
}

func canceledContext(t *testing.T, cause error) context.Context {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	return ctx
}

// upTo returns the numbers from 0 to n-1.
func upTo(n int) []int {
	ins := make([]int, n)
	for i := range ins {
		ins[i] = i
	}
	return ins
}

// inputs returns the numbers from 1 to n.
func inputs(n int) []int {
	ins := make([]int, n)
	for i := range ins {
		ins[i] = i + 1
	}
	return ins
}

// payload is a value that a context carries and that a future must not keep alive.
type payload [1 << 12]byte

type payloadKey struct{}
