//go:build race

package dispatch_test

const (
	// slow divides what a test does in bulk: the race detector takes ten times as long.
	slow = 10

	// allocsOfRaceDetector is how much more a call may allocate: under the race detector a
	// sync.Pool drops some of what is put into it.
	allocsOfRaceDetector = 4
)
