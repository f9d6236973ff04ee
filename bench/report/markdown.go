package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"golang.org/x/perf/benchmath"

	"example.com/dispatch/bench"
)

// Whether a page has charts beside it to show.
const (
	withoutCharts = false
	withCharts    = true
)

// renderBenchmarks is docs/BENCHMARKS.md: first what came out, then the works one
// by one.
func renderBenchmarks(t *table, charts bool) string {
	d := doc{charts: charts}
	d.line("# Benchmarks")
	d.line("")
	d.line("dispatch beside the pools one would pick instead, and beside what the Go runtime does without a pool,")
	d.line("in one run in which all take turns. This page is written by the program; [bench](../bench/README.md) says how the")
	d.line("comparison is kept fair, [%s](%s) has the raw results.", benchmarksRawFile, benchmarksRawFile)
	d.line("")
	d.setup(t)
	d.line("All times are for one job. ± is the 95 %% confidence interval of the median. A ratio below 1 says that dispatch needs")
	d.line("less time. Faster and slower are said where the Mann-Whitney U test finds a difference (p < 0.05), else it is even.")
	d.line("")
	d.glance(t)
	d.goals(t)
	for _, w := range bench.Works() {
		d.work(t, w)
	}
	d.memory(t)
	return d.String()
}

// A doc is Markdown in the making.
type doc struct {
	strings.Builder
	charts bool
}

func (d *doc) line(format string, args ...any) {
	fmt.Fprintf(d, format+"\n", args...)
}

// image shows a chart, if there are any.
func (d *doc) image(alt, file string) {
	if d.charts {
		d.line("![%s](%s)", alt, file)
		d.line("")
	}
}

// setup is the machine and the command.
func (d *doc) setup(t *table) {
	c := t.config
	d.line("| | |")
	d.line("|---|---|")
	d.line("| machine | %s, %s processors, %s/%s |", c["cpu"], c["cpus"], c["goos"], c["goarch"])
	d.line("| Go | %s, GOMAXPROCS %s |", c["go"], c["gomaxprocs"])
	d.line("| measured | %s; rounds: %s, each row at least %s in each |", c["date"], c["rounds"], c["benchtime"])
	d.line("| command | `%s` |", c["command"])
	d.line("| peers | %s |", strings.ReplaceAll(c["peers"], " ", ", "))
	d.line("")
}

// glance is the whole in one table, with the losses counted before it.
func (d *doc) glance(t *table) {
	count := make(map[verdict]int)
	unendedWorks := 0
	var rows []string
	for _, w := range bench.Works() {
		if t.unended(poolRow(w.Name, us)) {
			unendedWorks++
			rows = append(rows, fmt.Sprintf("| [%s](#%s) | **%s** | | | | | |", w.Name, w.Name, noEnd))
			continue
		}
		r, ok := t.versusBestPeer(w.Name)
		if !ok {
			continue
		}
		count[r.verdict]++
		floor := "| | |"
		if f, ok := t.versusFloor(w.Name); ok {
			floor = fmt.Sprintf("| %s %s | %s |", f.other, formatTime(f.theirs.Center), formatRatio(f.value))
		}
		rows = append(rows, fmt.Sprintf("| [%s](#%s) | %s | %s %s | %s | %s %s", w.Name, w.Name,
			formatTime(r.ours.Center), r.other, formatTime(r.theirs.Center), formatRatio(r.value), mark(r.verdict), floor))
	}
	if rows == nil {
		return
	}
	d.line("## At a glance")
	d.line("")
	d.line("Against the best peer of each work dispatch is **faster in %d, slower in %d, even in %d**.", count[faster], count[slower], count[even])
	if count[unclear] > 0 {
		d.line("In %d there were too few rounds to tell.", count[unclear])
	}
	if unendedWorks > 0 {
		d.line("In %d it did not end.", unendedWorks)
	}
	d.line("")
	d.image("Time of dispatch over that of the best peer, by work", overviewChart)
	d.line("| work | dispatch | best peer | ratio | | floor | ratio |")
	d.line("|---|--:|--:|--:|---|--:|--:|")
	for _, row := range rows {
		d.line("%s", row)
	}
	d.line("")
}

// mark sets losses in bold like wins: neither is to be looked for.
func mark(v verdict) string {
	if v == faster || v == slower {
		return "**" + v.String() + "**"
	}
	return v.String()
}

func (d *doc) goals(t *table) {
	var rows []string
	misses := 0
	for _, g := range goals {
		o := g.evaluate(t)
		said := "reached"
		switch o.state {
		case reached:
		case unmeasured:
			continue
		case missed:
			said = "**missed**"
			misses++
		case unended:
			said = "**" + o.by + " " + noEnd + "**"
			misses++
		}
		rows = append(rows, fmt.Sprintf("| %s | %s | %s | %s | %s |", g.work, g.subject(), g.limitText(), o.got, said))
	}
	if rows == nil {
		return
	}
	d.line("## Goals")
	d.line("")
	d.line("%d of %d reached. `go run ./bench/report -check` measures them again.", len(rows)-misses, len(rows))
	d.line("")
	d.line("| work | what | at most | measured | |")
	d.line("|---|---|--:|--:|---|")
	for _, row := range rows {
		d.line("%s", row)
	}
	d.line("")
}

// A standing is one row of a work's table.
type standing struct {
	pool          string
	time          benchmath.Summary
	bytes, allocs float64
}

// standings are those who did the work, the fastest first.
func standings(t *table, w bench.Work) []standing {
	var all []standing
	for _, pool := range w.Pools() {
		row := poolRow(w.Name, pool)
		time, ok := t.summary(row, unitTime)
		if !ok {
			continue
		}
		bytes, _ := t.summary(row, unitBytes)
		allocs, _ := t.summary(row, unitAllocs)
		all = append(all, standing{pool, time, bytes.Center, allocs.Center})
	}
	slices.SortStableFunc(all, func(a, b standing) int { return cmp.Compare(a.time.Center, b.time.Center) })
	return all
}

// noEnd is said of a row that was given up.
const noEnd = "did not end"

// unendedPools are those that were given up in the work.
func unendedPools(t *table, w bench.Work) (pools []string) {
	for _, pool := range w.Pools() {
		if t.unended(poolRow(w.Name, pool)) {
			pools = append(pools, pool)
		}
	}
	return pools
}

func (d *doc) work(t *table, w bench.Work) {
	all, stuck := standings(t, w), unendedPools(t, w)
	if all == nil && stuck == nil {
		return
	}
	d.line("## %s", w.Name)
	d.line("")
	d.line("%s", w.What)
	d.line("")
	if r, ok := t.versusBestPeer(w.Name); ok {
		d.line("%s", sentence(r))
		d.line("")
	}
	if all != nil {
		d.image(w.Name+": time a job", workChart(w.Name))
	}
	d.line("| pool | a job | ± | of the best peer | of the floor | bytes | allocations |")
	d.line("|---|--:|--:|--:|--:|--:|--:|")
	peer := t.center(w.Name, isPeer)
	floor := t.center(w.Name, isFloor)
	for _, s := range all {
		d.line("| %s | %s | %s | %s | %s | %.0f | %.2f |", poolLabel(s.pool), formatTime(s.time.Center), spread(s.time),
			times(s.time.Center/peer), times(s.time.Center/floor), s.bytes, s.allocs)
	}
	for _, pool := range stuck {
		d.line("| %s | **%s** | | | | | |", poolLabel(pool), noEnd)
	}
	d.line("")
}

// sentence says the result of a work in words.
func sentence(r ratio) string {
	s := fmt.Sprintf("dispatch takes %s × the time of %s, the best peer", formatRatio(r.value), r.other)
	if !math.IsNaN(r.lo) && !math.IsNaN(r.hi) {
		s += fmt.Sprintf(" (between %s and %s)", formatRatio(r.lo), formatRatio(r.hi))
	}
	return s + ": " + mark(r.verdict) + "."
}

// center is the median of the best that qualify; NaN if there is none.
func (t *table) center(work string, qualify func(pool string) bool) float64 {
	name, ok := t.best(work, qualify)
	if !ok {
		return math.NaN()
	}
	s, _ := t.summary(poolRow(work, name), unitTime)
	return s.Center
}

// times is a ratio in a table: nothing where there is nothing to compare with.
func times(x float64) string {
	if math.IsNaN(x) {
		return ""
	}
	return formatRatio(x)
}

// poolLabel sets off our own row, and those that are no pools.
func poolLabel(pool string) string {
	switch {
	case pool == us:
		return "**" + pool + "**"
	case bench.IsFloor(pool):
		return "*" + pool + "*"
	default:
		return pool
	}
}

func (d *doc) memory(t *table) {
	var rows []string
	for _, pool := range bench.Peers() {
		worker, ok1 := weight(t, memoryRow(idleWorkerUse, pool), "B/worker")
		huge, ok2 := weight(t, memoryRow(hugePoolUse, pool), "B/pool")
		if ok1 && ok2 {
			rows = append(rows, fmt.Sprintf("| %s | %s | %s |", poolLabel(pool), worker, huge))
		}
	}
	if rows == nil {
		return
	}
	d.line("## Memory")
	d.line("")
	d.line("An idle worker: live heap and stacks, measured on 10,000 of them. 100,000 idle workers: what the process")
	d.line("holds from the operating system for them. Pools without a row keep no idle workers.")
	d.line("")
	d.line("| pool | an idle worker | 100,000 idle workers |")
	d.line("|---|--:|--:|")
	for _, row := range rows {
		d.line("%s", row)
	}
	d.line("")
	if s, ok := weight(t, memoryRow(queuedJobUse, us), "B/job"); ok {
		d.line("A queued job of dispatch, with its future and its place in the queue: %s.", s)
		d.line("")
	}
}

// weight is a memory row as the page shows it.
func weight(t *table, row, unit string) (string, bool) {
	if t.unended(row) {
		return "**" + noEnd + "**", true
	}
	s, ok := t.summary(row, unit)
	return formatBytes(s.Center), ok
}
