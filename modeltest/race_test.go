//go:build race

package modeltest

// raceEnabled tells whether the race detector watches.
const raceEnabled = true
