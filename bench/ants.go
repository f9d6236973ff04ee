package bench

import (
	"sync"
	"time"

	"github.com/panjf2000/ants/v2"
)

const antsModule = "github.com/panjf2000/ants/v2"

// antsRelease bounds ReleaseTimeout, the way to stop an ants pool that waits
// for its workers.
const antsRelease = time.Minute

var antsPeer = withTasks(peer{name: "ants", module: antsModule}, func(c config) (func(task func()), func()) {
	p := must(ants.NewPool(c.workers))
	submit := func(task func()) { check(p.Submit(task)) }
	return submit, func() { check(p.ReleaseTimeout(antsRelease)) }
})

// The generic pool of ants takes a value instead of a closure. It has no
// results either: what the value carries brings them back.
var antsGenericPeer = peer{
	name:   "ants-generic",
	module: antsModule,
	process: func(c config) (func() caller, func()) {
		invoke, stop := openAntsGeneric(c, func(r replyTask) { r.reply <- c.job(r.in) })
		return func() caller {
			reply := make(chan int, 1)
			return func(in int) int {
				invoke(replyTask{in, reply})
				return <-reply
			}
		}, stop
	},
	submit: func(c config) (submitter, func()) {
		invoke, stop := openAntsGeneric(c, func(t groupTask) {
			c.job(t.in)
			t.wg.Done()
		})
		return func(n int, queued func()) {
			var wg sync.WaitGroup
			wg.Add(n)
			for i := range n {
				invoke(groupTask{i, &wg})
			}
			queued()
			wg.Wait()
		}, stop
	},
	batch: func(c config) (gatherer, func()) {
		invoke, stop := openAntsGeneric(c, func(r replyTask) { r.reply <- c.job(r.in) })
		return func(ins []int) int {
			results := make(chan int, len(ins))
			for _, in := range ins {
				invoke(replyTask{in, results})
			}
			return receive(results, len(ins))
		}, stop
	},
}

// The values that pools of values are given, instead of closures.
type (
	replyTask struct {
		in    int
		reply chan<- int
	}
	groupTask struct {
		in int
		wg *sync.WaitGroup
	}
)

func openAntsGeneric[T any](c config, run func(T)) (invoke func(T), stop func()) {
	p := must(ants.NewPoolWithFuncGeneric(c.workers, run))
	return func(t T) { check(p.Invoke(t)) }, func() { check(p.ReleaseTimeout(antsRelease)) }
}
