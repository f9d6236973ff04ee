package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"example.com/dispatch"
)

// newRigs makes one pool of each kind.
func newRigs(m *monitor) []*rig {
	most := 2 * runtime.GOMAXPROCS(0)
	quiet := dispatch.WithPanicHandler(func(*dispatch.PanicError) {})
	rigOf := func(name string, strict bool, opts ...dispatch.Option) *rig {
		r := &rig{name: name, monitor: m, most: most, strict: strict}
		opts = append(opts, dispatch.WithName(name), dispatch.WithWorkers(most), quiet)
		r.pool = dispatch.Must(dispatch.New(r.handle, opts...))
		return r
	}
	stateful := &rig{name: "workers", monitor: m, most: most}
	var asked atomic.Int64
	stateful.pool = dispatch.Must(dispatch.NewWorkers(func(context.Context) (dispatch.Worker[job, int], error) {
		if asked.Add(1)%50 == 0 {
			return nil, errConstruct
		}
		return &soakWorker{rig: stateful}, nil
	}, dispatch.WithName("workers"), dispatch.WithWorkers(most), dispatch.WithIdleTimeout(time.Millisecond), quiet))
	return []*rig{
		rigOf("plain", false),
		rigOf("short queue", true, dispatch.WithQueue(1)),
		rigOf("reject", true, dispatch.WithQueue(2), dispatch.WithOverflow(dispatch.Reject)),
		rigOf("drop", false, dispatch.WithQueue(2), dispatch.WithOverflow(dispatch.DropOldest)),
		rigOf("caller runs", false, dispatch.WithQueue(2), dispatch.WithOverflow(dispatch.CallerRuns)),
		rigOf("timeout", false, dispatch.WithJobTimeout(100*time.Microsecond)),
		rigOf("max blocked", false, dispatch.WithQueue(1), dispatch.WithMaxBlocked(3)),
		inlineRig(rigOf),
		watchedRig(m, most),
		rigOf("strays", false, dispatch.WithJobTimeout(50*time.Microsecond), dispatch.WithGrace(20*time.Microsecond, 2)),
		stateful,
	}
}

// load is one kind of use of a pool. One call is one round.
type load struct {
	name  string
	round func(ctx context.Context, r *rig, random *rand.Rand)
}

var loads = []load{
	{"process", processOne},
	{"timed", timeOne},
	{"submit", submitSome},
	{"nest", nestOne},
	{"map", mapSome},
	{"stream", streamSome},
	{"batch", batchSome},
	{"bounded", boundSome},
	{"live", streamLive},
	{"pause", pauseOnce},
	{"resize", resizeOnce},
	{"pools", poolOnce},
}

// startLoads puts every load on every rig until ctx is done.
func startLoads(ctx context.Context, m *monitor, rigs []*rig, callers int) *sync.WaitGroup {
	var running sync.WaitGroup
	for _, r := range rigs {
		for _, l := range loads {
			n := callers
			if l.name == "resize" || l.name == "pause" || l.name == "pools" {
				n = 1
			}
			for range n {
				c := m.caller(l.name, r)
				running.Go(func() {
					random := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
					for ctx.Err() == nil {
						l.round(ctx, r, random)
						c.Add(1)
					}
				})
			}
		}
	}
	return &running
}

func processOne(_ context.Context, r *rig, random *rand.Rand) {
	j := r.stay(newJob(random))
	out, err := r.pool.Process(context.Background(), j)
	r.judge(j, out, err)
}

func timeOne(_ context.Context, r *rig, random *rand.Rand) {
	j := newJob(random)
	limit := time.Duration(random.IntN(400)) * time.Microsecond
	out, err := r.pool.ProcessTimed(context.Background(), j, limit)
	r.judge(j, out, err)
	var te *dispatch.TimeoutError
	if took := time.Since(j.asked); errors.As(err, &te) && te.Limit == limit && took < limit {
		r.monitor.fault("%s: timed out after %v, before its limit of %v", r.name, took, limit)
	}
}

// submitSome submits jobs, cancels some and forgets some.
func submitSome(_ context.Context, r *rig, random *rand.Rand) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for range 10 {
		j := newJob(random)
		f, err := r.pool.Submit(ctx, j)
		if err != nil {
			r.judge(j, 0, err)
			continue
		}
		switch random.IntN(4) {
		case 0:
			won := f.Cancel()
			if _, err := f.Wait(context.Background()); won && err != context.Canceled {
				r.monitor.fault("%s: Cancel claims to have decided the outcome %v", r.name, err)
			}
		case 1:
			out, err := f.Wait(context.Background())
			r.judge(j, out, err)
		}
	}
}

func nestOne(_ context.Context, r *rig, random *rand.Rand) {
	j := r.stay(newJob(random))
	if !r.strict {
		j.depth = 1 + random.IntN(3)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	out, err := r.pool.Process(ctx, j)
	r.judge(j, out, err)
}

func mapSome(_ context.Context, r *rig, random *rand.Rand) {
	jobs := newJobs(random, random.IntN(100))
	for i := range jobs {
		jobs[i].fate = returns
	}
	outs, err := r.pool.Map(context.Background(), jobs)
	if item, ok := errors.AsType[*dispatch.ItemError](err); ok {
		r.judge(jobs[item.Index], 0, item.Err)
		return
	}
	for i, out := range outs {
		r.judge(jobs[i], out, err)
	}
}

func streamSome(_ context.Context, r *rig, random *rand.Rand) {
	jobs, i, breakAt := newJobs(random, random.IntN(50)), 0, random.IntN(60)
	for res := range r.pool.Stream(context.Background(), slices.Values(jobs)) {
		if res.Index != i {
			r.monitor.fault("%s: a stream yielded item %d after %d", r.name, res.Index, i)
			return
		}
		r.judge(jobs[i], res.Out, res.Err)
		if i++; i == breakAt {
			return
		}
	}
	if i != len(jobs) && i != breakAt {
		r.monitor.fault("%s: a stream of %d jobs ended after %d", r.name, len(jobs), i)
	}
}

// batchSome reads a batch in one way or another, or not at all.
func batchSome(_ context.Context, r *rig, random *rand.Rand) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel() // ends a batch that nobody reads
	jobs := newJobs(random, random.IntN(200))
	b := r.pool.Batch(ctx)
	if err := b.Add(jobs...); err != nil {
		r.monitor.fault("%s: Add: %v", r.name, err)
	}
	few := random.IntN(len(jobs) + 1)
	switch random.IntN(5) {
	case 0:
		b.Close()
		n := 0
		for res := range b.Results() {
			r.judge(jobs[res.Index], res.Out, res.Err)
			n++
		}
		if n != len(jobs) {
			r.monitor.fault("%s: %d results of %d", r.name, n, len(jobs))
		}
	case 1:
		results := b.Results()
		for range few {
			<-results
		}
	case 2:
		for res := range b.All() {
			r.judge(jobs[res.Index], res.Out, res.Err)
			if few--; few <= 0 {
				break
			}
		}
	case 3:
		if outs, _ := b.Wait(context.Background()); len(outs) != len(jobs) {
			r.monitor.fault("%s: %d outputs of %d", r.name, len(outs), len(jobs))
		}
	}
}

// resizeOnce changes the limit, at most to what the rig allows, and pauses.
func resizeOnce(ctx context.Context, r *rig, random *rand.Rand) {
	if err := r.pool.Resize(1 + random.IntN(r.most)); err != nil {
		r.monitor.fault("%s: Resize: %v", r.name, err)
	}
	select {
	case <-ctx.Done():
		_ = r.pool.Resize(r.most)
	case <-time.After(time.Millisecond):
	}
}

// poolOnce makes a new pool, and ends it while it is working.
func poolOnce(_ context.Context, r *rig, random *rand.Rand) {
	const n = 20
	var ran atomic.Int64
	life, endLife := context.WithCancel(context.Background())
	defer endLife()
	p := dispatch.Must(dispatch.New(func(ctx context.Context, i int) (int, error) {
		ran.Add(1)
		runtime.Gosched()
		return i, nil
	}, dispatch.WithWorkers(2), dispatch.WithContext(life)))
	for i := range n {
		if _, err := p.Submit(context.Background(), i); err != nil {
			r.monitor.fault("Submit: %v", err)
		}
	}
	var unrun []int
	switch how := random.IntN(5); how {
	case 0: // Close does it all
	case 1:
		p.Drain()
		<-p.Done()
	case 2:
		endLife()
		<-p.Done()
		unrun = p.Stop()
	default:
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(random.IntN(20))*time.Microsecond)
		defer cancel()
		if how == 3 {
			_ = p.Shutdown(ctx)
		}
		unrun = p.Stop()
	}
	if err := p.Close(); err != nil {
		r.monitor.fault("Close: %v", err)
	}
	if got := int(ran.Load()) + len(unrun); got != n {
		r.monitor.fault("of %d jobs %d ran and %d were given back", n, ran.Load(), len(unrun))
	}
}
