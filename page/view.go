package page

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"html/template"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/dispatch"
)

const (
	mostRunning  = 20 // running jobs that are listed
	mostFailures = 3  // failures of each outcome; the rest is folded
)

// view is the data of the template: everything that the page shows, as text.
type view struct {
	Build string
	Title string
	At    string // with the zone
	Clock string
	Pools []poolView
}

type poolView struct {
	Number   int
	Name     string
	Health   health
	Level    level
	Dials    []dial
	Counters []total
	Span     string // the time that recent numbers cover: "60 s"; empty at the first look
	Times    []timesRow
	Chart    template.HTML // empty if there is nothing to draw
	Drawn    string        // which jobs the chart covers

	Telemetry   bool
	Running     []jobView
	MoreRunning string
	Failures    []failureGroup
}

// dial is a number, and a line of its values in the last minute.
type dial struct {
	Name, Value, Of string
	Line            string
	Fill            int // of a bar, in percent; -1: no bar
	Alarm           bool
}

// total is the value of a counter.
type total struct {
	Name, Value, Recent string
	Alarm               bool
}

// timesRow is a row in the table of waits and runs.
type timesRow struct {
	Name, Over, Count, Mean, P50, P90, P99 string
}

// jobView is a job that is running or has failed.
type jobView struct {
	Job   string // its label, or other words that identify it
	Plain bool   // Job is not a label

	// Set for a running job.
	Run, Wait  string
	State      string // its outcome, if that is known already
	Worker     int
	StackQuery template.URL

	// Set for a failed job.
	ID    string // stays with the job
	Ago   string
	Facts string // when it ended, how long it waited and ran
	Error string
	Stack string // empty if there is none, or if it equals the one above
}

// failureGroup holds the failures with one outcome.
type failureGroup struct {
	ID          string
	Outcome     string
	First, Rest []jobView
	stack       string // the last stack that is shown
}

func viewOf(l look) view {
	v := view{Build: build, At: l.at.Format(time.RFC3339), Clock: l.at.Format("15:04:05 MST"), Title: titleOf(l)}
	for _, s := range l.pools {
		v.Pools = append(v.Pools, poolViewOf(l.at, s))
	}
	return v
}

// titleOf counts the pools by their words of health, the worst first, because a
// browser tab shows only the beginning of a title.
func titleOf(l look) string {
	var words []string
	for _, lv := range []level{bad, warn, note, good, calm} {
		count := map[string]int{}
		var order []string
		for _, s := range l.pools {
			if s.health.level != lv {
				continue
			}
			if count[s.health.Word]++; count[s.health.Word] == 1 {
				order = append(order, s.health.Word)
			}
		}
		for _, word := range order {
			words = append(words, fmt.Sprintf("%d %s", count[word], word))
		}
	}
	return strings.Join(append(words, "dispatch"), " · ")
}

// nameOf returns the name of a pool, or its number if it has no name.
func nameOf(s sight) string {
	if s.stats.Name == "" {
		return fmt.Sprintf("pool %d", s.number)
	}
	return cut(s.stats.Name, maxLabel)
}

func poolViewOf(now time.Time, s sight) poolView {
	v := poolView{
		Number: s.number, Name: nameOf(s), Health: s.health, Level: s.health.level,
		Dials: dialsOf(s), Telemetry: s.stats.Telemetry,
	}
	if span := s.recent.seconds(); span > 0 {
		v.Span = duration(span)
	}
	for _, c := range counters {
		t := total{Name: c.name, Value: amount(c.of(s.stats))}
		if n := s.recent.since(c.of); n > 0 {
			t.Recent, t.Alarm = amount(n), c.failure || c.full
		}
		v.Counters = append(v.Counters, t)
	}
	v.addTimes(s)
	for _, j := range s.running[:min(len(s.running), mostRunning)] {
		v.Running = append(v.Running, runningView(s.number, j))
	}
	if more := len(s.running) - len(v.Running); more > 0 {
		v.MoreRunning = amount(more)
	}
	v.Failures = groups(now, s)
	return v
}

// addTimes adds the table of waits and runs, and their chart. The chart covers the
// last minute if a job has ended in it, and all jobs otherwise.
func (v *poolView) addTimes(s sight) {
	if !s.stats.Telemetry {
		return
	}
	row := func(name, over string, h dispatch.Histogram) {
		r := timesRow{Name: name, Over: over, Count: amount(h.Count())}
		if h.Count() > 0 {
			r.Mean, r.P50, r.P90, r.P99 = duration(h.Mean()), quantile(h, 0.5), quantile(h, 0.9), quantile(h, 0.99)
		}
		v.Times = append(v.Times, r)
	}
	wait, run := s.recent.times()
	over := "the last " + v.Span
	if v.Span != "" {
		row("wait", v.Span, wait)
		row("run", v.Span, run)
	}
	row("wait", "total", s.stats.Wait)
	row("run", "total", s.stats.Run)
	if wait.Count()+run.Count() == 0 {
		wait, run, over = s.stats.Wait, s.stats.Run, "all jobs so far"
	}
	if wait.Count()+run.Count() > 0 {
		v.Chart, v.Drawn = draw(wait, run).svg(), over
	}
}

func quantile(h dispatch.Histogram, q float64) string {
	if d := h.Quantile(q); d > 0 {
		return duration(d)
	}
	return "< 1 µs"
}

func dialsOf(s sight) []dial {
	st := s.stats
	gauge := func(of func(dispatch.Stats) float64) func(*snapshot, snapshot) (float64, bool) {
		return func(_ *snapshot, s snapshot) (float64, bool) { return of(s.stats), true }
	}
	rate := func(before *snapshot, s snapshot) (float64, bool) {
		if before == nil {
			return 0, false
		}
		if over := s.at.Sub(before.at); over < spacing || over > lineGap {
			return 0, false
		}
		return rateBetween(*before, s), true
	}

	running := dial{Name: "running", Value: amount(st.Running), Fill: -1, Alarm: s.health.Word == "stuck"}
	top := 0.0
	if st.MaxRunning != dispatch.Unlimited {
		running.Of, top = "of "+amount(st.MaxRunning), float64(st.MaxRunning)
		running.Fill = percent(st.Running, st.MaxRunning)
	}
	running.Line = line(s.recent, top, gauge(func(s dispatch.Stats) float64 { return float64(s.Running) }))

	queued := dial{Name: "queued", Value: amount(st.Queued), Fill: -1}
	if st.MaxQueued != dispatch.Unlimited {
		queued.Of = "room for " + amount(st.MaxQueued)
		queued.Fill = percent(st.Queued, st.MaxQueued)
	}
	queued.Line = line(s.recent, 1, gauge(func(s dispatch.Stats) float64 { return float64(s.Queued) }))

	dials := []dial{running, queued, {
		Name: "blocked submitters", Value: amount(st.Blocked), Fill: -1, Alarm: st.Blocked > 0,
		Line: line(s.recent, 1, gauge(func(s dispatch.Stats) float64 { return float64(s.Blocked) })),
	}}
	ends := dial{Name: "ended", Value: "–", Of: "per second", Fill: -1, Line: line(s.recent, 1, rate)}
	if v, ok := s.recent.rate(); ok {
		ends.Value = perSecond(v)
	}
	dials = append(dials, ends)
	if !st.Telemetry {
		return dials
	}
	value := func(name string, d func(dispatch.Stats) time.Duration) dial {
		return dial{
			Name: name, Value: duration(d(st)), Fill: -1,
			Line: line(s.recent, 0, gauge(func(s dispatch.Stats) float64 { return d(s).Seconds() })),
		}
	}
	return append(dials,
		value("oldest wait", func(s dispatch.Stats) time.Duration { return s.OldestWait }),
		value("longest run", func(s dispatch.Stats) time.Duration { return s.LongestRun }))
}

func percent(n, of int) int {
	if of <= 0 {
		return -1
	}
	return min(100, int(float64(n)/float64(of)*100+0.5))
}

func jobViewOf(j dispatch.Job) jobView {
	v := jobView{Job: cut(j.Label, maxLabel), Plain: j.Label == ""}
	switch {
	case v.Plain && j.Index >= 0:
		v.Job = fmt.Sprintf("item %d", j.Index)
	case v.Plain:
		v.Job = "single job"
	case j.Index >= 0:
		v.Job += fmt.Sprintf(" (item %d)", j.Index)
	}
	return v
}

func runningView(pool int, j dispatch.Job) jobView {
	v := jobViewOf(j)
	v.Worker, v.Run, v.Wait = j.Worker, duration(j.Run), duration(j.Wait)
	v.StackQuery = template.URL(fmt.Sprintf("stacks=%d&worker=%d", pool, j.Worker)) // numbers only
	switch {
	case j.Stray:
		v.State = j.Outcome.String() + ", written off"
	case j.Outcome != dispatch.Pending:
		v.State = j.Outcome.String() + ", still running"
	}
	return v
}

// identify returns an id for the element of a failure, which stays with the job.
func identify(pool int, j dispatch.Job) string {
	h := fnv.New32a()
	facts := make([]byte, 0, 64)
	for _, n := range []int64{j.Submitted.UnixNano(), int64(j.Wait), int64(j.Worker), int64(j.Index)} {
		facts = binary.LittleEndian.AppendUint64(facts, uint64(n))
	}
	_, _ = h.Write(facts)
	id := strconv.AppendInt([]byte{'f'}, int64(pool), 10)
	return string(strconv.AppendUint(append(id, '-'), uint64(h.Sum32()), 36))
}

// groups returns the failures by outcome, the last failure first.
func groups(now time.Time, s sight) []failureGroup {
	var list []failureGroup
	for n, j := range s.failures {
		outcome := j.Outcome.String()
		i := slices.IndexFunc(list, func(g failureGroup) bool { return g.Outcome == outcome })
		if i < 0 {
			i = len(list)
			list = append(list, failureGroup{Outcome: outcome, ID: fmt.Sprintf("g%d-%d", s.number, j.Outcome)})
		}
		list[i].add(now, s.number, j, s.errors[n])
	}
	return list
}

func (g *failureGroup) add(now time.Time, pool int, j dispatch.Job, e description) {
	v := jobViewOf(j)
	end := j.Submitted.Add(j.Wait + j.Run)
	v.ID, v.Ago = identify(pool, j), ago(now.Sub(end))
	v.Facts = v.Ago + end.Format(" (15:04:05), waited ") + duration(j.Wait)
	if j.Worker > 0 {
		v.Facts += ", ran " + duration(j.Run)
	} else {
		v.Facts += ", never ran"
	}
	v.Error, v.Stack = e.text, e.stack
	switch v.Stack {
	case "":
	case g.stack:
		v.Stack = ""
		v.Facts += ", the same stack as above"
	default:
		g.stack = v.Stack
	}
	if len(g.First) < mostFailures {
		g.First = append(g.First, v)
	} else {
		g.Rest = append(g.Rest, v)
	}
}
