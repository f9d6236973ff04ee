package dispatch_test

import (
	"bytes"
	"context"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// labeled returns the labels of the goroutines that have a label containing what.
func labeled(t *testing.T, what string) (lines []string) {
	t.Helper()
	var profile bytes.Buffer
	require.NoError(t, pprof.Lookup("goroutine").WriteTo(&profile, 1))
	for block := range strings.SplitSeq(profile.String(), "\n\n") {
		if labels := strings.SplitN(block, "# labels: ", 2); len(labels) == 2 && strings.Contains(labels[1], what) {
			lines = append(lines, block)
		}
	}
	return lines
}

// Regression: the goroutines of a pool inherited the labels of the goroutine that happened
// to wake the pool first, and kept them. A profile then charged all jobs to that goroutine.
func TestNoGoroutineOfAPoolHasTheLabelsOfACaller(t *testing.T) {
	for name, run := range map[string]func(p *dispatch.Pool[int, int], ctx context.Context){
		"Process":   func(p *dispatch.Pool[int, int], ctx context.Context) { _, _ = p.Process(ctx, 0) },
		"Submit":    func(p *dispatch.Pool[int, int], ctx context.Context) { _, _ = p.Submit(ctx, 1) },
		"TrySubmit": func(p *dispatch.Pool[int, int], ctx context.Context) { _, _ = p.TrySubmit(ctx, 1) },
		"Map":       func(p *dispatch.Pool[int, int], ctx context.Context) { _, _ = p.Map(ctx, []int{0, 0}) },
		"Batch":     func(p *dispatch.Pool[int, int], ctx context.Context) { _ = p.Batch(ctx).Add(1, 1) },
		"Stream": func(p *dispatch.Pool[int, int], ctx context.Context) {
			for range p.Stream(ctx, func(yield func(int) bool) { yield(0) }) {
			}
		},
		"Resize": func(p *dispatch.Pool[int, int], _ context.Context) {
			_ = p.Resize(3)
			_, _ = p.Process(context.Background(), 0)
		},
		"OnProgress": func(p *dispatch.Pool[int, int], ctx context.Context) { onProgressHeld(ctx, p) },
		"Results": func(p *dispatch.Pool[int, int], ctx context.Context) {
			b := p.Batch(ctx)
			_ = b.Results()
			_ = b.Add(make([]int, 200)...) // more than there is room for
			context.AfterFunc(ctx, b.Cancel)
		},
		"a limit": func(p *dispatch.Pool[int, int], ctx context.Context) { _, _ = p.ProcessTimed(ctx, 1, time.Millisecond) },
	} {
		t.Run(name, func(t *testing.T) {
			g := newGated()
			p := workers(&workerOf{
				process:   g.handle,
				interrupt: func() { <-g.pass },
			}, dispatch.WithWorkers(2))
			ctx, cancel := context.WithCancel(context.Background())
			pprof.Do(ctx, pprof.Labels("tenant", name), func(ctx context.Context) { run(p, ctx) })
			eventually(t, "no goroutine has the labels", func() bool { return len(labeled(t, `"tenant":"`+name+`"`)) == 0 })
			g.open()
			cancel()
			close(progressGate)
			progressGate = make(chan struct{})
			requireSound(t, p)
		})
	}
}

// progressGate holds OnProgress functions.
var progressGate = make(chan struct{})

func onProgressHeld(ctx context.Context, p *dispatch.Pool[int, int]) {
	gate := progressGate
	b := p.Batch(ctx, dispatch.OnProgress(func(dispatch.Progress) { <-gate }))
	_ = b.Add(0)
}

func TestAJobHasNotTheLabelsOfAnotherCaller(t *testing.T) {
	var found []string
	p := dispatch.Must(dispatch.New(func(context.Context, int) (int, error) {
		found = append(found, labeled(t, `"job"`)...)
		return 0, nil
	}, dispatch.WithWorkers(1)))
	pprof.Do(context.Background(), pprof.Labels("caller", "job"), func(ctx context.Context) { _, _ = p.Process(ctx, 1) })
	found = nil // the caller itself waited there
	_, err := p.Process(context.Background(), 0)
	require.NoError(t, err)
	require.Empty(t, found)
	requireSound(t, p)
}
