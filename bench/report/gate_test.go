package main

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func judged(t *testing.T, before, after *fakeResults) (string, error) {
	t.Helper()
	older, newer := new(side), new(side)
	older.raw.WriteString(before.String())
	newer.raw.WriteString(after.String())
	var stdout bytes.Buffer
	err := judge(options{gate: "main", tolerance: 1.05}, []string{"process"}, older, newer, &stdout)
	return stdout.String(), err
}

func TestTheGateFailsWhereAWorkTakesLongerThanIsTolerated(t *testing.T) {
	for _, tt := range []struct {
		now  float64
		want string
	}{{800, "faster"}, {1000, ""}, {1049, "slower"}, {1051, "SLOWER"}} {
		table, err := judged(t, newResults().add("process", us, 10, 1000), newResults().add("process", us, 10, tt.now))
		if tt.want == "SLOWER" {
			require.ErrorIs(t, err, errSlower)
			require.EqualError(t, err, "1 of the works: slower than the tolerance of 1.05")
		} else {
			require.NoError(t, err, "%v ns", tt.now)
		}
		require.Regexp(t, `process +1\.000µs ±\d% +\S+ ±\d% +\d\.\d+ +1\.50 +1\.50 +`+tt.want+`\n`, table)
	}
}

func TestTheGateFailsWhereAJobAllocatesMore(t *testing.T) {
	before, after := newResults(), newResults()
	before.WriteString("BenchmarkPool/work=process/pool=dispatch 1 1000 ns/op 1 allocs/job\n")
	after.WriteString("BenchmarkPool/work=process/pool=dispatch 1 1000 ns/op 2 allocs/job\n")
	table, err := judged(t, before, after)
	require.ErrorIs(t, err, errSlower)
	require.Contains(t, table, "ALLOCATES MORE")
}

func TestWhatDoesNotCompileIsLeftOutByItsTag(t *testing.T) {
	require.Equal(t, []string{"without_inline", "without_stream"}, tagsWithout([]byte(`# example.com/dispatch/bench [example.com/dispatch/bench.test]
./dispatch_stream_test.go:17:3: r.Err undefined
./dispatch_stream_test.go:18:3: r.Out undefined
./dispatch_inline_test.go:9:40: undefined: dispatch.WithInline
`)))
	require.Empty(t, tagsWithout([]byte("./dispatch_test.go:9:40: undefined: dispatch.New\n")))
}

func TestTheGateComparesATreeWithItself(t *testing.T) {
	if testing.Short() {
		t.Skip("builds test binaries")
	}
	root, err := moduleDir(t.Context(), rootModule)
	require.NoError(t, err)
	if _, err := command(t.Context(), root, nil, "git", "rev-parse", "HEAD"); err != nil {
		t.Skip("needs git and a clone")
	}
	o := options{gate: "HEAD", tolerance: 1000, rounds: 2, time: time.Millisecond, works: []string{"process", "inline"}}
	var stdout bytes.Buffer
	require.NoError(t, runGate(t.Context(), o, &stdout, io.Discard))
	require.Regexp(t, `(?m)^ *process .*\n *inline `, stdout.String())

	o.gate = "no-such-revision"
	require.ErrorContains(t, runGate(t.Context(), o, io.Discard, io.Discard), "-gate no-such-revision")
	worktrees, err := command(t.Context(), root, nil, "git", "worktree", "list")
	require.NoError(t, err)
	require.NotContains(t, string(worktrees), "dispatch-gate-")
}
