package page

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// task is an input of the pools in these tests: a label, and a function to run.
type task struct {
	label string
	do    func(ctx context.Context) error
}

// taskPool is a pool whose tasks are shown by their labels.
type taskPool = dispatch.Pool[task, struct{}]

func newPool(name string, opts ...dispatch.Option) *taskPool {
	handler := func(ctx context.Context, t task) (struct{}, error) { return struct{}{}, t.do(ctx) }
	return dispatch.Must(dispatch.New(handler, append([]dispatch.Option{
		dispatch.WithName(name), dispatch.WithWorkers(2), dispatch.WithQueue(8),
		dispatch.WithLabel(func(t task) string { return t.label }), dispatch.WithPanicHandler(func(*dispatch.PanicError) {}),
	}, opts...)...))
}

// stop ends pools, whatever they are doing.
func stop(pools ...*taskPool) {
	for _, p := range pools {
		p.Stop()
		_ = p.Close()
	}
}

// takes returns a task that succeeds after d.
func takes(label string, d time.Duration) task {
	return task{label, func(context.Context) error { time.Sleep(d); return nil }}
}

// failsWith returns a task that fails with err.
func failsWith(label string, err error) task {
	return task{label, func(context.Context) error { return err }}
}

// panicsWith returns a task that panics with v.
func panicsWith(label string, v any) task {
	return task{label, func(context.Context) error { panic(v) }}
}

// lasts returns a task that runs until its context is done.
func lasts(label string) task {
	return task{label, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
}

func process(p *taskPool, tasks ...task) {
	for _, t := range tasks {
		_, _ = p.Process(context.Background(), t)
	}
}

func submit(p *taskPool, tasks ...task) {
	for _, t := range tasks {
		dispatch.Must(p.Submit(context.Background(), t))
	}
}

// usedPool returns a pool in which one job has succeeded after 1 s, an item b.png has
// failed after 3 s, and a job a.png is running, in a bubble for 2 s so far.
func usedPool(name string, opts ...dispatch.Option) *taskPool {
	p := newPool(name, opts...)
	process(p, takes("first.png", time.Second))
	_, _ = p.Map(context.Background(), []task{{"b.png", func(context.Context) error {
		time.Sleep(3 * time.Second)
		return errors.New("unexpected EOF")
	}}})
	submit(p, lasts("a.png"))
	time.Sleep(2 * time.Second)
	return p
}

// inBubble runs a test with a used pool in a synctest bubble.
func inBubble(t *testing.T, test func(t *testing.T, p *taskPool)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := usedPool("thumbs")
		defer stop(p)
		test(t, p)
	})
}

func TestAPoolIsShownFromItsFirstJobToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := newPool("thumbs", dispatch.WithQueue(4), dispatch.WithJobTimeout(time.Minute))
		defer stop(pool)
		p := New(pool)
		says := func(words ...string) {
			t.Helper()
			synctest.Wait()
			text := get(p, "?format=text").Body.String()
			for _, w := range words {
				require.Contains(t, text, w)
			}
		}
		says("thumbs: idle. No job is running or waiting.")
		tenSeconds := takes("long.png", 10*time.Second)
		submit(pool, tenSeconds, tenSeconds, tenSeconds, tenSeconds, tenSeconds)
		says("thumbs: busy. All 2 workers are busy and 3 jobs wait.", "room for 4")
		time.Sleep(2 * time.Minute)
		says("thumbs: idle.")

		process(pool, failsWith("bad.png", errors.New("bad")), takes("", 0))
		says("thumbs: failing. 1 of 2 jobs that ended in the last 1 s failed, panicked or timed out (50 %).", "+1 in the last 1 s")
		time.Sleep(2 * time.Minute)

		held := lasts("held.png")
		submit(pool, held, held, held, held, held, held)
		go process(pool, held)
		says("thumbs: saturated. All 2 workers are busy and 1 submitter waits for room in the queue.")
		time.Sleep(6 * time.Minute) // all have exceeded their limit
		pool.Pause()
		submit(pool, takes("", 0))
		says("thumbs: paused. The pool accepts jobs but starts none; 0 are running, 1 is waiting.")
		pool.Resume()
		time.Sleep(2 * time.Minute)

		deaf := task{"deaf.png", func(context.Context) error { time.Sleep(70 * time.Second); return nil }}
		submit(pool, deaf)
		time.Sleep(65 * time.Second)
		says("thumbs: stuck. 1 handler is still running although its job has ended; the longest (worker ", ", deaf.png) has run for 65 s.", "timed out, still running")
		time.Sleep(time.Minute)
		pool.Close()
		says("thumbs: ended. The pool has been closed or stopped, and none of its jobs or goroutines is left.")
	})
}
