package bench

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// The jobs here add one, whatever the work's own job: the job makes no difference to
// the peer.

func TestEveryPeerDoesEveryWorkRight(t *testing.T) {
	for _, w := range allWorks() {
		if w.unit > 100_000 {
			continue // the smaller works cover the same code
		}
		t.Run(w.name, func(t *testing.T) {
			for _, p := range peers {
				if !w.can(p) {
					continue
				}
				t.Run(p.name, func(t *testing.T) {
					skipKnownFaults(t, w, p)
					run, stop := w.open(p, addOne())
					defer stop()
					require.NoError(t, run(max(20, 2*w.unit)))
					require.NoError(t, run(w.unit), "the second run of an open pool")
				})
			}
		})
	}
}

// skipKnownFaults skips tests that fail because of faults in other libraries.
func skipKnownFaults(t *testing.T, w work, p peer) {
	if raceEnabled && p.name == mortarPeer.name {
		t.Skip("mortar v1.5.2 looks at its number of workers without synchronization")
	}
	if w.name == "startstop" && p.name == concPeer.name {
		t.Skip("conc v0.3.0 may strand a job that others wait for")
	}
}

func TestAWrongResultIsFound(t *testing.T) {
	wrong := func(in int) int {
		if in == 7 {
			return 7
		}
		return in + 1
	}
	for _, w := range works {
		if w.name == "new-close" {
			continue // no job runs
		}
		for _, p := range []peer{dispatchPeer, chanFloor} {
			if w.can(p) {
				run, stop := w.open(p, wrong)
				require.Error(t, run(max(20, w.unit)), "%s of %s", w.name, p.name)
				stop()
			}
		}
	}
}

func TestResultsInTheWrongOrderAreFound(t *testing.T) {
	swapped := func(in int) int {
		switch in {
		case 3:
			return 5
		case 4:
			return 4
		default:
			return in + 1
		}
	}
	for _, w := range works {
		if slices.Contains([]string{"process", "process-ctx", "inline", "futures-1000", "map-1000", "stream-1000"}, w.name) {
			run, stop := w.open(dispatchPeer, swapped)
			require.Error(t, run(1000), w.name)
			stop()
		}
	}
}

func TestNamesAreUsableInABenchmarkName(t *testing.T) {
	seen := make(map[string]bool)
	for _, p := range peers {
		require.NotRegexp(t, `[^a-z0-9.-]|-[0-9]+$`, p.name, "a trailing number reads as GOMAXPROCS")
		require.False(t, seen[p.name], "two peers named %s", p.name)
		seen[p.name] = true
	}
	for _, w := range allWorks() {
		require.NotRegexp(t, `[^a-z0-9.-]`, w.name)
		require.False(t, seen[w.name], "two works named %s", w.name)
		seen[w.name] = true
	}
}

func TestWhoStartsNewWorkersEachTimeIsNotScaledByWorkers(t *testing.T) {
	require.NotContains(t, workersWork(8).pools(), concPeer.name)
	require.NotContains(t, workersWork(8).pools(), errgroupPeer.name)
}

func TestDispatchHasARowInEveryWork(t *testing.T) {
	for _, w := range allWorks() {
		require.Contains(t, w.pools(), dispatchPeer.name, w.name)
	}
}
