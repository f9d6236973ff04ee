package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The flags that a machine passes to its program. In these tests the program is this
// test binary instead of the benchmarks.
var (
	_         = flag.Int("spin", 0, "given by a machine")
	limitFlag = flag.Duration("limit", 0, "given by a machine")
)

func BenchmarkPool(b *testing.B) {
	if *limitFlag == 0 {
		b.Skip("for the tests of the machine")
	}
	b.Run("work=process/pool=ends", func(b *testing.B) {
		for b.Loop() {
		}
	})
	b.Run("work=process/pool=hangs", func(b *testing.B) {
		fmt.Printf("\n%s did not end within %v\n", b.Name(), *limitFlag)
		b.SkipNow()
	})
	b.Run("work=process/pool=sleeps", func(*testing.B) { time.Sleep(time.Minute) })
}

func fakeMachine(t *testing.T) (m *machine, progress *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	progress = new(bytes.Buffer)
	p := program{bin: self, time: time.Millisecond, limit: 3 * time.Second}
	return &machine{program: p, progress: progress, unended: make(map[row]int)}, progress
}

func TestARowThatDoesNotEndIsGivenUpAndTheOthersGoOn(t *testing.T) {
	m, progress := fakeMachine(t)
	hangs, ends := row{"process", "hangs"}, row{"process", "ends"}
	require.NoError(t, m.measure(t.Context(), 4, []group{{hangs, ends}}))
	require.Equal(t, patience, strings.Count(progress.String(), "pool=hangs did not end within 3s\n"), "it is not tried in every round")

	tab, err := parseTable(&m.raw)
	require.NoError(t, err)
	require.Equal(t, patience, tab.unended(hangs))
	require.Len(t, tab.sample(ends, unitTime).Values, 4)
}

func TestARowThatIsNotThereIsAnError(t *testing.T) {
	m, _ := fakeMachine(t)
	require.ErrorContains(t, m.measure(t.Context(), 1, []group{{row{"process", "none"}}}), "no result")
}

func TestAnInterruptEndsAMeasurement(t *testing.T) {
	m, _ := fakeMachine(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, m.attempt(ctx, row{"process", "sleeps"}), context.DeadlineExceeded)
}

func TestAMachineMeasuresRoundAfterRound(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a test binary")
	}
	m, err := newMachine(t.Context(), options{rounds: 2, time: time.Millisecond, command: "a command"}, io.Discard)
	require.NoError(t, err)
	defer m.close()

	rows := newGroup("process", us, "chan")
	require.NoError(t, m.measure(t.Context(), 2, []group{rows, newGroup(memoryWork, us)}))
	var order []row
	for line := range strings.Lines(m.raw.String()) {
		for _, r := range rows {
			if strings.HasPrefix(line, r.String()) {
				order = append(order, r)
			}
		}
	}
	require.Equal(t, []row{rows[0], rows[1], rows[1], rows[0]}, order)

	tab, err := parseTable(&m.raw)
	require.NoError(t, err)
	require.Equal(t, "a command", tab.config["command"])
	require.Contains(t, tab.config["peers"], "github.com/Jeffail/tunny@v0.1.4")
	for _, r := range rows {
		for _, unit := range []string{unitTime, unitBytes, unitAllocs} {
			require.Len(t, tab.sample(r, unit).Values, 2, "%v %s", r, unit)
		}
	}
	for _, unit := range []string{unitPool, unitWorker, unitQueued} {
		require.NotNil(t, tab.sample(row{memoryWork, us}, unit), unit)
	}
	for _, g := range goals {
		if g.work != memoryWork {
			pools := tab.catalog.work(g.work).Pools
			require.True(t, containsQualifying(tab.catalog, g, pools), "nobody is there for the goal %v", g)
		}
	}
}

func containsQualifying(c catalog, g goal, pools []string) bool {
	for _, pool := range pools {
		if g.against == "" || pool != us && g.qualifies(c, pool) {
			return true
		}
	}
	return false
}
