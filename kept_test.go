package dispatch_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"weak"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// A pool keeps nothing alive that it has no use for any more (G14).

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

func (unreadyWorker) Ready(context.Context) error                    { return errUser }
func (unreadyWorker) Process(context.Context, *payload) (int, error) { return 0, nil }

// A handler that is done with its input and runs on is not kept company by it.
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

// A worker kept the last item that it had handled, for as long as it was idle.
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
