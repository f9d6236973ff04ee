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

// Users' contexts that panic, end their goroutine, lie, or call the pool.

// TestAContextMayBeOddWheneverItIsAsked tries every way in which a user's context can
// misbehave, in each of its methods, from each moment in the life of its job on, for each
// way in which the job comes and ends.
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

// Regression: the panic of a context ended the process, or came out of a method of the
// pool.
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

// underWay has a call made with ctx on a pool of one, and returns when its job waits
// behind another, or runs. err is to be read once the call has returned.
func underWay(ctx context.Context, t *testing.T, call func(*dispatch.Pool[int, int], context.Context, int) error, waits bool) (p *dispatch.Pool[int, int], g *gated, returned <-chan struct{}, err *error) {
	t.Helper()
	g = newGated()
	p = dispatch.Must(dispatch.New(g.handle, dispatch.WithWorkers(1), quiet()))
	if waits {
		dispatch.Must(p.Submit(context.Background(), 1))
		<-g.entered
	}
	over := make(chan struct{})
	err = new(error)
	go func() {
		defer close(over)
		*err = call(p, ctx, 2)
	}()
	if waits {
		eventually(t, "the job waits", func() bool { return p.Stats().Queued > 0 })
	} else {
		<-g.entered
	}
	return p, g, over, err
}

// A context that panics when it is asked why it has ended counts as ended.
func TestAContextThatEndsAndPanicsEndsItsJobAtOnce(t *testing.T) {
	for name, call := range calls {
		for _, waits := range []bool{true, false} {
			if !waits && (name == "Batch" || name == "Map") {
				continue // items that run may get their outcome when they return
			}
			t.Run(fmt.Sprint(name, ", waits: ", waits), func(t *testing.T) {
				ctx := newUserContext(func(method string) {
					if method == "Err" {
						panic(errUser)
					}
				})
				p, g, returned, err := underWay(ctx, t, call, waits)
				ctx.active.Store(true)
				ctx.end()
				requireSoon(t, returned, name)
				require.ErrorIs(t, *err, errUser)
				g.open()
				requireSound(t, p)
			})
		}
	}
}

func TestAJobOfAContextThatIsDoneWithoutAnErrorIsNoSuccess(t *testing.T) {
	for name, call := range calls {
		for _, waits := range []bool{true, false} {
			t.Run(fmt.Sprint(name, ", waits: ", waits), func(t *testing.T) {
				ctx := lyingContext{make(chan struct{})}
				p, g, returned, err := underWay(ctx, t, call, waits)
				close(ctx.done)
				if !waits && (name == "Batch" || name == "Map") {
					g.open() // items that run may get their outcome when they return
				}
				requireSoon(t, returned, name)
				if waits {
					require.Error(t, *err, "the job has not run")
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

// Regression: Cancel and Stop asked the context of a job that they ended, and panicked with
// it.
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

// Regression: a worker was started again and again, and its job never had an outcome.
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

// badContext is a context of the user's own that panics when it is asked.
type badContext struct{ context.Context }

func (badContext) Deadline() (time.Time, bool) { panic(errOdd) }

// Regression: the context panicked on the worker's goroutine, where nothing contained that.
func TestAContextThatPanicsFailsItsJobAlone(t *testing.T) {
	for name, opts := range map[string][]dispatch.Option{
		"a job limit": {dispatch.WithJobTimeout(time.Hour)}, "a grace": {dispatch.WithJobTimeout(time.Hour), dispatch.WithGrace(time.Hour, 1)},
	} {
		t.Run(name, func(t *testing.T) {
			p := openPool(t, double, append(opts, dispatch.WithWorkers(1), quiet())...)
			_, err := p.Process(badContext{t.Context()}, 1)
			var perr *dispatch.PanicError
			require.ErrorAs(t, err, &perr)
			require.ErrorIs(t, err, errOdd)
			out, err := p.Process(t.Context(), 1)
			require.NoError(t, err)
			require.Equal(t, 2, out)
		})
	}
}

// exitingOnceDone is a context whose Err ends the goroutine once it is exiting.
type exitingOnceDone struct {
	context.Context
	exiting *atomic.Bool
}

func (c exitingOnceDone) Done() <-chan struct{} { return make(chan struct{}) }

func (c exitingOnceDone) Err() error {
	if c.exiting.Load() {
		runtime.Goexit()
	}
	return nil
}

func TestASubmitterWhoseContextEndsItsGoroutineAtTheLimitHasGivenUpItsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(1), dispatch.WithQueue(0))
		dispatch.Must(p.Submit(t.Context(), 1))
		synctest.Wait()
		ctx := exitingOnceDone{context.Background(), new(atomic.Bool)}
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			_, _ = p.ProcessTimed(ctx, 2, time.Second)
		}()
		synctest.Wait()
		require.Equal(t, 1, p.Stats().Blocked)
		ctx.exiting.Store(true)
		<-gone
		require.Zero(t, p.Stats().Blocked)
		require.EqualValues(t, 1, p.Stats().GaveUp)
		h.letAll()
	})
}

func TestAnInlineHandlerHearsOfAContextThatIsDoneAndSaysThatItIsNot(t *testing.T) {
	user := lyingContext{make(chan struct{})}
	p := openPool(t, func(ctx context.Context, _ int) (int, error) {
		if ctx.Err() != nil {
			return 0, errors.New("too early")
		}
		close(user.done)
		return 0, ctx.Err()
	}, dispatch.WithInline())
	_, err := p.Process(user, 1)
	require.ErrorIs(t, err, context.Canceled)
}
