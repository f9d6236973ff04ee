package main

import (
	"fmt"
	"io"
	"slices"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchmath"
)

// confidence is the level of all intervals.
const confidence = 0.95

// The units of BenchmarkPool and BenchmarkScale, as benchfmt gives them.
const (
	unitTime   = "sec/op"
	unitBytes  = "B/job"
	unitAllocs = "allocs/job"

	// unitNoEnd marks a row that was given up. The value is how long it was waited for.
	unitNoEnd = "sec-without-end"
)

// A table holds what was measured.
type table struct {
	config map[string]string // the lines "key: value" of the file, the last of each
	rows   map[string]map[string]*benchmath.Sample
}

// parseTable reads results in the Go benchmark format.
func parseTable(r io.Reader) (*table, error) {
	t := &table{config: make(map[string]string)}
	values := make(map[string]map[string][]float64)
	reader := benchfmt.NewReader(r, "results")
	for reader.Scan() {
		switch rec := reader.Result().(type) {
		case *benchfmt.SyntaxError:
			return nil, rec
		case *benchfmt.Result:
			for _, c := range rec.Config {
				t.config[c.Key] = string(c.Value)
			}
			row := rowName(rec.Name)
			if values[row] == nil {
				values[row] = make(map[string][]float64)
			}
			for _, v := range rec.Values {
				values[row][v.Unit] = append(values[row][v.Unit], v.Value)
			}
		}
	}
	if err := reader.Err(); err != nil {
		return nil, err
	}
	if len(values) == 0 {
		return nil, fmt.Errorf("there is not one benchmark in the results")
	}

	t.rows = make(map[string]map[string]*benchmath.Sample)
	for row, units := range values {
		t.rows[row] = make(map[string]*benchmath.Sample)
		for unit, vs := range units {
			slices.Sort(vs)
			t.rows[row][unit] = benchmath.NewSample(vs, &benchmath.DefaultThresholds)
		}
	}
	return t, nil
}

// rowName is the name with the prefix that benchfmt drops and without the
// GOMAXPROCS suffix.
func rowName(n benchfmt.Name) string {
	base, parts := n.Parts()
	row := append([]byte("Benchmark"), base...)
	for _, part := range parts {
		if part[0] == '/' {
			row = append(row, part...)
		}
	}
	return string(row)
}

func (t *table) has(row string) bool {
	return t.rows[row] != nil
}

// unended reports whether the row was given up.
func (t *table) unended(row string) bool {
	return t.rows[row][unitNoEnd] != nil
}

// summary returns the median of a row and its interval, and whether the row has
// been measured. One that was given up has not, even if it ended in earlier rounds:
// those would be the rounds that went well.
func (t *table) summary(row, unit string) (benchmath.Summary, bool) {
	s := t.rows[row][unit]
	if s == nil || t.unended(row) {
		return benchmath.Summary{}, false
	}
	return benchmath.AssumeNothing.Summary(s, confidence), true
}
