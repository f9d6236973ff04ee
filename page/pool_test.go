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

// task is an input of the pools of these tests: a label, and what to do.
type task struct {
	label string
	do    func(ctx context.Context) error
}

// taskPool is a pool that is shown with its tasks' labels.
type taskPool = dispatch.Pool[task, struct{}]

func newPool(name string, opts ...dispatch.Option) *taskPool {
	handler := func(ctx context.Context, t task) (struct{}, error) { return struct{}{}, t.do(ctx) }
	return dispatch.Must(dispatch.New(handler, append([]dispatch.Option{
		dispatch.WithName(name), dispatch.WithWorkers(2), dispatch.WithQueue(8),
		dispatch.WithLabel(func(t task) string { return t.label }), dispatch.WithPanicHandler(func(*dispatch.PanicError) {}),
	}, opts...)...))
}

// stop ends a pool, whatever it is at.
func stop(pools ...*taskPool) {
	for _, p := range pools {
		p.Stop()
		_ = p.Close()
	}
}

// takes succeeds after some time.
func takes(label string, d time.Duration) task {
	return task{label, func(context.Context) error { time.Sleep(d); return nil }}
}

// failsWith fails with err.
func failsWith(label string, err error) task {
	return task{label, func(context.Context) error { return err }}
}

// panicsWith panics with v.
func panicsWith(label string, v any) task {
	return task{label, func(context.Context) error { panic(v) }}
}

// lasts runs until its job is over.
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

// usedPool is a pool in which one job has succeeded after 1 s, an item b.png has
// failed after 3 s, and a job a.png runs, for 2 s so far in a bubble.
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

// inBubble runs a test that shows a used pool.
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
		says("thumbs: idle. Nothing runs and nothing waits.")
		tenSeconds := takes("long.png", 10*time.Second)
		submit(pool, tenSeconds, tenSeconds, tenSeconds, tenSeconds, tenSeconds)
		says("thumbs: busy. All 2 workers are busy and 3 jobs wait.", "room for 4")
		time.Sleep(2 * time.Minute)
		says("thumbs: idle.")

		process(pool, failsWith("bad.png", errors.New("bad")), takes("", 0))
		says("thumbs: failing. 1 of 2 jobs that ended in the last 1 s did not succeed (50 %).", "+1 in the last 1 s")
		time.Sleep(2 * time.Minute)

		held := lasts("held.png")
		submit(pool, held, held, held, held, held, held)
		go process(pool, held)
		says("thumbs: saturated. All 2 workers are busy and 1 submitter waits for room.")
		time.Sleep(6 * time.Minute) // all have exceeded their limit
		pool.Pause()
		submit(pool, takes("", 0))
		says("thumbs: paused. It takes jobs and starts none; 0 run, 1 waits.")
		pool.Resume()
		time.Sleep(2 * time.Minute)

		deaf := task{"deaf.png", func(context.Context) error { time.Sleep(70 * time.Second); return nil }}
		submit(pool, deaf)
		time.Sleep(65 * time.Second)
		says("thumbs: stuck. 1 handler runs on though its job is over; the longest (worker ", ", deaf.png) has run for 65 s.", "timed out, runs on")
		time.Sleep(time.Minute)
		pool.Close()
		says("thumbs: ended. It has been closed or stopped, and nothing is left.")
	})
}
