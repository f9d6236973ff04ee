package bench

import (
	"context"

	"github.com/Jeffail/tunny"
)

// All calls of tunny wait for the result.
var tunnyPeer = peer{
	name:   "tunny",
	module: "github.com/Jeffail/tunny",
	process: tunnyCalls(func(p *tunny.Pool, _ context.Context, in int) (any, error) {
		return p.Process(in), nil
	}),
	processCtx: tunnyCalls(func(p *tunny.Pool, ctx context.Context, in int) (any, error) {
		return p.ProcessCtx(ctx, in)
	}),
	processTimed: tunnyCalls(func(p *tunny.Pool, _ context.Context, in int) (any, error) {
		return p.ProcessTimed(in, neverPasses)
	}),
}

func tunnyCalls(process func(p *tunny.Pool, ctx context.Context, in int) (any, error)) opener[func() caller] {
	return func(c config) (func() caller, func()) {
		run := c.job
		p := tunny.NewFunc(c.workers, func(in any) any { return run(in.(int)) })
		call := func(in int) (int, error) {
			out, err := process(p, c.ctx, in)
			if err != nil {
				return 0, err
			}
			return out.(int), nil
		}
		return func() caller { return call }, p.Close
	}
}
