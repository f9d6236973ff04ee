package dispatch

import "example.com/dispatch/internal/sched"

// Generic code is compiled in the package that uses it. There the compiler knows the body
// of a function of internal/sched only if this package has inlined the function outside
// generic code. So inlined calls the small functions that generic code calls for every job.
// Without it they would not be inlined, and a Map of cheap inputs would take a sixth
// longer.
var _ = inlined // nobody calls it

func inlined(s *sched.Scheduler, w *sched.Worker, t *sched.Task, r *sched.Run, g *sched.Group, c *sched.Context) {
	_, _ = s.Preempt(), s.Since()
	s.PutWaiter(s.GetWaiter())
	_, _, _, _ = w.Run(), w.Interrupts(), w.OverLimit(), w.IsBroken()
	w.Await()
	_, _, _, _, _ = t.Resolved(), t.Decide(), t.Enter(), t.Reusable(), t.MayBeLate()
	_, _, _, _, _ = t.Err(), t.Context(), t.Job(), t.Scheduler(), t.Outcome()
	t.Init(s, nil, c, nil)
	t.Reuse(c, nil)
	t.Await(nil)
	t.Timed(nil)
	_, _, _ = t.Added(), r.Careful(), r.Group()
	_, _, _ = g.Source(), g.Caller(), c.Caller()
	g.Init(s, nil, nil, 0)
}
