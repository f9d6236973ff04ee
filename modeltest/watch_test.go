package modeltest

import (
	"maps"
	"math"
	"strconv"
	"time"

	"example.com/dispatch"
)

// bucketOf returns the bucket of a Histogram that d belongs to. It uses the logarithm: a
// whole number of ticks is never on a bound, except on a power of two, for which math.Log2
// is exact.
func bucketOf(d time.Duration) int {
	const least, most = -80, 68
	if d <= 0 {
		return least
	}
	return min(max(int(math.Ceil(4*math.Log2(d.Seconds()))), least), most)
}

// checkWatch compares the pool's telemetry with the model while the bubble is at rest.
func (w *world) checkWatch(s dispatch.Stats, running, failures []dispatch.Job) {
	if s.Telemetry != (w.watching != counts) {
		w.failf("Stats.Telemetry is %t", s.Telemetry)
	}
	if w.watching == counts {
		if len(running)+len(failures) > 0 || s.Wait.Count()+s.Run.Count() > 0 || s.OldestWait+s.LongestRun > 0 {
			w.failf("a pool without telemetry tells %v, %v and %+v", running, failures, s)
		}
		return
	}
	w.checkRunning(s, running)
	w.checkFailures(s, failures)
	w.checkOldest(s)
	if s.Wait.Count() > s.Submitted || s.Run.Count() > s.Wait.Count() {
		w.failf("%d waits and %d runs of %d jobs", s.Wait.Count(), s.Run.Count(), s.Submitted)
	}
	if w.hooked() {
		w.checkHooks(s)
	}
}

// checkRunning checks that Running returns each running handler, the longest first.
func (w *world) checkRunning(s dispatch.Stats, running []dispatch.Job) {
	n, strays, longest := 0, 0, time.Duration(0)
	for _, j := range w.jobs {
		if j.running {
			n++
			longest = max(longest, w.now()-j.startTime)
		}
	}
	seen := map[string]bool{}
	for i, is := range running {
		if is.Stray {
			strays++
		}
		if i > 0 && running[i-1].Run < is.Run || is.Worker == 0 || is.Pool != "model" || !runsOn(is) {
			w.failf("Running told %+v", running)
		}
		if !w.labeled() {
			continue
		}
		id, err := strconv.Atoi(is.Label)
		if err != nil || seen[is.Label] || !w.jobs[id].running {
			w.failf("Running told of what does not run: %+v\n%s", is, w.list())
			return
		}
		seen[is.Label] = true
		j := w.jobs[id]
		if j.group == nil && j.settled != 0 && is.Err != j.outcome.err {
			w.failf("Running told %+v of %v, whose reader was told %v", is, j, j.outcome.err)
		}
		w.checkTimes(j, is, j.startTime, w.now()-j.startTime)
	}
	if len(running) != n || strays != s.Strays || s.LongestRun != longest {
		w.failf("Running told of %d jobs, %d of them strays, and Stats of a longest run of %v: it is %d, %d and %v\n%s", len(running), strays, s.LongestRun, n, s.Strays, longest, w.list())
	}
}

// runsOn reports whether Running describes a running job correctly: without an outcome, or
// with one that was not decided by its handler.
func runsOn(is dispatch.Job) bool {
	switch is.Outcome {
	case dispatch.Pending:
		return is.Err == nil
	case dispatch.Canceled, dispatch.TimedOut:
		return is.Err != nil
	default:
		return false
	}
}

// checkFailures checks that Failures returns the last failures of each kind, the newest
// first.
func (w *world) checkFailures(s dispatch.Stats, failures []dispatch.Job) {
	const kept = 8
	var n [kinds]uint64
	for i, is := range failures {
		k := kind(is.Outcome) - kind(dispatch.Succeeded)
		if k <= succeeded || k >= kinds {
			w.failf("Failures told %+v", is)
			return
		}
		n[k]++
		ended := func(j dispatch.Job) time.Time { return j.Submitted.Add(j.Wait + j.Run) }
		if i > 0 && ended(failures[i-1]).Before(ended(is)) {
			w.failf("Failures told an earlier one first: %+v, %+v", failures[i-1], is)
		}
		if !w.hooked() {
			continue
		}
		if id, err := strconv.Atoi(is.Label); err != nil || w.jobs[id].told.end != is {
			w.failf("Failures told %+v, of which Done was not told\n%s", is, w.list())
		}
	}
	counted := counters(s)
	for k := failed; k < kinds; k++ {
		most, least := counted[1+k], counted[1+k]-min(counted[1+k], uint64(s.Running+s.Strays))
		if w.hooked() {
			most, least = w.heard.ends[k], w.heard.ends[k]
		}
		if n[k] < min(least, kept) || n[k] > min(most, kept) {
			w.failf("Failures told of %d of kind %d, and there were %d to %d\n%s", n[k], k, least, most, w.list())
		}
	}
}

// checkOldest checks how long the oldest waiting job has waited.
func (w *world) checkOldest(s dispatch.Stats) {
	least, most := time.Duration(0), time.Duration(0)
	for _, j := range w.jobs {
		p := w.pending(j)
		if p == no {
			continue
		}
		waited := w.now() - j.askedTime
		if most = max(most, waited); p == yes && j.counted() && !j.timeless() {
			least = max(least, waited)
		}
	}
	if s.OldestWait < least || s.OldestWait > most {
		w.failf("the oldest is said to wait for %v; it is from %v to %v\n%s", s.OldestWait, least, most, w.list())
	}
}

// checkHooks checks, while the bubble is at rest, that Done has been called for each job
// that has ended, with the outcome that its readers got, and for no other.
func (w *world) checkHooks(s dispatch.Stats) {
	for _, j := range w.jobs {
		over := j.settled != 0 && !j.running && j.refused == nil
		known := j.starts > 0 || j.accepted != 0 || j.counted()
		switch {
		case over && known && j.told.ends == 0:
			w.failf("%v: it is over, and Done has not been told", j)
		case j.told.ends > 0 && (j.refused != nil || w.pending(j) == yes):
			w.failf("%v: Done was told of it: %+v", j, j.told.end)
		case over && j.told.ends > 0 && !j.toldAs(j.outcome.err):
			w.failf("%v: Done was told %+v", j, j.told.end)
		}
	}
	counted := counters(s)
	for k := range kinds {
		// If a handler runs past its job's outcome, Done is called when it returns.
		if told := w.heard.ends[k]; told > counted[1+k] || told+uint64(s.Running+s.Strays) < counted[1+k] {
			w.failf("Done was told of %d of kind %d, and Stats counts %d\n%s", told, k, counted[1+k], w.list())
		}
	}
}

// toldAs reports whether the error that Done got is that of the outcome. For an item that
// was stopped by another item, Done may get that item's failure.
func (j *job) toldAs(err error) bool {
	is := j.told.end
	return is.Err == err || err == dispatch.ErrHalted && j.group != nil && is.Outcome == dispatch.Canceled && j.group.haltedBy(is.Err, j)
}

// checkTold compares, after the end, the times in Stats with those of the jobs.
func (w *world) checkTold(s dispatch.Stats) {
	if w.watching == counts {
		return
	}
	if s.Wait.Count() != s.Submitted || s.OldestWait != 0 || s.LongestRun != 0 {
		w.failf("%d waits of %d jobs at the end; oldest wait %v, longest run %v", s.Wait.Count(), s.Submitted, s.OldestWait, s.LongestRun)
	}
	var waits, runs sums
	waits.buckets, runs.buckets = map[int]uint64{}, map[int]uint64{}
	for _, j := range w.jobs {
		if j.starts > 0 {
			runs.add(j.endTime - j.startTime)
			if !j.timeless() {
				waits.add(j.startTime - j.askedTime)
			}
		}
		if w.labeled() && j.told.labels != 1 && (j.starts > 0 || w.hooked() && j.told.ends > 0) {
			w.failf("%v: its label was asked for %d times", j, j.told.labels)
		}
	}
	if s.Run.Sum() != runs.sum || s.Run.Count() < runs.count || !w.flaky && s.Run.Count() != runs.count {
		w.failf("Stats.Run is %v with a sum of %v, and %d jobs ran for %v\n%s", s.Run, s.Run.Sum(), runs.count, runs.sum, w.list())
	}
	if s.Wait.Sum() < waits.sum || waits.count == s.Submitted && s.Wait.Sum() != waits.sum {
		w.failf("Stats.Wait has a sum of %v, and %d jobs waited for %v\n%s", s.Wait.Sum(), waits.count, waits.sum, w.list())
	}
	if !w.flaky {
		w.checkBuckets("Run", s.Run, &runs)
	}
	if logged := w.heard.logged.Load(); logged != w.heard.panics {
		w.failf("%d hooks panicked, and the pool logged %d lines", w.heard.panics, logged)
	}
	if !w.hooked() {
		return
	}
	for k, told := range w.heard.ends {
		if counted := counters(s)[1+k]; counted != told {
			w.failf("Done was told of %d of kind %d, and Stats counts %d\n%s", told, k, counted, w.list())
		}
	}
	w.checkBuckets("Wait", s.Wait, &w.heard.waits)
	w.checkBuckets("Run", s.Run, &w.heard.runs)
}

// checkBuckets compares a Histogram with its expected content.
func (w *world) checkBuckets(name string, h dispatch.Histogram, want *sums) {
	if got := maps.Collect(h.Buckets()); !maps.Equal(got, want.buckets) || h.Count() != want.count || h.Sum() != want.sum {
		w.failf("Stats.%s is %v with a sum of %v, in the buckets %v; it should be %v in %d, %v", name, h, h.Sum(), got, want.sum, want.count, want.buckets)
	}
}
