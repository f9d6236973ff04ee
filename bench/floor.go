package bench

import (
	"context"
	"errors"
	"sync"
	"time"
)

// errTimedOut is the floors' answer to a timeout; none comes in these works.
var errTimedOut = errors.New("bench: timed out")

// goFloor is a go statement a job. It keeps no limit on what runs at once.
var goFloor = func() peer {
	p := withTasks(peer{name: "go", floor: true}, func(config) (func(task func()), func()) {
		return func(task func()) { go task() }, func() {}
	})
	p.processCtx = func(c config) (func() ctxCaller, func()) {
		return func() ctxCaller {
			return ctxReplyCaller(func(in int, reply chan<- int) { go func() { reply <- c.job(in) }() })
		}, func() {}
	}
	p.processTimed = func(c config) (func() timedCaller, func()) {
		return func() timedCaller {
			return timedReplyCaller(func(in int, reply chan<- int) { go func() { reply <- c.job(in) }() })
		}, func() {}
	}
	p.futures = func(c config) (reader, func()) {
		return futureReader(func(in int, reply chan<- int) { go func() { reply <- c.job(in) }() }), func() {}
	}
	p.mapping = func(c config) (mapper, func()) {
		return func(ins []int) []int {
			outs := make([]int, len(ins))
			var wg sync.WaitGroup
			for i, in := range ins {
				wg.Go(func() { outs[i] = c.job(in) })
			}
			wg.Wait()
			return outs
		}, func() {}
	}
	return p
}()

// chanFloor is a fixed number of goroutines that receive from one channel.
var chanFloor = peer{
	name:   "chan",
	floor:  true,
	queues: true,
	process: func(c config) (func() caller, func()) {
		tasks, stop := openChan(c, func(t replyTask) { t.reply <- c.job(t.in) })
		return func() caller {
			reply := make(chan int, 1)
			return func(in int) int {
				tasks <- replyTask{in, reply}
				return <-reply
			}
		}, stop
	},
	processCtx: func(c config) (func() ctxCaller, func()) {
		tasks, stop := openChan(c, func(t replyTask) { t.reply <- c.job(t.in) })
		return func() ctxCaller {
			return ctxReplyCaller(func(in int, reply chan<- int) { tasks <- replyTask{in, reply} })
		}, stop
	},
	processTimed: func(c config) (func() timedCaller, func()) {
		tasks, stop := openChan(c, func(t replyTask) { t.reply <- c.job(t.in) })
		return func() timedCaller {
			return timedReplyCaller(func(in int, reply chan<- int) { tasks <- replyTask{in, reply} })
		}, stop
	},
	submit: func(c config) (submitter, func()) {
		tasks, stop := openChan(c, func(t groupTask) {
			c.job(t.in)
			t.wg.Done()
		})
		return func(n int, queued func()) {
			var wg sync.WaitGroup
			wg.Add(n)
			for i := range n {
				tasks <- groupTask{i, &wg}
			}
			queued()
			wg.Wait()
		}, stop
	},
	futures: func(c config) (reader, func()) {
		tasks, stop := openChan(c, func(t replyTask) { t.reply <- c.job(t.in) })
		return futureReader(func(in int, reply chan<- int) { tasks <- replyTask{in, reply} }), stop
	},
	batch: func(c config) (gatherer, func()) {
		tasks, stop := openChan(c, func(t replyTask) { t.reply <- c.job(t.in) })
		return func(ins []int) int {
			results := make(chan int, len(ins))
			for _, in := range ins {
				tasks <- replyTask{in, results}
			}
			return receive(results, len(ins))
		}, stop
	},
	mapping: func(c config) (mapper, func()) {
		type slot struct {
			in  int
			out *int
			wg  *sync.WaitGroup
		}
		slots, stop := openChan(c, func(s slot) {
			*s.out = c.job(s.in)
			s.wg.Done()
		})
		return func(ins []int) []int {
			outs := make([]int, len(ins))
			var wg sync.WaitGroup
			wg.Add(len(ins))
			for i, in := range ins {
				slots <- slot{in, &outs[i], &wg}
			}
			wg.Wait()
			return outs
		}, stop
	},
}

func openChan[T any](c config, run func(T)) (tasks chan<- T, stop func()) {
	queue := make(chan T, c.room())
	var wg sync.WaitGroup
	for range c.workers {
		wg.Go(func() {
			for t := range queue {
				run(t)
			}
		})
	}
	return queue, func() {
		close(queue)
		wg.Wait()
	}
}

// directFloor calls the job where it stands. It has no row where jobs must run
// at the same time.
var directFloor = peer{
	name:    "direct",
	floor:   true,
	strands: true,
	process: func(c config) (func() caller, func()) {
		return func() caller { return caller(c.job) }, func() {}
	},
	submit: func(c config) (submitter, func()) {
		return func(n int, queued func()) {
			for i := range n {
				c.job(i)
			}
			queued()
		}, func() {}
	},
	batch: func(c config) (gatherer, func()) {
		return func(ins []int) (sum int) {
			for _, in := range ins {
				sum += c.job(in)
			}
			return sum
		}, func() {}
	},
	mapping: func(c config) (mapper, func()) {
		return func(ins []int) []int {
			outs := make([]int, len(ins))
			for i, in := range ins {
				outs[i] = c.job(in)
			}
			return outs
		}, func() {}
	},
}

// ctxReplyCaller uses its reply channel again as long as no reply is abandoned:
// one that comes late must not answer the next call.
func ctxReplyCaller(start func(in int, reply chan<- int)) ctxCaller {
	reply := make(chan int, 1)
	return func(ctx context.Context, in int) (int, error) {
		start(in, reply)
		select {
		case out := <-reply:
			return out, nil
		case <-ctx.Done():
			reply = make(chan int, 1)
			return 0, context.Cause(ctx)
		}
	}
}

// timedReplyCaller is ctxReplyCaller with a timer, which it also uses again.
func timedReplyCaller(start func(in int, reply chan<- int)) timedCaller {
	reply := make(chan int, 1)
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return func(in int, timeout time.Duration) (int, error) {
		timer.Reset(timeout)
		defer timer.Stop()
		start(in, reply)
		select {
		case out := <-reply:
			return out, nil
		case <-timer.C:
			reply = make(chan int, 1)
			return 0, errTimedOut
		}
	}
}

// futureReader uses a channel of one as a future.
func futureReader(start func(in int, reply chan<- int)) reader {
	return func(ins, outs []int) {
		futures := make([]chan int, len(ins))
		for i, in := range ins {
			futures[i] = make(chan int, 1)
			start(in, futures[i])
		}
		for i, f := range futures {
			outs[i] = <-f
		}
	}
}
