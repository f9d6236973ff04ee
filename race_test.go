//go:build race

package dispatch_test

// allocsOfRaceDetector is what a call may allocate on top: under the race
// detector a sync.Pool forgets some of what is put into it.
const allocsOfRaceDetector = 4
