package dispatch_test

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

func TestAStateIsNamedInLowerCase(t *testing.T) {
	for state, name := range map[dispatch.State]string{
		dispatch.Running: "running", dispatch.Draining: "draining", dispatch.Stopping: "stopping", dispatch.Ended: "ended",
		dispatch.State(7): "State(7)", dispatch.State(-1): "State(-1)",
	} {
		require.Equal(t, name, state.String())
	}
}

func TestAStateIsWrittenAndReadAsText(t *testing.T) {
	for _, state := range []dispatch.State{dispatch.Running, dispatch.Draining, dispatch.Stopping, dispatch.Ended} {
		text, err := json.Marshal(state)
		require.NoError(t, err)
		require.Equal(t, `"`+state.String()+`"`, string(text))
		var read dispatch.State
		require.NoError(t, json.Unmarshal(text, &read))
		require.Equal(t, state, read)
	}
	require.EqualError(t, new(dispatch.State).UnmarshalText([]byte("asleep")), `dispatch: there is no State "asleep"`)
}

func TestStatsSurviveTheWayThroughJSON(t *testing.T) {
	want := dispatch.Stats{Name: "a", State: dispatch.Draining, Submitted: 3, MaxRunning: dispatch.Unlimited, OldestWait: time.Second, Run: dispatch.HistogramOf(time.Second, 3*time.Minute)}
	var got dispatch.Stats
	throughJSON(t, want, &got)
	require.Equal(t, want, got)
}

// throughJSON marshals from and unmarshals it into to.
func throughJSON(t *testing.T, from, to any) {
	t.Helper()
	text, err := json.Marshal(from)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, to))
}

func TestStatsTellTheLimits(t *testing.T) {
	p := openPool(t, double, dispatch.WithWorkers(3), dispatch.WithQueue(5))
	s := p.Stats()
	require.Equal(t, [2]int{3, 5}, [2]int{s.MaxRunning, s.MaxQueued})
	require.NoError(t, p.Resize(4))
	require.Equal(t, 4, p.Stats().MaxRunning)

	p = openPool(t, double, dispatch.WithWorkers(dispatch.Unlimited), dispatch.WithQueue(dispatch.Unlimited))
	s = p.Stats()
	require.Equal(t, [2]int{dispatch.Unlimited, dispatch.Unlimited}, [2]int{s.MaxRunning, s.MaxQueued})
}

func TestAPoolGoesThroughItsStatesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle)
		_, err := p.Submit(t.Context(), 1)
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, dispatch.Running, p.Stats().State)
		c := callingErr(p.Close)
		require.Equal(t, dispatch.Draining, p.Stats().State)
		p.Stop()
		require.Equal(t, dispatch.Stopping, p.Stats().State)
		h.let(1)
		require.NoError(t, c.requireReturn(t))
		require.Equal(t, dispatch.Ended, p.Stats().State)
		p.Stop()
		require.Equal(t, dispatch.Ended, p.Stats().State)
	})
}

func TestEachOutcomeIsCountedOnceAndUnderItsName(t *testing.T) {
	type row struct {
		opts    []dispatch.Option
		handler dispatch.Handler[int, int]
		submit  func(t *testing.T, p *dispatch.Pool[int, int])
		want    dispatch.Stats // but for State, which is Ended
	}
	one := func(t *testing.T, p *dispatch.Pool[int, int]) { _, _ = p.Process(t.Context(), 1) }
	forever := func(ctx context.Context, _ int) (int, error) {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	inBubbles(t, map[string]row{
		"success": {handler: double, submit: one, want: dispatch.Stats{Submitted: 1, Succeeded: 1}},
		"error": {
			handler: func(context.Context, int) (int, error) { return 0, errors.New("bad") },
			submit:  one, want: dispatch.Stats{Submitted: 1, Failed: 1},
		},
		"an error that only looks like a cancel": {
			handler: func(context.Context, int) (int, error) { return 0, context.Canceled },
			submit:  one, want: dispatch.Stats{Submitted: 1, Failed: 1},
		},
		"Goexit": {
			handler: func(context.Context, int) (int, error) { runtime.Goexit(); return 0, nil },
			submit:  one, want: dispatch.Stats{Submitted: 1, Failed: 1},
		},
		"panic": {
			opts:    []dispatch.Option{dispatch.WithPanicHandler(func(*dispatch.PanicError) {})},
			handler: func(context.Context, int) (int, error) { panic("boo") },
			submit:  one, want: dispatch.Stats{Submitted: 1, Panicked: 1},
		},
		"canceled by its future": {
			handler: forever,
			submit: func(t *testing.T, p *dispatch.Pool[int, int]) {
				f := dispatch.Must(p.Submit(t.Context(), 1))
				f.Cancel()
				f.Cancel()
			}, want: dispatch.Stats{Submitted: 1, Canceled: 1},
		},
		"canceled by the caller's context": {
			handler: forever,
			submit: func(t *testing.T, p *dispatch.Pool[int, int]) {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				_, _ = p.Process(ctx, 1)
			}, want: dispatch.Stats{Submitted: 1, Canceled: 1},
		},
		"canceled in the queue": {
			opts: []dispatch.Option{dispatch.WithWorkers(1)}, handler: forever,
			submit: func(t *testing.T, p *dispatch.Pool[int, int]) {
				first, second := dispatch.Must(p.Submit(t.Context(), 1)), dispatch.Must(p.Submit(t.Context(), 2))
				second.Cancel()
				first.Cancel()
			}, want: dispatch.Stats{Submitted: 2, Canceled: 2},
		},
		"stopped": {
			handler: forever,
			submit: func(t *testing.T, p *dispatch.Pool[int, int]) {
				dispatch.Must(p.Submit(t.Context(), 1))
				p.Stop()
			}, want: dispatch.Stats{Submitted: 1, Canceled: 1},
		},
		"the caller's deadline": {
			handler: forever,
			submit: func(t *testing.T, p *dispatch.Pool[int, int]) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, _ = p.Process(ctx, 1)
			}, want: dispatch.Stats{Submitted: 1, TimedOut: 1},
		},
		"ProcessTimed": {
			handler: forever,
			submit:  func(t *testing.T, p *dispatch.Pool[int, int]) { _, _ = p.ProcessTimed(t.Context(), 1, time.Second) },
			want:    dispatch.Stats{Submitted: 1, TimedOut: 1},
		},
		"WithJobTimeout": {
			opts: []dispatch.Option{dispatch.WithJobTimeout(time.Second)}, handler: forever,
			submit: one, want: dispatch.Stats{Submitted: 1, TimedOut: 1},
		},
		"rejected, not submitted": {
			opts: []dispatch.Option{dispatch.WithWorkers(1), dispatch.WithQueue(0), dispatch.WithOverflow(dispatch.Reject)}, handler: heedSecond,
			submit: func(t *testing.T, p *dispatch.Pool[int, int]) {
				dispatch.Must(p.Submit(t.Context(), 1))
				_, _ = p.Submit(t.Context(), 2)
				_, _ = p.TrySubmit(t.Context(), 3)
				_, _ = p.Process(t.Context(), 4)
			}, want: dispatch.Stats{Submitted: 1, Succeeded: 1, Rejected: 3},
		},
		"dropped": {
			opts: []dispatch.Option{dispatch.WithWorkers(1), dispatch.WithQueue(1), dispatch.WithOverflow(dispatch.DropOldest)}, handler: heedSecond,
			submit: func(t *testing.T, p *dispatch.Pool[int, int]) {
				for i := range 4 {
					dispatch.Must(p.Submit(t.Context(), i))
				}
			}, want: dispatch.Stats{Submitted: 4, Succeeded: 2, Dropped: 2},
		},
		"refused for its context or its pool, and nothing": {
			handler: double,
			submit: func(t *testing.T, p *dispatch.Pool[int, int]) {
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				_, _ = p.Process(ctx, 1)
				_, _ = p.Submit(ctx, 1)
				_, _ = p.ProcessTimed(t.Context(), 1, 0)
				_ = p.Close()
				_, _ = p.Submit(t.Context(), 1)
			},
		},
		"each item of a batch": {
			handler: failOdd,
			submit: func(t *testing.T, p *dispatch.Pool[int, int]) {
				b := p.Batch(t.Context())
				_ = b.Add(1, 2, 3, 4, 6)
				_, _ = b.Wait(t.Context())
			}, want: dispatch.Stats{Submitted: 5, Succeeded: 3, Failed: 2},
		},
		"each input of a Map": {
			opts: []dispatch.Option{dispatch.WithWorkers(1)}, handler: failOdd,
			submit: func(t *testing.T, p *dispatch.Pool[int, int]) {
				_, _ = p.Map(t.Context(), []int{2, 4, 1, 6, 8, 10})
			}, want: dispatch.Stats{Submitted: 6, Succeeded: 2, Failed: 1, Canceled: 3},
		},
	}, func(t *testing.T, r row) {
		p := openPool(t, r.handler, r.opts...)
		limits := p.Stats()
		r.submit(t, p)
		require.NoError(t, p.Close())
		r.want.State, r.want.MaxRunning, r.want.MaxQueued = dispatch.Ended, limits.MaxRunning, limits.MaxQueued
		require.Equal(t, r.want, p.Stats())
	})
}

func TestRunningIdleAndQueuedAreToldApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(3), dispatch.WithName("n"))
		look := func(workers, idle, running, queued int) {
			t.Helper()
			synctest.Wait()
			s := p.Stats()
			require.Equal(t, [4]int{workers, idle, running, queued}, [4]int{s.Workers, s.Idle, s.Running, s.Queued})
			requireSum(t, s)
		}
		look(0, 0, 0, 0)
		futures := make([]*dispatch.Future[int], 5)
		for i := range futures {
			futures[i] = dispatch.Must(p.Submit(t.Context(), i))
		}
		look(3, 0, 3, 2)
		futures[4].Cancel()
		look(3, 0, 3, 1)
		h.let(1)
		look(3, 0, 3, 0)
		h.let(1)
		look(3, 1, 2, 0)
		require.NoError(t, p.Resize(1))
		look(2, 0, 2, 0)
		h.let(1)
		look(1, 0, 1, 0)
		h.let(1)
		look(1, 1, 0, 0)
		h.letAll()
	})
}

func TestItemsOfBatchesAndMapsAreQueuedAndRunningToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(2))
		b := p.Batch(t.Context())
		require.NoError(t, b.Add(upTo(5)...))
		c := calling(func() ([]int, error) { return p.Map(t.Context(), upTo(4)) })
		for done := range uint64(9) {
			synctest.Wait()
			s := p.Stats()
			require.Equal(t, done, s.Succeeded)
			require.Equal(t, min(2, 9-int(done)), s.Running)
			requireSum(t, s)
			h.let(1)
		}
		require.NoError(t, c.requireReturn(t))
		h.letAll()
	})
}

func TestAHandlerWhoseJobHasEndedIsStillRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1))
		f := dispatch.Must(p.Submit(t.Context(), 1))
		synctest.Wait()
		f.Cancel()
		s := p.Stats()
		require.Equal(t, 1, s.Running)
		require.Equal(t, uint64(1), s.Canceled)
		h.let(1)
		s = p.Stats()
		require.Equal(t, dispatch.Stats{Workers: 1, Idle: 1, MaxRunning: 1, MaxQueued: 1024, Submitted: 1, Canceled: 1}, s)
	})
}

func TestASubmitterThatIsBlockedIsNotQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1), dispatch.WithQueue(1))
		for i := range 4 {
			calling(func() (int, error) { return p.Process(t.Context(), i) })
		}
		s := p.Stats()
		require.Equal(t, [3]int{1, 1, 2}, [3]int{s.Running, s.Queued, int(s.Submitted)})
		h.letAll()
	})
}

func TestTheLimitsAreAlwaysToldAndFollowResize(t *testing.T) {
	p := openPool(t, double, dispatch.WithWorkers(2), dispatch.WithQueue(0))
	s := p.Stats()
	require.Equal(t, [2]int{2, 0}, [2]int{s.MaxRunning, s.MaxQueued})
	require.NoError(t, p.Resize(dispatch.Unlimited))
	require.Equal(t, dispatch.Unlimited, p.Stats().MaxRunning)
	require.NoError(t, p.Close())
	require.Equal(t, dispatch.Unlimited, p.Stats().MaxRunning)
}

func TestPausedIsToldUntilTheResume(t *testing.T) {
	p := openPool(t, double)
	require.False(t, p.Stats().Paused)
	p.Pause()
	require.True(t, p.Stats().Paused)
	require.Equal(t, dispatch.Running, p.Stats().State, "it takes jobs")
	p.Resume()
	require.False(t, p.Stats().Paused)
}

func TestWithoutTelemetryTheTimesAreZero(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, nap, dispatch.WithWorkers(1))
		dispatch.Must(p.Submit(t.Context(), time.Second))
		dispatch.Must(p.Submit(t.Context(), time.Second))
		time.Sleep(time.Millisecond)
		s := p.Stats()
		require.False(t, s.Telemetry)
		require.Equal(t, [2]time.Duration{}, [2]time.Duration{s.OldestWait, s.LongestRun})
		require.Equal(t, dispatch.Histogram{}, s.Wait)
		require.True(t, p.Running() == nil && p.Failures() == nil)
	})
}
