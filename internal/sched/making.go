package sched

// Making is a set of workers that are made before there is a job for them: their
// goroutines are started, and call newWorker. All calls of Prestart meanwhile wait for
// the same Making.
type Making struct {
	left int           // workers that are still to be made. Guarded by the scheduler's mutex, as is err
	err  error         // the first error; written before done is closed, and not after
	done chan struct{} // closed when all have been made, or have failed
}

// Done returns a channel that is closed when all have been made.
func (m *Making) Done() <-chan struct{} { return m.done }

// Err returns the first error. It may be called once Done is closed.
func (m *Making) Err() error { return m.err }

// Prestart has the workers made that are missing from the minimum, and returns a Making
// that says when they are made; nil if none is missing. Calls share one Making. The
// dispatcher starts the workers. Each has a slot while it is made: otherwise jobs that
// come meanwhile would be granted these slots, and more workers would be started for
// them.
func (s *Scheduler) Prestart() (*Making, error) {
	s.lock()
	defer s.unlock()
	if s.state != Running {
		return nil, s.cfg.Errors.Closed
	}
	if s.making != nil {
		return s.making, nil
	}
	// Busy workers count, since they are made already; workers that have been told to
	// leave do not.
	n := min(s.cfg.MinWorkers, s.limit) - (s.workforce - s.leaving)
	if n <= 0 {
		return nil, nil
	}
	s.making = &Making{left: n, done: make(chan struct{})}
	s.unmade = n
	s.inUse += n
	return s.making, nil
}

// FinishMaking notes that the worker has been made, or that making it has failed. The
// worker then takes its next work, or leaves. It calls FinishMaking even after a Goexit
// or a panic of newWorker: otherwise callers of Prestart would wait forever.
func (w *Worker) FinishMaking(err error) {
	s, m := w.s, w.Work.Making
	s.lock()
	defer s.unlock()
	if err != nil {
		w.broken = true
		if m.err == nil {
			m.err = err
		}
	}
	if m.left--; m.left == 0 {
		s.making = nil
		s.after.add(closing(m.done))
	}
	s.next(w)
}
