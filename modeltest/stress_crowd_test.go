package modeltest

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// TestStressCrowd lets many submitters wait for a short queue while all workers are busy.
// Meanwhile queued jobs are canceled, submitters give up, the limit changes, batches and
// maps compete, and at last the pool ends. Each accepted job has one outcome, and on one
// worker the jobs start in the order of submission.
func TestStressCrowd(t *testing.T) {
	noGoroutines(t)
	for i := range rounds(3_000) {
		within(t, time.Minute, "a crowd", func() { newCrowd(t, uint64(i)).run() })
		if t.Failed() {
			break
		}
	}
}

const (
	crowdSubmitters = 8
	crowdEach       = 8 // jobs of each submitter
	crowdJobs       = crowdSubmitters * crowdEach
	crowdOthers     = 12 // items of the batch, and as many of the map; they have the numbers that follow
	crowdMost       = 4  // workers
)

// crowd is one round.
type crowd struct {
	t       *testing.T
	seed    uint64
	workers int
	pool    *dispatch.Pool[int, int]

	clock   atomic.Int64 // orders starts, and the beginnings and the ends of submits
	running atomic.Int64
	over    atomic.Bool
	starts  [crowdJobs + 2*crowdOthers]atomic.Int64 // on the clock; 0: never
	jobs    [crowdJobs]crowdJob
	items   atomic.Int64 // of the batch and the map that were accepted
}

// crowdJob is a single job. Its submitter writes all fields except won.
type crowdJob struct {
	ending
	asked, answered int64 // on the clock
	won             atomic.Bool
}

func newCrowd(t *testing.T, seed uint64) *crowd {
	c := &crowd{t: t, seed: seed, workers: []int{1, 1, 2, crowdMost}[seed%4]}
	c.pool = dispatch.Must(dispatch.New(c.handle, dispatch.WithWorkers(c.workers), dispatch.WithQueue(int(seed/5%3))))
	return c
}

func (c *crowd) random(who uint64) *rand.Rand { return rand.New(rand.NewPCG(c.seed, who)) }

// resizes reports whether the limit changes in this round.
func (c *crowd) resizes() bool { return c.seed%4 > 0 }

func (c *crowd) handle(ctx context.Context, i int) (int, error) {
	most := int64(c.workers)
	if c.resizes() {
		most = crowdMost
	}
	if n := c.running.Add(1); n > most {
		c.t.Errorf("%d handlers at once on at most %d workers", n, most)
	}
	defer c.running.Add(-1)
	if c.starts[i].Swap(c.clock.Add(1)) != 0 || c.over.Load() {
		c.t.Errorf("job %d started again, or after the end", i)
	}
	if i%3 == 0 {
		runtime.Gosched()
	}
	return 2 * i, nil
}

func (c *crowd) run() {
	var submitters, others sync.WaitGroup
	futures := make(chan crowdFuture, crowdJobs)
	for s := range crowdSubmitters {
		submitters.Go(func() { c.submitAll(s, futures) })
	}
	idle := make(chan struct{}) // closed when all is over
	others.Go(func() { c.cancelSome(futures) })
	others.Go(func() { c.observe(idle) })
	others.Go(c.addItems)
	others.Go(c.mapItems)
	others.Go(func() {
		for range 3 {
			if err := c.pool.Wait(context.Background()); err != nil {
				c.t.Errorf("Wait: %v", err)
			}
		}
	})
	if c.resizes() {
		others.Go(c.resize)
	}
	if c.seed/8%2 == 0 {
		submitters.Wait()
	}
	for range c.random(100).IntN(200) {
		runtime.Gosched()
	}
	unrun := endPool(c.t, c.pool, int(c.seed/4))
	c.over.Store(true)
	submitters.Wait()
	close(futures)
	close(idle)
	others.Wait()
	c.check(unrun)
}

// crowdFuture is a job that may be canceled.
type crowdFuture struct {
	job    int
	future *dispatch.Future[int]
}

// submitAll submits the jobs of one submitter. Some contexts end while it waits
// for room, or while the job is in the queue.
func (c *crowd) submitAll(s int, futures chan<- crowdFuture) {
	random := c.random(uint64(s))
	var waiting sync.WaitGroup
	defer waiting.Wait()
	for i := s * crowdEach; i < (s+1)*crowdEach; i++ {
		j := &c.jobs[i]
		ctx, cancel := context.WithCancelCause(context.Background())
		defer cancel(errCause) // may still end jobs that nobody has waited for
		j.asked = c.clock.Add(1)
		submit := c.pool.Submit
		switch random.IntN(8) {
		case 0:
			submit = c.pool.TrySubmit
		case 1:
			waiting.Go(func() { cancel(errCause) })
		case 2:
			_, err := c.pool.Process(ctx, i)
			j.answered = c.clock.Add(1)
			j.ending = ending{!errors.Is(err, dispatch.ErrClosed), err}
			continue
		}
		f, err := submit(ctx, i)
		j.answered = c.clock.Add(1)
		j.ending = ending{err == nil, err}
		if err != nil {
			continue
		}
		futures <- crowdFuture{i, f} // has room for all
		wait := func() {
			v, err := f.Wait(context.Background())
			if j.err = err; err == nil && v != 2*i {
				c.t.Errorf("job %d returned %d", i, v)
			}
		}
		if random.IntN(2) == 0 {
			waiting.Go(wait)
		} else {
			wait()
		}
	}
}

func (c *crowd) cancelSome(futures <-chan crowdFuture) {
	random := c.random(101)
	for f := range futures {
		if random.IntN(3) == 0 {
			c.jobs[f.job].won.Store(f.future.Cancel())
		}
	}
}

// observe checks that the counters do not fall.
func (c *crowd) observe(idle <-chan struct{}) {
	last := c.pool.Stats()
	for {
		select {
		case <-idle:
			return
		default:
		}
		now := c.pool.Stats()
		before := counters(last)
		for k, n := range counters(now) {
			if n < before[k] {
				c.t.Errorf("a counter fell: %+v, then %+v", last, now)
			}
		}
		if now.State < last.State || now.Queued < 0 || now.Running < 0 || now.Running > crowdMost {
			c.t.Errorf("%+v, then %+v", last, now)
		}
		last = now
		runtime.Gosched()
	}
}

func (c *crowd) resize() {
	random := c.random(102)
	for range 20 {
		if err := c.pool.Resize(1 + random.IntN(crowdMost)); err != nil && !errors.Is(err, dispatch.ErrClosed) {
			c.t.Errorf("Resize: %v", err)
		}
		runtime.Gosched()
	}
}

// addItems runs a batch in small pieces.
func (c *crowd) addItems() {
	b := c.pool.Batch(context.Background())
	n := 0
	for n < crowdOthers && b.Add(crowdJobs+n, crowdJobs+n+1) == nil {
		n += 2
		runtime.Gosched()
	}
	c.items.Add(int64(n))
	outs, err := b.Wait(context.Background())
	if len(outs) != n || err != nil && !errors.Is(err, dispatch.ErrStopped) {
		c.t.Errorf("%d outputs of %d: %v", len(outs), n, err)
	}
}

func (c *crowd) mapItems() {
	ins := make([]int, crowdOthers)
	for i := range ins {
		ins[i] = crowdJobs + crowdOthers + i
	}
	outs, err := c.pool.Map(context.Background(), ins)
	switch {
	case errors.Is(err, dispatch.ErrClosed):
		return
	case err == nil && len(outs) == len(ins):
	case !errors.Is(err, dispatch.ErrStopped):
		c.t.Errorf("Map: %v", err)
	}
	c.items.Add(crowdOthers)
}

// check checks that all outcomes agree with each other.
func (c *crowd) check(unrun []int) {
	given := map[int]bool{}
	for _, i := range unrun {
		if given[i] || c.starts[i].Load() != 0 {
			c.t.Errorf("Stop gave back job %d: twice: %t", i, given[i])
		}
		given[i] = true
	}
	accepted := uint64(c.items.Load())
	for i := range c.jobs {
		j := &c.jobs[i]
		if j.accepted {
			accepted++
		}
		c.checkJob(i, j, given[i])
	}
	if c.workers == 1 && !c.resizes() {
		c.checkOrder()
	}
	checkEnded(c.t, c.pool, nil)
	require.Equal(c.t, accepted, c.pool.Stats().Submitted)
}

func (c *crowd) checkJob(i int, j *crowdJob, given bool) {
	ran, legal := c.starts[i].Load() != 0, false
	switch {
	case !j.accepted:
		refusal := errors.Is(j.err, dispatch.ErrClosed) || errors.Is(j.err, dispatch.ErrQueueFull) || errors.Is(j.err, errCause)
		legal = refusal && !ran && !given
	case errors.Is(j.err, dispatch.ErrStopped):
		legal = ran != given
	case j.err == nil:
		legal = ran && !given
	default:
		legal = !given && (errors.Is(j.err, context.Canceled) || errors.Is(j.err, errCause))
	}
	if !legal || j.won.Load() != (j.accepted && j.err == context.Canceled) {
		c.t.Errorf("job %d: accepted: %t; ran: %t; given back: %t; canceled: %t; outcome %v", i, j.accepted, ran, given, j.won.Load(), j.err)
	}
}

// checkOrder checks that if the submit of one job returned before that of another began,
// the first job also started first, and that the items of the batch started in order.
func (c *crowd) checkOrder() {
	var started []int
	for i := range c.jobs {
		if c.starts[i].Load() != 0 {
			started = append(started, i)
		}
	}
	slices.SortFunc(started, func(a, b int) int { return cmp.Compare(c.starts[a].Load(), c.starts[b].Load()) })
	latest := 0 // of those that have started, the one that was submitted last
	for n, i := range started {
		if n > 0 && c.jobs[i].answered < c.jobs[latest].asked {
			c.t.Errorf("job %d was accepted before job %d was submitted, and started after it", i, latest)
		}
		if n == 0 || c.jobs[i].asked > c.jobs[latest].asked {
			latest = i
		}
	}
	last := int64(0)
	for i := crowdJobs; i < crowdJobs+crowdOthers; i++ {
		at := c.starts[i].Load()
		if at != 0 && at < last {
			c.t.Errorf("item %d of the batch started before those in front of it", i-crowdJobs)
		}
		last = max(last, at)
	}
}
