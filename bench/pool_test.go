package bench

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"testing"
)

var spinFlag = flag.Int("spin", 0, "turns of the spin loop that make a microsecond; 0: measure it")

func TestMain(m *testing.M) {
	flag.Parse()
	if *spinFlag < 0 {
		fmt.Fprintf(os.Stderr, "bench: -spin %d: must not be negative\n", *spinFlag)
		os.Exit(2)
	}
	SetSpin(*spinFlag)
	os.Exit(m.Run())
}

// BenchmarkPool is every work on every peer that can do it.
func BenchmarkPool(b *testing.B) {
	for _, w := range works {
		b.Run("work="+w.Name, func(b *testing.B) {
			for _, p := range peers {
				if !w.can(p) {
					continue
				}
				b.Run("pool="+p.name, func(b *testing.B) {
					run, stop := w.open(p, w.job())
					defer stop()
					measure(b, run, w.unit)
				})
			}
		})
	}
}

// BenchmarkScale is every pool along every axis. With -short the longest steps
// are left out.
func BenchmarkScale(b *testing.B) {
	for _, a := range axes {
		b.Run("axis="+a.Name, func(b *testing.B) {
			for _, size := range a.Sizes {
				if testing.Short() && size > a.Reference {
					continue
				}
				b.Run(fmt.Sprintf("n=%d", size), func(b *testing.B) {
					for _, p := range peers {
						if !a.can(p) {
							continue
						}
						b.Run("pool="+p.name, func(b *testing.B) {
							run, stop := a.open(p, size)
							defer stop()
							measure(b, run, a.unit(size))
						})
					}
				})
			}
		})
	}
}

// BenchmarkMemory weighs. Its ns/op means nothing, and one iteration is enough:
// run it with -benchtime 1x, and for figures to rely on, one line a process.
func BenchmarkMemory(b *testing.B) {
	manyWorkers, hugeWorkers, queued := 10_000, 100_000, 100_000
	if testing.Short() {
		manyWorkers, hugeWorkers, queued = 1000, 1000, 1000
	}
	for _, p := range peers {
		if p.floor {
			continue
		}
		weigh(b, "use=idle-worker/pool="+p.name, "B/worker", func() (float64, error) {
			return idleWorkerBytes(p, manyWorkers)
		})
		weigh(b, "use=100k-workers/pool="+p.name, "B/pool", func() (float64, error) {
			return idlePoolBytes(p, hugeWorkers)
		})
	}
	weigh(b, "use=queued-job/pool="+dispatchPeer.name, "B/job", func() (float64, error) {
		return queuedJobBytes(queued), nil
	})
}

func weigh(b *testing.B, name, unit string, bytes func() (float64, error)) {
	b.Run(name, func(b *testing.B) {
		for range b.N {
			v, err := bytes()
			if errors.Is(err, errKeepsNone) {
				b.Skip(err)
			}
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(v, unit)
		}
	})
}

// measure times b.N jobs, rounded up to whole units, and reports per job.
//
// It does not use b.Loop, which stops the clock when it has handed out the last
// iteration: what has been enqueued must still be drained, and that is to be
// timed too.
func measure(b *testing.B, run runner, unit int) {
	n := (b.N + unit - 1) / unit * unit

	// Workers that are started on demand exist after this, and the reply
	// channels of callers.
	if err := run((4*workerLimit + unit - 1) / unit * unit); err != nil {
		b.Fatal(err)
	}

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b.ResetTimer()
	err := run(n)
	b.StopTimer()
	runtime.ReadMemStats(&after)
	if err != nil {
		b.Fatal(err)
	}

	perJob := func(total uint64) float64 { return float64(total) / float64(n) }
	b.ReportMetric(perJob(uint64(b.Elapsed())), "ns/op")
	b.ReportMetric(perJob(after.Mallocs-before.Mallocs), "allocs/job")
	b.ReportMetric(perJob(after.TotalAlloc-before.TotalAlloc), "B/job")

	// With -benchmem these two are printed as well, cut to whole numbers.
	b.ReportMetric(perJob(after.Mallocs-before.Mallocs), "allocs/op")
	b.ReportMetric(perJob(after.TotalAlloc-before.TotalAlloc), "B/op")
}
