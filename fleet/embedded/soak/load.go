//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"example.com/dispatch"
	"example.com/dispatch/fleet"
)

// load submits jobs and checks their outcomes.
type load struct {
	client *fleet.Client[soakJob, int]
	work   sync.WaitGroup

	next                                           atomic.Int64
	called, sent, failed, expired, ended, canceled atomic.Int64
	again                                          atomic.Int64 // jobs that ask for another attempt
	broken                                         atomic.Int64
}

func newLoad(c *fleet.Client[soakJob, int]) *load { return &load{client: c} }

// patience is how long a job may take in spite of all trouble.
const patience = 5 * time.Minute

func (l *load) fault(format string, args ...any) {
	if l.broken.Add(1) <= 20 {
		fmt.Printf("fault: "+format+"\n", args...)
	}
}

func (l *load) faults() int { return int(l.broken.Load()) }

func (l *load) tally() string {
	return fmt.Sprintf("calls %d (%d failed as they should, %d expired, %d canceled), sent %d, of these with their outcome %d",
		l.called.Load(), l.failed.Load(), l.expired.Load(), l.canceled.Load(), l.sent.Load(), l.ended.Load())
}

// newJob makes a job that succeeds, fails, or asks for another attempt, at random.
func (l *load) newJob() soakJob {
	j := soakJob{N: int(l.next.Add(1)), Nap: time.Duration(rand.ExpFloat64() * float64(20*time.Millisecond))}
	switch rand.N(50) {
	case 0:
		j.Fails = true
	case 1:
		j.Again = true
		l.again.Add(1)
	}
	return j
}

// start starts goroutines that submit jobs until ctx ends.
func (l *load) start(ctx context.Context, p plan) {
	pool := dispatch.Must(dispatch.New(l.client.Call, dispatch.WithWorkers(p.callers)))
	var callers sync.WaitGroup
	for range p.callers {
		callers.Go(func() {
			for ctx.Err() == nil {
				l.call(pool)
			}
		})
	}
	l.work.Go(func() {
		callers.Wait()
		if err := pool.Close(); err != nil {
			l.fault("close: %v", err)
		}
	})
	for range p.senders {
		l.work.Go(func() {
			for ctx.Err() == nil {
				l.send()
			}
		})
	}
}

func (l *load) wait() { l.work.Wait() }

// call makes one call, and sometimes ends it early.
func (l *load) call(pool *dispatch.Pool[soakJob, int]) {
	j := l.newJob()
	l.called.Add(1)
	limit, impatient := patience, false
	if rand.N(20) == 0 {
		limit, impatient = rand.N(50*time.Millisecond), true
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if rand.N(20) == 0 {
		impatient = true
		timer := time.AfterFunc(rand.N(50*time.Millisecond), cancel)
		defer timer.Stop()
	}
	out, err := pool.Process(ctx, j)
	switch {
	case impatient && errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil:
		l.expired.Add(1)
	case impatient && errors.Is(err, context.Canceled) && ctx.Err() != nil:
		l.canceled.Add(1)
	case j.Fails && errors.Is(err, errFails):
		l.failed.Add(1)
	case j.Fails || err != nil:
		l.fault("call %+v gave %d, %v", j, out, err)
	case out != j.result():
		l.fault("call %+v gave %d", j, out)
	}
}

// send sends a few jobs, some of them twice, and checks their outcomes.
func (l *load) send() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	jobs := make([]soakJob, 1+rand.N(20))
	id := func(j soakJob) string { return fmt.Sprint("job ", j.N) }
	for i := range jobs {
		jobs[i] = l.newJob()
		options := []fleet.SendOption{fleet.ID(id(jobs[i]))}
		if rand.N(10) == 0 {
			options = append(options, fleet.After(rand.N(time.Second)))
		}
		for range 1 + rand.N(2) {
			if _, err := l.client.Send(ctx, jobs[i], options...); err != nil {
				l.fault("send %+v gave %v", jobs[i], err)
				return
			}
		}
		l.sent.Add(1)
	}
	for _, j := range jobs {
		out, err := l.client.Result(ctx, id(j))
		switch {
		case j.Fails && errors.Is(err, errFails) && errors.Is(err, fleet.ErrDead):
		case j.Fails || err != nil:
			l.fault("result of %+v is %d, %v", j, out, err)
		case out != j.result():
			l.fault("result of %+v is %d", j, out)
		}
		l.ended.Add(1)
	}
}
