package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// A pool keeps nothing alive that it no longer needs, and takes memory in proportion to its
// work (G14).

func TestG14NoInputIsKeptByAFuture(t *testing.T) {
	type pool = dispatch.Pool[*payload, int]
	type future = dispatch.Future[int]
	var gate chan struct{}
	bg := context.Background()
	plain := func() *pool {
		gate := gate
		return dispatch.Must(dispatch.New(func(_ context.Context, in *payload) (int, error) {
			if in == nil {
				<-gate
			}
			return 0, nil
		}, dispatch.WithWorkers(1), dispatch.WithOverflow(dispatch.DropOldest), dispatch.WithQueue(1), quiet()))
	}
	busy := func() *pool {
		p := plain()
		dispatch.Must(p.Submit(bg, nil))
		for p.Stats().Running == 0 {
			runtime.Gosched()
		}
		return p
	}
	failing := func() *pool {
		return dispatch.Must(dispatch.NewWorkers(func(context.Context) (dispatch.Worker[*payload, int], error) { return nil, errUser }))
	}
	unready := func() *pool {
		return dispatch.Must(dispatch.NewWorkers(func(context.Context) (dispatch.Worker[*payload, int], error) { return unreadyWorker{}, nil }))
	}
	for name, row := range map[string]struct {
		open   func() *pool
		submit func(p *pool, in *payload) *future
	}{
		"that has succeeded": {plain, func(p *pool, in *payload) *future {
			f := dispatch.Must(p.Submit(bg, in))
			_, _ = f.Wait(bg)
			return f
		}},
		"that was canceled in the queue": {busy, func(p *pool, in *payload) *future {
			f := dispatch.Must(p.Submit(bg, in))
			f.Cancel()
			return f
		}},
		"whose context has ended in the queue": {busy, func(p *pool, in *payload) *future {
			ctx, cancel := context.WithCancel(bg)
			f := dispatch.Must(p.Submit(ctx, in))
			cancel()
			<-f.Done()
			return f
		}},
		"that was dropped": {busy, func(p *pool, in *payload) *future {
			f := dispatch.Must(p.Submit(bg, in))
			dispatch.Must(p.Submit(bg, new(payload)))
			return f
		}},
		"whose Worker could not be made": {failing, func(p *pool, in *payload) *future {
			f := dispatch.Must(p.Submit(bg, in))
			_, _ = f.Wait(bg)
			return f
		}},
		"whose Worker was not ready": {unready, func(p *pool, in *payload) *future {
			f := dispatch.Must(p.Submit(bg, in))
			_, _ = f.Wait(bg)
			return f
		}},
		"that was canceled on its way to a worker": {plain, func(p *pool, in *payload) *future {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
			f := dispatch.Must(p.Submit(bg, in))
			f.Cancel()
			_ = p.Wait(bg)
			return f
		}},
		"that was given back": {busy, func(p *pool, in *payload) *future {
			f := dispatch.Must(p.Submit(bg, in))
			p.Stop()
			return f
		}},
	} {
		t.Run(name, func(t *testing.T) {
			gate = make(chan struct{})
			p := row.open()
			f, kept := func() (*future, weak.Pointer[payload]) {
				in := new(payload)
				return row.submit(p, in), weak.Make(in)
			}()
			requireCollected(t, kept, "an input")
			runtime.KeepAlive(f)
			close(gate)
			require.NoError(t, p.Close())
		})
	}
}

// unreadyWorker is never ready.
type unreadyWorker struct{}

func (unreadyWorker) Ready(context.Context) error { return errUser }

func (unreadyWorker) Process(context.Context, *payload) (int, error) { return 0, nil }

// The input of a handler that has finished with it, and still runs, is not kept alive.
func TestG14NoInputIsKeptByItsRunningHandler(t *testing.T) {
	for name, opts := range map[string][]dispatch.Option{"": nil, "with a grace": {dispatch.WithGrace(patience, 1)}} {
		t.Run(name, func(t *testing.T) {
			kept := make(chan weak.Pointer[payload], 1)
			gate := make(chan struct{})
			p := dispatch.Must(dispatch.New(func(_ context.Context, in *payload) (int, error) {
				kept <- weak.Make(in)
				<-gate
				return 0, nil
			}, opts...))
			f := dispatch.Must(p.Submit(context.Background(), new(payload)))
			requireCollected(t, <-kept, "the input")
			close(gate)
			_, err := f.Wait(t.Context())
			require.NoError(t, err)
			require.NoError(t, p.Close())
		})
	}
}

// Regression: a worker kept the last item that it had handled, for as long as it was idle.
func TestG14NoItemIsKeptByAnIdleWorker(t *testing.T) {
	for name, run := range map[string]func(p *dispatch.Pool[*payload, *payload], in *payload) error{
		"Batch": func(p *dispatch.Pool[*payload, *payload], in *payload) error {
			b := p.Batch(context.Background())
			err := b.Add(in)
			_, err2 := b.Wait(context.Background())
			return errors.Join(err, err2)
		},
		"Results": func(p *dispatch.Pool[*payload, *payload], in *payload) error {
			b := p.Batch(context.Background())
			err := b.Add(in)
			b.Close()
			for range b.Results() {
			}
			return err
		},
		"Map": func(p *dispatch.Pool[*payload, *payload], in *payload) error {
			_, err := p.Map(context.Background(), []*payload{in})
			return err
		},
		"Process": func(p *dispatch.Pool[*payload, *payload], in *payload) error {
			_, err := p.Process(context.Background(), in)
			return err
		},
		"Stream": func(p *dispatch.Pool[*payload, *payload], in *payload) error {
			for range p.Stream(context.Background(), func(yield func(*payload) bool) { yield(in) }) {
			}
			return nil
		},
	} {
		for setting, opts := range map[string][]dispatch.Option{"": nil, ", with a limit": {dispatch.WithJobTimeout(patience)}} {
			t.Run(name+setting, func(t *testing.T) {
				p := dispatch.Must(dispatch.New(func(_ context.Context, in *payload) (*payload, error) { return in, nil }, append(opts, dispatch.WithWorkers(1))...))
				kept := func() weak.Pointer[payload] {
					in := new(payload)
					require.NoError(t, run(p, in))
					return weak.Make(in)
				}()
				eventually(t, "the worker is idle", func() bool { return p.Stats().Idle == 1 })
				requireCollected(t, kept, "the input, or output")
				require.NoError(t, p.Close())
			})
		}
	}
}

// Regression: a job that went through one batch after another kept all of them until it
// ended.
func TestG14NoBatchIsKeptByTheJobThatHasReadIt(t *testing.T) {
	for name, read := range map[string]func(ctx context.Context, b *dispatch.Batch[*payload, int]){
		"Results": func(_ context.Context, b *dispatch.Batch[*payload, int]) {
			b.Close()
			for range b.Results() {
			}
		},
		"All": func(_ context.Context, b *dispatch.Batch[*payload, int]) {
			for range b.All() {
			}
		},
		"Wait":                func(ctx context.Context, b *dispatch.Batch[*payload, int]) { _, _ = b.Wait(ctx) },
		"Results, and Cancel": func(_ context.Context, b *dispatch.Batch[*payload, int]) { _ = b.Results(); b.Cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			var p *dispatch.Pool[*payload, int]
			p = dispatch.Must(dispatch.New(func(ctx context.Context, in *payload) (int, error) {
				if in != nil {
					return 0, nil
				}
				kept := func() weak.Pointer[payload] {
					in := new(payload)
					b := p.Batch(ctx)
					_ = b.Add(in)
					read(ctx, b)
					return weak.Make(in)
				}()
				requireCollected(t, kept, "the batch")
				return 0, nil
			}, dispatch.WithWorkers(1)))
			within(t, "the job", func() {
				_, err := p.Process(context.Background(), nil)
				require.NoError(t, err)
			})
			require.NoError(t, p.Close())
		})
	}
}

// Regression: a job that was canceled while it waited was kept until a worker reached it.
func TestNothingIsKeptOfWhatWasCanceledWhileItWaited(t *testing.T) {
	type big [1 << 16]byte
	ctx := context.Background()
	inBubbles(t, map[string]func(p *dispatch.Pool[*big, int], in *big){
		"a job":   func(p *dispatch.Pool[*big, int], in *big) { dispatch.Must(p.Submit(ctx, in)).Cancel() },
		"a batch": func(p *dispatch.Pool[*big, int], in *big) { b := p.Batch(ctx); _ = b.Add(in); b.Cancel() },
	}, func(t *testing.T, run func(p *dispatch.Pool[*big, int], in *big)) {
		pass := make(chan struct{})
		p := openPool(t, func(context.Context, *big) (int, error) { <-pass; return 0, nil }, dispatch.WithWorkers(1))
		defer close(pass)
		dispatch.Must(p.Submit(ctx, nil))
		synctest.Wait()
		kept := func() weak.Pointer[big] {
			in := new(big)
			run(p, in)
			return weak.Make(in)
		}()
		synctest.Wait()
		runtime.GC()
		require.Nil(t, kept.Value())
	})
}

// Regression: an idle worker kept the error of its last job.
func TestAnIdleWorkerKeepsNothingOfItsLastJob(t *testing.T) {
	type big struct{ error }
	var kept weak.Pointer[big]
	p := openPool(t, func(context.Context, int) (int, error) {
		err := &big{errTool}
		kept = weak.Make(err)
		return 0, err
	}, dispatch.WithWorkers(1))
	_, err := p.Process(t.Context(), 1)
	require.Error(t, err)
	err = nil
	require.Eventually(t, func() bool { runtime.GC(); return kept.Value() == nil }, patience, time.Millisecond)
	require.NoError(t, err)
}

// A job of Process is used again, and waits for that in a sync.Pool, which keeps what it
// has for one collection.
func TestG14NoOutputIsKeptByTheJobOfProcess(t *testing.T) {
	type big [1024]byte
	p := openPool(t, func(context.Context, int) (*big, error) { return new(big), nil }, dispatch.WithWorkers(1))
	kept := weak.Make(dispatch.Must(p.Process(t.Context(), 1)))
	eventually(t, "the worker is idle", func() bool { return p.Stats().Idle == 1 })
	runtime.GC()
	require.Nil(t, kept.Value())
}

// allocated returns how many bytes a run of f allocates. It is the least of several runs,
// because other code in this process may allocate meanwhile.
func allocated(f func()) uint64 {
	const runs = 10
	least := uint64(math.MaxUint64)
	f()
	for range 10 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			f()
		}
		runtime.ReadMemStats(&after)
		least = min(least, (after.TotalAlloc-before.TotalAlloc)/runs)
	}
	return least
}

// Regression: a batch made room for 16 inputs and 128 results, whatever their size.
func TestG14ABatchOfOneTakesLittleMoreThanItsInput(t *testing.T) {
	type page [4096]byte
	p := dispatch.Must(dispatch.New(func(context.Context, page) (page, error) { return page{}, nil }, dispatch.WithWorkers(1)))
	for name, row := range map[string]struct {
		most    uint64
		results bool
	}{
		"alone":        {40 << 10, false},
		"with Results": {64 << 10, true},
	} {
		bytes := allocated(func() {
			b := p.Batch(context.Background())
			require.NoError(t, b.Add(page{}))
			b.Close()
			if row.results {
				for range b.Results() {
				}
			} else {
				_, err := b.Wait(context.Background())
				require.NoError(t, err)
			}
		})
		require.Less(t, bytes, row.most, name)
	}
	require.NoError(t, p.Close())
}

// Regression: the worker channel was made with room for all workers that the limit allows.
func TestG14APoolForManyWorkersTakesNoMoreBeforeItHasThem(t *testing.T) {
	of := func(workers int) uint64 {
		return allocated(func() { dispatch.Must(dispatch.New(untilDone, dispatch.WithWorkers(workers))).Stop() })
	}
	one := of(1)
	require.Less(t, of(1024), one+1024)
	require.Less(t, of(dispatch.Unlimited), one+1024)
}

func TestG14AFutureDoesNotKeepItsCallersContext(t *testing.T) {
	for name, end := range map[string]struct {
		in  int
		end func(t *testing.T, p *dispatch.Pool[int, int], f *dispatch.Future[int], cancel func())
	}{
		"that has succeeded": {0, func(*testing.T, *dispatch.Pool[int, int], *dispatch.Future[int], func()) {}},
		"that has failed":    {-1, func(*testing.T, *dispatch.Pool[int, int], *dispatch.Future[int], func()) {}},
		"that was canceled": {1, func(_ *testing.T, _ *dispatch.Pool[int, int], f *dispatch.Future[int], _ func()) {
			f.Cancel()
		}},
		"that its context has ended": {1, func(_ *testing.T, _ *dispatch.Pool[int, int], _ *dispatch.Future[int], cancel func()) {
			cancel()
		}},
		"that was stopped": {1, func(_ *testing.T, p *dispatch.Pool[int, int], _ *dispatch.Future[int], _ func()) { p.Stop() }},
	} {
		for _, asked := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", asked: ", asked), func(t *testing.T) {
				g := newGated()
				p := dispatch.Must(dispatch.New(func(ctx context.Context, in int) (int, error) {
					if asked {
						_ = ctx.Done()
					}
					if in < 0 {
						return 0, errUser
					}
					return g.handle(ctx, in)
				}, dispatch.WithWorkers(1)))
				f, kept := func() (*dispatch.Future[int], weak.Pointer[payload]) {
					load := new(payload)
					ctx, cancel := context.WithCancel(context.WithValue(context.Background(), payloadKey{}, load))
					defer cancel()
					f := dispatch.Must(p.Submit(ctx, end.in))
					if end.in > 0 {
						<-g.entered
					}
					end.end(t, p, f, cancel)
					_, _ = f.Wait(context.Background())
					return f, weak.Make(load)
				}()
				g.open()
				within(t, "Close", func() { _ = p.Close() }) // the handler has returned
				requireCollected(t, kept, "the caller's context")
				runtime.KeepAlive(f)
				runtime.KeepAlive(p)
			})
		}
	}
}
