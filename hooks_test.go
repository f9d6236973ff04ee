package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// WithHooks: what the hooks learn of each job, and when.

// witness records what a pool tells its hooks.
type witness struct{ started, done notes[dispatch.Job] }

// opts label each input with its own text, and make w a hook for all jobs.
func (w *witness) opts(opts ...dispatch.Option) []dispatch.Option {
	return append(opts, dispatch.WithName("seen"), quiet(),
		dispatch.WithLabel(func(in int) string { return fmt.Sprint(in) }),
		dispatch.WithHooks(dispatch.Hooks{
			Start: func(_ context.Context, j dispatch.Job) context.Context { w.started.add(j); return nil },
			Done:  func(_ context.Context, j dispatch.Job) { w.done.add(j) },
		}))
}

// requireAgreement asserts that the hooks of a pool that has ended saw the same counts as
// Stats.
func (w *witness) requireAgreement(t *testing.T, s dispatch.Stats) {
	t.Helper()
	ran := w.requireTold(t, s)
	require.GreaterOrEqual(t, len(w.started.all()), ran)
}

// requireTold is requireAgreement for a pool in which another hook may have kept Start from
// being called. It returns how many jobs have run.
func (w *witness) requireTold(t *testing.T, s dispatch.Stats) (ran int) {
	t.Helper()
	require.Equal(t, dispatch.Ended, s.State)
	require.True(t, s.Telemetry)
	var counts [dispatch.Dropped + 1]uint64
	var waits, runs time.Duration
	var turned int
	for _, j := range w.done.all() {
		counts[j.Outcome]++
		waits += j.Wait
		runs += j.Run
		if j.Ran {
			ran++
			require.Positive(t, j.Worker, "%+v", j)
		}
		if j.Worker > 0 {
			turned++
		} else {
			require.Zero(t, j.Run, "%+v", j)
		}
		require.Equal(t, j.Outcome == dispatch.Succeeded, j.Err == nil, "%+v", j)
		require.Equal(t, "seen", j.Pool)
	}
	require.Equal(t, [...]uint64{0, s.Succeeded, s.Failed, s.Panicked, s.Canceled, s.TimedOut, s.Dropped}, counts)
	require.Equal(t, s.Submitted, uint64(len(w.done.all())), "each is told once")
	require.Equal(t, s.Submitted, s.Wait.Count())
	require.Equal(t, uint64(turned), s.Run.Count())
	require.Equal(t, [2]time.Duration{waits, runs}, [2]time.Duration{s.Wait.Sum(), s.Run.Sum()}, "waits, runs")
	require.Equal(t, [2]time.Duration{}, [2]time.Duration{s.OldestWait, s.LongestRun})
	for _, j := range w.started.all() {
		require.Equal(t, dispatch.Pending, j.Outcome)
		require.Zero(t, j.Run)
		require.Positive(t, j.Worker)
		require.NoError(t, j.Err)
	}
	return ran
}

func deeds(ctx context.Context, in int) (int, error) {
	switch in {
	case succeeds:
		time.Sleep(2 * time.Second)
		return in, nil
	case heedless:
		<-ctx.Done()
		time.Sleep(3 * time.Second)
		return in, nil
	}
	time.Sleep(time.Second)
	switch in {
	case fails:
		return 0, errOdd
	case panics:
		panic(errUser)
	case exits:
		runtime.Goexit()
	}
	return 0, nil
}

// seen is what a hook should learn of a job.
type seen struct {
	label     string
	index     int
	byWorker  bool
	ran       bool
	outcome   dispatch.Outcome
	err       error // to errors.Is
	wait, run time.Duration
	stray     bool
}

func requireSeen(t *testing.T, wants []seen, all []dispatch.Job, begin time.Time) {
	t.Helper()
	var got []seen
	for i, j := range all {
		one := seen{j.Label, j.Index, j.Worker > 0, j.Ran, j.Outcome, nil, j.Wait, j.Run, j.Stray}
		if i < len(wants) && wants[i].err != nil && errors.Is(j.Err, wants[i].err) {
			one.err = wants[i].err
		}
		got = append(got, one)
		require.False(t, j.Submitted.Before(begin), "Submitted")
	}
	require.Equal(t, wants, got)
}

func TestDoneIsToldOfEachJobWhatTheTableSays(t *testing.T) {
	const s = time.Second
	bg := context.Background()
	type row struct {
		opts  []dispatch.Option
		run   func(p *dispatch.Pool[int, int])
		wants []seen // in the order of Done
	}
	process := func(in int) func(p *dispatch.Pool[int, int]) {
		return func(p *dispatch.Pool[int, int]) { _, _ = p.Process(bg, in) }
	}
	canceledAt := func(d time.Duration, in int) func(p *dispatch.Pool[int, int]) {
		return func(p *dispatch.Pool[int, int]) {
			ctx, cancel := context.WithCancelCause(bg)
			time.AfterFunc(d, func() { cancel(errCause) })
			_, _ = p.Process(ctx, in)
		}
	}
	first := seen{"1", -1, true, true, dispatch.Succeeded, nil, 0, 2 * s, false}
	behind := func(f func(p *dispatch.Pool[int, int])) func(p *dispatch.Pool[int, int]) {
		return func(p *dispatch.Pool[int, int]) {
			dispatch.Must(p.Submit(bg, succeeds))
			synctest.Wait()
			f(p)
		}
	}
	inBubbles(t, map[string]row{
		"returned":              {nil, process(succeeds), []seen{first}},
		"failed":                {nil, process(fails), []seen{{"2", -1, true, true, dispatch.Failed, errOdd, 0, s, false}}},
		"panicked":              {nil, process(panics), []seen{{"3", -1, true, true, dispatch.Panicked, errUser, 0, s, false}}},
		"Goexit":                {nil, process(exits), []seen{{"4", -1, true, true, dispatch.Failed, dispatch.ErrGoexit, 0, s, false}}},
		"waited in the queue":   {nil, behind(process(fails)), []seen{first, {"2", -1, true, true, dispatch.Failed, errOdd, 2 * s, s, false}}},
		"waited for room":       {[]dispatch.Option{dispatch.WithQueue(0)}, behind(process(fails)), []seen{first, {"2", -1, true, true, dispatch.Failed, errOdd, 2 * s, s, false}}},
		"canceled while it ran": {nil, canceledAt(s, heedless), []seen{{"5", -1, true, true, dispatch.Canceled, errCause, 0, 4 * s, false}}},
		"timed out while it ran": {nil, func(p *dispatch.Pool[int, int]) { _, _ = p.ProcessTimed(bg, heedless, s) },
			[]seen{{"5", -1, true, true, dispatch.TimedOut, dispatch.ErrTimeout, 0, 4 * s, false}}},
		"a job limit": {[]dispatch.Option{dispatch.WithJobTimeout(s)}, process(heedless), []seen{{"5", -1, true, true, dispatch.TimedOut, dispatch.ErrTimeout, 0, 4 * s, false}}},
		"stopped while it ran": {nil, func(p *dispatch.Pool[int, int]) {
			dispatch.Must(p.Submit(bg, heedless))
			time.Sleep(s)
			p.Stop()
		}, []seen{{"5", -1, true, true, dispatch.Canceled, dispatch.ErrStopped, 0, 4 * s, false}}},
		"written off": {[]dispatch.Option{dispatch.WithGrace(s, 1)}, canceledAt(s, heedless), []seen{{"5", -1, true, true, dispatch.Canceled, errCause, 0, 4 * s, true}}},
		"an item written off": {[]dispatch.Option{dispatch.WithGrace(s, 1), dispatch.WithJobTimeout(s)}, func(p *dispatch.Pool[int, int]) { _, _ = p.BatchOf(bg, []int{heedless}).Wait(bg) },
			[]seen{{"5", 0, true, true, dispatch.TimedOut, dispatch.ErrTimeout, 0, 4 * s, true}}},
		"canceled in the queue": {nil, behind(canceledAt(s, fails)), []seen{{"2", -1, false, false, dispatch.Canceled, errCause, s, 0, false}, first}},
		"canceled in the queue by its future": {nil, behind(func(p *dispatch.Pool[int, int]) {
			f := dispatch.Must(p.Submit(bg, fails))
			time.Sleep(s)
			f.Cancel()
		}), []seen{{"2", -1, false, false, dispatch.Canceled, context.Canceled, s, 0, false}, first}},
		"timed out in the queue": {nil, behind(func(p *dispatch.Pool[int, int]) { _, _ = p.ProcessTimed(bg, fails, s) }),
			[]seen{{"2", -1, false, false, dispatch.TimedOut, dispatch.ErrTimeout, s, 0, false}, first}},
		"stopped in the queue": {nil, func(p *dispatch.Pool[int, int]) {
			dispatch.Must(p.Submit(bg, heedless))
			dispatch.Must(p.Submit(bg, fails))
			time.Sleep(s)
			p.Stop()
		}, []seen{{"2", -1, false, false, dispatch.Canceled, dispatch.ErrStopped, s, 0, false}, {"5", -1, true, true, dispatch.Canceled, dispatch.ErrStopped, 0, 4 * s, false}}},
		"dropped": {[]dispatch.Option{dispatch.WithQueue(1), dispatch.WithOverflow(dispatch.DropOldest)}, behind(func(p *dispatch.Pool[int, int]) {
			dispatch.Must(p.Submit(bg, fails))
			time.Sleep(s)
			dispatch.Must(p.Submit(bg, exits))
		}), []seen{{"2", -1, false, false, dispatch.Dropped, dispatch.ErrDropped, s, 0, false}, first, {"4", -1, true, true, dispatch.Failed, dispatch.ErrGoexit, s, s, false}}},
		"CallerRuns": {[]dispatch.Option{dispatch.WithQueue(0), dispatch.WithOverflow(dispatch.CallerRuns)}, behind(process(fails)),
			[]seen{{"2", -1, true, true, dispatch.Failed, errOdd, 0, s, false}, first}},
		"the rest of a batch after a failure": {nil, func(p *dispatch.Pool[int, int]) {
			_, _ = p.BatchOf(bg, []int{fails, succeeds, succeeds}, dispatch.StopOnError()).Wait(bg)
		}, []seen{
			{"2", 0, true, true, dispatch.Failed, errOdd, 0, s, false},
			{"1", 1, false, false, dispatch.Canceled, nil, s, 0, false},
			{"1", 2, false, false, dispatch.Canceled, nil, s, 0, false},
		}},
		"the rest of a Map after a failure": {nil, func(p *dispatch.Pool[int, int]) { _, _ = p.Map(bg, []int{fails, succeeds, succeeds}) }, []seen{
			{"2", 0, true, true, dispatch.Failed, errOdd, 0, s, false},
			{"1", 1, false, false, dispatch.Canceled, nil, s, 0, false},
			{"1", 2, false, false, dispatch.Canceled, nil, s, 0, false},
		}},
		"a batch that is canceled": {nil, func(p *dispatch.Pool[int, int]) {
			b := p.BatchOf(bg, []int{succeeds, fails})
			time.Sleep(s)
			b.Cancel()
		}, []seen{{"2", 1, false, false, dispatch.Canceled, context.Canceled, s, 0, false}, {"1", 0, true, true, dispatch.Succeeded, nil, 0, 2 * s, false}}},
		"items that wait for one another": {nil, func(p *dispatch.Pool[int, int]) { _, _ = p.BatchOf(bg, []int{succeeds, fails}).Wait(bg) }, []seen{
			{"1", 0, true, true, dispatch.Succeeded, nil, 0, 2 * s, false}, {"2", 1, true, true, dispatch.Failed, errOdd, 2 * s, s, false},
		}},
		"refused": {[]dispatch.Option{dispatch.WithQueue(0), dispatch.WithOverflow(dispatch.Reject)}, behind(func(p *dispatch.Pool[int, int]) {
			_, _ = p.Submit(bg, fails)
			done, cancel := context.WithCancel(bg)
			cancel()
			_, _ = p.Process(done, fails)
			p.Drain()
			_, _ = p.Submit(bg, fails)
			p.BatchOf(bg, []int{fails})
		}), []seen{first}},
		"a wait for room that was given up": {[]dispatch.Option{dispatch.WithQueue(0)}, behind(func(p *dispatch.Pool[int, int]) { _, _ = p.ProcessTimed(bg, fails, s) }), []seen{first}},
		"inline":                            {[]dispatch.Option{dispatch.WithInline()}, process(succeeds), []seen{first}},
	}, func(t *testing.T, r row) {
		var w witness
		p := openPool(t, deeds, w.opts(append(r.opts, dispatch.WithWorkers(1))...)...)
		begin := time.Now()
		r.run(p)
		require.NoError(t, p.Close())
		requireSeen(t, r.wants, w.done.all(), begin)
		w.requireAgreement(t, p.Stats())
	})
}

func TestAJobWhoseWorkerIsNotMadeOrNotReadyIsToldOfAsOneThatDidNotRun(t *testing.T) {
	const s = time.Second
	type row struct {
		make, ready func() error
		cancel      bool // while it is being made ready
		want        seen
	}
	failing := func() error { time.Sleep(2 * s); return errOdd }
	panicking := func() error { time.Sleep(2 * s); panic(errUser) }
	fine := func() error { return nil }
	slow := func() error { time.Sleep(2 * s); return nil }
	inBubbles(t, map[string]row{
		"newWorker fails":    {failing, fine, false, seen{"7", -1, true, false, dispatch.Failed, errOdd, 0, 2 * s, false}},
		"newWorker panics":   {panicking, fine, false, seen{"7", -1, true, false, dispatch.Panicked, errUser, 0, 2 * s, false}},
		"Ready fails":        {fine, failing, false, seen{"7", -1, true, false, dispatch.Failed, errOdd, 0, 2 * s, false}},
		"Ready panics":       {fine, panicking, false, seen{"7", -1, true, false, dispatch.Panicked, errUser, 0, 2 * s, false}},
		"both take long":     {slow, slow, false, seen{"7", -1, true, true, dispatch.Succeeded, nil, 0, 5 * s, false}},
		"canceled in Ready":  {fine, slow, true, seen{"7", -1, false, false, dispatch.Canceled, errCause, s, 0, false}},
		"canceled when made": {slow, fine, true, seen{"7", -1, false, false, dispatch.Canceled, errCause, s, 0, false}},
	}, func(t *testing.T, r row) {
		var w witness
		p := openWorkers(t, func(context.Context) (dispatch.Worker[int, int], error) {
			if err := r.make(); err != nil {
				return nil, err
			}
			return &workerOf{
				ready:   func(context.Context) error { return r.ready() },
				process: func(_ context.Context, in int) (int, error) { time.Sleep(s); return in, nil },
			}, nil
		}, w.opts(dispatch.WithWorkers(1))...)
		begin := time.Now()
		ctx, cancel := context.WithCancelCause(t.Context())
		if r.cancel {
			time.AfterFunc(s, func() { cancel(errCause) })
		}
		_, err := p.Process(ctx, 7)
		require.ErrorIs(t, err, r.want.err)
		require.NoError(t, p.Close())
		requireSeen(t, []seen{r.want}, w.done.all(), begin)
		w.requireAgreement(t, p.Stats())
		cancel(nil)
	})
}

func TestHooksAreToldOfNestedJobsTooAndAgreeWithStats(t *testing.T) {
	for name, nest := range nestings {
		for _, in := range []int{succeeds, fails, panics, exits} {
			for what, opts := range map[string][]dispatch.Option{"": nil, " inline": {dispatch.WithInline()}, " with grace": {dispatch.WithGrace(time.Hour, 1)}} {
				if in == exits && what == " inline" {
					continue // it ends the test's goroutine
				}
				t.Run(fmt.Sprint(name, what, " ", in), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						var w witness
						var p *dispatch.Pool[int, int]
						p = openPool(t, func(ctx context.Context, n int) (int, error) {
							if n >= 100 {
								return nest(ctx, p, in)
							}
							return deeds(ctx, n)
						}, w.opts(append(opts, dispatch.WithWorkers(1))...)...)
						_, err := p.Process(t.Context(), 100)
						require.Equal(t, in == succeeds, err == nil)
						require.NoError(t, p.Close())
						w.requireAgreement(t, p.Stats())
						require.Greater(t, len(w.done.all()), 1)
					})
				})
			}
		}
	}
}

func TestDoneIsToldBeforeTheCallReturns(t *testing.T) {
	bg := context.Background()
	inBubbles(t, map[string]func(p *dispatch.Pool[int, int]){
		"Process":     func(p *dispatch.Pool[int, int]) { _, _ = p.Process(bg, 1) },
		"Map":         func(p *dispatch.Pool[int, int]) { _, _ = p.Map(bg, []int{1}) },
		"Future.Wait": func(p *dispatch.Pool[int, int]) { _, _ = dispatch.Must(p.Submit(bg, 1)).Wait(bg) },
		"Close":       func(p *dispatch.Pool[int, int]) { dispatch.Must(p.Submit(bg, 1)); _ = p.Close() },
		"Close after a cancel in the queue": func(p *dispatch.Pool[int, int]) {
			p.Pause()
			f := dispatch.Must(p.Submit(bg, 1))
			go f.Cancel()
			synctest.Wait()
			_ = p.Close()
		},
	}, func(t *testing.T, run func(p *dispatch.Pool[int, int])) {
		told := 0
		p := openPool(t, double, dispatch.WithHooks(dispatch.Hooks{Done: func(context.Context, dispatch.Job) {
			time.Sleep(time.Minute)
			told++
		}}))
		run(p)
		require.Equal(t, 1, told)
	})
}

func TestTheOutcomeIsFixedWhenDoneIsToldIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f *dispatch.Future[int]
		var decided bool
		var told dispatch.Outcome
		p := openPool(t, double, dispatch.WithHooks(dispatch.Hooks{Done: func(_ context.Context, j dispatch.Job) {
			told = j.Outcome
			decided = f.Cancel()
		}}))
		p.Pause()
		f = dispatch.Must(p.Submit(t.Context(), 1))
		p.Resume()
		out, err := f.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, 2, out)
		require.False(t, decided, "the cancel loses")
		require.Equal(t, dispatch.Succeeded, told)
	})
}

func TestHooksMakeTheContextInTheirOrderAndAreToldOfTheEndInReverse(t *testing.T) {
	type key int
	var order notes[string]
	hook := func(k key, name string, none bool) dispatch.Option {
		return dispatch.WithHooks(dispatch.Hooks{
			Start: func(ctx context.Context, _ dispatch.Job) context.Context {
				order.add("start " + name)
				if none {
					return nil
				}
				return context.WithValue(ctx, k, name)
			},
			Done: func(ctx context.Context, _ dispatch.Job) {
				order.add(fmt.Sprint("done ", name, " ", ctx.Value(key(0)), " ", ctx.Value(key(2))))
			},
		})
	}
	for name, run := range map[string]func(p *dispatch.Pool[int, int]){
		"Process": func(p *dispatch.Pool[int, int]) { _, _ = p.Process(t.Context(), 1) },
		"Map":     func(p *dispatch.Pool[int, int]) { _, _ = p.Map(t.Context(), []int{1}) },
		"BatchOf": func(p *dispatch.Pool[int, int]) { _, _ = p.BatchOf(t.Context(), []int{1}).Wait(t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			order = notes[string]{}
			p := openPool(t, func(ctx context.Context, in int) (int, error) {
				order.add(fmt.Sprint("run ", ctx.Value(key(0)), " ", ctx.Value(key(2))))
				return in, nil
			}, hook(0, "a", false), hook(1, "b", true), dispatch.WithHooks(dispatch.Hooks{}), hook(2, "c", false))
			run(p)
			require.NoError(t, p.Close())
			require.Equal(t, []string{"start a", "start b", "start c", "run a c", "done c a c", "done b a c", "done a a c"}, order.all())
		})
	}
}

func TestDoneOfAJobThatNeverRanHasItsCallersContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		var values notes[any]
		p := openPool(t, double, dispatch.WithHooks(dispatch.Hooks{Done: func(ctx context.Context, _ dispatch.Job) { values.add(ctx.Value(key{})) }}))
		p.Pause()
		ctx := context.WithValue(t.Context(), key{}, "caller's")
		dispatch.Must(p.Submit(ctx, 1)).Cancel()
		p.BatchOf(ctx, []int{1}).Cancel()
		require.NoError(t, p.Close())
		require.Equal(t, []any{"caller's", "caller's"}, values.all())
	})
}
