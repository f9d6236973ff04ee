package modeltest

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// TestStressWorkers checks the promises of a pool about Workers while jobs panic, end
// their goroutines and are interrupted, constructors fail, and the limit changes: each
// Worker gets one call at a time, and one Close after its last job.
func TestStressWorkers(t *testing.T) {
	noGoroutines(t)
	var c tally
	var asked, made, closed atomic.Int64
	p := dispatch.Must(dispatch.NewWorkers(func(context.Context) (dispatch.Worker[fate, fate], error) {
		if asked.Add(1)%7 == 0 {
			return nil, errConstruct
		}
		made.Add(1)
		return &strictWorker{t: t, closed: &closed}, nil
	}, dispatch.WithWorkers(4), dispatch.WithIdleTimeout(0), dispatch.WithPanicHandler(func(*dispatch.PanicError) {})))

	more := make(chan int)
	var submitting sync.WaitGroup
	for range 6 {
		submitting.Go(func() {
			for i := range more {
				_, err := p.ProcessTimed(context.Background(), fate(i)%fates, time.Duration(1+i%20)*time.Microsecond)
				c.add(err)
			}
		})
	}
	for i := range rounds(100_000) {
		more <- i
		if i%50 == 0 {
			require.NoError(t, p.Resize(1+i/50%4))
		}
	}
	close(more)
	submitting.Wait()
	require.NoError(t, p.Close())
	require.Equal(t, made.Load(), closed.Load(), "workers closed")
	require.Equal(t, p.Stats().Submitted, accounted(p.Stats()))
	require.Equal(t, c.counts[panicked].Load(), p.Stats().Panicked)
}

// strictWorker reports a call that comes during another one, or after Close.
type strictWorker struct {
	t      *testing.T
	closed *atomic.Int64
	inside atomic.Int32 // calls other than Interrupt
	hooks  atomic.Int32 // calls of Interrupt
	over   atomic.Bool
}

// enter records a call. Only Process may overlap with an Interrupt.
func (w *strictWorker) enter(call string) (leave func()) {
	if w.inside.Add(1) != 1 || w.hooks.Load() != 0 && call != "Process" || w.over.Load() {
		w.t.Errorf("%s: during another call, or after Close", call)
	}
	return func() { w.inside.Add(-1) }
}

func (w *strictWorker) Ready(context.Context) error {
	defer w.enter("Ready")()
	runtime.Gosched()
	return nil
}

func (w *strictWorker) Process(ctx context.Context, f fate) (fate, error) {
	defer w.enter("Process")()
	spin(5 * time.Microsecond)
	return f.meet()
}

func (w *strictWorker) Interrupt() {
	if w.hooks.Add(1) != 1 || w.over.Load() {
		w.t.Error("Interrupt: during another Interrupt, or after Close")
	}
	runtime.Gosched()
	w.hooks.Add(-1)
}

func (w *strictWorker) Close() error {
	defer w.enter("Close")()
	if w.over.Swap(true) {
		w.t.Error("Close: a second time")
	}
	w.closed.Add(1)
	return nil
}
