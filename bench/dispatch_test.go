package bench

import (
	"context"

	"example.com/dispatch"
)

var dispatchPeer = peer{
	name:       "dispatch",
	queues:     true,
	process:    dispatchCalls(),
	processCtx: dispatchCalls(),
	processTimed: func(c config) (func() caller, func()) {
		p, stop := openDispatch(c)
		call := func(in int) (int, error) { return p.ProcessTimed(c.ctx, in, neverPasses) }
		return func() caller { return call }, stop
	},
	inline: dispatchInline,
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
	stream: dispatchStream,
}

func dispatchCalls(opts ...dispatch.Option) opener[func() caller] {
	return func(c config) (func() caller, func()) {
		p, stop := openDispatch(c, opts...)
		call := func(in int) (int, error) { return p.Process(c.ctx, in) }
		return func() caller { return call }, stop
	}
}

func openDispatch(c config, opts ...dispatch.Option) (p *dispatch.Pool[int, int], stop func()) {
	run := c.job
	handler := func(_ context.Context, in int) (int, error) { return run(in), nil }
	opts = append([]dispatch.Option{dispatch.WithWorkers(c.workers), dispatch.WithQueue(c.room())}, opts...)
	p = must(dispatch.New(handler, opts...))
	return p, func() { check(p.Close()) }
}
