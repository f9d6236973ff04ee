//go:build !race

package dispatch

const allocsOfRaceDetector = 0
