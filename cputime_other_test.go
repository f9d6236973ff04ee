//go:build !unix

package dispatch_test

import "time"

var began = time.Now()

// cpuTime is the time, where it is not known how long the processors have worked for
// this process.
func cpuTime() time.Duration { return time.Since(began) }
