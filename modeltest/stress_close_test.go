package modeltest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// TestStressSubmitAgainstClose lets submitters race with Close, Stop and Shutdown: each
// job is run, returned by Stop, or refused. None is lost, and nothing starts once a call
// that waits for the end has returned.
func TestStressSubmitAgainstClose(t *testing.T) {
	noGoroutines(t)
	for i := range rounds(10_000) {
		within(t, time.Minute, "submit against close", func() { raceClose(t, i) })
		if t.Failed() {
			break
		}
	}
}

func raceClose(t *testing.T, round int) {
	const submitters, each = 4, 8
	var c tally
	var over atomic.Bool
	var started [submitters * each]atomic.Int32
	var ends [submitters * each]ending
	p := dispatch.Must(dispatch.New(func(ctx context.Context, i int) (int, error) {
		if over.Load() {
			t.Errorf("job %d started after the end", i)
		}
		started[i].Add(1)
		return i, ctx.Err()
	}, dispatch.WithWorkers(1+round%3), dispatch.WithQueue(round%5)))

	var unrun []int
	var racers sync.WaitGroup
	for s := range submitters {
		racers.Go(func() {
			for i := s * each; i < (s+1)*each; i++ {
				ends[i] = submitOne(t, p, &c, i)
			}
		})
	}
	racers.Go(func() {
		unrun = endPool(t, p, round)
		over.Store(true)
	})
	racers.Go(func() { // a second caller, which also returns only after the end
		if err := p.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		over.Store(true)
	})
	racers.Wait()

	given := map[int]bool{}
	for _, i := range unrun {
		given[i] = true
	}
	for i, e := range ends {
		n := started[i].Load()
		if n > 1 || !e.accepted && n > 0 || e.accepted && (n == 0) != given[i] || n == 0 && e.accepted && !errors.Is(e.err, dispatch.ErrStopped) {
			t.Errorf("job %d: accepted: %t; started %d times; given back: %t; outcome %v", i, e.accepted, n, given[i], e.err)
		}
		if round%3 == 0 && e.accepted && e.err != nil {
			t.Errorf("job %d was accepted by a pool that was only closed, and ended with %v", i, e.err)
		}
	}
	require.Empty(t, p.Stop(), "a second Stop gave something back")
	checkEnded(t, p, &c)
}

// endPool ends p in one of three ways, and returns the inputs that never ran.
func endPool(t *testing.T, p *dispatch.Pool[int, int], how int) (unrun []int) {
	switch how % 3 {
	case 0:
		if err := p.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	case 1:
		unrun = p.Stop()
	case 2:
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(how%50)*time.Microsecond)
		defer cancel()
		if err := p.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v", err)
		}
		unrun = p.Stop()
	}
	<-p.Done()
	return unrun
}

// ending is how one job ended, if it was accepted.
type ending struct {
	accepted bool
	err      error
}

// submitOne submits job i in one of several ways, and counts its outcome.
func submitOne(t *testing.T, p *dispatch.Pool[int, int], c *tally, i int) ending {
	ctx := context.Background()
	submit := p.Submit
	switch i % 3 {
	case 0:
		submit = p.TrySubmit
	case 1:
		_, err := p.Process(ctx, i)
		if errors.Is(err, dispatch.ErrClosed) || errors.Is(err, dispatch.ErrQueueFull) {
			c.refuse(t, err)
			return ending{}
		}
		c.add(err)
		return ending{true, err}
	}
	f, err := submit(ctx, i)
	if err != nil {
		c.refuse(t, err)
		return ending{}
	}
	_, err = f.Wait(ctx)
	c.add(err)
	return ending{true, err}
}
