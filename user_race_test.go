//go:build race

package dispatch_test

// slow divides what a test does in bulk: the race detector takes ten times as long.
const slow = 10
