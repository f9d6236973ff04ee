package modeltest

import (
	"bytes"
	"runtime"
	"strconv"
)

// goroutine returns the number of the calling goroutine.
func goroutine() uint64 {
	var buf [40]byte
	head := bytes.Fields(buf[:runtime.Stack(buf[:], false)]) // goroutine 7 [running]:
	n, err := strconv.ParseUint(string(head[1]), 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

// onThisGoroutine records the goroutine that submits j. The caller defers the returned
// function, which records that an inline job has ended the goroutine: in that case nobody
// receives the outcome.
func (w *world) onThisGoroutine(j *job) func() {
	if !w.inline {
		return func() {}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	j.goroutine = goroutine()
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		j.over = j.over || j.inline && j.exits() && j.settled == 0
	}
}

// inlineNow reports whether a job that is submitted now must run on its caller's
// goroutine: the pool can start it at once, and no job waits.
func (w *world) inlineNow() bool {
	w.stoppedAt()
	if w.closed != 0 || w.pause.on {
		return false
	}
	running := 0
	for _, j := range w.jobs {
		if j.running {
			running++
		} else if w.pending(j) != no {
			return false
		}
	}
	return running < w.limit
}

// checkInline checks, as j starts, which goroutine it runs on.
func (w *world) checkInline(j *job) {
	switch {
	case j.inline && j.via != opProcess:
		w.failf("%v: it runs on its caller's goroutine", j)
	case j.atOnce && !j.inline:
		w.failf("%v: a place was free, and it does not run on its caller's goroutine\n%s", j, w.list())
	}
}
