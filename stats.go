package dispatch

import (
	"fmt"

	"example.com/dispatch/internal/sched"
)

// State is where a pool is in its life. It only ever goes forward:
//
//	Running → Draining → Stopping → Ended
//
// Close and Shutdown lead to Draining, Stop (or a Shutdown whose budget is
// spent) to Stopping, and the end of the last worker to Ended.
type State int

const (
	Running  = State(sched.Running)  // takes jobs
	Draining = State(sched.Draining) // takes no more, runs all that was accepted
	Stopping = State(sched.Stopping) // takes no more, starts no more, waits for what runs
	Ended    = State(sched.Ended)    // nothing is left
)

// String returns the state's name in lower case.
func (s State) String() string {
	switch s {
	case Running:
		return "running"
	case Draining:
		return "draining"
	case Stopping:
		return "stopping"
	case Ended:
		return "ended"
	}
	return fmt.Sprintf("State(%d)", int(s))
}

// Stats is a snapshot of a pool, taken at one moment. Every item of a Batch or
// a Map counts as a job. As long as no handler runs past its job's outcome,
//
//	Submitted = Succeeded + Failed + Panicked + Canceled + TimedOut + Dropped + Queued + Running
type Stats struct {
	Name  string
	State State

	Workers int // goroutines that run jobs or wait for one; strays not counted
	Idle    int // workers that wait for a job
	Running int // handlers that run now; strays not counted
	Queued  int // accepted and not started
	Strays  int // handlers written off (WithGrace) that have not returned yet

	// Counters; they never fall.
	Submitted uint64 // accepted
	Succeeded uint64 // returned a nil error
	Failed    uint64 // returned an error, or called runtime.Goexit
	Panicked  uint64
	Canceled  uint64 // by the caller's context, Cancel, a batch that stopped, or Stop
	TimedOut  uint64 // by the caller's deadline, ProcessTimed or WithJobTimeout
	Dropped   uint64 // by the policy DropOldest
	Rejected  uint64 // refused with ErrQueueFull; these are not in Submitted
}

// Stats returns a snapshot of the pool. It waits for no job, whatever the
// pool is doing. Any number of goroutines may call it at once.
func (p *Pool[In, Out]) Stats() Stats {
	p.mustBeMade()
	now := p.sched.Snapshot()
	return Stats{
		Name:      p.cfg.name,
		State:     State(now.State),
		Workers:   now.Workers,
		Idle:      now.Idle,
		Running:   now.Running,
		Queued:    now.Queued,
		Strays:    now.Strays,
		Submitted: now.Submitted,
		Succeeded: now.Ended[sched.Succeeded],
		Failed:    now.Ended[sched.Failed],
		Panicked:  now.Ended[sched.Panicked],
		Canceled:  now.Ended[sched.Canceled],
		TimedOut:  now.Ended[sched.TimedOut],
		Dropped:   now.Ended[sched.Dropped],
		Rejected:  now.Rejected,
	}
}
