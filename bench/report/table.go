package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchmath"
)

// confidence is the level of all intervals.
const confidence = 0.95

// The units of the benchmarks, as benchfmt gives them.
const (
	unitTime   = "sec/op"
	unitBytes  = "B/job"
	unitAllocs = "allocs/job"
	unitPool   = "allocs/pool"
	unitWorker = "B/worker"
	unitQueued = "B/queued"

	// unitNoEnd marks a measurement that did not end.
	unitNoEnd = "sec-without-end"
)

// A table holds the results.
type table struct {
	config  map[string]string // the lines "key: value" of the results
	catalog catalog
	values  map[row]map[string][]float64
}

// parseTable reads results in the Go benchmark format.
func parseTable(r io.Reader) (*table, error) {
	t := &table{config: make(map[string]string), values: make(map[row]map[string][]float64)}
	reader := benchfmt.NewReader(r, "results")
	for reader.Scan() {
		switch rec := reader.Result().(type) {
		case *benchfmt.SyntaxError:
			return nil, rec
		case *benchfmt.Result:
			for _, c := range rec.Config {
				t.config[c.Key] = string(c.Value)
			}
			at := rowOf(string(rec.Name.Full()))
			if t.values[at] == nil {
				t.values[at] = make(map[string][]float64)
			}
			for _, v := range rec.Values {
				t.values[at][v.Unit] = append(t.values[at][v.Unit], v.Value)
			}
		}
	}
	if err := reader.Err(); err != nil {
		return nil, err
	}
	if len(t.values) == 0 {
		return nil, errors.New("there is not one benchmark in the results")
	}
	if listed, ok := t.config["catalog"]; ok {
		return t, json.Unmarshal([]byte(listed), &t.catalog)
	}
	return t, nil
}

var gomaxprocsSuffix = regexp.MustCompile(`-\d+$`)

func rowOf(name string) row {
	work, pool, _ := strings.Cut(strings.TrimPrefix(name, "Pool/work="), "/pool=")
	return row{work, gomaxprocsSuffix.ReplaceAllString(pool, "")}
}

// sample returns the values of a row from all rounds; nil if there are none.
func (t *table) sample(r row, unit string) *benchmath.Sample {
	values := slices.Sorted(slices.Values(t.values[r][unit]))
	if len(values) == 0 {
		return nil
	}
	return benchmath.NewSample(values, &benchmath.DefaultThresholds)
}

// summary returns the median of a row and its interval, and whether there is one.
func (t *table) summary(r row, unit string) (benchmath.Summary, bool) {
	s := t.sample(r, unit)
	if s == nil {
		return benchmath.Summary{}, false
	}
	return benchmath.AssumeNothing.Summary(s, confidence), true
}

// unended returns how many measurements of a row did not end.
func (t *table) unended(r row) int {
	return len(t.values[r][unitNoEnd])
}

// pools returns the pools that have a row in the work, the fastest first, and those that
// never ended last.
func (t *table) pools(work string) (pools []string) {
	for r := range t.values {
		if r.work == work {
			pools = append(pools, r.pool)
		}
	}
	center := func(pool string) float64 {
		if s, ok := t.summary(row{work, pool}, unitTime); ok {
			return s.Center
		}
		return math.Inf(1)
	}
	slices.SortFunc(pools, func(a, b string) int {
		return cmp.Or(cmp.Compare(center(a), center(b)), strings.Compare(a, b))
	})
	return pools
}
