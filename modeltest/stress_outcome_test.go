package modeltest

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// TestStressOutcome lets completion, Cancel, the end of the caller's context, a timeout
// and Stop race for one outcome. It compares all readers: the outcome is decided once, by
// the event that it names.
func TestStressOutcome(t *testing.T) {
	noGoroutines(t)
	var c tally
	p := dispatch.Must(dispatch.New(spinFor, dispatch.WithWorkers(4)))
	random := rand.New(rand.NewPCG(1, 2))
	for i := range rounds(200_000) {
		work := time.Duration(random.IntN(3000))
		switch {
		case i%100 == 99:
			raceStop(t, random)
		case i%4 == 3:
			raceTimeout(t, p, &c, work, random)
		default:
			raceCancel(t, p, &c, work, random)
		}
		if t.Failed() {
			break
		}
	}
	require.NoError(t, p.Close())
	checkEnded(t, p, &c)
}

// spinFor is a handler that ignores its context.
func spinFor(ctx context.Context, d time.Duration) (time.Duration, error) {
	spin(d)
	return d, nil
}

// raceCancel races Future.Cancel and the caller's context against completion.
func raceCancel(t *testing.T, p *dispatch.Pool[time.Duration, time.Duration], c *tally, work time.Duration, random *rand.Rand) {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	f, err := p.Submit(ctx, work)
	if err != nil {
		t.Errorf("Submit: %v", err)
		return
	}
	var errs [3]error
	var won bool
	var racers sync.WaitGroup
	if random.IntN(2) == 0 {
		racers.Go(func() { won = f.Cancel() })
	}
	if random.IntN(2) == 0 {
		racers.Go(func() { cancel(errCause) })
	}
	for i := range errs {
		racers.Go(func() { _, errs[i] = f.Wait(context.Background()) })
	}
	racers.Wait()
	c.add(errs[0])
	if errs[1] != errs[0] || errs[2] != errs[0] {
		t.Errorf("readers were told %v, %v and %v", errs[0], errs[1], errs[2])
	}
	if won != (errs[0] == context.Canceled) {
		t.Errorf("Cancel returned %t, and the outcome is %v", won, errs[0])
	}
	if f.Cancel() {
		t.Error("Cancel decided an outcome that was known")
	}
}

// raceTimeout races ProcessTimed's limit against completion.
func raceTimeout(t *testing.T, p *dispatch.Pool[time.Duration, time.Duration], c *tally, work time.Duration, random *rand.Rand) {
	limit := work + time.Duration(random.IntN(2000)) - 500
	began := time.Now()
	v, err := p.ProcessTimed(context.Background(), work, limit)
	took := time.Since(began)
	var te *dispatch.TimeoutError
	switch {
	case err == nil && v == work:
		c.add(err)
	case errors.As(err, &te) && te.Limit == limit:
		if limit > 0 { // otherwise it was never accepted
			c.add(err)
		}
		if took < limit {
			t.Errorf("timed out after %v, before its limit of %v", took, limit)
		}
	default:
		t.Errorf("ProcessTimed returned %v, %v", v, err)
	}
}

// raceStop races Stop, and a second Stop, against the jobs of a pool of its own.
func raceStop(t *testing.T, random *rand.Rand) {
	const jobs = 8
	var c tally
	var ran [jobs]bool // each written by the job of that number
	p := dispatch.Must(dispatch.New(func(ctx context.Context, i int) (int, error) {
		ran[i] = true
		spin(time.Microsecond)
		return i, nil
	}, dispatch.WithWorkers(2)))
	var futures [jobs]*dispatch.Future[int]
	for i := range jobs {
		futures[i], _ = p.Submit(context.Background(), i)
	}
	canceled := random.IntN(jobs)
	var won bool
	var unrun [2][]int
	var racers sync.WaitGroup
	racers.Go(func() { unrun[0] = p.Stop() })
	racers.Go(func() { unrun[1] = p.Stop() })
	racers.Go(func() { won = futures[canceled].Cancel() })
	racers.Wait()
	<-p.Done()

	given := map[int]bool{}
	for _, i := range append(unrun[0], unrun[1]...) {
		if ran[i] || given[i] {
			t.Errorf("Stop gave back job %d: it ran: %t; twice: %t", i, ran[i], given[i])
		}
		given[i] = true
	}
	for i, f := range futures {
		v, err := f.Wait(context.Background())
		c.add(err)
		switch {
		case err == nil && v == i && ran[i]:
		case errors.Is(err, dispatch.ErrStopped) && ran[i] != given[i]:
		case errors.Is(err, context.Canceled) && won && i == canceled && !given[i]:
		default:
			t.Errorf("job %d: outcome %v, %v; ran: %t; given back: %t", i, v, err, ran[i], given[i])
		}
	}
	checkEnded(t, p, &c)
}
