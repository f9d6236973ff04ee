package modeltest

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// TestStressHooks ends jobs in all ways at once, with hooks that call the pool, panic and
// end their goroutines: Done is called once for each job, and its arguments agree with the
// counts and times in Stats.
func TestStressHooks(t *testing.T) {
	noGoroutines(t)
	for i := range rounds(150) {
		within(t, time.Minute, "jobs with hooks", func() { newHooked(t, uint64(i)).run() })
		if t.Failed() {
			break
		}
	}
}

const hookedJobs = 120

// hooked is one round.
type hooked struct {
	t    *testing.T
	seed uint64
	pool *dispatch.Pool[int, int]

	starts, ends [hookedJobs]atomic.Int64
	outcomes     [dispatch.Dropped + 1]atomic.Int64
	waits, runs  atomic.Int64 // sums
	turned       atomic.Int64 // jobs that a worker started on
}

func newHooked(t *testing.T, seed uint64) *hooked {
	h := &hooked{t: t, seed: seed}
	policy := []dispatch.Overflow{dispatch.Block, dispatch.DropOldest, dispatch.CallerRuns, dispatch.Reject}[seed%4]
	opts := []dispatch.Option{
		dispatch.WithWorkers(3), dispatch.WithQueue(2), dispatch.WithOverflow(policy), dispatch.WithIdleTimeout(0),
		dispatch.WithPanicHandler(func(*dispatch.PanicError) {}), dispatch.WithLogger(slog.New(slog.DiscardHandler)),
		dispatch.WithLabel(func(in int) string { return string(rune('0' + in)) }),
		dispatch.WithHooks(dispatch.Hooks{Start: h.start, Done: h.done}),
	}
	if seed%3 == 0 {
		opts = append(opts, dispatch.WithJobTimeout(20*time.Microsecond), dispatch.WithGrace(10*time.Microsecond, 1))
	}
	h.pool = dispatch.Must(dispatch.New(h.handle, opts...))
	return h
}

func (h *hooked) handle(ctx context.Context, in int) (int, error) {
	spin(time.Duration(in%4) * 10 * time.Microsecond)
	_, err := fate(max(0, in%13-9)).meet()
	if err == nil {
		err = ctx.Err()
	}
	return in, err
}

// number returns the input of the job that a hook was called for.
func (h *hooked) number(j dispatch.Job) int { return int([]rune(j.Label)[0] - '0') }

func (h *hooked) start(ctx context.Context, j dispatch.Job) context.Context {
	h.starts[h.number(j)].Add(1)
	h.misbehave(h.number(j))
	return ctx
}

func (h *hooked) done(_ context.Context, j dispatch.Job) {
	in := h.number(j)
	if n := h.ends[in].Add(1); n != 1 {
		h.t.Errorf("Done was told of job %d %d times", in, n)
	}
	h.outcomes[j.Outcome].Add(1)
	h.waits.Add(int64(j.Wait))
	h.runs.Add(int64(j.Run))
	if j.Worker > 0 {
		h.turned.Add(1)
	}
	h.misbehave(in + 1)
}

func (h *hooked) misbehave(n int) {
	switch n % 17 {
	case 3:
		h.pool.Stats()
		h.pool.Running()
		h.pool.Failures()
	case 5:
		panic(errHook)
	case 9:
		runtime.Goexit()
	}
}

// run uses the pool from several goroutines at once, each with inputs of its own.
func (h *hooked) run() {
	const users, each = 4, hookedJobs / 4
	var using sync.WaitGroup
	for user := range users {
		using.Go(func() {
			random := rand.New(rand.NewPCG(h.seed, uint64(user)))
			for in := user * each; in < (user+1)*each; in += 5 {
				h.use(random, in)
			}
		})
	}
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		var last dispatch.Stats
		for h.pool.Stats().State != dispatch.Ended {
			s := h.pool.Stats()
			if s.Wait.Count() < last.Wait.Count() || s.Run.Count() < last.Run.Count() {
				h.t.Errorf("counts fell from %v and %v to %v and %v", last.Wait, last.Run, s.Wait, s.Run)
			}
			last = s
			runtime.Gosched()
		}
	}()
	if h.seed%5 == 0 {
		spin(200 * time.Microsecond)
		h.pool.Stop()
	}
	using.Wait()
	require.NoError(h.t, h.pool.Close())
	<-watching
	h.check()
}

// use submits the five inputs from in on, and may cancel them.
func (h *hooked) use(random *rand.Rand, in int) {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(errCause)
	switch random.IntN(5) {
	case 0:
		_, _ = h.pool.Map(ctx, []int{in, in + 1, in + 2, in + 3, in + 4})
	case 1:
		b := h.pool.BatchOf(ctx, []int{in, in + 1, in + 2, in + 3, in + 4}, dispatch.StopOnError())
		if random.IntN(2) == 0 {
			b.Cancel()
		}
		<-b.Done()
	case 2:
		for r := range h.pool.Stream(ctx, func(yield func(int) bool) {
			for i := range 5 {
				if !yield(in + i) {
					return
				}
			}
		}) {
			if r.Index == 3 {
				break
			}
		}
	case 3:
		for i := range 5 {
			_, _ = h.pool.ProcessTimed(ctx, in+i, time.Duration(random.IntN(60))*time.Microsecond)
		}
	default:
		for i := range 5 {
			if f, err := h.pool.Submit(ctx, in+i); err == nil && random.IntN(3) == 0 {
				f.Cancel()
			}
		}
	}
}

// check compares the arguments of the hooks with Stats.
func (h *hooked) check() {
	s := h.pool.Stats()
	told := uint64(0)
	for in := range hookedJobs {
		told += uint64(h.ends[in].Load())
		if n := h.starts[in].Load(); n > 1 || n > h.ends[in].Load() {
			h.t.Errorf("Start was told of job %d %d times, and Done %d times", in, n, h.ends[in].Load())
		}
	}
	require.Equal(h.t, s.Submitted, told, "%+v", s)
	counted := counters(s)
	for k, n := range counted[1 : 1+kinds] {
		require.EqualValues(h.t, n, h.outcomes[k+1].Load(), "outcome %v: %+v", dispatch.Outcome(k+1), s)
	}
	require.Equal(h.t, s.Submitted, s.Wait.Count())
	require.EqualValues(h.t, h.turned.Load(), s.Run.Count())
	require.EqualValues(h.t, h.waits.Load(), s.Wait.Sum())
	require.EqualValues(h.t, h.runs.Load(), s.Run.Sum())
	checkEnded(h.t, h.pool, nil)
}
