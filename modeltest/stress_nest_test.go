package modeltest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// TestStressNest runs trees of jobs that wait for jobs, with every call that may do so, on
// pools that are far too small for them.
func TestStressNest(t *testing.T) {
	for _, workers := range []int{1, 2, 8} {
		t.Run(fmt.Sprintf("%d workers", workers), func(t *testing.T) {
			noGoroutines(t)
			f := newForest(workers)
			random := rand.New(rand.NewPCG(uint64(workers), 6))
			for range rounds(3 * 1000) {
				n := node{depth: 1 + random.IntN(4), fan: 1 + random.IntN(4), seed: random.IntN(1 << 20)}
				within(t, time.Minute, "a tree", func() {
					got, err := f.pool.Process(context.Background(), n)
					require.NoError(t, err)
					require.Equal(t, n.leaves(), got)
				})
			}
			require.NoError(t, f.pool.Close())
			require.NoError(t, f.other.Close())
			checkEnded(t, f.pool, nil)
			require.LessOrEqual(t, f.peak.Load(), int64(workers), "handlers that were at work at once")
		})
	}
}

// node is a job that has fan children, down to the depth.
type node struct{ depth, fan, seed int }

func (n node) leaves() int {
	if n.depth == 0 {
		return 1
	}
	return n.fan * n.child(0).leaves()
}

func (n node) child(i int) node { return node{n.depth - 1, n.fan, n.seed*31 + i} }

// forest is a pool whose jobs wait for jobs, and a second pool that they can go through.
type forest struct {
	pool, other *dispatch.Pool[node, int]
	busy, peak  atomic.Int64 // handlers that do not wait
}

func newForest(workers int) *forest {
	f := &forest{}
	f.pool = dispatch.Must(dispatch.New(f.grow, dispatch.WithWorkers(workers), dispatch.WithQueue(2)))
	f.other = dispatch.Must(dispatch.New(func(ctx context.Context, n node) (int, error) {
		return f.pool.Process(ctx, n)
	}, dispatch.WithWorkers(1)))
	return f
}

func (f *forest) grow(ctx context.Context, n node) (int, error) {
	f.work()
	defer f.busy.Add(-1)
	if n.depth == 0 {
		return 1, nil
	}
	children := make([]node, n.fan)
	for i := range children {
		children[i] = n.child(i)
	}
	f.busy.Add(-1) // it waits
	defer f.busy.Add(1)
	return f.join(ctx, n.seed%8, children)
}

// work counts a handler that is working, not waiting.
func (f *forest) work() {
	n := f.busy.Add(1)
	for old := f.peak.Load(); n > old && !f.peak.CompareAndSwap(old, n); old = f.peak.Load() {
	}
}

// join runs the children by one of the calls that a job may make.
func (f *forest) join(ctx context.Context, how int, children []node) (int, error) {
	switch how {
	case 0:
		return sum(children, func(n node) (int, error) { return f.pool.Process(ctx, n) })
	case 1:
		return sum(children, func(n node) (int, error) { return f.pool.ProcessTimed(ctx, n, time.Minute) })
	case 2:
		return sum(children, func(n node) (int, error) { return f.other.Process(ctx, n) })
	case 3:
		var futures []*dispatch.Future[int]
		for _, n := range children {
			future, err := f.pool.Submit(ctx, n)
			if err != nil {
				return 0, err
			}
			futures = append(futures, future)
		}
		return sum(futures, func(future *dispatch.Future[int]) (int, error) { return future.Wait(ctx) })
	case 4:
		outs, err := f.pool.Map(ctx, children)
		return total(outs), err
	case 5:
		total := 0
		for r := range f.pool.Stream(ctx, slices.Values(children)) {
			if r.Err != nil {
				return 0, r.Err
			}
			total += r.Out
		}
		return total, nil
	}
	b := f.pool.Batch(ctx)
	if err := b.Add(children...); err != nil {
		return 0, err
	}
	if how == 6 {
		outs, err := b.Wait(ctx)
		return total(outs), err
	}
	b.Close()
	total := 0
	for r := range b.Results() {
		if r.Err != nil {
			return 0, r.Err
		}
		total += r.Out
	}
	return total, nil
}

func sum[T any](all []T, one func(T) (int, error)) (int, error) {
	total := 0
	for _, x := range all {
		n, err := one(x)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

func total(ns []int) int {
	n := 0
	for _, k := range ns {
		n += k
	}
	return n
}
