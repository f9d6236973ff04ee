package main

import (
	"runtime"
	"slices"
	"time"

	"example.com/dispatch"
)

// checkCounters checks that no counter of the rig's pool has fallen.
func (m *monitor) checkCounters(r *rig) {
	now := r.pool.Stats()
	before := m.previous[r.name]
	a, b := counters(before), counters(now)
	for i := range a {
		if b[i] < a[i] {
			m.fault("%s: a counter fell: %+v, then %+v", r.name, before, now)
		}
	}
	m.previous[r.name] = now
}

func counters(s dispatch.Stats) []uint64 {
	return []uint64{s.Submitted, s.Succeeded, s.Failed, s.Panicked, s.Canceled, s.TimedOut, s.Dropped, s.Rejected, s.GaveUp, s.Wait.Count(), s.Run.Count()}
}

// patience is how many jobs a pool may run while one caller waits for the end of its
// round of at most two hundred jobs. Callers and batches take turns, so a round takes a
// few thousand jobs of the pool. The check counts jobs instead of time, because other
// programs may use the machine too, which slows down everything alike.
const patience = 100_000

// checkStalls checks that no caller is left behind while its pool runs the jobs of
// others. If nothing runs at all, the loads do not end, and soak reports that.
func (m *monitor) checkStalls() {
	m.mu.Lock()
	callers := m.callers
	m.mu.Unlock()
	for _, c := range callers {
		rounds, ran := c.Load(), c.rig.ran.Load()
		if rounds == c.rounds && ran-c.ran < patience {
			continue
		}
		if rounds == c.rounds {
			m.fault("%s: no round while its pool ran %d jobs", c.name, ran-c.ran)
		}
		c.rounds, c.ran = rounds, ran
	}
}

// checkEnded checks the counters of a pool that is closed.
func (m *monitor) checkEnded(r *rig) {
	s := r.pool.Stats()
	sum := s.Succeeded + s.Failed + s.Panicked + s.Canceled + s.TimedOut + s.Dropped
	if s.State != dispatch.Ended || s.Submitted != sum || s.Running+s.Queued+s.Strays+s.Workers+s.Idle != 0 {
		m.fault("%s: after the end: %+v", r.name, s)
	}
	if r.hooked {
		m.checkTold(r, s)
	}
	if n := r.busy.Load(); n != 0 {
		m.fault("%s: %d handlers at work after the end", r.name, n)
	}
}

// checkTold compares the outcomes that the hooks of a closed pool received with Stats.
func (m *monitor) checkTold(r *rig, s dispatch.Stats) {
	counted := counters(s)
	for o := dispatch.Succeeded; o <= dispatch.Dropped; o++ {
		if told := r.told[o].Load(); told != counted[o] {
			m.fault("%s: Done was told of %d jobs that %v, and Stats counts %d", r.name, told, o, counted[o])
		}
	}
	if s.Wait.Count() != s.Submitted || len(r.pool.Running()) != 0 || s.LongestRun+s.OldestWait != 0 {
		m.fault("%s: %d waits of %d jobs, and these run: %v", r.name, s.Wait.Count(), s.Submitted, r.pool.Running())
	}
}

// checkGoroutines checks that as many goroutines are left as there were before.
// The last ones may be about to return.
func (m *monitor) checkGoroutines(before int) {
	for range 1000 {
		if runtime.NumGoroutine() <= before {
			return
		}
		<-time.After(time.Millisecond)
	}
	buf := make([]byte, 1<<20)
	m.fault("%d goroutines are left, %d were there before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
}

// checkHeap checks that the heap has not grown from the second quarter of the
// time to the last: the first is for warming up.
func (m *monitor) checkHeap() {
	n := len(m.heaps)
	if n < 8 {
		return
	}
	early, late := median(m.heaps[n/4:n/2]), median(m.heaps[3*n/4:])
	if late > early+early/2+4<<20 {
		m.fault("the heap has grown from %d to %d bytes", early, late)
	}
}

func median(all []uint64) uint64 {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}
