package dispatch

// OnProgress is called on a goroutine that lives while there is something to
// tell. It holds the batch, by one of left, and the pool, by one of errands:
// neither ends before the last call has returned.

// startReporter has onProgress told of what is new. The mutex is held.
func (b *Batch[In, Out]) startReporter() {
	if b.cfg.onProgress == nil || b.reporting || b.told && b.reported == b.progress {
		return
	}
	b.reporting = true
	b.left.Add(1)
	b.pool.errands++
	go b.report()
}

// report calls onProgress until it has been told of all there is.
func (b *Batch[In, Out]) report() {
	p := b.pool
	ended := false
	defer func() {
		if !ended { // onProgress has called runtime.Goexit
			go b.report()
		}
	}()
	for now, more := b.news(); more; now, more = b.news() {
		p.guard("OnProgress", func() { b.cfg.onProgress(now) })
	}
	ended = true
	b.delivered(1)
	p.endErrand()
}

// news returns what onProgress has not been told; without any, a reporter must
// be started for the next.
func (b *Batch[In, Out]) news() (now Progress, more bool) {
	b.pool.mu.Lock()
	defer b.pool.mu.Unlock()
	now = b.progress
	more = !b.told || b.reported != now
	b.told, b.reported, b.reporting = true, now, more
	return now, more
}
