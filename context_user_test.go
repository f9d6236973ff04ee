package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// TestAContextMayBeOddWheneverItIsAsked tries all ways in which a context of the
// user's can be odd, in each of its methods, from each moment in the life of its
// job on, however that came and ends.
func TestAContextMayBeOddWheneverItIsAsked(t *testing.T) {
	const (
		atOnce    = "at once"
		waiting   = "while its job waits"
		handling  = "while its job runs"
		returning = "while its handler asks for Done and returns"
	)
	ends := map[string]func(p *dispatch.Pool[int, int], ctx *userContext){
		"the handler returns": func(*dispatch.Pool[int, int], *userContext) {},
		"the context ends":    func(_ *dispatch.Pool[int, int], ctx *userContext) { ctx.end() },
		"Stop":                func(p *dispatch.Pool[int, int], _ *userContext) { p.Stop() },
	}
	settings := map[string][]dispatch.Option{
		"plain": nil, "with limits": {dispatch.WithJobTimeout(time.Hour), dispatch.WithGrace(time.Hour, 1)},
	}
	try := func(t *testing.T, moment, way, method, name, end string, own bool, opts []dispatch.Option) {
		t.Helper()
		var p *dispatch.Pool[int, int]
		odd := ways(&p)[way]
		g := newGated()
		p = dispatch.Must(dispatch.New(func(ctx context.Context, in int) (int, error) {
			if moment == returning && in > 1 {
				_ = ctx.Done()
			}
			return g.handle(ctx, in)
		}, append(opts, dispatch.WithWorkers(1), quiet())...))

		r := newRegistrar(nil)
		r.odd = func(m string) {
			if m == method {
				odd()
			}
		}
		var ctx context.Context = r.userContext
		if own {
			ctx = r
		}
		r.active.Store(moment == atOnce)
		if moment == waiting {
			_, err := p.Submit(context.Background(), 1)
			require.NoError(t, err)
			<-g.entered
		}
		returned := make(chan struct{})
		go func() {
			defer close(returned)
			defer func() {
				if r := recover(); r != nil {
					t.Errorf("%s has panicked: %v", name, r)
				}
			}()
			_ = calls[name](p, ctx, 2)
		}()
		switch moment {
		case waiting:
			eventually(t, "the job waits", func() bool { return p.Stats().Queued > 0 })
		case handling, returning:
			require.Equal(t, 2, <-g.entered)
		}
		r.active.Store(true)
		ends[end](p, r.userContext)
		g.open()
		requireSoon(t, returned, name)
		requireSound(t, p)
		if own && way != "exits" && method != "stop" && method != "AfterFunc" {
			require.Zero(t, r.registered.Load(), "registrations that are left")
		}
		r.active.Store(false)
		r.end()
	}
	for _, moment := range []string{atOnce, waiting, handling, returning} {
		for way := range ways(nil) {
			for name := range calls {
				t.Run(fmt.Sprint(name, " with a context that ", way, " ", moment), func(t *testing.T) {
					for _, method := range methods {
						for end := range ends {
							for setting, opts := range settings {
								t.Logf("%s, %s, %s", method, end, setting)
								try(t, moment, way, method, name, end, true, opts)
								try(t, moment, way, method, name, end, false, opts)
							}
						}
					}
				})
			}
		}
	}
}

// The panic of a context ended the process, or came out of a method of the pool.
func TestAContextThatPanicsBecomesAPanicError(t *testing.T) {
	bg := context.Background()
	for _, method := range []string{"Err", "Done"} {
		odd := func(m string) {
			if m == method {
				panic(errUser)
			}
		}
		rows := map[string]func(p *dispatch.Pool[int, int], ctx context.Context) error{
			"Wait":     func(p *dispatch.Pool[int, int], ctx context.Context) error { return p.Wait(ctx) },
			"Shutdown": func(p *dispatch.Pool[int, int], ctx context.Context) error { return p.Shutdown(ctx) },
			"Future.Wait": func(p *dispatch.Pool[int, int], ctx context.Context) error {
				_, err := dispatch.Must(p.Submit(bg, 2)).Wait(ctx)
				return err
			},
			"Batch.Wait": func(p *dispatch.Pool[int, int], ctx context.Context) error {
				b := p.Batch(bg)
				_ = b.Add(2)
				_, err := b.Wait(ctx)
				return err
			},
		}
		for name, f := range calls {
			rows[name] = func(p *dispatch.Pool[int, int], ctx context.Context) error { return f(p, ctx, 2) }
		}
		for name, call := range rows {
			t.Run(name+", "+method, func(t *testing.T) {
				g := newGated()
				p := dispatch.Must(dispatch.New(g.handle, dispatch.WithWorkers(1), quiet()))
				_, err := p.Submit(bg, 1)
				require.NoError(t, err)
				<-g.entered
				ctx := newUserContext(odd)
				ctx.active.Store(true)
				ctx.end()
				within(t, name, func() {
					defer func() {
						if r := recover(); r != nil {
							t.Errorf("%s has panicked: %v", name, r)
						}
					}()
					err = call(p, ctx)
				})
				var perr *dispatch.PanicError
				require.ErrorAs(t, err, &perr)
				require.Equal(t, errUser, perr.Value)
				require.Contains(t, string(perr.Stack), "userContext", "the stack is of the goroutine that panicked")
				g.open()
				requireSound(t, p)
			})
		}
	}
}

// A context that panics when it is asked why it has ended is one that has ended.
func TestAContextThatEndsAndPanicsEndsItsJobAtOnce(t *testing.T) {
	for name, call := range calls {
		for _, waits := range []bool{true, false} {
			if !waits && (name == "Batch" || name == "Map") {
				continue // items that run may get their outcome when they return
			}
			t.Run(fmt.Sprint(name, ", waits: ", waits), func(t *testing.T) {
				g := newGated()
				p := dispatch.Must(dispatch.New(g.handle, dispatch.WithWorkers(1), quiet()))
				if waits {
					_, err := p.Submit(context.Background(), 1)
					require.NoError(t, err)
					<-g.entered
				}
				ctx := newUserContext(func(method string) {
					if method == "Err" {
						panic(errUser)
					}
				})
				var err error
				returned := make(chan struct{})
				go func() {
					defer close(returned)
					err = call(p, ctx, 2)
				}()
				if waits {
					eventually(t, "the job waits", func() bool { return p.Stats().Queued > 0 })
				} else {
					<-g.entered
				}
				ctx.active.Store(true)
				ctx.end()
				requireSoon(t, returned, name)
				require.ErrorIs(t, err, errUser)
				g.open()
				requireSound(t, p)
			})
		}
	}
}

// lyingContext closes its channel before it has its error: a mistake, and a common
// one in homemade contexts.
type lyingContext struct{ done chan struct{} }

func (c lyingContext) Deadline() (time.Time, bool) { return time.Time{}, false }
func (c lyingContext) Done() <-chan struct{}       { return c.done }
func (c lyingContext) Err() error                  { return nil }
func (c lyingContext) Value(any) any               { return nil }

func TestAJobOfAContextThatIsDoneWithoutAnErrorIsNoSuccess(t *testing.T) {
	for name, call := range calls {
		for _, waits := range []bool{true, false} {
			t.Run(fmt.Sprint(name, ", waits: ", waits), func(t *testing.T) {
				g := newGated()
				p := dispatch.Must(dispatch.New(g.handle, dispatch.WithWorkers(1), quiet()))
				if waits {
					_, err := p.Submit(context.Background(), 1)
					require.NoError(t, err)
					<-g.entered
				}
				ctx := lyingContext{make(chan struct{})}
				var err error
				returned := make(chan struct{})
				go func() {
					defer close(returned)
					err = call(p, ctx, 2)
				}()
				if waits {
					eventually(t, "the job waits", func() bool { return p.Stats().Queued > 0 })
				} else {
					<-g.entered
				}
				close(ctx.done)
				if !waits && (name == "Batch" || name == "Map") {
					g.open() // items that run may get their outcome when they return
				}
				requireSoon(t, returned, name)
				if waits {
					require.Error(t, err, "the job has not run")
				}
				g.open()
				requireSound(t, p)
			})
		}
	}
}

func TestNobodyWaitsInVainWithAContextThatIsDoneWithoutAnError(t *testing.T) {
	g := newGated()
	p := dispatch.Must(dispatch.New(g.handle, dispatch.WithWorkers(1), dispatch.WithQueue(0)))
	f := dispatch.Must(p.Submit(context.Background(), 1))
	<-g.entered
	ctx := lyingContext{make(chan struct{})}
	close(ctx.done)
	for name, call := range map[string]func() error{
		"Submit that waits for room":  func() error { _, err := p.Submit(ctx, 2); return err },
		"Process that waits for room": func() error { _, err := p.Process(ctx, 2); return err },
		"Wait":                        func() error { return p.Wait(ctx) },
		"Future.Wait":                 func() error { _, err := f.Wait(ctx); return err },
		"Batch.Wait": func() error {
			b := p.Batch(context.Background())
			defer b.Cancel()
			_ = b.Add(3)
			_, err := b.Wait(ctx)
			return err
		},
		"Shutdown": func() error { return p.Shutdown(ctx) },
	} {
		if name == "Shutdown" {
			continue // the last
		}
		within(t, name, func() { require.Error(t, call(), name) })
	}
	within(t, "Shutdown", func() { require.Error(t, p.Shutdown(ctx)) })
	g.open()
	requireSound(t, p)
}

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

// requireNoLockWhile has a method of a job's context wait for the test, from the
// start or from the moment on in which the context is about to end.
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

// Map asked its context for its error and its cause with the mutex held.
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

// detached takes the cancellation of a context away and leaves the rest, in the
// way that was usual before context.WithoutCancel: it inherits a deadline, and
// nothing happens when that comes.
type detached struct{ context.Context }

func (detached) Done() <-chan struct{} { return nil }
func (detached) Err() error            { return nil }

// There was no timer where the context named an earlier deadline.
func TestLimitsHoldWithAContextThatDoesNotEndAtItsDeadline(t *testing.T) {
	limit := dispatch.WithJobTimeout(time.Minute)
	rows := map[string]struct {
		call string
		opts []dispatch.Option
	}{}
	for name := range calls {
		rows[name+" with WithJobTimeout"] = struct {
			call string
			opts []dispatch.Option
		}{name, []dispatch.Option{limit}}
	}
	bubbles(t, rows, func(t *testing.T, r struct {
		call string
		opts []dispatch.Option
	}) {
		parent, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		p := dispatch.Must(dispatch.New(untilDone, append(r.opts, dispatch.WithWorkers(2))...))
		begin := time.Now()
		err := calls[r.call](p, detached{parent}, 1)
		require.ErrorIs(t, err, dispatch.ErrTimeout)
		require.Zero(t, time.Since(begin)%time.Minute)
		requireSound(t, p)
	})
	t.Run("ProcessTimed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			parent, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			p := dispatch.Must(dispatch.New(untilDone, dispatch.WithWorkers(1)))
			begin := time.Now()
			_, err := p.ProcessTimed(detached{parent}, 1, time.Minute)
			require.Equal(t, &dispatch.TimeoutError{Limit: time.Minute, Ran: true}, err)
			require.Equal(t, time.Minute, time.Since(begin))
			requireSound(t, p)
		})
	})
	t.Run("ProcessTimed in the queue and for room", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			parent, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			g := newGated()
			p := dispatch.Must(dispatch.New(g.handle, dispatch.WithWorkers(1), dispatch.WithQueue(1)))
			_, err := p.Submit(t.Context(), 1)
			require.NoError(t, err)
			for range 2 {
				begin := time.Now()
				_, err = p.ProcessTimed(detached{parent}, 2, time.Minute)
				require.Equal(t, &dispatch.TimeoutError{Limit: time.Minute}, err)
				require.Equal(t, time.Minute, time.Since(begin))
				_, err = p.TrySubmit(t.Context(), 2) // now the queue is full
				require.True(t, err == nil || errors.Is(err, dispatch.ErrQueueFull))
			}
			g.open()
			requireSound(t, p)
		})
	})
}

// An earlier deadline of a context that does end at it decides, as before.
func TestADeadlineOfTheCallersThatIsKeptStillDecides(t *testing.T) {
	bubbles(t, map[string]func(p *dispatch.Pool[int, int], ctx context.Context) error{
		"ProcessTimed": func(p *dispatch.Pool[int, int], ctx context.Context) error {
			_, err := p.ProcessTimed(ctx, 1, time.Minute)
			return err
		},
		"WithJobTimeout": func(p *dispatch.Pool[int, int], ctx context.Context) error { _, err := p.Process(ctx, 1); return err },
		"the same moment": func(p *dispatch.Pool[int, int], ctx context.Context) error {
			_, err := p.ProcessTimed(ctx, 1, time.Second)
			return err
		},
	}, func(t *testing.T, call func(p *dispatch.Pool[int, int], ctx context.Context) error) {
		for range 20 {
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errUser)
			p := dispatch.Must(dispatch.New(untilDone, dispatch.WithJobTimeout(time.Hour)))
			begin := time.Now()
			require.Equal(t, errUser, call(p, ctx))
			require.Equal(t, time.Second, time.Since(begin))
			require.NoError(t, p.Close())
			require.Equal(t, uint64(1), p.Stats().TimedOut)
			cancel()
		}
	})
}

// equalTo is an error of the user's whose methods are odd.
type equalTo struct{ odd func() }

func (e *equalTo) Error() string   { e.odd(); return "odd" }
func (e *equalTo) Is(error) bool   { e.odd(); return false }
func (e *equalTo) As(any) bool     { e.odd(); return false }
func (e *equalTo) Unwrap() []error { e.odd(); return nil }

// incomparable is an error that cannot be compared with its like.
type incomparable struct{ list any }

func (e incomparable) Error() string { return "incomparable" }

func TestAnErrorMayBeOddWhenItIsAsked(t *testing.T) {
	for way := range ways(nil) {
		for name, call := range calls {
			t.Run(fmt.Sprint(name, ", ", way), func(t *testing.T) {
				var p *dispatch.Pool[int, int]
				odd := &equalTo{func() { ways(&p)[way]() }}
				same := incomparable{[]int{1}}
				gate := make(chan struct{})
				entered := make(chan struct{}, 10)
				p = dispatch.Must(dispatch.New(func(_ context.Context, in int) (int, error) {
					switch in {
					case 1:
						return 0, odd
					case 2:
						entered <- struct{}{}
						<-gate
						return 0, odd // with its context done
					case 3:
						entered <- struct{}{}
						<-gate
						return 0, same
					}
					return in, nil
				}, dispatch.WithWorkers(1), quiet()))
				within(t, name, func() { require.NotNil(t, call(p, context.Background(), 1)) })
				for in, cause := range map[int]error{2: errUser, 3: same} {
					ctx, cancel := context.WithCancelCause(context.Background())
					returned := make(chan struct{})
					go func() {
						defer close(returned)
						_ = call(p, ctx, in)
					}()
					<-entered
					cancel(cause)
					gate <- struct{}{}
					requireSoon(t, returned, name)
				}
				requireSound(t, p)
			})
		}
	}
}

// The error of a context is the user's too.
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

func TestTheErrorOfAContextMayBeOddWhenItIsAsked(t *testing.T) {
	for way := range ways(nil) {
		for name, call := range calls {
			t.Run(fmt.Sprint(name, ", ", way), func(t *testing.T) {
				var p *dispatch.Pool[int, int]
				g := newGated()
				p = dispatch.Must(dispatch.New(g.handle, dispatch.WithWorkers(1), quiet()))
				_, err := p.Submit(context.Background(), 1)
				require.NoError(t, err)
				<-g.entered
				ctx := erringContext{lyingContext{make(chan struct{})}, &equalTo{func() { ways(&p)[way]() }}}
				returned := make(chan struct{})
				go func() {
					defer close(returned)
					_ = call(p, ctx, 2)
				}()
				eventually(t, "the job waits", func() bool { return p.Stats().Queued > 0 })
				close(ctx.done)
				requireSoon(t, returned, name)
				g.open()
				requireSound(t, p)
			})
		}
	}
}

// Cancel and Stop asked the context of a job that they ended, and panicked.
func TestCancelAndStopDoNotPanicOverAContext(t *testing.T) {
	for _, method := range methods {
		for name, end := range map[string]func(p *dispatch.Pool[int, int], f *dispatch.Future[int], b *dispatch.Batch[int, int]){
			"Cancel": func(_ *dispatch.Pool[int, int], f *dispatch.Future[int], b *dispatch.Batch[int, int]) {
				require.True(t, f.Cancel())
				b.Cancel()
			},
			"Stop": func(p *dispatch.Pool[int, int], _ *dispatch.Future[int], _ *dispatch.Batch[int, int]) { p.Stop() },
			"Shutdown": func(p *dispatch.Pool[int, int], _ *dispatch.Future[int], _ *dispatch.Batch[int, int]) {
				done, cancel := context.WithCancel(context.Background())
				cancel()
				require.Equal(t, context.Canceled, p.Shutdown(done))
			},
		} {
			t.Run(name+", "+method, func(t *testing.T) {
				g := newGated()
				p := dispatch.Must(dispatch.New(g.handle, dispatch.WithWorkers(2), quiet()))
				ctx := newRegistrar(func(m string) {
					if m == method {
						panic(errUser)
					}
				})
				f := dispatch.Must(p.Submit(ctx, 2))
				<-g.entered
				b := p.Batch(ctx)
				require.NoError(t, b.Add(3, 4, 5))
				<-g.entered
				ctx.active.Store(true)
				within(t, name, func() { require.NotPanics(t, func() { end(p, f, b) }) })
				_, err := f.Wait(context.Background())
				require.Error(t, err)
				g.open()
				requireSound(t, p)
				ctx.active.Store(false)
				ctx.end() // a stop that panicked has stopped nothing
			})
		}
	}
}

// A worker started again and again, and its job had no outcome.
func TestAJobWhoseContextExitsHasAnOutcome(t *testing.T) {
	for _, moment := range []string{"in the queue", "in its handler"} {
		t.Run(moment, func(t *testing.T) {
			g := newGated()
			p := dispatch.Must(dispatch.New(g.handle, dispatch.WithWorkers(1), quiet()))
			var asked atomic.Int64
			ctx := newUserContext(func(method string) {
				if method == "Err" {
					asked.Add(1)
					runtime.Goexit()
				}
			})
			in := 2
			if moment == "in the queue" {
				dispatch.Must(p.Submit(context.Background(), 1))
				<-g.entered
			}
			f := dispatch.Must(p.Submit(ctx, in))
			if moment != "in the queue" {
				<-g.entered
			}
			ctx.active.Store(true)
			g.open()
			requireSoon(t, f.Done(), "the job")
			requireSound(t, p)
			require.Less(t, asked.Load(), int64(10))
			ctx.end()
		})
	}
}
