//go:build !race

package modeltest

// raceEnabled reports whether the race detector watches.
const raceEnabled = false
