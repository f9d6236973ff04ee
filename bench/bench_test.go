package bench

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"
)

var (
	limitFlag   = flag.Duration("limit", time.Minute, "how long one measurement may take")
	catalogFlag = flag.Bool("catalog", false, "print what can be measured, for the report, and end")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *catalogFlag {
		check(newCatalog().print())
		return
	}
	os.Exit(m.Run())
}

// BenchmarkPool runs every work on every peer that can do it. With -short it leaves the
// longest out.
func BenchmarkPool(b *testing.B) {
	for _, w := range allWorks() {
		if testing.Short() && w.unit > 100_000 {
			continue
		}
		b.Run("work="+w.name, func(b *testing.B) {
			for _, p := range peers {
				if w.can(p) {
					b.Run("pool="+p.name, func(b *testing.B) { benchmark(b, w, p) })
				}
			}
		})
	}
	b.Run("work=memory/pool="+dispatchPeer.name, weighDispatch)
}

func benchmark(b *testing.B, w work, p peer) {
	inTime(b, p, func() error {
		run, stop := w.open(p, w.job())
		defer stop()
		return measure(b, run, w.unit)
	})
}

// weighDispatch reports the bytes that workers and queued jobs of dispatch hold, and
// the allocations of New and Close. Its ns/op means nothing.
func weighDispatch(b *testing.B) {
	workers, queued := 10_000, 100_000
	if testing.Short() {
		workers, queued = 1000, 1000
	}
	inTime(b, dispatchPeer, func() error {
		worker, err1 := idleWorkerBytes(workers)
		job, err2 := queuedJobBytes(queued)
		b.ReportMetric(worker, "B/worker")
		b.ReportMetric(job, "B/queued")
		b.ReportMetric(newCloseAllocs(), "allocs/pool")
		return errors.Join(err1, err2)
	})
}

// inTime abandons a measurement that hangs, with its goroutines. If a peer hangs, the
// others are still measured; if dispatch hangs, that is a failure. The report looks
// for the words of the message.
func inTime(b *testing.B, p peer, f func() error) {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		if err != nil {
			b.Fatal(err)
		}
	case <-time.After(*limitFlag):
		fmt.Printf("\n%s did not end within %v\n", b.Name(), *limitFlag)
		if p.name == dispatchPeer.name {
			b.FailNow()
		}
		b.SkipNow()
	}
}

// measure times b.N jobs, rounded up to whole units, and reports per job.
//
// It does not use b.Loop, which stops the clock when it has handed out the last
// iteration: the queued jobs must still be drained, and that must be timed too.
func measure(b *testing.B, run runner, unit int) error {
	n := (b.N + unit - 1) / unit * unit

	// After this, workers that are started on demand and the reply channels of
	// callers exist.
	if err := run((4*workerLimit + unit - 1) / unit * unit); err != nil {
		return err
	}

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b.ResetTimer()
	err := run(n)
	b.StopTimer()
	runtime.ReadMemStats(&after)
	if err != nil {
		return err
	}

	perJob := func(total uint64) float64 { return float64(total) / float64(n) }
	b.ReportMetric(perJob(uint64(b.Elapsed())), "ns/op")
	b.ReportMetric(perJob(after.Mallocs-before.Mallocs), "allocs/job")
	b.ReportMetric(perJob(after.TotalAlloc-before.TotalAlloc), "B/job")
	return nil
}
