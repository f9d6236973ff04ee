package sched

// Making is workers that are made before there is a job for them: their goroutines
// are started, and call newWorker. All that call Prestart meanwhile wait for the same.
type Making struct {
	left int           // guarded by the scheduler's mutex, as is err
	err  error         // the first; written before done is closed, and not after
	done chan struct{} // closed when all have been made, or have failed
}

// Done returns a channel that is closed when all have been made.
func (m *Making) Done() <-chan struct{} { return m.done }

// Err returns the first error of a making that is done.
func (m *Making) Err() error { return m.err }

// Prestart has workers made that the minimum is short of, all at once, and returns
// what tells of their end: nil if it is short of none. Calls share one making. The
// dispatcher starts the workers. Each has a slot while it is made: otherwise jobs that
// come meanwhile would be granted these slots, and more workers be started for them.
func (s *Scheduler) Prestart() (*Making, error) {
	s.lock()
	defer s.unlock()
	if s.state != Running {
		return nil, s.cfg.Errors.Closed
	}
	if s.making != nil {
		return s.making, nil
	}
	// Workers that are busy count as there, since they are made already; those that
	// have been told to leave do not.
	n := min(s.cfg.MinWorkers, s.limit) - (s.workforce - s.leaving)
	if n <= 0 {
		return nil, nil
	}
	s.making = &Making{left: n, done: make(chan struct{})}
	s.unmade = n
	s.inUse += n
	return s.making, nil
}

// FinishMaking notes that the worker has been made, or has failed to be, and has it
// take what comes next, or leave. The worker calls it, also after a Goexit or a panic
// of newWorker: otherwise those in Prestart would wait for ever.
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
