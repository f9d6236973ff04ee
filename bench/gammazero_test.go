package bench

import "github.com/gammazero/workerpool"

var gammazeroPeer = func() peer {
	p := withStarter(peer{name: "gammazero", module: "github.com/gammazero/workerpool", queues: true}, func(c config) (starter, func()) {
		p := workerpool.New(c.workers)
		return closures(p.Submit, c.job), p.StopWait
	})
	p.process = func(c config) (func() caller, func()) {
		p, run := workerpool.New(c.workers), c.job
		call := func(in int) (out int, err error) {
			p.SubmitWait(func() { out = run(in) })
			return out, nil
		}
		return func() caller { return call }, p.StopWait
	}
	return p
}()
