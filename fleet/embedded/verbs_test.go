package embedded_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"example.com/dispatch"
	"example.com/dispatch/fleet"
	"github.com/stretchr/testify/require"
)

func TestEveryVerbOfAPoolWorksOverTheFleet(t *testing.T) {
	_, nc := lazy(t, fleet.Settings{})
	j := newJournal(t)
	serve(t, nc, j.handler("w"), dispatch.WithWorkers(4))
	p := callers(t, client(t, nc), 8)
	ctx := limited(t)

	out, err := p.Process(ctx, task{N: 1})
	require.NoError(t, err)
	require.Equal(t, "1 by w", out)

	out, err = p.ProcessTimed(ctx, task{N: 2}, patience)
	require.NoError(t, err)
	require.Equal(t, "2 by w", out)
	_, err = p.ProcessTimed(ctx, task{N: 3, Nap: time.Hour}, 200*time.Millisecond)
	var timeout *dispatch.TimeoutError
	require.ErrorAs(t, err, &timeout)
	require.Equal(t, 200*time.Millisecond, timeout.Limit)

	f, err := p.Submit(ctx, task{N: 4})
	require.NoError(t, err)
	out, err = f.Wait(ctx)
	require.NoError(t, err)
	require.Equal(t, "4 by w", out)
	f, err = p.TrySubmit(ctx, task{N: 5, Nap: time.Hour})
	require.NoError(t, err)
	requireSoon(t, func() bool { return j.beganAt(5, "w") }, "it does not run")
	require.True(t, f.Cancel())

	outs, err := p.Map(ctx, many(20, task{}))
	require.NoError(t, err)
	for n, out := range outs {
		require.Equal(t, fmt.Sprint(n, " by w"), out)
	}
	_, err = p.Map(ctx, append(many(3, task{Nap: time.Hour}), task{Do: "busy"}))
	require.ErrorIs(t, err, errBusy)
	var item *dispatch.ItemError
	require.ErrorAs(t, err, &item)
	require.Equal(t, 3, item.Index)

	b := p.Batch(ctx)
	require.NoError(t, b.Add(many(20, task{})...))
	b.Close()
	seen := 0
	for r := range b.Results() {
		require.NoError(t, r.Err)
		seen++
	}
	require.Equal(t, 20, seen)

	n := 0
	for r := range p.Stream(ctx, slices.Values(many(20, task{}))) {
		require.NoError(t, r.Err)
		require.Equal(t, fmt.Sprint(n, " by w"), r.Out)
		n++
	}
	require.Equal(t, 20, n)
	requireRest(t, nc)
	requireSoon(t, func() bool { return len(j.inFlight("w")) == 0 }, "what was canceled runs on")
}

func TestServesValuesReachTheHandler(t *testing.T) {
	_, nc := lazy(t, fleet.Settings{})
	type key struct{}
	p := dispatch.Must(dispatch.New(func(ctx context.Context, in task) (string, error) {
		return fmt.Sprint(ctx.Value(key{})), nil
	}))
	ctx, stop := context.WithCancel(context.WithValue(t.Context(), key{}, "hello"))
	over := make(chan error)
	go func() { over <- fleet.Serve(ctx, nc, tasks, p) }()
	out, err := client(t, nc).Call(limited(t), task{})
	require.NoError(t, err)
	require.Equal(t, "hello", out)
	stop()
	require.NoError(t, <-over)
	require.NoError(t, p.Close())
}

func TestStatsTellWhatThereIs(t *testing.T) {
	_, nc := lazy(t, fleet.Settings{})
	require.Zero(t, stats(t, nc))
	c := client(t, nc)
	for i, in := range many(3, task{Nap: time.Hour}) {
		_, err := c.Send(limited(t), in, fleet.ID(fmt.Sprint("job", i)))
		require.NoError(t, err)
	}
	s := stats(t, nc)
	require.Equal(t, 3, s.Waiting)
	require.Greater(t, s.Oldest, time.Duration(0))
	j := newJournal(t)
	serve(t, nc, j.handler("w"), dispatch.WithWorkers(2))
	requireSoon(t, func() bool { return len(j.inFlight("w")) == 2 }, "nothing runs")
	s = stats(t, nc)
	require.Equal(t, []int{1, 2, 0, 0, 0}, []int{s.Waiting, s.Taken, s.Again, s.Free, s.Dead})
	for i := range 3 {
		require.NoError(t, c.Cancel(limited(t), fmt.Sprint("job", i)))
	}
	requireRest(t, nc)
	requireFree(t, nc, 2)
	require.Equal(t, 3, stats(t, nc).Results)
}
