package dispatch_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// A job has its slot from the moment it is accepted. What happens to it does not depend on
// whether the dispatcher or a worker has run yet. With one processor neither has run when a
// call returns.

// fates are the errors of those futures that are resolved, by their index.
func fates(fs []*dispatch.Future[int]) map[int]error {
	errs := map[int]error{}
	for i, f := range fs {
		if isClosed(f.Done()) {
			_, errs[i] = f.Wait(context.Background())
		}
	}
	return errs
}

func TestDropOldestSparesJobsThatASlotIsFreeFor(t *testing.T) {
	for name, fill := range map[string]struct {
		workers int
		before  func(t *testing.T, p *dispatch.Pool[int, int]) []*dispatch.Future[int]
		want    int // the job that has waited longest of those for which no slot is free
	}{
		"a new pool of one":   {1, nil, 1},
		"a new pool of three": {3, nil, 3},
		"a worker that was never needed": {2, func(t *testing.T, p *dispatch.Pool[int, int]) []*dispatch.Future[int] {
			t.Helper()
			_, err := p.Process(t.Context(), 0)
			require.NoError(t, err)
			return nil
		}, 2},
		"a worker that is idle": {2, func(t *testing.T, p *dispatch.Pool[int, int]) []*dispatch.Future[int] {
			t.Helper()
			_, err := p.Process(t.Context(), 0)
			require.NoError(t, err)
			eventually(t, "a worker is idle", func() bool { return p.Stats().Idle == 1 })
			return nil
		}, 2},
		"a Resize": {1, func(t *testing.T, p *dispatch.Pool[int, int]) []*dispatch.Future[int] {
			t.Helper()
			fs := submitted(t, p, 1)
			eventually(t, "a job runs", func() bool { return p.Stats().Running == 1 })
			fs = append(fs, submitted(t, p, 2)...)
			require.NoError(t, p.Resize(2))
			return fs
		}, 2},
		"a Resize to three": {1, func(t *testing.T, p *dispatch.Pool[int, int]) []*dispatch.Future[int] {
			t.Helper()
			fs := submitted(t, p, 2)
			require.NoError(t, p.Resize(3))
			return fs
		}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			oneProcessor(t)
			g := newGated()
			p := dispatch.Must(dispatch.New(g.handle, dispatch.WithWorkers(fill.workers), dispatch.WithQueue(2), dispatch.WithOverflow(dispatch.DropOldest)))
			var fs []*dispatch.Future[int]
			if fill.before != nil {
				fs = fill.before(t, p)
			}
			fs = append(fs, submitted(t, p, fill.want+3-len(fs))...)
			require.Equal(t, map[int]error{fill.want: dispatch.ErrDropped}, fates(fs))
			g.open()
			requireSound(t, p)
			require.Equal(t, uint64(1), p.Stats().Dropped)
		})
	}
}

func TestDropOldestDropsNoneOfThoseThatHadASlotBeforeAResize(t *testing.T) {
	oneProcessor(t)
	g := newGated()
	p := dispatch.Must(dispatch.New(g.handle, dispatch.WithWorkers(4), dispatch.WithQueue(0), dispatch.WithOverflow(dispatch.DropOldest)))
	fs := submitted(t, p, 4)
	require.NoError(t, p.Resize(1))
	_, err := p.Submit(t.Context(), 5)
	require.Equal(t, dispatch.ErrQueueFull, err)
	require.Empty(t, fates(fs))
	g.open()
	requireSound(t, p)
}

// Regression: a job that was handed to a worker, and settled before the worker woke, kept
// its slot.
func TestAJobThatIsSettledBeforeItsWorkerWakesHasNoSlot(t *testing.T) {
	settle := map[string]func(t *testing.T, p *dispatch.Pool[int, int]){
		"Cancel": func(t *testing.T, p *dispatch.Pool[int, int]) {
			t.Helper()
			f, err := p.TrySubmit(t.Context(), 1)
			require.NoError(t, err)
			require.True(t, f.Cancel())
		},
		"its context": func(t *testing.T, p *dispatch.Pool[int, int]) {
			t.Helper()
			ctx, cancel := context.WithCancel(t.Context())
			f, err := p.TrySubmit(ctx, 1)
			require.NoError(t, err)
			cancel()
			requireSoon(t, f.Done(), "the job")
		},
	}
	warm := map[string]func(t *testing.T, p *dispatch.Pool[int, int]){
		"an idle worker": func(t *testing.T, p *dispatch.Pool[int, int]) {
			t.Helper()
			_, err := p.Process(t.Context(), 0)
			require.NoError(t, err)
			eventually(t, "the worker is idle", func() bool { return p.Stats().Idle == 1 })
		},
		"a new pool": func(*testing.T, *dispatch.Pool[int, int]) {},
	}
	for how, end := range settle {
		for which, before := range warm {
			t.Run(how+", "+which, func(t *testing.T) {
				oneProcessor(t)
				for range 50 {
					g := newGated()
					p := dispatch.Must(dispatch.New(g.handle, dispatch.WithWorkers(1), dispatch.WithQueue(0)))
					before(t, p)
					end(t, p)
					require.NoError(t, p.Wait(t.Context()))
					s := p.Stats()
					require.Zero(t, [2]int{s.Running, s.Queued})
					_, err := p.TrySubmit(t.Context(), 2)
					require.NoError(t, err, "nothing is queued or running")
					g.open()
					requireSound(t, p)
				}
			})
		}
	}
	t.Run("DropOldest", func(t *testing.T) {
		oneProcessor(t)
		g := newGated()
		p := dispatch.Must(dispatch.New(g.handle, dispatch.WithWorkers(1), dispatch.WithQueue(1), dispatch.WithOverflow(dispatch.DropOldest)))
		warm["an idle worker"](t, p)
		settle["Cancel"](t, p)
		fs := submitted(t, p, 2)
		require.Empty(t, fates(fs), "there is a slot for one, and the queue has room for the other")
		g.open()
		requireSound(t, p)
		require.Zero(t, p.Stats().Dropped)
	})
}

// Regression: the jobs ran side by side on a warm pool, and one after another on a cold
// one.
func TestJobsThatHaveASlotKeepItAfterAResize(t *testing.T) {
	for _, warm := range []bool{false, true} {
		t.Run(map[bool]string{false: "cold", true: "warm"}[warm], func(t *testing.T) {
			oneProcessor(t)
			synctest.Test(t, func(t *testing.T) {
				g := newGated()
				p := dispatch.Must(dispatch.New(g.handle, dispatch.WithWorkers(4), dispatch.WithQueue(0)))
				if warm {
					_, err := p.Map(t.Context(), []int{0, 0, 0, 0})
					require.NoError(t, err)
				}
				submitted(t, p, 4)
				require.NoError(t, p.Resize(1))
				synctest.Wait()
				require.Len(t, g.entered, 4, "all run side by side")
				_, err := p.TrySubmit(t.Context(), 5)
				require.Equal(t, dispatch.ErrQueueFull, err)
				g.open()
				requireSound(t, p)
			})
		})
	}
}

// With a queue of 0, a job is accepted for a slot, which is its own from then on. It does
// not wait for items that came later.
func TestAJobThatHasASlotDoesNotWaitForItemsThatCameLater(t *testing.T) {
	oneProcessor(t)
	synctest.Test(t, func(t *testing.T) {
		g := newGated()
		p := dispatch.Must(dispatch.New(g.handle, dispatch.WithWorkers(1), dispatch.WithQueue(0)))
		submitted(t, p, 1)
		require.NoError(t, p.Batch(t.Context()).Add(2, 3))
		synctest.Wait()
		require.Equal(t, 1, <-g.entered)
		g.open()
		requireSound(t, p)
	})
}

// Whether a job is refused does not depend on whether its pool is new or has just been
// warm.
func TestANewPoolTakesAsManyJobsAsAWarmOne(t *testing.T) {
	oneProcessor(t)
	for _, policy := range []dispatch.Overflow{dispatch.Block, dispatch.Reject, dispatch.DropOldest, dispatch.CallerRuns} {
		for _, warm := range []bool{false, true} {
			g := newGated()
			p := dispatch.Must(dispatch.New(g.handle, dispatch.WithWorkers(3), dispatch.WithQueue(2), dispatch.WithOverflow(policy)))
			if warm {
				_, err := p.Map(t.Context(), []int{0, 0, 0})
				require.NoError(t, err)
			}
			taken := 0
			for {
				_, err := p.TrySubmit(t.Context(), 1)
				if errors.Is(err, dispatch.ErrQueueFull) {
					break
				}
				require.NoError(t, err)
				taken++
			}
			require.Equal(t, 5, taken)
			g.open()
			requireSound(t, p)
		}
	}
}

// A time limit that ends a job before its worker has woken frees the slot, too.
func TestAJobThatTimesOutBeforeItsWorkerWakesHasNoSlot(t *testing.T) {
	oneProcessor(t)
	g := newGated()
	p := dispatch.Must(dispatch.New(g.handle, dispatch.WithWorkers(1), dispatch.WithQueue(0)))
	_, err := p.Process(t.Context(), 0)
	require.NoError(t, err)
	for range 100 {
		eventually(t, "the worker is idle", func() bool { return p.Stats().Idle == 1 })
		ctx, cancel := context.WithCancel(t.Context())
		canceled := make(chan struct{})
		go func() {
			defer close(canceled)
			cancel()
		}()
		_, err := p.Process(ctx, 0)
		if err != nil {
			require.Equal(t, context.Canceled, err)
		}
		<-canceled
		within(t, "Wait", func() { require.NoError(t, p.Wait(context.Background())) })
		f, err := p.TrySubmit(t.Context(), 0)
		require.NoError(t, err)
		_, err = f.Wait(t.Context())
		require.NoError(t, err)
	}
	_, err = p.ProcessTimed(t.Context(), 0, time.Nanosecond)
	if err != nil {
		require.ErrorIs(t, err, dispatch.ErrTimeout)
	}
	require.NoError(t, p.Wait(context.Background()))
	_, err = p.TrySubmit(t.Context(), 0)
	require.NoError(t, err)
	g.open()
	requireSound(t, p)
}

// Regression: a new pool accepted a job for a slot that was due to an item of a batch.
func TestItemsHaveTheFreeSlotsFromTheMomentTheyAreAdded(t *testing.T) {
	for name, add := range map[string]func(p *dispatch.Pool[int, int]){
		"Batch": func(p *dispatch.Pool[int, int]) { _ = p.Batch(context.Background()).Add(1, 2, 3) },
	} {
		for _, warm := range []bool{false, true} {
			t.Run(name+map[bool]string{false: ", cold", true: ", warm"}[warm], func(t *testing.T) {
				oneProcessor(t)
				g := newGated()
				p := dispatch.Must(dispatch.New(g.handle, dispatch.WithWorkers(2), dispatch.WithQueue(0)))
				if warm {
					_, err := p.Process(t.Context(), 0)
					require.NoError(t, err)
				}
				add(p)
				_, err := p.TrySubmit(t.Context(), 4)
				require.Equal(t, dispatch.ErrQueueFull, err, "an item is for every slot")
				g.open()
				requireSound(t, p)
			})
		}
	}
}

// Regression: a job was dropped because the dispatcher had not brought it to its worker
// yet.
func TestDropOldestDropsNoJobThatHasASlot(t *testing.T) {
	for range 300 { // the second Submit and the dispatcher race
		synctest.Test(t, func(t *testing.T) {
			p := openPool(t, heedfulNap, dispatch.WithWorkers(1), dispatch.WithQueue(0), dispatch.WithOverflow(dispatch.DropOldest))
			first := dispatch.Must(p.Submit(t.Context(), time.Second))
			_, err := p.Submit(t.Context(), time.Second)
			require.Equal(t, dispatch.ErrQueueFull, err)
			_, err = first.Wait(t.Context())
			require.NoError(t, err)
		})
	}
}

// A worker that was called to a Map in which nothing is left holds a slot until it has
// woken. The worker that claims the last input frees that slot.
func TestTheSlotOfAWorkerThatWouldFindNothingIsForOthersAtOnce(t *testing.T) {
	oneProcessor(t)
	bg := context.Background()
	var meet sync.WaitGroup
	meet.Add(2)
	var refused error
	var p *dispatch.Pool[int, int]
	p = openPool(t, func(ctx context.Context, n int) (int, error) {
		switch n {
		case 0: // both workers are started, and both go idle
			meet.Done()
			meet.Wait()
		case 2: // the last input: the other worker has been called and has not woken
			_, refused = p.TrySubmit(bg, 3)
		}
		return n, nil
	}, dispatch.WithWorkers(2), dispatch.WithQueue(0))
	dispatch.Must(p.Map(bg, []int{0, 0}))
	eventually(t, "both are idle", func() bool { return p.Stats().Idle == 2 })
	dispatch.Must(p.Map(bg, []int{1, 2}))
	require.NoError(t, refused)
}
