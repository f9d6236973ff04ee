package dispatch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

func TestAnOutcomeIsNamedInLowerCase(t *testing.T) {
	for outcome, name := range map[dispatch.Outcome]string{
		dispatch.Pending: "pending", dispatch.Succeeded: "succeeded", dispatch.Failed: "failed", dispatch.Panicked: "panicked", dispatch.Canceled: "canceled",
		dispatch.TimedOut: "timed out", dispatch.Dropped: "dropped", dispatch.Outcome(7): "Outcome(7)",
	} {
		require.Equal(t, name, outcome.String())
	}
}

func TestAnOutcomeIsWrittenAndReadAsText(t *testing.T) {
	for outcome := dispatch.Pending; outcome <= dispatch.Dropped; outcome++ {
		text, err := json.Marshal(outcome)
		require.NoError(t, err)
		require.Equal(t, `"`+outcome.String()+`"`, string(text))
		var read dispatch.Outcome
		require.NoError(t, json.Unmarshal(text, &read))
		require.Equal(t, outcome, read)
	}
	require.EqualError(t, new(dispatch.Outcome).UnmarshalText([]byte("lost")), `dispatch: there is no Outcome "lost"`)
}

func TestAJobIsLoggedWithWhatThereIs(t *testing.T) {
	line := func(j dispatch.Job) string {
		var out bytes.Buffer
		slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
			ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
				if len(groups) == 0 && a.Key != "job" {
					return slog.Attr{}
				}
				return a
			},
		})).Info("", "job", j)
		return out.String()
	}
	require.Equal(t, "job.outcome=pending job.wait=0s job.run=0s\n", line(dispatch.Job{Index: -1}))
	require.Contains(t, line(dispatch.Job{Index: 0}), "job.index=0")
	require.Equal(t,
		"job.outcome=\"timed out\" job.wait=1s job.run=2s job.pool=thumbs job.label=a.png job.index=3 job.error=late\n",
		line(dispatch.Job{
			Pool: "thumbs", Label: "a.png", Index: 3, Wait: time.Second, Run: 2 * time.Second,
			Outcome: dispatch.TimedOut, Err: errors.New("late"),
		}))
}

// The inputs of deeds, a handler: what it does.
const (
	succeeds = 1 + iota // after two seconds
	fails               // after one, as do the next two
	panics
	exits
	heedless // returns three seconds after its context is done
)

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
				return errors.Join(streamed(context.Background(), p, slices.Values([]int{1}))...)
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
					requireSum(t, s)
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

func TestTelemetryAndHooksAllocateNoMoreForAJob(t *testing.T) {
	if allocsOfRaceDetector > 0 {
		t.Skip("the race detector makes some allocations of its own")
	}
	bg := context.Background()
	least := func(f func()) float64 {
		n := math.Inf(1) // other code in this process allocates too
		for range 20 {
			n = min(n, testing.AllocsPerRun(20, f))
		}
		return n
	}
	type verbs struct{ process, submit, batch float64 }
	measure := func(opts ...dispatch.Option) verbs {
		p := openPool(t, increment, append(opts, dispatch.WithWorkers(1))...)
		ins := make([]int, 1000)
		return verbs{
			least(func() { dispatch.Must(p.Process(bg, 1)) }),
			least(func() { dispatch.Must(dispatch.Must(p.Submit(bg, 1)).Wait(bg)) }),
			least(func() { dispatch.Must(p.BatchOf(bg, ins).Wait(bg)) }),
		}
	}
	off := measure()
	for name, option := range map[string]dispatch.Option{
		"telemetry": dispatch.WithTelemetry(),
		"hooks": dispatch.WithHooks(dispatch.Hooks{
			Start: func(ctx context.Context, _ dispatch.Job) context.Context { return ctx },
			Done:  func(context.Context, dispatch.Job) {},
		}),
	} {
		on := measure(option)
		require.LessOrEqual(t, on.process, off.process, name)
		require.LessOrEqual(t, on.submit, off.submit, name)
		// For a thousand items: the times at which they were added take a few allocations.
		require.Less(t, on.batch, off.batch+20, name)
	}
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

func TestRunningMayBeAskedWhileAWorkerIsMade(t *testing.T) {
	p := openWorkers(t, func(context.Context) (dispatch.Worker[int, int], error) {
		time.Sleep(10 * time.Millisecond) // a sleep synchronizes with nobody, so the race detector notices who reads meanwhile
		return &workerOf{}, nil
	}, dispatch.WithWorkers(1), dispatch.WithTelemetry())
	f := dispatch.Must(p.Submit(t.Context(), 1))
	for done := f.Done(); ; time.Sleep(100 * time.Microsecond) {
		p.Running()
		select {
		case <-done:
			return
		default:
		}
	}
}

func TestALabelMayEndItsGoroutine(t *testing.T) {
	for name, hooked := range map[string]bool{"with hooks": true, "without hooks": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told notes[dispatch.Job]
				opt := dispatch.WithTelemetry()
				if hooked {
					opt = dispatch.WithHooks(dispatch.Hooks{Done: func(_ context.Context, j dispatch.Job) { told.add(j) }})
				}
				p := openPool(t, double, opt, dispatch.WithWorkers(1), dispatch.WithLabel(func(in int) string {
					if in == 0 || in == 3 {
						runtime.Goexit()
					}
					return fmt.Sprint(in)
				}))
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				outs, err := p.BatchOf(ctx, []int{1, 2, 3, 4}).Wait(ctx)
				require.ErrorIs(t, err, dispatch.ErrGoexit)
				require.Equal(t, []int{2, 4, 0, 8}, outs)
				_, err = p.Map(ctx, []int{1, 2, 3})
				require.ErrorIs(t, err, dispatch.ErrGoexit)
				_, err = p.Process(ctx, 3)
				require.ErrorIs(t, err, dispatch.ErrGoexit)
				require.NoError(t, p.Wait(ctx))
				require.EqualValues(t, 5, p.Stats().Succeeded)
				require.EqualValues(t, 3, p.Stats().Failed)
				p.Pause()
				f := dispatch.Must(p.Submit(ctx, 3))
				require.True(t, f.Cancel())
				require.Len(t, p.Failures(), 4, "and all are told of")
				if hooked {
					require.Len(t, told.all(), 9)
				}
				p.Resume()
			})
		})
	}
}

func TestAJobIsToldOfThatIsCanceledWhileItsLabelEndsItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f *dispatch.Future[int]
		p := openPool(t, double, dispatch.WithTelemetry(), dispatch.WithLabel(func(int) string {
			f.Cancel()
			runtime.Goexit()
			return ""
		}))
		p.Pause()
		f = dispatch.Must(p.Submit(t.Context(), 1))
		p.Resume()
		require.NoError(t, p.Wait(t.Context()))
		require.Len(t, p.Failures(), 1)
		require.Equal(t, dispatch.Canceled, p.Failures()[0].Outcome)
	})
}
