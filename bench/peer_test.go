package bench

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The jobs here add one, whatever the work's own job: what a job does is no
// matter of the peer.

func TestEveryPeerDoesEveryWorkRight(t *testing.T) {
	for _, w := range works {
		t.Run(w.Name, func(t *testing.T) {
			for _, p := range peers {
				if !w.can(p) {
					continue
				}
				t.Run(p.name, func(t *testing.T) {
					skipKnownRace(t, p)
					run, stop := w.open(p, addOne())
					defer stop()
					require.NoError(t, run(max(20, 2*w.unit)))
					require.NoError(t, run(w.unit), "the second run of an open pool")
				})
			}
		})
	}
}

func TestEveryPoolCanBeScaled(t *testing.T) {
	for _, a := range axes {
		t.Run(a.Name, func(t *testing.T) {
			for _, p := range peers {
				if !a.can(p) {
					continue
				}
				t.Run(p.name, func(t *testing.T) {
					skipKnownRace(t, p)
					const size = 100
					run, stop := a.open(p, size)
					defer stop()
					require.NoError(t, run(2*a.unit(size)))
				})
			}
		})
	}
}

// skipKnownRace keeps the race detector away from what is not ours to mend.
func skipKnownRace(t *testing.T, p peer) {
	if raceEnabled && p.name == mortarPeer.name {
		t.Skip("mortar v1.5.2 looks at its number of workers without synchronization")
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
		t.Run(w.Name, func(t *testing.T) {
			run, stop := w.open(chanFloor, wrong)
			defer stop()
			require.Error(t, run(max(20, w.unit)))
		})
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
	for name, open := range map[string]func(p peer, j job) (runner, func()){
		"process": openProcess(1),
		"futures": openFutures,
		"map":     openMap,
	} {
		run, stop := open(chanFloor, swapped)
		require.Error(t, run(1000), name)
		stop()
	}
}

func TestNamesAreUsableInABenchmarkName(t *testing.T) {
	seen := make(map[string]bool)
	for _, p := range peers {
		require.NotRegexp(t, `[^a-z0-9.-]|-[0-9]+$`, p.name, "a trailing number reads as GOMAXPROCS")
		require.False(t, seen[p.name], "two peers named %s", p.name)
		seen[p.name] = true
	}
	for _, w := range works {
		require.NotRegexp(t, `[^a-z0-9.-]`, w.Name)
		require.False(t, seen[w.Name], "two works named %s", w.Name)
		seen[w.Name] = true
	}
}

func TestWhoMayStrandAJobHasNoRowWhereJobsMeet(t *testing.T) {
	for _, w := range works {
		if w.Name == "startstop" {
			require.NotContains(t, w.Pools(), concPeer.name)
			require.NotContains(t, w.Pools(), directFloor.name)
			require.Contains(t, w.Pools(), goFloor.name)
		}
	}
}

func TestWhoStartsNewWorkersEachTimeIsNotScaledByWorkers(t *testing.T) {
	for _, a := range axes {
		if a.Name == "workers" {
			require.NotContains(t, a.Pools(), concPeer.name)
			require.NotContains(t, a.Pools(), errgroupPeer.name)
		}
	}
}

func TestDispatchHasARowInEveryWork(t *testing.T) {
	for _, w := range works {
		require.Contains(t, w.Pools(), dispatchPeer.name, w.Name)
	}
	for _, a := range axes {
		require.Contains(t, a.Pools(), dispatchPeer.name, a.Name)
	}
}
