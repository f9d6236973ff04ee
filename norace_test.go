//go:build !race

package dispatch_test

const (
	slow                 = 1
	allocsOfRaceDetector = 0
)
