package bench

import (
	"context"
	"time"

	"github.com/Jeffail/tunny"
)

// tunny has only calls that wait.
var tunnyPeer = peer{
	name:   "tunny",
	module: "github.com/Jeffail/tunny",
	process: func(c config) (func() caller, func()) {
		p, stop := openTunny(c)
		call := func(in int) int { return p.Process(in).(int) }
		return func() caller { return call }, stop
	},
	processCtx: func(c config) (func() ctxCaller, func()) {
		p, stop := openTunny(c)
		call := func(ctx context.Context, in int) (int, error) {
			out, err := p.ProcessCtx(ctx, in)
			if err != nil {
				return 0, err
			}
			return out.(int), nil
		}
		return func() ctxCaller { return call }, stop
	},
	processTimed: func(c config) (func() timedCaller, func()) {
		p, stop := openTunny(c)
		call := func(in int, timeout time.Duration) (int, error) {
			out, err := p.ProcessTimed(in, timeout)
			if err != nil {
				return 0, err
			}
			return out.(int), nil
		}
		return func() timedCaller { return call }, stop
	},
}

func openTunny(c config) (p *tunny.Pool, stop func()) {
	p = tunny.NewFunc(c.workers, func(in any) any { return c.job(in.(int)) })
	return p, p.Close
}
