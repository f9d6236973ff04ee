package modeltest

import "example.com/dispatch"

// pause holds what the model knows of Pause and Resume. Guarded by world.mu.
type pause struct {
	on     bool
	since  int  // the phase of the last Pause
	turned int  // the last phase in which something paused or resumed the pool
	unsure bool // several calls in this phase: only the pool knows which came last
}

// pausePool calls Pause, which must not wait for anything.
func (w *world) pausePool() {
	w.pool.Pause()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn()
	if w.closed == 0 {
		w.pause.on, w.pause.since = true, w.phase
	}
}

// resumePool ends a pause.
func (w *world) resumePool() {
	w.mu.Lock()
	w.resumed() // before the pool starts waiting jobs
	w.mu.Unlock()
	w.pool.Resume()
}

// resumed records that the pool starts jobs again. The caller holds mu.
func (w *world) resumed() {
	w.turn()
	w.pause.on = false
}

// turn records a call that pauses or resumes. The caller holds mu.
func (w *world) turn() {
	w.pause.unsure = w.pause.unsure || w.pause.turned == w.phase
	w.pause.turned = w.phase
}

// checkPause compares Stats with the model.
func (w *world) checkPause(s dispatch.Stats) {
	if w.closed != 0 {
		w.pause.on = false
	}
	if w.pause.unsure {
		w.pause.on, w.pause.since, w.pause.unsure = s.Paused, w.phase, false
	}
	if s.Paused != w.pause.on {
		w.failf("Stats says paused: %t, and the pool was paused in phase %d, turned in %d, closed in %d", s.Paused, w.pause.since, w.pause.turned, w.closed)
	}
}

// checkPaused checks, as j starts, that the pool is not paused, or that j is a job that a
// running job waits for.
func (w *world) checkPaused(j *job) {
	if w.pause.on && w.pause.since < w.phase && w.pause.turned < w.phase && !j.onLoan {
		w.failf("%v: started in the pause since phase %d", j, w.pause.since)
	}
}

// actBoldly makes one of the calls from inside a job that only bold programs make.
func (w *world) actBoldly(j *job, seed int) {
	switch seed % 5 {
	case 0:
		w.pausePool()
	case 1, 2:
		w.resumePool()
	case 3:
		w.prestarted(j.ctx, w.pool.Prestart(j.ctx.plain()))
	case 4:
		if seed > 100 {
			w.drain()
		}
	}
}
