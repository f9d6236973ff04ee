package sched

import "fmt"

// Rest returns an error if the scheduler holds anything, of a pool that has nothing
// to do: slots, jobs, groups, or workers that it does not count as idle.
func (s *Scheduler) Rest() error {
	s.lock()
	defer s.unlock()
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
	case s.waits() || !s.groups.empty() || !s.busy.empty() || !s.blocked.empty():
		return fmt.Errorf("something is granted, or groups or submitters are listed")
	case len(s.idleSince) != s.workforce-s.leaving:
		return fmt.Errorf("%d workers, %d leaving, %d idle", s.workforce, s.leaving, len(s.idleSince))
	}
	return nil
}

// Watched tells whether the caller's context of the group is watched.
func (g *Group) Watched() bool {
	g.s.lock()
	defer g.s.unlock()
	return g.watching
}
