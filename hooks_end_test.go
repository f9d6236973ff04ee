package dispatch_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// ends are the ways in which jobs can end. Each is for a pool of one worker with room for
// two, whose handler is deeds. An input of 100 waits for another job of the pool.
var ends = map[string]struct {
	opts []dispatch.Option
	run  func(p *dispatch.Pool[int, int])
}{
	"succeeds": {nil, func(p *dispatch.Pool[int, int]) { _, _ = p.Process(context.Background(), succeeds) }},
	"fails":    {nil, func(p *dispatch.Pool[int, int]) { _, _ = p.Process(context.Background(), fails) }},
	"panics":   {nil, func(p *dispatch.Pool[int, int]) { _, _ = p.Process(context.Background(), panics) }},
	"exits":    {nil, func(p *dispatch.Pool[int, int]) { _, _ = p.Process(context.Background(), exits) }},
	"is canceled while it runs": {nil, func(p *dispatch.Pool[int, int]) {
		f := dispatch.Must(p.Submit(context.Background(), heedless))
		time.Sleep(time.Second)
		f.Cancel()
	}},
	"is canceled in the queue": {nil, func(p *dispatch.Pool[int, int]) {
		dispatch.Must(p.Submit(context.Background(), succeeds))
		dispatch.Must(p.Submit(context.Background(), succeeds)).Cancel()
	}},
	"times out while it runs": {nil, func(p *dispatch.Pool[int, int]) { _, _ = p.ProcessTimed(context.Background(), heedless, time.Second) }},
	"times out in the queue": {nil, func(p *dispatch.Pool[int, int]) {
		dispatch.Must(p.Submit(context.Background(), succeeds))
		_, _ = p.ProcessTimed(context.Background(), fails, time.Second)
	}},
	"is stopped": {nil, func(p *dispatch.Pool[int, int]) {
		dispatch.Must(p.Submit(context.Background(), heedless))
		dispatch.Must(p.Submit(context.Background(), fails))
		p.BatchOf(context.Background(), []int{fails, fails})
		synctest.Wait()
		p.Stop()
	}},
	"is dropped": {[]dispatch.Option{dispatch.WithOverflow(dispatch.DropOldest)}, func(p *dispatch.Pool[int, int]) {
		for range 5 {
			dispatch.Must(p.Submit(context.Background(), succeeds))
		}
	}},
	"is written off": {[]dispatch.Option{dispatch.WithJobTimeout(time.Second), dispatch.WithGrace(time.Second, 1)}, func(p *dispatch.Pool[int, int]) {
		_, _ = p.Process(context.Background(), heedless)
		_, _ = p.Process(context.Background(), fails)
	}},
	"is an item that is written off": {[]dispatch.Option{dispatch.WithJobTimeout(time.Second), dispatch.WithGrace(time.Second, 1)}, func(p *dispatch.Pool[int, int]) {
		_, _ = p.BatchOf(context.Background(), []int{heedless, fails}).Wait(context.Background())
	}},
	"is run by its caller": {[]dispatch.Option{dispatch.WithOverflow(dispatch.CallerRuns)}, func(p *dispatch.Pool[int, int]) {
		for range 4 {
			dispatch.Must(p.Submit(context.Background(), succeeds))
		}
	}},
	"is nested":           {nil, func(p *dispatch.Pool[int, int]) { _, _ = p.Process(context.Background(), 100) }},
	"is an item of a Map": {nil, func(p *dispatch.Pool[int, int]) { _, _ = p.Map(context.Background(), []int{succeeds, panics, fails}) }},
	"is an item of a batch": {nil, func(p *dispatch.Pool[int, int]) {
		_, _ = p.BatchOf(context.Background(), []int{succeeds, panics, exits, fails, 100}).Wait(context.Background())
	}},
	"is what a batch leaves": {nil, func(p *dispatch.Pool[int, int]) {
		_, _ = p.BatchOf(context.Background(), []int{succeeds, fails, fails}, dispatch.StopOnError()).Wait(context.Background())
	}},
}

func TestDoneIsToldOnceHoweverAJobEndsAndWhateverAnotherHookDoes(t *testing.T) {
	for end, e := range ends {
		for what, misbehave := range map[string]func(p *dispatch.Pool[int, int]){
			"panics": func(*dispatch.Pool[int, int]) { panic("boo") },
			"exits":  func(*dispatch.Pool[int, int]) { runtime.Goexit() },
			"asks the pool": func(p *dispatch.Pool[int, int]) {
				p.Stats()
				p.Running()
				p.Failures()
			},
		} {
			for _, where := range []string{"Start", "Done"} {
				for _, order := range []string{"before", "after"} {
					t.Run(fmt.Sprintf("a job %s, and %s of a hook %s it %s", end, where, order, what), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							var w witness
							var p *dispatch.Pool[int, int]
							bad := dispatch.WithHooks(hookOf(where, func() { misbehave(p) }))
							opts := w.opts(append(e.opts, dispatch.WithWorkers(1), dispatch.WithQueue(2))...)
							if order == "before" {
								opts = append([]dispatch.Option{bad}, opts...)
							} else {
								opts = append(opts, bad)
							}
							p = openPool(t, func(ctx context.Context, in int) (int, error) {
								if in == 100 {
									return p.Process(ctx, fails)
								}
								return deeds(ctx, in)
							}, opts...)
							e.run(p)
							require.NoError(t, p.Close())
							require.Positive(t, p.Stats().Submitted)
							w.requireTold(t, p.Stats())
						})
					})
				}
			}
		}
	}
}

func hookOf(where string, f func()) dispatch.Hooks {
	if where == "Start" {
		return dispatch.Hooks{Start: func(context.Context, dispatch.Job) context.Context { f(); return nil }}
	}
	return dispatch.Hooks{Done: func(context.Context, dispatch.Job) { f() }}
}

func TestTheOutcomeOfAnInputStandsThatAHookWasToldWhichEndsItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told notes[dispatch.Job]
		var b *dispatch.Batch[int, int]
		p := openPool(t, func(context.Context, int) (int, error) { return 0, errUser }, dispatch.WithJobTimeout(time.Second),
			dispatch.WithHooks(dispatch.Hooks{Done: func(_ context.Context, j dispatch.Job) {
				told.add(j)
				time.Sleep(time.Minute) // past the limit of the job
				b.Cancel()
				runtime.Goexit()
			}}))
		b = p.Batch(t.Context())
		require.NoError(t, b.Add(1))
		_, err := b.Wait(t.Context())
		require.ErrorIs(t, err, errUser)
		require.NoError(t, p.Close())
		require.Len(t, told.all(), 1)
		require.Equal(t, dispatch.Failed, told.all()[0].Outcome)
		require.EqualValues(t, 1, p.Stats().Failed)
	})
}

func TestAHookThatBlocksKeepsNobodyFromBeingWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, gate := newHeld(), make(chan struct{})
		p := openPool(t, h.handle, dispatch.WithWorkers(1), dispatch.WithQueue(1),
			dispatch.WithHooks(dispatch.Hooks{Done: func(_ context.Context, j dispatch.Job) {
				if j.Outcome == dispatch.Canceled {
					<-gate
				}
			}}))
		dispatch.Must(p.Submit(t.Context(), 1))
		synctest.Wait()
		queued := dispatch.Must(p.Submit(t.Context(), 2))
		blocked := calling(func() (*dispatch.Future[int], error) { return p.Submit(t.Context(), 3) })
		synctest.Wait()
		require.False(t, blocked.returned())

		canceled := calling(func() (bool, error) { return queued.Cancel(), nil })
		synctest.Wait()
		require.False(t, canceled.returned(), "the hook is told on the goroutine of who has canceled")
		require.NoError(t, blocked.requireReturn(t), "and the submitter has the room")
		close(gate)
		require.NoError(t, canceled.requireReturn(t))
		h.letAll()
	})
}

func TestAnInlineCallGivesItsSlotBackAlsoIfAHookEndsAGoroutineThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, func(context.Context, int) (int, error) {
			runtime.Goexit()
			return 0, nil
		}, dispatch.WithWorkers(1), dispatch.WithInline(), dispatch.WithHooks(hookOf("Done", runtime.Goexit)))
		for range 2 {
			within(t, "Process", func() { _, _ = p.Process(t.Context(), 1) })
			require.NoError(t, dispatch.Rest(p))
		}
		require.EqualValues(t, 2, p.Stats().Failed)
	})
}
