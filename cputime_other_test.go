//go:build !unix

package dispatch_test

import "time"

var began = time.Now()

// cpuTime returns the time, on systems that do not tell how long the processors have worked
// for this process.
func cpuTime() time.Duration { return time.Since(began) }
