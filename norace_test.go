//go:build !race

package dispatch_test

const allocsOfRaceDetector = 0
