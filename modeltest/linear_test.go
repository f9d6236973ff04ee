package modeltest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// TestLinearizable lets four goroutines submit and finish jobs while one of them closes
// or stops the pool. It checks that their observations can be put in one order that the
// sequential specification allows, with each call between its beginning and its end.
func TestLinearizable(t *testing.T) {
	undecided := 0
	n := count(5_000)
	for round := range n {
		h := newHistory(uint64(round))
		h.run()
		require.Empty(t, h.faults, "round %d", round)
		result, info := porcupine.CheckOperationsVerbose(placesModel, h.ops, 2*time.Second)
		switch result {
		case porcupine.Unknown:
			undecided++
		case porcupine.Illegal:
			picture := filepath.Join(t.ArtifactDir(), "history.html")
			require.NoError(t, porcupine.VisualizePath(placesModel, info, picture))
			t.Fatalf("round %d: not linearizable; see %s (go test -artifacts keeps it)\n%s", round, picture, h)
		}
	}
	require.LessOrEqual(t, undecided, n/100, "histories that could not be checked in time")
}

// history is one round: a pool, and what happened to it.
type history struct {
	pool  *dispatch.Pool[int8, int8]
	seed  uint64
	clock atomic.Int64 // orders the beginnings and the ends of all calls
	gates [linearJobs]chan struct{}
	asked [linearJobs]int64 // when the job was submitted; written before it is
	next  atomic.Int32      // the number of the next job
	group sync.WaitGroup    // all but the clients

	mu     sync.Mutex
	ops    []porcupine.Operation
	faults []string
}

func newHistory(seed uint64) *history {
	h := &history{seed: seed}
	for i := range h.gates {
		h.gates[i] = make(chan struct{})
	}
	h.pool = dispatch.Must(dispatch.New(h.handle, dispatch.WithWorkers(linearWorkers), dispatch.WithQueue(linearQueue)))
	return h
}

// handle waits until its job may finish, or is stopped.
func (h *history) handle(ctx context.Context, job int8) (int8, error) {
	h.note(0, linearOp{kind: linearStart, job: job}, nil, h.asked[job])
	select {
	case <-h.gates[job]:
	case <-ctx.Done():
	}
	return job, nil
}

// note records a call that began at the given time and ends now.
func (h *history) note(client int, op linearOp, output any, began int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: op, Output: output, Call: began, Return: h.clock.Add(1)})
}

func (h *history) run() {
	var clients sync.WaitGroup
	var opened [linearJobs]atomic.Bool
	open := func(job int8) {
		if opened[job].CompareAndSwap(false, true) {
			close(h.gates[job])
		}
	}
	for c := range 4 {
		random := rand.New(rand.NewPCG(h.seed, uint64(c)))
		clients.Go(func() {
			var mine []*linearJob
			for range 8 {
				if random.IntN(3) == 0 {
					runtime.Gosched()
				}
				switch {
				case c == 0 && random.IntN(10) == 0:
					h.end(random.IntN(2) == 0)
				case len(mine) > 0 && random.IntN(2) == 0:
					h.finish(c, mine[0], open)
					mine = mine[1:]
				default:
					if j := h.submit(c); j != nil {
						mine = append(mine, j)
					}
				}
			}
			for _, j := range mine {
				h.finish(c, j, open)
			}
		})
	}
	clients.Wait()
	h.end(true)
	h.group.Wait()

	var unrun uint32
	for _, op := range h.ops {
		if jobs, ok := op.Output.([]int8); ok {
			for _, job := range jobs {
				unrun |= 1 << job
			}
		}
	}
	for i, op := range h.ops {
		if start := op.Input.(linearOp); start.kind == linearStart {
			start.unrun = unrun
			h.ops[i].Input = start
		}
	}
}

// linearJob is an accepted job.
type linearJob struct {
	number int8
	future *dispatch.Future[int8]
}

func (h *history) submit(client int) *linearJob {
	job := int8(h.next.Add(1) - 1)
	if job >= linearJobs {
		return nil
	}
	began := h.clock.Add(1)
	h.asked[job] = began
	f, err := h.pool.TrySubmit(context.Background(), job)
	switch {
	case err == nil:
		h.note(client, linearOp{kind: linearSubmit, job: job}, accepted, began)
		return &linearJob{job, f}
	case errors.Is(err, dispatch.ErrQueueFull):
		h.note(client, linearOp{kind: linearSubmit, job: job}, noRoom, began)
	case errors.Is(err, dispatch.ErrClosed):
		h.note(client, linearOp{kind: linearSubmit, job: job}, closed, began)
	default:
		h.fault("TrySubmit: " + err.Error())
	}
	return nil
}

// finish lets a job finish, and records when its outcome is known. It does not wait for
// that, because jobs before it in the queue may need other clients.
func (h *history) finish(client int, j *linearJob, open func(int8)) {
	began := h.clock.Add(1)
	open(j.number)
	h.group.Go(func() {
		v, err := j.future.Wait(context.Background())
		switch {
		case err == nil && v == j.number:
			h.note(client, linearOp{kind: linearFinish, job: j.number}, nil, began)
		case !errors.Is(err, dispatch.ErrStopped):
			h.fault("a job ended in a way it cannot")
		}
	})
}

// end closes or stops the pool.
func (h *history) end(gently bool) {
	began := h.clock.Add(1)
	h.group.Go(func() {
		if gently {
			if err := h.pool.Close(); err != nil {
				h.fault("Close: " + err.Error())
			}
			h.note(4, linearOp{kind: linearClose}, nil, began)
			return
		}
		// Stop closes the door, and then takes what waits: of two calls, the
		// one may do the first and the other the second.
		unrun := h.pool.Stop()
		h.note(4, linearOp{kind: linearClose}, nil, began)
		h.note(4, linearOp{kind: linearStop}, unrun, began)
	})
}

// String returns the calls in the order in which they began.
func (h *history) String() string {
	var b strings.Builder
	byCall := func(x, y porcupine.Operation) int { return cmp.Compare(x.Call, y.Call) }
	for _, op := range slices.SortedFunc(slices.Values(h.ops), byCall) {
		fmt.Fprintf(&b, "%4d to %4d  %s\n", op.Call, op.Return, placesModel.DescribeOperation(op.Input, op.Output))
	}
	return b.String()
}

func (h *history) fault(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faults = append(h.faults, what)
}
