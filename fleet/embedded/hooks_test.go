package embedded_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/dispatch"
	"example.com/dispatch/fleet"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// colorKey is the key of a context's color. The color travels in the header "Color".
type colorKey struct{}

func colorOf(ctx context.Context) string {
	color, _ := ctx.Value(colorKey{}).(string)
	return color
}

var colorful = fleet.Hooks{
	Inject: func(ctx context.Context, h nats.Header) {
		if color := colorOf(ctx); color != "" {
			h.Set("Color", color)
		}
		h.Set("Fleet-Id", "not for it to say")
		h.Set("nats-msg-id", "nor this")
		h.Set("Content-Type", "nor this")
	},
	Extract: func(ctx context.Context, h nats.Header) context.Context {
		if len(h) > 1 {
			panic("it sees what is not its own")
		}
		if h.Get("Color") == "" {
			return nil
		}
		return context.WithValue(ctx, colorKey{}, h.Get("Color"))
	},
}

// hooked returns the kind tasks with hooks.
func hooked(h fleet.Hooks) fleet.Kind[task, string] {
	k := tasks
	k.Hooks = h
	return k
}

// hookedFleet returns a client of a kind with hooks, and starts a worker for it.
func hookedFleet(t *testing.T, h fleet.Hooks, handler dispatch.Handler[task, string]) (*fleet.Client[task, string], *nats.Conn) {
	t.Helper()
	_, nc := lazy(t, fleet.Settings{})
	k := hooked(h)
	worker := connectTo(t, nc)
	pool := dispatch.Must(dispatch.New(handler))
	ctx, stop := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- fleet.Serve(ctx, worker, k, pool) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-over)
		require.NoError(t, pool.Close())
	})
	c, err := fleet.NewClient(limited(t), nc, k)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c, nc
}

func TestWhatHooksInjectTravelsWithAJob(t *testing.T) {
	var mu sync.Mutex
	dead := true
	c, nc := hookedFleet(t, colorful, func(ctx context.Context, in task) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		if in.Do == "die once" && dead {
			return "", fleet.NoRetry(errBusy)
		}
		return colorOf(ctx), nil
	})
	red := context.WithValue(limited(t), colorKey{}, "red")
	out, err := c.Call(red, task{})
	require.NoError(t, err)
	require.Equal(t, "red", out)
	out, err = c.Call(limited(t), task{})
	require.NoError(t, err)
	require.Empty(t, out)

	id, err := c.Send(red, task{})
	require.NoError(t, err)
	out, err = c.Result(limited(t), id)
	require.NoError(t, err)
	require.Equal(t, "red", out)

	id, err = c.Send(red, task{Do: "die once"})
	require.NoError(t, err)
	_, err = c.Result(limited(t), id)
	require.ErrorIs(t, err, fleet.ErrDead)
	mu.Lock()
	dead = false
	mu.Unlock()
	require.NoError(t, tasks.Requeue(limited(t), nc, id))
	out, err = c.Result(limited(t), id)
	require.NoError(t, err)
	require.Equal(t, "red", out, "a dead letter keeps it")
}

func TestAContextOfExtractDoesNotEndTheJobsLife(t *testing.T) {
	told := make(chan struct{})
	c, _ := hookedFleet(t, fleet.Hooks{
		Extract: func(context.Context, nats.Header) context.Context { return context.Background() },
	}, func(ctx context.Context, _ task) (string, error) {
		if _, ok := fleet.Info(ctx); !ok {
			return "", errors.New("no info")
		}
		<-ctx.Done()
		close(told)
		return "", ctx.Err()
	})
	ctx, cancel := context.WithTimeout(limited(t), 100*time.Millisecond)
	defer cancel()
	_, err := c.Call(ctx, task{})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	select {
	case <-told:
	case <-time.After(patience):
		require.Fail(t, "the handler is not told")
	}
}

func TestAHookThatPanicsIsAnErrorOfItsJob(t *testing.T) {
	boo := func(context.Context, nats.Header) { panic("boo") }
	echo := func(context.Context, task) (string, error) { return "", nil }
	c, nc := hookedFleet(t, fleet.Hooks{Inject: boo}, echo)
	_, err := c.Call(limited(t), task{})
	require.ErrorContains(t, err, "Hooks.Inject panicked: boo")
	_, err = c.Send(limited(t), task{})
	require.ErrorContains(t, err, "Hooks.Inject panicked: boo")
	require.Zero(t, stats(t, nc).Waiting, "it is not stored")

	c, nc = hookedFleet(t, fleet.Hooks{Extract: func(ctx context.Context, h nats.Header) context.Context { boo(ctx, h); return ctx }}, echo)
	_, err = c.Call(limited(t), task{})
	require.ErrorContains(t, err, "the headers: Hooks.Extract panicked: boo")
	id, err := c.Send(limited(t), task{})
	require.NoError(t, err)
	_, err = c.Result(limited(t), id)
	require.ErrorIs(t, err, fleet.ErrDead)
	require.Len(t, letters(t, nc), 1)
	requireRest(t, nc)
}

func TestInjectedHeadersCountForTheSizeOfTheInput(t *testing.T) {
	c, nc := hookedFleet(t, fleet.Hooks{
		Inject: func(_ context.Context, h nats.Header) { h.Set("Long", strings.Repeat("x", 2<<20)) },
	}, func(context.Context, task) (string, error) { return "", nil })
	_, err := c.Call(limited(t), task{})
	require.ErrorIs(t, err, fleet.ErrTooLarge)
	require.Zero(t, stats(t, nc).Waiting)
}

// reports collects the reports that the hook received.
type reports struct {
	mu  sync.Mutex
	all []fleet.Report
}

func (r *reports) add(_ context.Context, one fleet.Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, one)
}

func (r *reports) take() []fleet.Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.all
	r.all = nil
	return all
}

func TestTheCallersPoolSeesTheWholeCallAndReportTellsTheWaitAndTheRunOverThere(t *testing.T) {
	const nap = 50 * time.Millisecond
	var told reports
	server, nc := lazy(t, fleet.Settings{})
	k := hooked(fleet.Hooks{Report: told.add})
	c, err := fleet.NewClient(limited(t), nc, k)
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	p := dispatch.Must(dispatch.New(c.Call, dispatch.WithTelemetry()))
	defer func() { require.NoError(t, p.Close()) }()

	first := dispatch.Must(p.Submit(limited(t), task{Nap: nap}))
	requireSoon(t, func() bool { return stats(t, nc).Waiting == 1 }, "it is not stored")
	time.Sleep(nap) // there is no worker
	w := serve(t, connect(t, server.URL(), nats.Name("far")), newJournal(t).handler("far"), dispatch.WithTelemetry())
	_, err = first.Wait(limited(t))
	require.NoError(t, err)
	all := told.take()
	require.Len(t, all, 1)
	require.Equal(t, [2]any{"far", 1}, [2]any{all[0].Worker, all[0].Attempt})
	require.NotEmpty(t, all[0].ID)
	require.GreaterOrEqual(t, all[0].Wait, nap, "it waited while nobody served")
	require.GreaterOrEqual(t, all[0].Run, nap)
	whole, there := p.Stats().Run.Sum(), w.pool.Stats()
	require.GreaterOrEqual(t, whole, all[0].Wait+all[0].Run, "the caller's pool sees the whole call")
	require.Equal(t, uint64(1), there.Run.Count())
	require.LessOrEqual(t, there.Run.Sum(), all[0].Run+time.Microsecond, "the worker's pool sees its part")

	_, err = p.Process(limited(t), task{Nap: nap, Do: "fail"})
	require.Error(t, err)
	all = told.take()
	require.Len(t, all, 1, "a failure has its times, too")
	require.Positive(t, all[0].Run)

	id, err := c.Send(limited(t), task{Do: "retry once"})
	require.NoError(t, err)
	_, err = c.Result(limited(t), id)
	require.NoError(t, err)
	all = told.take()
	require.Len(t, all, 1)
	require.Equal(t, [2]any{id, 2}, [2]any{all[0].ID, all[0].Attempt})

	id, err = c.Send(limited(t), task{Nap: time.Hour}, fleet.After(time.Hour))
	require.NoError(t, err)
	require.NoError(t, c.Cancel(limited(t), id))
	_, err = c.Result(limited(t), id)
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, told.take(), "no worker has made that outcome")
}
