package modeltest

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// TestStressInterrupt runs pairs of jobs on one worker. The first job of a pair is
// interrupted as close to its end as possible. The second follows at once and must not see
// the interrupt, neither in its context nor in its worker's Interrupt method.
func TestStressInterrupt(t *testing.T) {
	noGoroutines(t)
	var worker *pairWorker
	p := dispatch.Must(dispatch.NewWorkers(func(context.Context) (dispatch.Worker[*pairJob, bool], error) {
		worker = &pairWorker{t: t}
		return worker, nil
	}, dispatch.WithWorkers(1), dispatch.WithMinWorkers(1)))
	met := 0
	for i := range rounds(100_000) {
		if runPair(t, p, i) {
			met++
		}
		if t.Failed() {
			break
		}
	}
	require.NoError(t, p.Close())
	checkEnded(t, p, nil)
	t.Logf("%d jobs were ended before they returned; Interrupt was called %d times", met, worker.hooks.Load())
	require.NotZero(t, met, "no interrupt ever met its job: the test is blind")
}

// pairJob is the first job of a pair, or the second.
type pairJob struct {
	first  bool
	ending chan struct{} // closed when the first is about to return
	wait   time.Duration // until then
	told   bool          // the second job's handler saw the interrupt, which must not happen
}

// pairWorker records which job it runs. Only the first of a pair may be interrupted.
type pairWorker struct {
	t     *testing.T
	at    atomic.Pointer[pairJob] // nil from Ready until Process sets it
	hooks atomic.Int64
}

func (w *pairWorker) Ready(context.Context) error {
	w.at.Store(nil)
	return nil
}

func (w *pairWorker) Process(ctx context.Context, j *pairJob) (bool, error) {
	w.at.Store(j)
	if j.first {
		spin(j.wait)
		close(j.ending)
		return ended(ctx), nil
	}
	runtime.Gosched()
	j.told = ended(ctx) || context.Cause(ctx) != nil
	return true, nil
}

// Interrupt checks that it is called for the first job, and that this job is current from
// the beginning of the call to its end. It may overlap with the start of Process.
func (w *pairWorker) Interrupt() {
	w.hooks.Add(1)
	began := w.at.Load()
	runtime.Gosched()
	ended := w.at.Load()
	second := began != nil && !began.first || ended != nil && !ended.first
	if second || began != nil && ended != began {
		w.t.Error("Interrupt met the second job of a pair")
	}
}

// runPair returns whether the first job was interrupted in time.
func runPair(t *testing.T, p *dispatch.Pool[*pairJob, bool], round int) bool {
	first := &pairJob{first: true, ending: make(chan struct{}), wait: time.Duration(round%7) * time.Microsecond}
	second := &pairJob{}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	var err error
	done := make(chan struct{})
	if round%3 == 0 {
		go func() {
			defer close(done)
			_, err = p.ProcessTimed(ctx, first, first.wait+time.Duration(round%11)*time.Microsecond+1)
		}()
	} else {
		f, submitErr := p.Submit(ctx, first)
		if submitErr != nil {
			t.Errorf("Submit: %v", submitErr)
			return false
		}
		go func() {
			defer close(done)
			<-first.ending
			if round%3 == 1 {
				f.Cancel()
			} else {
				cancel(errCause)
			}
			_, err = f.Wait(context.Background())
		}()
	}
	second.told = true
	_, secondErr := p.Process(context.Background(), second)
	<-done
	if secondErr != nil || second.told {
		t.Errorf("the second job of a pair was told of the first's end: error %v, context done: %t", secondErr, second.told)
	}
	var te *dispatch.TimeoutError
	if err != nil && !errors.As(err, &te) && !errors.Is(err, context.Canceled) && !errors.Is(err, errCause) {
		t.Errorf("the first job ended with %v", err)
	}
	return err != nil
}

func ended(ctx context.Context) bool { return ctx.Err() != nil }
