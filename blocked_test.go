package dispatch_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// Submitters that wait for room.

func TestBlockedSubmittersAreServedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1), dispatch.WithQueue(1))
		var calls []*call[*dispatch.Future[int]]
		for i := range 8 {
			calls = append(calls, calling(func() (*dispatch.Future[int], error) { return p.Submit(t.Context(), i) }))
		}
		for i := range 8 {
			for j, c := range calls {
				require.Equal(t, j <= i+1, c.returned(), "submit %d when %d have run", j, i)
			}
			_, err := p.TrySubmit(t.Context(), 99)
			if i < 7 {
				require.Equal(t, dispatch.ErrQueueFull, err, "nobody overtakes those that wait")
			} else {
				require.NoError(t, err)
			}
			h.let(1)
		}
		h.letAll()
		require.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7, 99}, h.entered())
	})
}

func TestTheContextEndsTheWaitForRoomAndTheJobNeverRuns(t *testing.T) {
	inBubbles(t, map[string]func(ctx context.Context, p *dispatch.Pool[int, int]) error{
		"Process": func(ctx context.Context, p *dispatch.Pool[int, int]) error { _, err := p.Process(ctx, 2); return err },
		"ProcessTimed": func(ctx context.Context, p *dispatch.Pool[int, int]) error {
			_, err := p.ProcessTimed(ctx, 2, time.Hour)
			return err
		},
		"Submit": func(ctx context.Context, p *dispatch.Pool[int, int]) error { _, err := p.Submit(ctx, 2); return err },
	}, func(t *testing.T, submit func(ctx context.Context, p *dispatch.Pool[int, int]) error) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1), dispatch.WithQueue(1))
		dispatch.Must(p.Submit(t.Context(), 0))
		dispatch.Must(p.Submit(t.Context(), 1))
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errCause)
		defer cancel()
		first := callingErr(func() error { return submit(ctx, p) })
		second := calling(func() (int, error) { return p.Process(t.Context(), 3) })
		require.Equal(t, errCause, first.requireReturnAfter(t, time.Second))
		require.Equal(t, uint64(2), p.Stats().Submitted)
		h.letAll()
		require.NoError(t, second.requireReturn(t))
		require.Equal(t, []int{0, 1, 3}, h.entered())
	})
}

func TestTheEndOfThePoolEndsTheWaitForRoom(t *testing.T) {
	inBubbles(t, map[string]func(p *dispatch.Pool[int, int]){
		"Close": func(p *dispatch.Pool[int, int]) { callingErr(p.Close) },
		"Stop":  func(p *dispatch.Pool[int, int]) { require.Equal(t, []int{1}, p.Stop()) },
	}, func(t *testing.T, end func(p *dispatch.Pool[int, int])) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1), dispatch.WithQueue(1))
		dispatch.Must(p.Submit(t.Context(), 0))
		dispatch.Must(p.Submit(t.Context(), 1))
		var calls []*call[int]
		for range 3 {
			calls = append(calls, calling(func() (int, error) { return p.Process(t.Context(), 2) }))
		}
		synctest.Wait()
		end(p)
		for _, c := range calls {
			require.Equal(t, dispatch.ErrClosed, c.requireReturn(t))
		}
		h.letAll()
		require.NotContains(t, h.entered(), 2)
	})
}

// Regression: when a job was run before its turn, because another job waited for it, nobody
// was told of the room that it left.
func TestWhoWaitsForRoomIsLetInWhenAJobIsBroughtForward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *dispatch.Pool[int, int]
		inner, pass := make(chan *dispatch.Future[int]), make(chan struct{})
		p = dispatch.Must(dispatch.New(func(ctx context.Context, in int) (int, error) {
			switch in {
			case 1:
				f, err := p.Submit(ctx, 2)
				if err != nil {
					return 0, err
				}
				inner <- f
				<-pass
				return f.Wait(ctx)
			case 2:
				<-pass
			}
			return in, nil
		}, dispatch.WithWorkers(1), dispatch.WithQueue(1)))
		_, err := p.Submit(t.Context(), 1)
		require.NoError(t, err)
		<-inner
		returned := make(chan struct{})
		go func() {
			defer close(returned)
			_, err = p.Submit(t.Context(), 3)
		}()
		synctest.Wait()
		require.False(t, isClosed(returned), "the queue is full")
		pass <- struct{}{} // now 1 waits for 2, which runs
		synctest.Wait()
		require.True(t, isClosed(returned), "there is room")
		require.NoError(t, err)
		close(pass)
		requireSound(t, p)
	})
}

// signalled is a context that calls what is registered with it before it closes
// its channel.
type signalled struct {
	context.Context
	mu    sync.Mutex
	funcs []func()
	done  chan struct{}
	err   error
}

func (c *signalled) Done() <-chan struct{} { return c.done }

func (c *signalled) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func (c *signalled) AfterFunc(f func()) func() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.funcs = append(c.funcs, f)
	return func() bool { return false }
}

func (c *signalled) end() {
	c.mu.Lock()
	c.err = context.Canceled
	funcs := c.funcs
	c.mu.Unlock()
	for _, f := range funcs {
		f()
	}
}

// Regression: such a job was accepted, and never had an outcome.
func TestAJobWhoseContextEndsWhileItWaitsForRoomIsNotAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *dispatch.Pool[int, int]
		ctxs, pass := make(chan *signalled, 1), make(chan struct{})
		errs := make(chan error, 1)
		p = dispatch.Must(dispatch.New(func(ctx context.Context, in int) (int, error) {
			switch in {
			case 1:
				var all sync.WaitGroup
				all.Go(func() { _, _ = p.Process(ctx, 2) }) // has the slot of 1
				synctest.Wait()
				c := &signalled{Context: ctx, done: make(chan struct{})}
				ctxs <- c
				all.Go(func() {
					f, err := p.Submit(c, 3) // waits for room, or for that slot
					if err == nil {
						_, err = f.Wait(context.Background())
					}
					errs <- err
				})
				all.Wait()
			case 2:
				<-pass
			}
			return in, nil
		}, dispatch.WithWorkers(1), dispatch.WithQueue(0)))
		_, err := p.Submit(t.Context(), 1)
		require.NoError(t, err)
		c := <-ctxs
		synctest.Wait()
		c.end()
		synctest.Wait()
		close(pass)
		synctest.Wait()
		close(c.done)
		require.Equal(t, context.Canceled, <-errs)
		require.NoError(t, p.Close())
		requireSum(t, p.Stats())
		require.LessOrEqual(t, p.Stats().Submitted, uint64(3))
	})
}

func TestOnlySoManySubmittersMayBeBlocked(t *testing.T) {
	for _, most := range []int{0, 1, 3} {
		inBubbles(t, map[string]func(p *dispatch.Pool[int, int], i int) error{
			"Process": func(p *dispatch.Pool[int, int], i int) error {
				_, err := p.Process(context.Background(), i)
				return err
			},
			"ProcessTimed": func(p *dispatch.Pool[int, int], i int) error {
				_, err := p.ProcessTimed(context.Background(), i, time.Hour)
				return err
			},
			"Submit": func(p *dispatch.Pool[int, int], i int) error { _, err := p.Submit(context.Background(), i); return err },
		}, func(t *testing.T, submit func(p *dispatch.Pool[int, int], i int) error) {
			h := newHeld()
			p := openPool(t, h.handle, dispatch.WithWorkers(1), dispatch.WithQueue(1), dispatch.WithMaxBlocked(most))
			dispatch.Must(p.Submit(t.Context(), 0))
			dispatch.Must(p.Submit(t.Context(), 0))
			var calls []*call[struct{}]
			for i := range most {
				calls = append(calls, callingErr(func() error { return submit(p, i) }))
			}
			require.Equal(t, most, p.Stats().Blocked)
			for range 2 {
				require.Equal(t, dispatch.ErrQueueFull, callingErr(func() error { return submit(p, 9) }).requireReturn(t))
			}
			s := p.Stats()
			require.Equal(t, [2]uint64{2, 2}, [2]uint64{s.Submitted, s.Rejected})
			for _, c := range calls {
				require.False(t, c.returned())
			}
			h.letAll()
			for _, c := range calls {
				require.NoError(t, c.requireReturn(t))
			}
			require.NotContains(t, h.entered(), 9)
		})
	}
}

func TestWithMaxBlockedIsRefusedWhereItMeansNothing(t *testing.T) {
	_, err := dispatch.New(double, dispatch.WithMaxBlocked(-1))
	require.EqualError(t, err, "dispatch: WithMaxBlocked(-1): must not be negative")
	for _, policy := range []dispatch.Overflow{dispatch.Reject, dispatch.DropOldest, dispatch.CallerRuns} {
		for _, opts := range [][]dispatch.Option{
			{dispatch.WithMaxBlocked(3), dispatch.WithOverflow(policy)}, {dispatch.WithOverflow(policy), dispatch.WithMaxBlocked(3)},
		} {
			_, err := dispatch.New(double, opts...)
			require.ErrorContains(t, err, "WithMaxBlocked(3)")
		}
	}
}

func TestAJobThatWaitsForItsOwnPoolIsNeverTurnedAwayByWithMaxBlocked(t *testing.T) {
	for name, nest := range nestings {
		if name == "Submit and Wait" {
			continue // a Submit does not wait for its job, and may be refused
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := nestingPool(t, nest, dispatch.WithQueue(0), dispatch.WithMaxBlocked(0))
				out, err := p.Process(t.Context(), 3)
				require.NoError(t, err)
				require.Equal(t, 3, out)
			})
		})
	}
}
