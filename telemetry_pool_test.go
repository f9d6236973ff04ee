package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// witness notes what a pool tells its hooks.
type witness struct{ started, done notes[dispatch.Job] }

// opts label each input with itself and have w told of all jobs.
func (w *witness) opts(opts ...dispatch.Option) []dispatch.Option {
	return append(opts, dispatch.WithName("seen"), quiet(),
		dispatch.WithLabel(func(in int) string { return fmt.Sprint(in) }),
		dispatch.WithHooks(dispatch.Hooks{
			Start: func(_ context.Context, j dispatch.Job) context.Context { w.started.add(j); return nil },
			Done:  func(_ context.Context, j dispatch.Job) { w.done.add(j) },
		}))
}

// requireAgreement asserts that the hooks of a pool that has ended were told what
// Stats says.
func (w *witness) requireAgreement(t *testing.T, s dispatch.Stats) {
	t.Helper()
	ran := w.requireTold(t, s)
	require.GreaterOrEqual(t, len(w.started.all()), ran)
}

// requireTold is requireAgreement where another hook may have kept Start from being
// called. It returns how many jobs have run.
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

// The inputs of deeds, a handler: what it does.
const (
	succeeds = 1 + iota // after two seconds
	fails               // after one, as do the next two
	panics
	exits
	heedless // returns three seconds after its context is done
)

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

// seen is what a hook is to be told of a job.
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

func TestAHookThatFailsHarmsNoJob(t *testing.T) {
	type row struct {
		hooks dispatch.Hooks
		want  error // of each job
		logs  bool
	}
	start := func(f func()) dispatch.Hooks {
		return dispatch.Hooks{Start: func(context.Context, dispatch.Job) context.Context { f(); return nil }}
	}
	done := func(f func()) dispatch.Hooks {
		return dispatch.Hooks{Done: func(context.Context, dispatch.Job) { f() }}
	}
	boo := func() { panic("boo") }
	for name, r := range map[string]row{
		"Start panics": {start(boo), nil, true}, "Start exits": {start(runtime.Goexit), dispatch.ErrGoexit, false},
		"Done panics": {done(boo), nil, true}, "Done exits": {done(runtime.Goexit), nil, false},
	} {
		for what, run := range map[string]func(p *dispatch.Pool[int, int]) error{
			"Process": func(p *dispatch.Pool[int, int]) error { _, err := p.Process(context.Background(), 1); return err },
			"Map":     func(p *dispatch.Pool[int, int]) error { _, err := p.Map(context.Background(), []int{1}); return err },
			"BatchOf": func(p *dispatch.Pool[int, int]) error {
				_, err := p.BatchOf(context.Background(), []int{1}).Wait(context.Background())
				return err
			},
			"Stream": func(p *dispatch.Pool[int, int]) error {
				return errors.Join(streamed(p, context.Background(), slices.Values([]int{1}))...)
			},
			"Submit": func(p *dispatch.Pool[int, int]) error {
				_, err := dispatch.Must(p.Submit(context.Background(), 1)).Wait(context.Background())
				return err
			},
		} {
			t.Run(name+", "+what, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var entered notes[int]
					var log logbook
					p := openPool(t, func(_ context.Context, in int) (int, error) { entered.add(in); return in, nil },
						dispatch.WithWorkers(1), dispatch.WithLogger(log.logger()), dispatch.WithHooks(r.hooks))
					for range 3 {
						err := run(p)
						if r.want == nil {
							require.NoError(t, err)
						} else {
							require.ErrorIs(t, err, r.want)
						}
					}
					require.NoError(t, p.Close())
					s := p.Stats()
					requireBalance(t, s)
					require.Equal(t, uint64(3), s.Submitted)
					require.Equal(t, uint64(3), s.Wait.Count())
					if r.want == nil {
						require.Len(t, entered.all(), 3, "each handler runs once")
						require.Equal(t, uint64(3), s.Succeeded)
					} else {
						require.Empty(t, entered.all())
						require.Equal(t, uint64(3), s.Failed)
					}
					if r.logs {
						require.Len(t, log.all(), 3)
						require.Contains(t, log.all()[0], "boo")
					}
				})
			})
		}
		t.Run(name+", a job that never ran", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := openPool(t, double, dispatch.WithWorkers(1), quiet(), dispatch.WithHooks(r.hooks))
				p.Pause()
				f := dispatch.Must(p.Submit(t.Context(), 1))
				require.True(t, f.Cancel(), "a hook does not end the goroutine of a caller")
				b := p.BatchOf(t.Context(), upTo(3))
				b.Cancel()
				<-b.Done()
				dispatch.Must(p.Submit(t.Context(), 1))
				require.Len(t, p.Stop(), 1)
				<-p.Done()
				require.Equal(t, uint64(5), p.Stats().Canceled)
			})
		})
	}
}

func TestAHookMayAskThePool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *dispatch.Pool[int, int]
		ask := func() {
			p.Stats()
			p.Running()
			p.Failures()
			_ = p.Resize(2)
			_, _ = p.TrySubmit(context.Background(), 2)
		}
		asked := 0
		p = openPool(t, double, dispatch.WithWorkers(2), dispatch.WithLabel(func(in int) string { p.Stats(); p.Running(); return "" }), dispatch.WithHooks(dispatch.Hooks{
			Start: func(_ context.Context, j dispatch.Job) context.Context {
				if j.Index == 0 {
					asked++
					ask()
				}
				return nil
			},
			Done: func(_ context.Context, j dispatch.Job) {
				if j.Index == 0 {
					asked++
					ask()
				}
			},
		}))
		_, err := p.BatchOf(t.Context(), []int{1}).Wait(t.Context())
		require.NoError(t, err)
		require.NoError(t, p.Wait(t.Context()))
		require.Equal(t, 2, asked)
		p.Pause()
		b := p.BatchOf(t.Context(), []int{1, 2})
		b.Cancel()
		<-b.Done()
		p.Resume()
		require.NoError(t, p.Wait(t.Context()))
		require.Equal(t, 3, asked)
	})
}

func TestALabelIsAskedForOnceAJobAndMayPanic(t *testing.T) {
	var asked notes[int]
	p := openPool(t, failOdd, quiet(), dispatch.WithLabel(func(in int) string {
		asked.add(in)
		if in == 5 {
			panic("boo")
		}
		return fmt.Sprint("no. ", in)
	}))
	_, _ = p.Process(t.Context(), 3)
	_, _ = p.BatchOf(t.Context(), []int{5, 7}).Wait(t.Context())
	require.ElementsMatch(t, []int{3, 5, 7}, asked.all())
	labels := map[string]bool{}
	for _, j := range p.Failures() {
		labels[j.Label] = true
	}
	require.True(t, labels["no. 3"] && labels["no. 7"], "%v", labels)
	require.Len(t, labels, 3)
}

func TestALabelForInputsOfAnotherTypeIsRefused(t *testing.T) {
	_, err := dispatch.New(double, dispatch.WithLabel(func(string) string { return "" }))
	require.ErrorContains(t, err, "WithLabel")
	require.ErrorContains(t, err, "int")
	require.ErrorContains(t, err, "string")
	_, err = dispatch.New(double, dispatch.WithLabel[int](nil))
	require.ErrorContains(t, err, "WithLabel(nil)")
	_, err = dispatch.NewWorkers(func(context.Context) (dispatch.Worker[int, int], error) { return nil, errUser }, dispatch.WithLabel(func(string) string { return "" }))
	require.ErrorContains(t, err, "WithLabel")
}

func TestRunningTellsWhatWorkersAreAtLongestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithName("n"), dispatch.WithWorkers(3), dispatch.WithGrace(time.Second, 1),
			dispatch.WithLabel(func(in int) string { return fmt.Sprint("in ", in) }))
		require.Empty(t, p.Running())
		begin := time.Now()
		f := dispatch.Must(p.Submit(t.Context(), 1))
		time.Sleep(time.Minute)
		p.BatchOf(t.Context(), []int{2, 3})
		time.Sleep(time.Second)
		waiting := dispatch.Must(p.Submit(t.Context(), 4))
		f.Cancel()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		jobs := p.Running()
		require.Len(t, jobs, 4, "a stray too")
		require.Equal(t, dispatch.Job{
			Pool: "n", Label: "in 1", Worker: jobs[0].Worker, Ran: jobs[0].Ran, Index: -1, Submitted: begin, Run: time.Minute + 3*time.Second,
			Outcome: dispatch.Canceled, Err: context.Canceled, Stray: true,
		}, jobs[0])
		require.Equal(t, []time.Duration{3 * time.Second, 3 * time.Second, time.Second}, []time.Duration{jobs[1].Run, jobs[2].Run, jobs[3].Run})
		require.ElementsMatch(t, []int{0, 1}, []int{jobs[1].Index, jobs[2].Index})
		require.Equal(t, "in 4", jobs[3].Label)
		require.Equal(t, time.Second, jobs[3].Wait, "until the other was written off")
		require.Equal(t, dispatch.Pending, jobs[3].Outcome)
		workers := map[int]bool{}
		for _, j := range jobs {
			workers[j.Worker] = true
		}
		require.Len(t, workers, 4)
		require.NotContains(t, workers, 0, "workers count from 1")
		require.Equal(t, time.Minute+3*time.Second, p.Stats().LongestRun)
		h.letAll()
		_, err := waiting.Wait(t.Context())
		require.NoError(t, err)
		synctest.Wait()
		require.Empty(t, p.Running())
		require.Zero(t, p.Stats().LongestRun)
	})
}

func TestRunningTellsTheOutcomeOfAJobThatRunsOn(t *testing.T) {
	bg := context.Background()
	type row struct {
		opts    []dispatch.Option
		submit  func(p *dispatch.Pool[int, int])
		outcome dispatch.Outcome // two seconds later
		err     error
		stray   bool
	}
	batch := func(p *dispatch.Pool[int, int]) { p.BatchOf(bg, []int{heedless}) }
	limit, grace := dispatch.WithJobTimeout(time.Second), dispatch.WithGrace(time.Second/2, 1)
	inBubbles(t, map[string]row{
		"its future is canceled": {nil, func(p *dispatch.Pool[int, int]) {
			f := dispatch.Must(p.Submit(bg, heedless))
			time.AfterFunc(time.Second, func() { f.Cancel() })
		}, dispatch.Canceled, context.Canceled, false},
		"its caller has gone": {nil, func(p *dispatch.Pool[int, int]) {
			ctx, cancel := context.WithCancelCause(bg)
			time.AfterFunc(time.Second, func() { cancel(errCause) })
			dispatch.Must(p.Submit(ctx, heedless))
		}, dispatch.Canceled, errCause, false},
		"its call has timed out": {nil, func(p *dispatch.Pool[int, int]) { go func() { _, _ = p.ProcessTimed(bg, heedless, time.Second) }() },
			dispatch.TimedOut, dispatch.ErrTimeout, false},
		"the pool stops": {nil, func(p *dispatch.Pool[int, int]) {
			dispatch.Must(p.Submit(bg, heedless))
			time.AfterFunc(time.Second, func() { p.Stop() })
		}, dispatch.Canceled, dispatch.ErrStopped, false},
		"a limit":                {[]dispatch.Option{limit}, func(p *dispatch.Pool[int, int]) { dispatch.Must(p.Submit(bg, heedless)) }, dispatch.TimedOut, dispatch.ErrTimeout, false},
		"it is written off":      {[]dispatch.Option{limit, grace}, func(p *dispatch.Pool[int, int]) { dispatch.Must(p.Submit(bg, heedless)) }, dispatch.TimedOut, dispatch.ErrTimeout, true},
		"an item, and a limit":   {[]dispatch.Option{limit}, batch, dispatch.TimedOut, dispatch.ErrTimeout, false},
		"an item is written off": {[]dispatch.Option{limit, grace}, batch, dispatch.TimedOut, dispatch.ErrTimeout, true},
		"an item of a batch that is canceled may still succeed": {nil, func(p *dispatch.Pool[int, int]) {
			b := p.BatchOf(bg, []int{heedless})
			time.AfterFunc(time.Second, b.Cancel)
		}, dispatch.Pending, nil, false},
	}, func(t *testing.T, r row) {
		p := openPool(t, deeds, append(r.opts, dispatch.WithTelemetry(), dispatch.WithWorkers(1))...)
		r.submit(p)
		synctest.Wait()
		require.Len(t, p.Running(), 1)
		require.Equal(t, dispatch.Pending, p.Running()[0].Outcome)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		j := p.Running()[0]
		require.Equal(t, r.outcome, j.Outcome)
		require.ErrorIs(t, j.Err, r.err)
		require.Equal(t, r.stray, j.Stray)
		require.NoError(t, p.Close())
		require.Empty(t, p.Running())
	})
}

func TestOldestWaitIsOfWhatWaitsAndCameFirst(t *testing.T) {
	inBubbles(t, map[string]func(p *dispatch.Pool[int, int]) (cancel func()){
		"a job": func(p *dispatch.Pool[int, int]) func() {
			f := dispatch.Must(p.Submit(context.Background(), 1))
			return func() { f.Cancel() }
		},
		"a batch": func(p *dispatch.Pool[int, int]) func() { return p.BatchOf(context.Background(), []int{1, 1}).Cancel },
		"a Map": func(p *dispatch.Pool[int, int]) func() {
			ctx, cancel := context.WithCancel(context.Background())
			go func() { _, _ = p.Map(ctx, []int{1}) }()
			return cancel
		},
	}, func(t *testing.T, submit func(p *dispatch.Pool[int, int]) (cancel func())) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithTelemetry(), dispatch.WithWorkers(1))
		dispatch.Must(p.Submit(t.Context(), 0))
		time.Sleep(time.Second)
		require.Zero(t, p.Stats().OldestWait, "none waits")
		cancel := submit(p)
		time.Sleep(time.Minute)
		dispatch.Must(p.Submit(t.Context(), 2))
		time.Sleep(time.Second)
		require.Equal(t, time.Minute+time.Second, p.Stats().OldestWait)
		cancel()
		synctest.Wait()
		require.Equal(t, time.Second, p.Stats().OldestWait)
		h.letAll()
		require.NoError(t, p.Wait(t.Context()))
		require.Zero(t, p.Stats().OldestWait)
	})
}

func TestFailuresAreTheLastEightOfEachOutcomeLastFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, func(ctx context.Context, in int) (int, error) {
			time.Sleep(time.Second)
			switch {
			case in >= 100:
				panic("boo")
			case in%2 != 0:
				return 0, errOdd
			}
			return in, nil
		}, quiet(), dispatch.WithWorkers(1), dispatch.WithLabel(func(in int) string { return fmt.Sprint(in) }))
		_, _ = p.Process(t.Context(), 100)
		for i := range 30 {
			_, _ = p.Process(t.Context(), i)
		}
		var labels []string
		for _, j := range p.Failures() {
			labels = append(labels, j.Label)
			require.Error(t, j.Err)
			require.True(t, j.Ran)
			require.Equal(t, time.Second, j.Run)
		}
		require.Equal(t, []string{"29", "27", "25", "23", "21", "19", "17", "15", "100"}, labels)
		require.NoError(t, p.Close())
		require.Len(t, p.Failures(), 9, "they stay after the end")
	})
}

func TestEveryOptionOfTelemetryImpliesIt(t *testing.T) {
	for name, opt := range map[string]dispatch.Option{
		"WithTelemetry": dispatch.WithTelemetry(), "WithLabel": dispatch.WithLabel(func(int) string { return "" }), "WithHooks": dispatch.WithHooks(dispatch.Hooks{}),
	} {
		t.Run(name, func(t *testing.T) {
			p := openPool(t, failOdd, opt)
			_, _ = p.Process(t.Context(), 1)
			s := p.Stats()
			require.True(t, s.Telemetry)
			require.Equal(t, uint64(1), s.Run.Count())
			require.Len(t, p.Failures(), 1)
		})
	}
}

func TestHooksAgreeWithStatsWhateverMeets(t *testing.T) {
	for range 30 {
		var w witness
		p := dispatch.Must(dispatch.New(func(ctx context.Context, in int) (int, error) {
			switch in % 4 {
			case 1:
				return 0, errOdd
			case 2:
				panic("boo")
			case 3:
				<-ctx.Done()
				return 0, ctx.Err()
			}
			return in, nil
		}, w.opts(dispatch.WithWorkers(3), dispatch.WithQueue(4), dispatch.WithOverflow(dispatch.DropOldest), dispatch.WithJobTimeout(time.Millisecond))...))
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				for n := range 12 {
					ctx, cancel := context.WithCancel(context.Background())
					switch (i + n) % 4 {
					case 0:
						if f, err := p.Submit(ctx, n); err == nil {
							f.Cancel()
						}
					case 1:
						go cancel()
						_, _ = p.Process(ctx, n)
					case 2:
						b := p.BatchOf(ctx, upTo(n), dispatch.StopOnError())
						go b.Cancel()
						<-b.Done()
					case 3:
						_, _ = p.Map(ctx, upTo(n%4))
					}
					cancel()
				}
				if i == 0 {
					p.Stop()
				}
			})
		}
		within(t, "all", wg.Wait)
		require.NoError(t, p.Close())
		w.requireAgreement(t, p.Stats())
	}
}
