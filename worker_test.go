package dispatch_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

func TestAWorkerIsMadeAskedUsedAndClosedOnceAndInOrder(t *testing.T) {
	once := []string{"new", "ready", "process", "processed", "close"}
	twice := []string{"new", "ready", "process", "processed", "ready", "process", "processed", "close"}
	type row struct {
		process func(ctx context.Context, in int) (int, error)
		use     func(t *testing.T, p *dispatch.Pool[int, int])
		want    [][]string // the life of each tool
	}
	two := func(t *testing.T, p *dispatch.Pool[int, int]) {
		for i := range 2 {
			_, _ = p.Process(t.Context(), i)
		}
	}
	inBubbles(t, map[string]row{
		"shutdown": {use: two, want: [][]string{twice}},
		"stop":     {use: func(t *testing.T, p *dispatch.Pool[int, int]) { two(t, p); p.Stop() }, want: [][]string{twice}},
		"an error": {
			process: func(context.Context, int) (int, error) { return 0, errTool },
			use:     two, want: [][]string{twice},
		},
		"panics, and goes on": {
			process: func(context.Context, int) (int, error) { panic("boo") },
			use:     two, want: [][]string{twice},
		},
		"Goexit, and is replaced": {
			process: func(context.Context, int) (int, error) { runtime.Goexit(); return 0, nil },
			use:     two, want: [][]string{once, once},
		},
		"idle expiry": {
			use: func(t *testing.T, p *dispatch.Pool[int, int]) {
				_, _ = p.Process(t.Context(), 1)
				time.Sleep(10 * time.Second)
				synctest.Wait()
				_, _ = p.Process(t.Context(), 1)
			}, want: [][]string{once, once},
		},
		"a batch": {
			use: func(t *testing.T, p *dispatch.Pool[int, int]) {
				b := p.Batch(t.Context())
				_ = b.Add(1, 2)
				_, _ = b.Wait(t.Context())
			}, want: [][]string{twice},
		},
		"a Map": {
			use: func(t *testing.T, p *dispatch.Pool[int, int]) { _, _ = p.Map(t.Context(), []int{1, 2}) }, want: [][]string{twice},
		},
		"an interrupt": {
			process: slowToHeed,
			use: func(t *testing.T, p *dispatch.Pool[int, int]) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				f := dispatch.Must(p.Submit(ctx, 1))
				_, _ = f.Wait(context.Background())
				f.Cancel()
				p.Stop()
			}, want: [][]string{{"new", "ready", "process", "interrupt", "processed", "close"}},
		},
	}, func(t *testing.T, r row) {
		var log notes[string]
		var lines logbook
		p := openWorkers(t, toolbox(&log, workerOf{process: r.process}), dispatch.WithWorkers(1), dispatch.WithLogger(lines.logger()))
		r.use(t, p)
		require.NoError(t, p.Close())
		all := log.all()
		var want []string
		for id, notes := range r.want {
			require.Equal(t, notes, life(all, id))
			want = append(want, notes...)
		}
		require.Len(t, all, len(want), "no further tool: %v", all)
	})
}

func TestAHookThatFailsIsLoggedAndDisturbsNothing(t *testing.T) {
	inBubbles(t, map[string]struct {
		like workerOf
		line string
	}{
		"an error of Close":     {workerOf{close: func() error { return errTool }}, "closing a worker failed"},
		"a panic of Close":      {workerOf{close: func() error { panic("no tool") }}, "Close of a worker panicked"},
		"a panic of Interrupt":  {workerOf{process: slowToHeed, interrupt: func() { panic("no tool") }}, "Interrupt of a worker panicked"},
		"a Goexit of Interrupt": {workerOf{process: slowToHeed, interrupt: runtime.Goexit}, ""},
		"a Goexit of Close":     {workerOf{close: func() error { runtime.Goexit(); return nil }}, ""},
	}, func(t *testing.T, r struct {
		like workerOf
		line string
	}) {
		var log logbook
		p := openWorkers(t, toolbox(new(notes[string]), r.like), dispatch.WithWorkers(1), dispatch.WithLogger(log.logger()), dispatch.WithName("n"))
		_, err := p.ProcessTimed(t.Context(), 1, time.Second)
		if r.like.process != nil {
			require.ErrorIs(t, err, dispatch.ErrTimeout)
			synctest.Wait()
		} else {
			require.NoError(t, err)
		}
		require.NoError(t, p.Close())
		if r.line == "" {
			require.Empty(t, log.all())
			return
		}
		log.requireLine(t, r.line, "no tool", "pool=n")
	})
}

func TestAWorkerNeedsNoHooks(t *testing.T) {
	p := openWorkers(t, func(context.Context) (dispatch.Worker[int, int], error) {
		return dispatch.Handler[int, int](double), nil
	})
	out, err := p.Process(t.Context(), 4)
	require.NoError(t, err)
	require.Equal(t, 8, out)
}

// life returns what one tool has recorded between its beginning and its end.
func life(all []string, id int) (life []string) {
	suffix := fmt.Sprint(" ", id)
	for _, note := range all {
		if what, ok := strings.CutSuffix(note, suffix); ok {
			life = append(life, what)
		}
	}
	return life
}
