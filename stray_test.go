package dispatch_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// requireStrays asserts how many handlers are written off and how many run.
func requireStrays[In, Out any](t *testing.T, p *dispatch.Pool[In, Out], strays, running int) {
	t.Helper()
	synctest.Wait()
	s := p.Stats()
	require.Equal(t, [2]int{strays, running}, [2]int{s.Strays, s.Running})
}

func TestAHandlerIsWrittenOffWhenItsGraceHasPassed(t *testing.T) {
	inBubbles(t, map[string]func(p *dispatch.Pool[int, int], f *dispatch.Future[int]){
		"a cancel": func(_ *dispatch.Pool[int, int], f *dispatch.Future[int]) { f.Cancel() },
		"Stop":     func(p *dispatch.Pool[int, int], _ *dispatch.Future[int]) { p.Stop() },
	}, func(t *testing.T, end func(p *dispatch.Pool[int, int], f *dispatch.Future[int])) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1), dispatch.WithGrace(time.Minute, 1))
		f := dispatch.Must(p.Submit(t.Context(), 1))
		time.Sleep(time.Hour)
		requireStrays(t, p, 0, 1) // nobody has asked it to end
		end(p, f)
		time.Sleep(time.Minute - 1)
		requireStrays(t, p, 0, 1)
		time.Sleep(1)
		requireStrays(t, p, 1, 0)
		require.Zero(t, p.Stats().Workers)
		h.let(1)
		requireStrays(t, p, 0, 0)
	})
}

func TestGraceBeginsWithEachKindOfTimeout(t *testing.T) {
	inBubbles(t, map[string]struct {
		opt dispatch.Option
		run func(p *dispatch.Pool[int, int]) error
	}{
		"WithJobTimeout": {dispatch.WithJobTimeout(time.Second), func(p *dispatch.Pool[int, int]) error {
			_, err := p.Process(context.Background(), 1)
			return err
		}},
		"ProcessTimed": {dispatch.WithJobTimeout(0), func(p *dispatch.Pool[int, int]) error {
			_, err := p.ProcessTimed(context.Background(), 1, time.Second)
			return err
		}},
	}, func(t *testing.T, r struct {
		opt dispatch.Option
		run func(p *dispatch.Pool[int, int]) error
	}) {
		h := newHeld()
		p := openPool(t, h.handle, r.opt, dispatch.WithGrace(time.Second, 1))
		require.ErrorIs(t, r.run(p), dispatch.ErrTimeout)
		time.Sleep(time.Second - 1)
		requireStrays(t, p, 0, 1)
		time.Sleep(1)
		requireStrays(t, p, 1, 0)
		h.letAll()
	})
}

func TestAHandlerThatReturnsWithinItsGraceIsNoStray(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var made notes[string]
		p := openWorkers(t, toolbox(&made, workerOf{process: func(ctx context.Context, in int) (int, error) {
			<-ctx.Done()
			time.Sleep(time.Minute - 1)
			return in, nil
		}}), dispatch.WithWorkers(1), dispatch.WithGrace(time.Minute, 1))
		for range 3 {
			_, err := p.ProcessTimed(t.Context(), 1, time.Second)
			require.ErrorIs(t, err, dispatch.ErrTimeout)
			time.Sleep(time.Minute - 1)
			requireStrays(t, p, 0, 0)
			time.Sleep(time.Second)
			requireStrays(t, p, 0, 0)
		}
		require.Empty(t, life(made.all(), 1), "no other worker has been needed")
	})
}

func TestANewWorkerTakesThePlaceOfAStray(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1), dispatch.WithGrace(time.Second, 2))
		f := dispatch.Must(p.Submit(t.Context(), 1))
		next := dispatch.Must(p.Submit(t.Context(), 2))
		synctest.Wait()
		f.Cancel()
		time.Sleep(time.Second - 1)
		require.Equal(t, []int{1}, h.entered())
		time.Sleep(1)
		require.Equal(t, []int{1, 2}, h.entered())
		requireStrays(t, p, 1, 1)
		h.letAll()
		out, err := next.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, 2, out)
		requireStrays(t, p, 0, 0)
	})
}

func TestThereAreAtMostMaxStraysAndOthersWaitForTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pass := [4]chan struct{}{}
		for i := range pass {
			pass[i] = make(chan struct{})
		}
		var entered notes[int]
		p := openPool(t, func(_ context.Context, in int) (int, error) {
			entered.add(in)
			if in < len(pass) {
				<-pass[in]
			}
			return in, nil
		}, dispatch.WithWorkers(4), dispatch.WithGrace(time.Second, 2))
		for i := range 4 {
			f := dispatch.Must(p.Submit(t.Context(), i))
			synctest.Wait()
			time.AfterFunc(time.Duration(i)*time.Millisecond, func() { f.Cancel() })
		}
		time.Sleep(2 * time.Second)
		requireStrays(t, p, 2, 2) // 0 and 1
		close(pass[0])
		requireStrays(t, p, 2, 1) // 1 and 2: it was first to wait
		close(pass[2])
		requireStrays(t, p, 2, 0) // 1 and 3
		close(pass[3])
		requireStrays(t, p, 1, 0)
		close(pass[1])
		requireStrays(t, p, 0, 0)
	})
}

func TestOneThatReturnsWhileItWaitsForItsTurnIsNoStray(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, nap, dispatch.WithWorkers(2), dispatch.WithGrace(time.Second, 1))
		for _, d := range []time.Duration{time.Hour, time.Minute} {
			_, err := p.ProcessTimed(t.Context(), d, time.Second)
			require.ErrorIs(t, err, dispatch.ErrTimeout)
		}
		time.Sleep(time.Second)
		requireStrays(t, p, 1, 1)
		time.Sleep(time.Minute)
		requireStrays(t, p, 1, 0)
		time.Sleep(time.Hour)
		requireStrays(t, p, 0, 0)
		_, err := p.ProcessTimed(t.Context(), time.Hour, time.Second)
		require.ErrorIs(t, err, dispatch.ErrTimeout)
		time.Sleep(time.Second)
		requireStrays(t, p, 1, 0) // there is room among the strays again
	})
}

func TestCloseWaitsForStraysAndWaitDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, nap, dispatch.WithWorkers(1), dispatch.WithGrace(time.Second, 1))
		_, err := p.ProcessTimed(t.Context(), time.Hour, time.Second)
		require.ErrorIs(t, err, dispatch.ErrTimeout)
		c := callingErr(func() error { return p.Wait(t.Context()) })
		require.NoError(t, c.requireReturnAfter(t, time.Second))
		c = callingErr(p.Close)
		require.NoError(t, c.requireReturnAfter(t, time.Hour-2*time.Second))
	})
}

func TestAStrayMayEndAsItLikes(t *testing.T) {
	inBubbles(t, map[string]func(){
		"return": func() {},
		"panic":  func() { panic("late") },
		"Goexit": runtime.Goexit,
	}, func(t *testing.T, end func()) {
		var log notes[string]
		var lines logbook
		p := openWorkers(t, toolbox(&log, workerOf{process: func(_ context.Context, in int) (int, error) {
			if in > 0 {
				time.Sleep(time.Minute)
				end()
			}
			return in, nil
		}}), dispatch.WithWorkers(1), dispatch.WithGrace(time.Second, 1), dispatch.WithLogger(lines.logger()))
		_, err := p.ProcessTimed(t.Context(), 1, time.Second)
		require.ErrorIs(t, err, dispatch.ErrTimeout)
		time.Sleep(time.Hour)
		requireStrays(t, p, 0, 0)
		_, err = p.Process(t.Context(), 0)
		require.NoError(t, err)
		require.NoError(t, p.Close())
		require.Equal(t, []string{"new", "ready", "process", "interrupt", "processed", "close"}, life(log.all(), 0))
		require.Equal(t, []string{"new", "ready", "process", "processed", "close"}, life(log.all(), 1))
	})
}

func TestAnItemOfAStrayGetsItsOutcomeWhenItIsWrittenOff(t *testing.T) {
	inBubbles(t, map[string]func(p *dispatch.Pool[int, int]) error{
		"Batch": func(p *dispatch.Pool[int, int]) error {
			b := p.Batch(context.Background())
			_ = b.Add(1)
			_, err := b.Wait(context.Background())
			return err
		},
		"Map": func(p *dispatch.Pool[int, int]) error { _, err := p.Map(context.Background(), []int{1}); return err },
	}, func(t *testing.T, run func(p *dispatch.Pool[int, int]) error) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1), dispatch.WithJobTimeout(time.Second), dispatch.WithGrace(time.Second, 1))
		c := callingErr(func() error { return run(p) })
		err := c.requireReturnAfter(t, 2*time.Second)
		var ierr *dispatch.ItemError
		require.ErrorAs(t, err, &ierr)
		require.Equal(t, &dispatch.ItemError{Index: 0, Err: &dispatch.TimeoutError{Limit: time.Second, Ran: true}}, ierr)
		requireSum(t, p.Stats())
		h.letAll()
		synctest.Wait()
		s := p.Stats()
		require.Equal(t, [3]uint64{1, 1, 0}, [3]uint64{s.Submitted, s.TimedOut, s.Succeeded})
	})
}

// The slot that a stray leaves is free for any waiting job, however that job waits.
func TestG10TheSlotOfAStrayIsTakenAtOnce(t *testing.T) {
	inBubbles(t, map[string]struct {
		queue int
		next  func(p *dispatch.Pool[int, int]) error
	}{
		"by a job in the queue": {1, func(p *dispatch.Pool[int, int]) error { _, err := p.Process(context.Background(), 0); return err }},
		"by one that waits for room": {0, func(p *dispatch.Pool[int, int]) error {
			_, err := p.Process(context.Background(), 0)
			return err
		}},
		"by an item of a batch": {0, func(p *dispatch.Pool[int, int]) error {
			b := p.Batch(context.Background())
			_ = b.Add(0)
			_, err := b.Wait(context.Background())
			return err
		}},
		"by an input of a Map": {0, func(p *dispatch.Pool[int, int]) error {
			_, err := p.Map(context.Background(), []int{0})
			return err
		}},
	}, func(t *testing.T, r struct {
		queue int
		next  func(p *dispatch.Pool[int, int]) error
	}) {
		pass := newGated()
		p := dispatch.Must(dispatch.New(pass.handle, dispatch.WithWorkers(1), dispatch.WithQueue(r.queue), dispatch.WithGrace(time.Minute, 1)))
		f, err := p.Submit(t.Context(), 1)
		require.NoError(t, err)
		synctest.Wait()
		begin := time.Now()
		f.Cancel()
		require.NoError(t, r.next(p))
		require.Equal(t, time.Minute, time.Since(begin))
		pass.open()
		requireSound(t, p)
	})
}

// The next item of the stray's own batch, too.
func TestG10TheNextItemOfAStraysBatchRunsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pass := newGated()
		p := dispatch.Must(dispatch.New(pass.handle, dispatch.WithWorkers(1), dispatch.WithJobTimeout(time.Second), dispatch.WithGrace(time.Minute, 1)))
		b := p.Batch(t.Context())
		require.NoError(t, b.Add(1, 0, 0))
		begin := time.Now()
		_, err := b.Wait(t.Context())
		require.ErrorIs(t, err, dispatch.ErrTimeout)
		require.Equal(t, time.Minute+time.Second, time.Since(begin))
		pass.open()
		requireSound(t, p)
	})
}

// Regression: a job that was canceled and written off in Ready was subtracted twice from
// the running jobs. Wait returned while another job ran.
func TestAStrayInReadyCountsOnceAmongWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		gates := make(chan chan struct{}, 2)
		open, shut := make(chan struct{}), make(chan struct{})
		close(open)
		gates <- open
		gates <- shut
		p := openWorkers(t, func(context.Context) (dispatch.Worker[time.Duration, int], error) {
			return readyAt{<-gates}, nil
		}, dispatch.WithWorkers(2), dispatch.WithGrace(time.Second, 1))
		dispatch.Must(p.Submit(ctx, time.Minute))
		synctest.Wait()
		f := dispatch.Must(p.Submit(ctx, 0))
		synctest.Wait()
		require.True(t, f.Cancel())
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, 1, p.Stats().Strays)
		require.Equal(t, 1, p.Stats().Running)
		require.NoError(t, p.Wait(ctx))
		require.Equal(t, 0, p.Stats().Running)
		require.Equal(t, uint64(1), p.Stats().Succeeded)
		close(shut)
	})
}

// readyAt is a Worker whose Ready waits for the gate, whatever its context says.
type readyAt struct{ gate chan struct{} }

func (w readyAt) Ready(context.Context) error { <-w.gate; return nil }

func (w readyAt) Process(_ context.Context, d time.Duration) (int, error) {
	time.Sleep(d)
	return 0, nil
}
