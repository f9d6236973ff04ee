package main

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"example.com/dispatch"
)

// monitor gathers the observations of the loads, prints them, and records faults.
type monitor struct {
	began     time.Time
	queueWait recorder
	runTime   recorder

	mu       sync.Mutex
	wrong    []string
	callers  []*caller
	heaps    []uint64                  // at each line, after a collection
	previous map[string]dispatch.Stats // by rig
}

// caller counts the rounds of one goroutine of a load.
type caller struct {
	atomic.Int64
	name string
	rig  *rig

	// When checkStalls last saw that it had made a round: how many it had made,
	// and how many jobs its pool had run.
	rounds, ran int64
}

// recorder is a histogram that several goroutines write to.
type recorder struct {
	mu sync.Mutex
	h  *hdrhistogram.Histogram // in ns
}

func (r *recorder) record(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.h.RecordValue(min(int64(d), r.h.HighestTrackableValue()))
}

// take returns two quantiles of what was recorded since the last call.
func (r *recorder) take() (p50, p99 time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p50, p99 = time.Duration(r.h.ValueAtQuantile(50)), time.Duration(r.h.ValueAtQuantile(99))
	r.h.Reset()
	return p50, p99
}

func newMonitor() *monitor {
	histogram := func() recorder { return recorder{h: hdrhistogram.New(1, int64(time.Minute), 2)} }
	return &monitor{began: time.Now(), queueWait: histogram(), runTime: histogram(), previous: map[string]dispatch.Stats{}}
}

// fault records a fault, unless there are a hundred already.
func (m *monitor) fault(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.wrong) < 100 {
		m.wrong = append(m.wrong, fmt.Sprintf(format, args...))
	}
}

func (m *monitor) faults() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.wrong
}

func (m *monitor) caller(load string, r *rig) *caller {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &caller{name: r.name + ": " + load, rig: r}
	m.callers = append(m.callers, c)
	return c
}

// watch prints a line at intervals until ctx is done, and checks the counters more
// often than that.
func (m *monitor) watch(ctx context.Context, rigs []*rig, every time.Duration) {
	look, line := time.NewTicker(50*time.Millisecond), time.NewTicker(every)
	defer look.Stop()
	defer line.Stop()
	fmt.Println(heading)
	for {
		select {
		case <-ctx.Done():
			m.print(rigs)
			return
		case <-look.C:
			for _, r := range rigs {
				m.checkCounters(r)
			}
		case <-line.C:
			m.print(rigs)
			m.checkStalls()
		}
	}
}

const heading = "   time        jobs  succeeded    failed  panicked  canceled timed out   dropped  rejected  gorout.  heap MB  wait p50      p99   run p50      p99"

func (m *monitor) print(rigs []*rig) {
	var sum dispatch.Stats
	for _, r := range rigs {
		s := r.pool.Stats()
		sum.Submitted += s.Submitted
		sum.Succeeded += s.Succeeded
		sum.Failed += s.Failed
		sum.Panicked += s.Panicked
		sum.Canceled += s.Canceled
		sum.TimedOut += s.TimedOut
		sum.Dropped += s.Dropped
		sum.Rejected += s.Rejected
	}
	runtime.GC()
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	m.mu.Lock()
	m.heaps = append(m.heaps, mem.HeapAlloc)
	m.mu.Unlock()
	wait50, wait99 := m.queueWait.take()
	run50, run99 := m.runTime.take()
	fmt.Printf("%7v %11d %10d %9d %9d %9d %9d %9d %9d %8d %8.1f %9v %8v %9v %8v\n", time.Since(m.began).Round(time.Second),
		sum.Submitted, sum.Succeeded, sum.Failed, sum.Panicked, sum.Canceled, sum.TimedOut, sum.Dropped, sum.Rejected,
		runtime.NumGoroutine(), float64(mem.HeapAlloc)/(1<<20), short(wait50), short(wait99), short(run50), short(run99))
}

// short rounds d to about three digits.
func short(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit)
}
