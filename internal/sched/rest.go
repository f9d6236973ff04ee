package sched

import "fmt"

// Rest returns an error if the scheduler of a pool that has nothing to do still holds
// something: slots, jobs, groups, or workers that it does not count as idle. Tests call
// it after each stress run: a count that is off by one does no harm at first, and costs
// a slot for the rest of the pool's life.
func (s *Scheduler) Rest() error {
	s.lock()
	defer s.unlock()
	// Jobs in the intake are in none of the counts yet.
	s.closeIntake()
	held := []int{s.inUse, s.over, s.queued, s.granted, s.running, s.itemsIn, s.coming, s.called, s.returning, s.nblocked, s.openItems}
	for _, n := range held {
		if n != 0 {
			return fmt.Errorf("slots in use, over the limit, queued, granted, running, items, coming, called, returning, blocked, open items: %v", held)
		}
	}
	switch {
	case s.queue.head != nil || s.queue.first != nil || s.intake.jobs.head != nil:
		return fmt.Errorf("the queue holds jobs")
	// waits comes first: it removes settled jobs, which hold nothing.
	case s.waits() || !s.groups.empty() || !s.busy.empty() || !s.blocked.empty():
		return fmt.Errorf("something is granted, or groups or submitters are listed")
	// A worker that is neither idle nor about to leave would have work, or be lost to
	// the pool.
	case len(s.idleSince) != s.workforce-s.leaving:
		return fmt.Errorf("%d workers, %d leaving, %d idle", s.workforce, s.leaving, len(s.idleSince))
	}
	return nil
}

// Watched reports whether the caller's context of the group is watched. A batch that is
// over and still watched would be held by its caller's context for as long as that
// lives.
func (g *Group) Watched() bool {
	g.s.watches.mu.Lock()
	defer g.s.watches.mu.Unlock()
	return g.watch != nil
}
