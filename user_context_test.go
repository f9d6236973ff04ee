package dispatch_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"example.com/dispatch"
)

// Users' contexts, and the ways in which a job gets one.

// userContext is a context that is not of the standard library. It ends when the test says
// so, and each of its methods calls odd first.
type userContext struct {
	odd    func(method string) // nil: the methods behave as they should
	active atomic.Bool         // whether odd is called

	mu   sync.Mutex
	done chan struct{}
	err  error
}

func (c *userContext) ask(method string) {
	if c.active.Load() {
		c.odd(method)
	}
}

func (c *userContext) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = context.Canceled
		close(c.done)
	}
}

func (c *userContext) Deadline() (time.Time, bool) { c.ask("Deadline"); return time.Time{}, false }

func (c *userContext) Done() <-chan struct{} { c.ask("Done"); return c.done }

func (c *userContext) Value(any) any { c.ask("Value"); return nil }

func (c *userContext) Err() error {
	c.mu.Lock()
	err := c.err
	c.mu.Unlock()
	c.ask("Err")
	return err
}

func newUserContext(odd func(method string)) *userContext {
	return &userContext{odd: odd, done: make(chan struct{})}
}

// registrar is a userContext with an AfterFunc method, which the context package uses if
// there is one.
type registrar struct {
	*userContext
	registered atomic.Int64 // functions that are to be called
}

func (c *registrar) AfterFunc(f func()) func() bool {
	c.ask("AfterFunc")
	c.registered.Add(1)
	gone := sync.OnceFunc(func() { c.registered.Add(-1) })
	stop := context.AfterFunc(doneOf{context.Background(), c.done}, func() {
		gone()
		f()
	})
	return func() bool {
		c.ask("stop")
		gone()
		return stop()
	}
}

func newRegistrar(odd func(method string)) *registrar {
	return &registrar{userContext: newUserContext(odd)}
}

// doneOf is a context that ends when a channel is closed.
type doneOf struct {
	context.Context
	done chan struct{}
}

func (c doneOf) Done() <-chan struct{} { return c.done }

func (c doneOf) Err() error {
	if isClosed(c.done) {
		return context.Canceled
	}
	return nil
}

// lyingContext closes its channel before it has its error, which is a common mistake in
// homemade contexts.
type lyingContext struct{ done chan struct{} }

func (c lyingContext) Deadline() (time.Time, bool) { return time.Time{}, false }

func (c lyingContext) Done() <-chan struct{} { return c.done }

func (c lyingContext) Err() error { return nil }

func (c lyingContext) Value(any) any { return nil }

// The error of a context is user code too.
type erringContext struct {
	lyingContext
	err error
}

func (c erringContext) Err() error {
	if isClosed(c.done) {
		return c.err
	}
	return nil
}

// ways are how user code may misbehave. Some call the pool.
func ways(p **dispatch.Pool[int, int]) map[string]func() {
	return map[string]func(){
		"answers": func() {},
		"panics":  func() { panic(errUser) },
		"exits":   runtime.Goexit,
		"uses the pool": func() {
			(*p).Stats()
			_ = (*p).Resize(1)
			_, _ = (*p).TrySubmit(context.Background(), 0)
			_ = (*p).Batch(context.Background()).Add()
		},
	}
}

// calls are all the ways in which a job gets a context. Each returns when its job has its
// outcome.
var calls = map[string]func(p *dispatch.Pool[int, int], ctx context.Context, in int) error{
	"Process": func(p *dispatch.Pool[int, int], ctx context.Context, in int) error {
		_, err := p.Process(ctx, in)
		return err
	},
	"ProcessTimed": func(p *dispatch.Pool[int, int], ctx context.Context, in int) error {
		_, err := p.ProcessTimed(ctx, in, time.Hour)
		return err
	},
	"Submit": func(p *dispatch.Pool[int, int], ctx context.Context, in int) error {
		f, err := p.Submit(ctx, in)
		if err == nil {
			_, err = f.Wait(context.Background())
		}
		return err
	},
	"TrySubmit": func(p *dispatch.Pool[int, int], ctx context.Context, in int) error {
		f, err := p.TrySubmit(ctx, in)
		if err == nil {
			_, err = f.Wait(context.Background())
		}
		return err
	},
	"Map": func(p *dispatch.Pool[int, int], ctx context.Context, in int) error {
		_, err := p.Map(ctx, []int{in, in})
		return err
	},
	"Batch": func(p *dispatch.Pool[int, int], ctx context.Context, in int) error {
		b := p.Batch(ctx)
		results := b.Results()
		if err := b.Add(in, in); err != nil {
			b.Cancel()
			return err
		}
		_, err := b.Wait(context.Background())
		for r := range results {
			err = errors.Join(err, r.Err)
		}
		return err
	},
	"Stream": func(p *dispatch.Pool[int, int], ctx context.Context, in int) error {
		return errors.Join(streamed(ctx, p, slices.Values([]int{in, in}))...)
	},
}

// methods are the methods of a user's context that a pool may call.
var methods = []string{"Deadline", "Done", "Err", "Value", "AfterFunc", "stop"}
