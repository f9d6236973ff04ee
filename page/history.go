package page

import (
	"slices"
	"sync"
	"time"

	"example.com/dispatch"
)

const (
	window  = time.Minute            // how long snapshots are kept
	spacing = 900 * time.Millisecond // least time between two snapshots; below the script's interval of a second, which is not exact
)

// history keeps the snapshots of a pool taken in the last minute.
type history struct {
	mu        sync.Mutex
	snapshots []snapshot // oldest first; an element never changes, since recent shares them
}

// snapshot is the Stats of a pool at one moment.
type snapshot struct {
	at    time.Time
	stats dispatch.Stats
}

// add records stats as seen now, and returns the minute that ends with it.
func (h *history) add(now time.Time, stats dispatch.Stats) recent {
	s := snapshot{now, stats}
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.snapshots) > 0 && now.Sub(h.snapshots[0].at) > window {
		h.snapshots = h.snapshots[1:]
	}
	past := slices.Clip(h.snapshots)
	if len(past) == 0 || now.Sub(past[len(past)-1].at) >= spacing {
		h.snapshots = append(h.snapshots, s)
	}
	return recent{past: past, now: s}
}

// recent has the snapshots of the last minute of a pool. There are none for times
// when nobody viewed the page.
type recent struct {
	past []snapshot // oldest first
	now  snapshot
}

// span returns how long ago the oldest snapshot was taken; 0 at the first look.
func (r recent) span() time.Duration {
	if len(r.past) == 0 {
		return 0
	}
	return r.now.at.Sub(r.past[0].at)
}

// seconds returns the span in whole seconds, at least one. It is 0 at the first look.
func (r recent) seconds() time.Duration {
	if len(r.past) == 0 {
		return 0
	}
	return max(time.Second, r.span().Round(time.Second))
}

// since returns by how much a counter has grown since the oldest snapshot.
func (r recent) since(counter func(dispatch.Stats) uint64) uint64 {
	if len(r.past) == 0 {
		return 0
	}
	now, then := counter(r.now.stats), counter(r.past[0].stats)
	return now - min(now, then)
}

// times returns the waits and runs that were added since the oldest snapshot.
func (r recent) times() (wait, run dispatch.Histogram) {
	if len(r.past) == 0 {
		return wait, run
	}
	now, then := r.now.stats, r.past[0].stats
	return now.Wait.Sub(then.Wait), now.Run.Sub(then.Run)
}

// quiet returns for how long no job has ended, as far as the snapshots show.
func (r recent) quiet() time.Duration {
	since := r.now.at
	for i := len(r.past) - 1; i >= 0 && ended(r.past[i].stats) == ended(r.now.stats); i-- {
		since = r.past[i].at
	}
	return r.now.at.Sub(since)
}

// rate returns how many jobs ended per second in the last five seconds or so, and
// false if the snapshots do not reach back far enough.
func (r recent) rate() (perSecond float64, ok bool) {
	const smooth = 5 * time.Second
	for i, s := range slices.Backward(r.past) {
		if over := r.now.at.Sub(s.at); over >= smooth || i == 0 && over >= spacing {
			return rateBetween(s, r.now), true
		}
	}
	return 0, false
}

// rateBetween returns how many jobs ended per second between a and b.
func rateBetween(a, b snapshot) float64 {
	now, then := ended(b.stats), ended(a.stats)
	return float64(now-min(now, then)) / b.at.Sub(a.at).Seconds()
}

// ended counts the jobs that have their outcome.
func ended(s dispatch.Stats) uint64 {
	return s.Succeeded + s.Failed + s.Panicked + s.Canceled + s.TimedOut + s.Dropped
}
