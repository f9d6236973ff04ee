package bench

import (
	"context"
	"errors"
	"sync"
	"time"
)

// errTimedOut is the error of a floor after a timeout, which does not happen in these
// works.
var errTimedOut = errors.New("bench: timed out")

// goFloor runs a go statement per job. It does not limit how many run at once.
var goFloor = withWaits(peer{name: "go", floor: true}, func(c config) (starter, func()) {
	return closures(func(task func()) { go task() }, c.job), func() {}
})

// chanFloor is a fixed number of goroutines that receive from one channel.
var chanFloor = withWaits(peer{name: "chan", floor: true, queues: true}, func(c config) (starter, func()) {
	tasks, run := make(chan task, c.room()), c.job
	var wg sync.WaitGroup
	for range c.workers {
		wg.Go(func() {
			for t := range tasks {
				t.run(run)
			}
		})
	}
	return values(func(t task) { tasks <- t }), func() {
		close(tasks)
		wg.Wait()
	}
})

// withWaits is like withStarter, and adds what users build from channels by hand: calls
// that end early, and futures.
func withWaits(p peer, open opener[starter]) peer {
	p = withStarter(p, open)
	p.processCtx = func(c config) (func() caller, func()) {
		s, stop := open(c)
		return func() caller { return ctxCaller(c.ctx, s) }, stop
	}
	p.processTimed = func(c config) (func() caller, func()) {
		s, stop := open(c)
		return func() caller { return timedCaller(s) }, stop
	}
	p.futures = func(c config) (reader, func()) {
		s, stop := open(c)
		return func(ins, outs []int) {
			futures := make([]chan int, len(ins))
			for i, in := range ins {
				futures[i] = make(chan int, 1)
				s.send(in, futures[i])
			}
			for i, f := range futures {
				outs[i] = <-f
			}
		}, stop
	}
	return p
}

// ctxCaller reuses its reply channel until a reply is abandoned: a late reply must not
// answer the next call.
func ctxCaller(ctx context.Context, s starter) caller {
	reply := make(chan int, 1)
	return func(in int) (int, error) {
		s.send(in, reply)
		select {
		case out := <-reply:
			return out, nil
		case <-ctx.Done():
			reply = make(chan int, 1)
			return 0, context.Cause(ctx)
		}
	}
}

// timedCaller is like ctxCaller, with a timer that it also reuses.
func timedCaller(s starter) caller {
	reply := make(chan int, 1)
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return func(in int) (int, error) {
		timer.Reset(neverPasses)
		defer timer.Stop()
		s.send(in, reply)
		select {
		case out := <-reply:
			return out, nil
		case <-timer.C:
			reply = make(chan int, 1)
			return 0, errTimedOut
		}
	}
}
