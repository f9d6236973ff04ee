package dispatch_test

import (
	"context"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// Nobody waits long for a pool, however much waits in it (G17). These tests measure the
// slowest of many calls that are made while something large happens. Time in which the
// processors work for other processes does not count. Even so, chance makes a call slow now
// and then. A mutex that is held too long makes a call slow each time. So a test passes if
// one of several attempts is quick.

const (
	many     = 1_000_000 / slow      // items: enough for a pass over all of them to be noticed
	soon     = 15 * time.Millisecond // the time within which a mutex must become free
	attempts = 10
)

// cargo is an input. Its first number says what its job does.
type cargo [4]int64

// stopwatch measures how long something takes.
type stopwatch struct {
	began time.Time
	cpu   time.Duration
}

func startStopwatch() stopwatch { return stopwatch{time.Now(), cpuTime()} }

// took returns the time since the start in which the processors have worked for this
// process.
func (s stopwatch) took() time.Duration { return min(time.Since(s.began), cpuTime()-s.cpu) }

// slowest calls Stats again and again while f runs, and returns how long the
// slowest call took.
func slowest[In, Out any](p *dispatch.Pool[In, Out], f func()) (d time.Duration) {
	stop := make(chan struct{})
	started := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		p.Stats()
		close(started)
		for !isClosed(stop) {
			watch := startStopwatch()
			p.Stats()
			took := watch.took()
			if wait := time.Since(watch.began); wait > patience/10 {
				took = wait // the holder of the mutex waits for something
			}
			d = max(d, took)
			time.Sleep(50 * time.Microsecond)
		}
	})
	<-started
	f()
	close(stop)
	wg.Wait()
	return d
}

// requireClock skips a test of how long something takes under the race detector, whose own
// time would be measured.
func requireClock(t *testing.T) {
	t.Helper()
	if slow > 1 {
		t.Skip("the race detector takes most of the time")
	}
}

// requireNobodyWaits asserts that the slowest call is quick in one of several attempts. For
// each attempt, prepare returns a pool, what is to happen during the measurement, and what
// comes after it. The number of goroutines that are woken meanwhile is callers: each locks
// the mutex once, and the slowest call may wait behind all of them.
func requireNobodyWaits(t *testing.T, what string, callers int, prepare func(t *testing.T) (p *dispatch.Pool[cargo, int8], during, after func())) {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8)) // the system wakes a goroutine that has got a mutex sooner than a busy runtime does
	most := soon + time.Duration(callers)*2*time.Microsecond
	var best time.Duration
	for range attempts {
		p, during, after := prepare(t)
		debug.FreeOSMemory() // getting new memory from the system is part of the cost of the work
		d := slowest(p, during)
		after()
		require.NoError(t, p.Close())
		if best == 0 || d < best {
			best = d
		}
		if best <= most {
			return
		}
	}
	require.Fail(t, "a call of Stats took "+best.String(), "while %s", what)
}

// requireProportion asserts that the time which took returns grows with n, and not with its
// square. In one of several attempts, n items must take less than three times as long per
// item as n/8 items.
func requireProportion(t *testing.T, n int, took func(t *testing.T, n int) time.Duration) {
	t.Helper()
	const part = 8
	few := took(t, n/part)
	for range 2 {
		few = min(few, took(t, n/part))
	}
	best := time.Duration(math.MaxInt64)
	for range attempts {
		if best = min(best, took(t, n)); best < 3*part*few {
			return
		}
	}
	require.Fail(t, "it takes too long", "%v for %d, and %v for %d", few, n/part, best, n)
}

// flags is a handler: inputs of 1 wait for their context, those of 2 fail, and
// those of 3 wait for the gate.
type flags struct{ gate chan struct{} }

func (f flags) handle(ctx context.Context, in cargo) (int8, error) {
	switch in[0] {
	case 1:
		<-ctx.Done()
	case 2:
		<-f.gate
		return 0, errUser
	case 3:
		<-f.gate
	}
	return int8(in[0]), nil
}

func TestG17NobodyWaitsWhileALargeBatchChanges(t *testing.T) {
	requireClock(t)
	bg := context.Background()
	quick := make([]cargo, many)
	mapIns := slices.Repeat([]cargo{{1}}, 2*many)
	slowIns := slices.Repeat([]cargo{{1}}, many)
	first := func(kind int64) []cargo {
		ins := make([]cargo, many)
		ins[0][0], ins[1][0] = kind, 3
		return ins
	}
	for what, prepare := range map[string]func(t *testing.T) (*dispatch.Pool[cargo, int8], func(), func()){
		"inputs are added": func(*testing.T) (*dispatch.Pool[cargo, int8], func(), func()) {
			p := dispatch.Must(dispatch.New(flags{}.handle, dispatch.WithWorkers(2)))
			b := p.Batch(bg)
			return p, func() { _ = b.Add(quick...) }, b.Close
		},
		"Results is called": func(t *testing.T) (*dispatch.Pool[cargo, int8], func(), func()) {
			t.Helper()
			p := dispatch.Must(dispatch.New(flags{}.handle, dispatch.WithWorkers(2)))
			b := p.Batch(bg)
			_ = b.Add(quick...)
			_, err := b.Wait(bg)
			require.NoError(t, err)
			return p, func() { b.Results() }, func() {}
		},
		"it is canceled": func(*testing.T) (*dispatch.Pool[cargo, int8], func(), func()) {
			p := dispatch.Must(dispatch.New(flags{}.handle, dispatch.WithWorkers(2)))
			b := p.Batch(bg)
			_ = b.Add(slowIns...)
			return p, b.Cancel, func() {}
		},
		"it is canceled, with a channel of results": func(*testing.T) (*dispatch.Pool[cargo, int8], func(), func()) {
			p := dispatch.Must(dispatch.New(flags{}.handle, dispatch.WithWorkers(2)))
			b := p.Batch(bg)
			_ = b.Add(slowIns...)
			b.Results()
			return p, b.Cancel, func() {}
		},
		"its context ends": func(*testing.T) (*dispatch.Pool[cargo, int8], func(), func()) {
			p := dispatch.Must(dispatch.New(flags{}.handle, dispatch.WithWorkers(2)))
			ctx, cancel := context.WithCancel(bg)
			b := p.Batch(ctx)
			_ = b.Add(slowIns...)
			return p, func() { cancel(); _, _ = b.Wait(bg) }, func() {}
		},
		"a failure stops it": func(*testing.T) (*dispatch.Pool[cargo, int8], func(), func()) {
			f := flags{make(chan struct{})}
			p := dispatch.Must(dispatch.New(f.handle, dispatch.WithWorkers(2)))
			b := p.Batch(bg, dispatch.StopOnError())
			_ = b.Add(first(2)...)
			return p, func() { close(f.gate); _, _ = b.Wait(bg) }, func() {}
		},
		"a success stops it": func(*testing.T) (*dispatch.Pool[cargo, int8], func(), func()) {
			f := flags{make(chan struct{})}
			p := dispatch.Must(dispatch.New(f.handle, dispatch.WithWorkers(1)))
			b := p.Batch(bg, dispatch.StopOnSuccess())
			_ = b.Add(first(3)...)
			return p, func() { close(f.gate); _, _ = b.Wait(bg) }, func() {}
		},
		"the pool stops": func(*testing.T) (*dispatch.Pool[cargo, int8], func(), func()) {
			p := dispatch.Must(dispatch.New(flags{}.handle, dispatch.WithWorkers(2)))
			_ = p.Batch(bg).Add(slowIns...)
			return p, func() { p.Stop() }, func() {}
		},
		"a context of a Map ends": func(t *testing.T) (*dispatch.Pool[cargo, int8], func(), func()) {
			t.Helper()
			p := dispatch.Must(dispatch.New(flags{}.handle, dispatch.WithWorkers(2)))
			ctx, cancel := context.WithCancel(bg)
			returned := make(chan struct{})
			go func() {
				defer close(returned)
				_, _ = p.Map(ctx, mapIns)
			}()
			eventually(t, "it runs", func() bool { return p.Stats().Running == 2 })
			return p, func() { cancel(); <-returned; _ = p.Wait(bg) }, func() {}
		},
		"an input of a Map fails": func(t *testing.T) (*dispatch.Pool[cargo, int8], func(), func()) {
			t.Helper()
			f := flags{make(chan struct{})}
			p := dispatch.Must(dispatch.New(f.handle, dispatch.WithWorkers(1)))
			returned := make(chan struct{})
			go func() {
				defer close(returned)
				_, _ = p.Map(bg, slices.Concat([]cargo{{2}}, mapIns))
			}()
			eventually(t, "it runs", func() bool { return p.Stats().Running == 1 })
			return p, func() { close(f.gate); <-returned }, func() {}
		},
		"a pool with a Map stops": func(t *testing.T) (*dispatch.Pool[cargo, int8], func(), func()) {
			t.Helper()
			p := dispatch.Must(dispatch.New(flags{}.handle, dispatch.WithWorkers(2)))
			returned := make(chan struct{})
			go func() {
				defer close(returned)
				_, _ = p.Map(bg, mapIns)
			}()
			eventually(t, "it runs", func() bool { return p.Stats().Running == 2 })
			return p, func() { p.Stop(); <-returned }, func() {}
		},
		"a loop over All breaks off": func(*testing.T) (*dispatch.Pool[cargo, int8], func(), func()) {
			f := flags{make(chan struct{})}
			p := dispatch.Must(dispatch.New(f.handle, dispatch.WithWorkers(1)))
			b := p.Batch(bg)
			ins := slices.Clone(slowIns)
			ins[0][0] = 3
			_ = b.Add(ins...)
			return p, func() {
				close(f.gate)
				for range b.All() {
					break
				}
			}, func() {}
		},
	} {
		t.Run(what, func(t *testing.T) { requireNobodyWaits(t, what, 0, prepare) })
	}
}

func TestG17NobodyWaitsWhileManyQueuedJobsEnd(t *testing.T) {
	requireClock(t)
	const n = 200_000 / slow
	bg := context.Background()
	fill := func(t *testing.T, ctx context.Context) *dispatch.Pool[cargo, int8] {
		t.Helper()
		p := dispatch.Must(dispatch.New(flags{}.handle, dispatch.WithWorkers(1), dispatch.WithQueue(dispatch.Unlimited)))
		for range n {
			_, err := p.Submit(ctx, cargo{1})
			require.NoError(t, err)
		}
		return p
	}
	t.Run("Stop", func(t *testing.T) {
		requireNobodyWaits(t, "a pool with many queued jobs stops", 0, func(t *testing.T) (*dispatch.Pool[cargo, int8], func(), func()) {
			t.Helper()
			p := fill(t, bg)
			return p, func() { require.GreaterOrEqual(t, len(p.Stop()), n-1) }, func() {}
		})
	})
	t.Run("their context", func(t *testing.T) {
		requireNobodyWaits(t, "the context of many queued jobs ends", 0, func(t *testing.T) (*dispatch.Pool[cargo, int8], func(), func()) {
			t.Helper()
			ctx, cancel := context.WithCancel(bg)
			p := fill(t, ctx)
			return p, func() { cancel(); _ = p.Wait(bg) }, func() {}
		})
	})
}

// Regression: the cost of many small batches was quadratic. Each emptied one was removed
// from the front of a slice, in one critical section.
func TestG17NobodyWaitsForManySmallBatches(t *testing.T) {
	requireClock(t)
	const n = 40_000 / slow
	bg := context.Background()
	type pool = dispatch.Pool[cargo, int8]
	fill := func(t *testing.T, n int, ctx context.Context, seal bool) (*pool, flags, []*dispatch.Batch[cargo, int8]) {
		t.Helper()
		f := flags{make(chan struct{})}
		p := dispatch.Must(dispatch.New(f.handle, dispatch.WithWorkers(1)))
		_, err := p.Submit(bg, cargo{3})
		require.NoError(t, err)
		batches := make([]*dispatch.Batch[cargo, int8], n)
		for i := range batches {
			batches[i] = p.Batch(ctx)
			require.NoError(t, batches[i].Add(cargo{}))
			if seal {
				batches[i].Close()
			}
		}
		return p, f, batches
	}
	for what, during := range map[string]func(p *pool, f flags, batches []*dispatch.Batch[cargo, int8]){
		"they run": func(p *pool, f flags, _ []*dispatch.Batch[cargo, int8]) {
			close(f.gate)
			_ = p.Wait(bg)
		},
		"the pool stops": func(p *pool, f flags, _ []*dispatch.Batch[cargo, int8]) {
			p.Stop()
			close(f.gate)
		},
		"the pool closes": func(p *pool, f flags, _ []*dispatch.Batch[cargo, int8]) {
			closed := make(chan struct{})
			go func() {
				defer close(closed)
				_ = p.Close()
			}()
			for p.Stats().State == dispatch.Running {
				runtime.Gosched()
			}
			close(f.gate)
			<-closed
		},
	} {
		t.Run(what, func(t *testing.T) {
			requireNobodyWaits(t, "many batches wait and "+what, 0, func(t *testing.T) (*pool, func(), func()) {
				t.Helper()
				p, f, batches := fill(t, n, bg, what != "the pool closes")
				return p, func() { during(p, f, batches) }, func() {}
			})
		})
	}
	for what, ordered := range map[string]func([]*dispatch.Batch[cargo, int8]){
		"first to last": func([]*dispatch.Batch[cargo, int8]) {},
		"last to first": slices.Reverse[[]*dispatch.Batch[cargo, int8]],
	} {
		t.Run("they are canceled "+what, func(t *testing.T) {
			requireProportion(t, n, func(t *testing.T, n int) time.Duration {
				t.Helper()
				p, f, batches := fill(t, n, bg, false)
				ordered(batches)
				watch := startStopwatch()
				for _, b := range batches {
					b.Cancel()
				}
				took := watch.took()
				close(f.gate)
				require.NoError(t, p.Close())
				return took
			})
		})
	}
}

func TestG17NobodyWaitsForManyMaps(t *testing.T) {
	requireClock(t)
	const n = 20_000 / slow
	for what, canceled := range map[string]bool{"they run": false, "they are canceled": true} {
		t.Run(what, func(t *testing.T) {
			requireNobodyWaits(t, "many Maps wait and "+what, n, func(t *testing.T) (*dispatch.Pool[cargo, int8], func(), func()) {
				t.Helper()
				f := flags{make(chan struct{})}
				p := dispatch.Must(dispatch.New(f.handle, dispatch.WithWorkers(1)))
				_, err := p.Submit(context.Background(), cargo{3})
				require.NoError(t, err)
				ctx, cancel := context.WithCancel(context.Background())
				var all sync.WaitGroup
				for range n {
					all.Go(func() { _, _ = p.Map(ctx, []cargo{{}}) })
				}
				eventually(t, "all wait", func() bool { return p.Stats().Queued == n })
				return p, func() {
						if canceled {
							cancel()
						} else {
							close(f.gate)
						}
						all.Wait()
					}, func() {
						cancel()
						if canceled {
							close(f.gate)
						}
					}
			})
		})
	}
}

// Submitters that wait for room are let in one by one, and refused one by one.
func TestG17NobodyWaitsForManyThatWaitForRoom(t *testing.T) {
	requireClock(t)
	const n = 50_000 / slow
	for what, end := range map[string]func(p *dispatch.Pool[cargo, int8]){
		"Stop":   func(p *dispatch.Pool[cargo, int8]) { p.Stop() },
		"Resize": func(p *dispatch.Pool[cargo, int8]) { _ = p.Resize(dispatch.Unlimited) },
	} {
		t.Run(what, func(t *testing.T) {
			requireNobodyWaits(t, what+" with many that wait for room", 0, func(t *testing.T) (*dispatch.Pool[cargo, int8], func(), func()) {
				t.Helper()
				f := flags{make(chan struct{})}
				p := dispatch.Must(dispatch.New(f.handle, dispatch.WithWorkers(1), dispatch.WithQueue(0)))
				_, err := p.Submit(context.Background(), cargo{3})
				require.NoError(t, err)
				var all sync.WaitGroup
				for range n {
					all.Go(func() { _, _ = p.Submit(context.Background(), cargo{0}) })
				}
				eventually(t, "all wait for room", func() bool { return p.Stats().Blocked == n })
				return p, func() { end(p) }, func() { close(f.gate); all.Wait() }
			})
		})
	}
}
