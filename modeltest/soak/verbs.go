package main

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"example.com/dispatch"
)

// inlineRig returns a rig whose callers run their jobs inline.
func inlineRig(rigOf func(name string, strict bool, opts ...dispatch.Option) *rig) *rig {
	r := rigOf("inline", true, dispatch.WithQueue(4), dispatch.WithInline())
	r.inline = true
	return r
}

// stay keeps a job from ending the goroutine of its caller, which goes on with the load.
func (r *rig) stay(j job) job {
	if r.inline && j.fate == exits {
		j.fate = fails
	}
	return j
}

// watchedRig returns a rig with telemetry, labels and hooks, some of which misbehave.
func watchedRig(m *monitor, most int) *rig {
	r := &rig{name: "watched", monitor: m, most: most, hooked: true}
	var hooks atomic.Int64
	misbehave := func() {
		switch hooks.Add(1) % 1000 {
		case 1:
			r.pool.Stats()
			r.pool.Running()
			r.pool.Failures()
		case 2:
			panic(errFailed)
		case 3:
			runtime.Goexit()
		}
	}
	r.pool = dispatch.Must(dispatch.New(r.handle, dispatch.WithName(r.name), dispatch.WithWorkers(most),
		dispatch.WithPanicHandler(func(*dispatch.PanicError) {}), dispatch.WithLogger(slog.New(slog.DiscardHandler)),
		dispatch.WithLabel(func(j job) string { return strconv.Itoa(j.n) }),
		dispatch.WithHooks(dispatch.Hooks{
			Start: func(ctx context.Context, _ dispatch.Job) context.Context {
				misbehave()
				return ctx
			},
			Done: func(_ context.Context, j dispatch.Job) {
				r.told[j.Outcome].Add(1)
				misbehave()
			},
		})))
	return r
}

// boundSome runs a batch with MaxRunning and MaxPending.
func boundSome(_ context.Context, r *rig, random *rand.Rand) {
	jobs, most := newJobs(random, random.IntN(100)), 1+random.IntN(8)
	b := r.pool.Batch(context.Background(), dispatch.MaxRunning(1+random.IntN(2)), dispatch.MaxPending(most))
	results := b.Results()
	read := make(chan struct{})
	go func() {
		defer close(read)
		for res := range results {
			r.judge(jobs[res.Index], res.Out, res.Err)
		}
	}()
	for _, j := range jobs {
		if err := b.Add(j); err != nil {
			r.monitor.fault("%s: Add: %v", r.name, err)
		}
		if p := b.Progress(); p.Total-p.Done > most {
			r.monitor.fault("%s: %d items are pending, and %d may be", r.name, p.Total-p.Done, most)
		}
	}
	b.Close()
	<-b.Done()
	<-read
}

// streamLive reads a stream whose inputs come one by one, and may leave it.
func streamLive(_ context.Context, r *rig, random *rand.Rand) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	jobs, left := newJobs(random, random.IntN(50)), random.IntN(60)
	source := make(chan job)
	go func() {
		defer close(source)
		for _, j := range jobs {
			select {
			case source <- j:
			case <-ctx.Done():
				return
			}
		}
	}()
	opts := []dispatch.StreamOption{dispatch.LookAhead(1 + random.IntN(10))}
	if random.IntN(2) == 0 {
		opts = append(opts, dispatch.Unordered())
	}
	seen := make([]bool, len(jobs))
	n := 0
	for res := range r.pool.StreamChan(ctx, source, opts...) {
		if res.Index < 0 || seen[res.Index] {
			r.monitor.fault("%s: a stream yielded %d a second time, or ended with %v", r.name, res.Index, res.Err)
			return
		}
		seen[res.Index] = true
		r.judge(jobs[res.Index], res.Out, res.Err)
		if n++; n == left {
			return
		}
	}
	if n != len(jobs) {
		r.monitor.fault("%s: a stream of %d jobs ended after %d", r.name, len(jobs), n)
	}
}

// pauseOnce pauses the pool for a moment, and prestarts its minimum of workers.
func pauseOnce(ctx context.Context, r *rig, random *rand.Rand) {
	r.pool.Pause()
	if err := r.pool.Prestart(ctx); err != nil && !errors.Is(err, ctx.Err()) && !errors.Is(err, errConstruct) {
		r.monitor.fault("%s: Prestart: %v", r.name, err)
	}
	time.Sleep(time.Duration(random.IntN(200)) * time.Microsecond)
	r.pool.Resume()
	time.Sleep(time.Millisecond)
}
