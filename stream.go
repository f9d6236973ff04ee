package dispatch

import (
	"context"
	"iter"
	"runtime"
	"slices"
)

// Stream runs a job for each input that ins gives and yields the outcomes in
// the order of the inputs, each as soon as the loop comes for it. It is at most
// twice the pool's limit of workers ahead (twice GOMAXPROCS where that is
// Unlimited): so many inputs have been taken whose outcomes have not been
// yielded. Its jobs wait for room in the queue whatever the [Overflow] policy.
//
// A job that fails is yielded with its error, and the stream goes on. When ctx
// is done, its cause is yielded once with the zero Out, and the stream ends; when
// the pool takes no more, so is ErrClosed, after the outcomes of what it had
// accepted. What was submitted and not yielded when it ends, or
// when the loop breaks off, is canceled. ins is called on the goroutine of the
// loop, and nothing happens before the loop starts: while ins waits for its
// next value, no outcome is yielded.
func (p *Pool[In, Out]) Stream(ctx context.Context, ins iter.Seq[In]) iter.Seq2[Out, error] {
	mustContext(ctx, "Pool.Stream")
	return func(yield func(Out, error) bool) {
		s := stream[In, Out]{pool: p, ctx: ctx, yield: yield}
		defer s.cancel()
		ahead := p.lookAhead()
		for in := range ins {
			if !s.submit(in) {
				return
			}
			for len(s.futures) == ahead || len(s.futures) > 0 && s.futures[0].task.resolved() {
				if !s.next() {
					return
				}
			}
		}
		for len(s.futures) > 0 && s.next() {
		}
	}
}

// lookAhead is the number of inputs that a stream takes ahead of its outcomes.
func (p *Pool[In, Out]) lookAhead() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.limit >= unlimited {
		return 2 * runtime.GOMAXPROCS(0)
	}
	return 2 * p.limit
}

// stream is one loop over a Stream.
type stream[In, Out any] struct {
	pool    *Pool[In, Out]
	ctx     context.Context
	yield   func(Out, error) bool
	futures []*Future[Out] // submitted and not yielded, in order
}

// submit submits an input; it returns false if the stream ends.
func (s *stream[In, Out]) submit(in In) bool {
	f, err := s.pool.submit(s.ctx, in, Block)
	if err != nil {
		for s.ctx.Err() == nil && len(s.futures) > 0 { // what a closing pool runs all the same
			if !s.next() {
				return false
			}
		}
		s.yield(*new(Out), err)
		return false
	}
	s.futures = append(s.futures, f)
	return true
}

// next yields the next outcome; it returns false if the stream ends.
func (s *stream[In, Out]) next() bool {
	out, err := s.futures[0].Wait(s.ctx)
	if s.ctx.Err() != nil {
		var zero Out
		s.yield(zero, context.Cause(s.ctx))
		return false
	}
	s.futures = slices.Delete(s.futures, 0, 1)
	return s.yield(out, err)
}

// cancel ends what has not been yielded.
func (s *stream[In, Out]) cancel() {
	for _, f := range s.futures {
		f.Cancel()
	}
}
