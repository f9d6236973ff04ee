package dispatch_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// No mutex is held while a user's context is asked: its methods may call the pool.

// While a context that is slow to answer holds up its own job, nobody else waits.
func TestNoLockIsHeldWhileAContextIsAsked(t *testing.T) {
	for name, call := range calls {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", late: ", late), func(t *testing.T) {
				for _, method := range methods {
					requireNoLockWhile(t, method, late, call)
				}
			})
		}
	}
}

// requireNoLockWhile has a method of a job's context wait for the test: from the start, or
// from the moment in which the context is about to end.
func requireNoLockWhile(t *testing.T, method string, late bool, call func(*dispatch.Pool[int, int], context.Context, int) error) {
	t.Helper()
	g := newGated()
	p := dispatch.Must(dispatch.New(g.handle, dispatch.WithWorkers(2)))
	asked, answer := make(chan struct{}, 100), make(chan struct{})
	ctx := newRegistrar(func(m string) {
		if m == method {
			select {
			case asked <- struct{}{}:
			default:
			}
			<-answer
		}
	})
	ctx.active.Store(!late)
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		_ = call(p, ctx, 2)
	}()
	go func() {
		select {
		case <-g.entered:
		case <-answer:
		}
		ctx.active.Store(true)
		ctx.end()
	}()
	select {
	case <-asked: // the call, or its job, is in the middle of something
	case <-returned: // it has no use for the method
	case <-time.After(5 * time.Millisecond): // nor will it have before the handler returns
	}
	within(t, "a call while "+method+" is asked", func() {
		p.Stats()
		require.NoError(t, p.Resize(4))
		b := p.Batch(context.Background())
		require.NoError(t, b.Add(0))
		_, err := b.Wait(context.Background())
		require.NoError(t, err)
		_, err = p.Process(context.Background(), 0)
		require.NoError(t, err)
	})
	close(answer)
	g.open()
	requireSoon(t, returned, "the call")
	requireSound(t, p)
}

// Regression: Map asked its context for its error and its cause with the mutex held.
func TestAContextMayAskThePoolWhenItEnds(t *testing.T) {
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			g := newGated()
			var p *dispatch.Pool[int, int]
			ctx := newRegistrar(func(string) {
				p.Stats()
				_ = p.Resize(1)
			})
			p = dispatch.Must(dispatch.New(g.handle, dispatch.WithWorkers(1)))
			ctx.active.Store(true)
			returned := make(chan struct{})
			go func() {
				defer close(returned)
				_ = call(p, ctx, 2)
			}()
			<-g.entered
			ctx.end()
			if name == "Batch" || name == "Stream" {
				g.open()
			}
			requireSoon(t, returned, name)
			g.open()
			requireSound(t, p)
		})
	}
}
