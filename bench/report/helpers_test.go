package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// known is a small catalog for tests that do not build the benchmarks.
var known = catalog{
	Works: []work{
		{Name: "process", What: "Waits.", Pools: []string{us, "tunny", "ants", "go", "chan"}},
		{Name: "process-64", What: "Wait.", Pools: []string{us, "tunny", "errgroup", "go"}},
		{Name: "submit", What: "Waits for nothing.", Pools: []string{us, "mortar", "pond", "go"}},
		{Name: "map-1000", What: "Maps.", Pools: []string{us, "conc"}},
		{Name: "submit-1", Pools: []string{us, "mortar", "pond", "ants", "tunny", "go"}, OfAxis: true},
		{Name: "submit-1024", Pools: []string{us, "mortar", "pond", "ants", "tunny", "go"}, OfAxis: true},
	},
	Axes: []axis{{
		Name: "workers", What: "More and more.", Sizes: []int{1, 1024}, Works: []string{"submit-1", "submit-1024"}, Reference: 1,
	}},
	Floors: []string{"go", "chan"},
}

// fakeResults builds results in the format of a machine.
type fakeResults struct{ strings.Builder }

func newResults() *fakeResults {
	listed, err := json.Marshal(known)
	if err != nil {
		panic(err)
	}
	r := new(fakeResults)
	fmt.Fprintf(r, `command: go run ./bench/report
commit: 0123456789ab
date: 2026-01-31
go: go1.26.8
cpus: 2
gomaxprocs: 2
rounds: 10
benchtime: 50ms
peers: example.org/a@v1.0.0 example.org/b@v2.0.0
catalog: %s
goos: linux
goarch: amd64
cpu: A Processor
`, listed)
	return r
}

// add writes a line per round for a row, with times around ns, which is the median.
func (r *fakeResults) add(work, pool string, rounds int, ns float64) *fakeResults {
	return r.spread(work, pool, rounds, ns, 0.001)
}

// spread is like add, with another distance between the times.
func (r *fakeResults) spread(work, pool string, rounds int, ns, distance float64) *fakeResults {
	for i := range rounds {
		factor := 1 + distance*(float64(i)-float64(rounds-1)/2)
		fmt.Fprintf(r, "%v-2\t1000\t%v ns/op\t48.50 B/job\t1.500 allocs/job\n", row{work, pool}, ns*factor)
	}
	return r
}

func (r *fakeResults) giveUp(work, pool string) *fakeResults {
	fmt.Fprintf(r, "%v\t1\t21 %s\n", row{work, pool}, unitNoEnd)
	return r
}

func (r *fakeResults) table(t *testing.T) *table {
	t.Helper()
	tab, err := parseTable(strings.NewReader(r.String()))
	require.NoError(t, err)
	return tab
}

func (r *fakeResults) file(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "results.txt")
	require.NoError(t, os.WriteFile(name, []byte(r.String()), 0o600))
	return name
}
