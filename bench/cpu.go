package bench

import (
	"sync"
	"sync/atomic"
	"time"
)

// spinPerMicrosecond is how many turns of spin make a microsecond; 0 until it is
// measured or set.
var spinPerMicrosecond atomic.Int64

// SetSpin sets how many turns of the spin loop the cpu works take for a
// microsecond. A run that starts one process per benchmark must measure it once
// and give the same number to all of them: measured anew each time, its error
// would be larger than the differences between pools.
func SetSpin(turns int) {
	spinPerMicrosecond.Store(int64(turns))
}

// Calibrate measures how many turns of the spin loop make a microsecond. It
// takes the fastest of many tries, the one that nothing else disturbed.
func Calibrate() int {
	const tries, turns = 50, 200_000
	best := time.Duration(1<<63 - 1)
	for range tries {
		start := time.Now()
		spin(turns)
		best = min(best, time.Since(start))
	}
	return max(1, int(turns*time.Microsecond/max(best, 1)))
}

var calibrateOnce = sync.OnceValue(Calibrate)

// burnFor makes a job that computes for so many microseconds. It is a fixed
// number of turns and not a deadline, as a job that is preempted has not
// computed meanwhile.
func burnFor(microseconds int) func() job {
	return func() job {
		perMicrosecond := int(spinPerMicrosecond.Load())
		if perMicrosecond == 0 {
			perMicrosecond = calibrateOnce()
		}
		turns := microseconds * perMicrosecond
		return func(in int) int {
			spin(turns)
			return in + 1
		}
	}
}

// spin does arithmetic in registers, each turn on the result of the last.
//
//go:noinline
func spin(turns int) uint64 {
	x := uint64(turns)
	for range turns {
		x = x*6364136223846793005 + 1442695040888963407
	}
	return x
}
