package bench

import (
	"flag"
	"sync"
	"time"
)

func addOne() job {
	return func(in int) int { return in + 1 }
}

func sleep() job {
	return func(in int) int {
		time.Sleep(10 * time.Millisecond)
		return in + 1
	}
}

// burnFor makes a job that computes for the given number of microseconds. The job does
// a fixed number of turns. With a deadline, a job that is preempted would compute less.
func burnFor(microseconds int) func() job {
	return func() job {
		turns := microseconds * turnsPerMicrosecond()
		return func(in int) int {
			spin(turns)
			return in + 1
		}
	}
}

var spinFlag = flag.Int("spin", 0, "turns of the spin loop that make a microsecond; 0: measure it")

// turnsPerMicrosecond is measured once. A run that starts one process per benchmark
// gives the same number to all of them: if each process measured it, the error would be
// larger than the differences between pools.
var turnsPerMicrosecond = sync.OnceValue(func() int {
	if *spinFlag > 0 {
		return *spinFlag
	}
	const tries, turns = 50, 200_000
	best := time.Duration(1<<63 - 1) // of the try that was disturbed least
	for range tries {
		start := time.Now()
		spin(turns)
		best = min(best, time.Since(start))
	}
	return max(1, int(turns*time.Microsecond/max(best, 1)))
})

// spin does arithmetic in registers. Each turn uses the result of the one before.
//
//go:noinline
func spin(turns int) uint64 {
	x := uint64(turns)
	for range turns {
		x = x*6364136223846793005 + 1442695040888963407
	}
	return x
}
