package bench

import (
	"context"
	"time"

	"example.com/dispatch"
)

var dispatchPeer = peer{
	name:   "dispatch",
	queues: true,
	process: func(c config) (func() caller, func()) {
		p, stop := openDispatch(c)
		ctx := context.Background()
		call := func(in int) int { return must(p.Process(ctx, in)) }
		return func() caller { return call }, stop
	},
	processCtx: func(c config) (func() ctxCaller, func()) {
		p, stop := openDispatch(c)
		return func() ctxCaller { return p.Process }, stop
	},
	processTimed: func(c config) (func() timedCaller, func()) {
		p, stop := openDispatch(c)
		ctx := context.Background()
		call := func(in int, timeout time.Duration) (int, error) { return p.ProcessTimed(ctx, in, timeout) }
		return func() timedCaller { return call }, stop
	},
	submit: func(c config) (submitter, func()) {
		p, stop := openDispatch(c)
		ctx := context.Background()
		return func(n int, queued func()) {
			var last *dispatch.Future[int]
			for i := range n {
				last = must(p.Submit(ctx, i))
			}
			queued()
			if must(last.Wait(ctx)) != n {
				panic("bench: dispatch: the last future has another job's result")
			}
			check(p.Wait(ctx))
		}, stop
	},
	futures: func(c config) (reader, func()) {
		p, stop := openDispatch(c)
		ctx := context.Background()
		return func(ins, outs []int) {
			futures := make([]*dispatch.Future[int], len(ins))
			for i, in := range ins {
				futures[i] = must(p.Submit(ctx, in))
			}
			for i, f := range futures {
				outs[i] = must(f.Wait(ctx))
			}
		}, stop
	},
	batch: func(c config) (gatherer, func()) {
		p, stop := openDispatch(c)
		ctx := context.Background()
		return func(ins []int) (sum int) {
			b := p.Batch(ctx)
			check(b.Add(ins...))
			b.Close()
			for r := range b.Results() {
				check(r.Err)
				sum += r.Out
			}
			return sum
		}, stop
	},
	mapping: func(c config) (mapper, func()) {
		p, stop := openDispatch(c)
		ctx := context.Background()
		return func(ins []int) []int { return must(p.Map(ctx, ins)) }, stop
	},
}

func openDispatch(c config) (p *dispatch.Pool[int, int], stop func()) {
	handler := func(_ context.Context, in int) (int, error) { return c.job(in), nil }
	p = must(dispatch.New(handler, dispatch.WithWorkers(c.workers), dispatch.WithQueue(c.room())))
	return p, func() { check(p.Close()) }
}
