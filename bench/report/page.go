package main

import (
	"embed"
	"fmt"
	"slices"
	"strings"
	"text/template"

	"golang.org/x/perf/benchmath"
	"golang.org/x/perf/benchunit"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

//go:embed *.md.tmpl
var templateFiles embed.FS

const (
	benchmarksTemplate = "benchmarks.md.tmpl"
	scalingTemplate    = "scaling.md.tmpl"
)

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"time":  formatTime,
	"ratio": formatRatio,
	"bold":  bold,
	"join":  strings.Join,
	"words": func(s string) string { return strings.ReplaceAll(s, " ", ", ") },
	"align": func(columns []string) string { return strings.Repeat("--:|", len(columns)) },
}).ParseFS(templateFiles, "*.md.tmpl"))

// A page is the content of BENCHMARKS.md.
type page struct {
	Config   map[string]string
	Chart    bool // there is a chart beside the page
	Verdicts map[string]int
	Compared bool // there is a work with two rows
	Goals    []outcome
	Reached  int
	Works    []section
}

// A section is the part about one work.
type section struct {
	work

	Best, Floor *ratio // nil if there is no peer to compare with
	Rows        []standing
}

// A standing is one row of a work's table.
type standing struct {
	Pool          string
	Time          *benchmath.Summary // nil if no measurement ended
	Bytes, Allocs float64
	Unended       int
}

func newPage(t *table, chart bool) page {
	p := page{Config: t.config, Chart: chart, Verdicts: make(map[string]int)}
	for _, w := range t.catalog.Works {
		s := newSection(t, w)
		if s.Rows == nil {
			continue
		}
		p.Works = append(p.Works, s)
		if s.Best != nil {
			p.Compared = true
			p.Verdicts[string(s.Best.Verdict)]++
		}
	}
	for _, g := range goals {
		if t.values[row{g.work, us}] == nil {
			continue
		}
		o := g.evaluate(t)
		p.Goals = append(p.Goals, o)
		if o.state == reached {
			p.Reached++
		}
	}
	return p
}

func newSection(t *table, w work) section {
	s := section{work: w, Best: t.versusBest(w.Name, t.catalog.isPeer), Floor: t.versusBest(w.Name, t.catalog.isFloor)}
	for _, pool := range t.pools(w.Name) {
		at := row{w.Name, pool}
		r := standing{Pool: t.label(pool), Unended: t.unended(at)}
		if time, ok := t.summary(at, unitTime); ok {
			bytes, _ := t.summary(at, unitBytes)
			allocs, _ := t.summary(at, unitAllocs)
			r.Time, r.Bytes, r.Allocs = &time, bytes.Center, allocs.Center
		}
		s.Rows = append(s.Rows, r)
	}
	return s
}

// A scalingPage is the content of SCALING.md.
type scalingPage struct {
	Config map[string]string
	Axes   []axisSection
}

type axisSection struct {
	axis

	Columns []string   // pools
	Lines   [][]string // a size, and the times of the pools
}

func newScalingPage(t *table) scalingPage {
	p := scalingPage{Config: t.config}
	for _, a := range t.catalog.Axes {
		s := axisSection{axis: a, Columns: bestThree(t, a)}
		for i, size := range a.Sizes {
			line := []string{message.NewPrinter(language.English).Sprintf("%d", size)}
			if size == a.Reference {
				line[0] = "**" + line[0] + "**"
			}
			for _, pool := range s.Columns {
				line = append(line, cell(t, row{a.Works[i], pool}))
			}
			s.Lines = append(s.Lines, line)
		}
		p.Axes = append(p.Axes, s)
	}
	return p
}

// bestThree returns dispatch and the three peers that were best at the reference size
// of the axis.
func bestThree(t *table, a axis) []string {
	reference := a.Works[slices.Index(a.Sizes, a.Reference)]
	pools := slices.DeleteFunc(t.pools(reference), func(pool string) bool { return pool == us || t.catalog.isFloor(pool) })
	return append([]string{us}, pools[:min(3, len(pools))]...)
}

func cell(t *table, r row) string {
	text := ""
	if s, ok := t.summary(r, unitTime); ok {
		text = formatTime(s.Center) + " ±" + s.PctRangeString()
	}
	if t.unended(r) > 0 {
		text += " **did not end**"
	}
	return strings.TrimSpace(text)
}

// formatTime formats a time given in seconds.
func formatTime(seconds float64) string {
	return benchunit.Scale(seconds, benchunit.Decimal) + "s"
}

// bold sets off losses as well as wins, so that readers find both at once.
func bold(word any) string {
	s := fmt.Sprint(word)
	switch s {
	case string(faster), string(slower), string(missed), string(unended):
		return "**" + s + "**"
	default:
		return s
	}
}

// label sets off the row of dispatch, and the rows that are not pools.
func (t *table) label(pool string) string {
	switch {
	case pool == us:
		return "**" + pool + "**"
	case t.catalog.isFloor(pool):
		return "*" + pool + "*"
	default:
		return pool
	}
}
