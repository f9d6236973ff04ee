package bench

import "github.com/gammazero/workerpool"

var gammazeroPeer = func() peer {
	p := withTasks(peer{name: "gammazero", module: "github.com/gammazero/workerpool", queues: true}, func(c config) (func(task func()), func()) {
		p := workerpool.New(c.workers)
		return p.Submit, p.StopWait
	})
	p.process = func(c config) (func() caller, func()) {
		p := workerpool.New(c.workers)
		call := func(in int) (out int) {
			p.SubmitWait(func() { out = c.job(in) })
			return out
		}
		return func() caller { return call }, p.StopWait
	}
	return p
}()
