//go:build race

package dispatch_test

const (
	// slow divides what a test does in bulk: the race detector takes ten times as long.
	slow = 10

	// allocsOfRaceDetector is what a call may allocate on top: under the race
	// detector a sync.Pool forgets some of what is put into it.
	allocsOfRaceDetector = 4
)
