package dispatch

import (
	"cmp"
	"fmt"
	"slices"
	"time"

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
	Running  State = iota // takes jobs
	Draining              // refuses new jobs, runs all accepted ones
	Stopping              // refuses new jobs, starts none, waits for running handlers
	Ended                 // nothing is left
)

var stateNames = [...]string{"running", "draining", "stopping", "ended"}

// String returns the state's name in lower case.
func (s State) String() string {
	if s >= 0 && int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("State(%d)", int(s))
}

// MarshalText gives the state's name, as String does.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a state's name.
func (s *State) UnmarshalText(text []byte) error {
	for i, name := range stateNames {
		if string(text) == name {
			*s = State(i)
			return nil
		}
	}
	return fmt.Errorf("dispatch: there is no State %q", text)
}

// Stats is a snapshot of a pool, taken at one moment. Every item of a Batch or
// a Map counts as a job. As long as no handler runs past its job's outcome,
//
//	Submitted = Succeeded + Failed + Panicked + Canceled + TimedOut + Dropped + Queued + Running
type Stats struct {
	Name   string
	State  State
	Paused bool // takes jobs and starts none

	Workers int // goroutines that run jobs or wait for one; strays not counted
	Idle    int // workers that wait for a job
	Running int // handlers that run now; strays not counted
	Queued  int // accepted and not started
	Blocked int // submitters that wait for room
	Strays  int // handlers written off (WithGrace) that have not returned yet

	MaxRunning int // most jobs that run at once (WithWorkers, Resize), or Unlimited
	MaxQueued  int // most single jobs that wait beyond those (WithQueue), or Unlimited

	// Counters; they never fall.
	Submitted uint64 // accepted
	Succeeded uint64 // returned a nil error
	Failed    uint64 // returned an error, or called runtime.Goexit
	Panicked  uint64
	Canceled  uint64 // by the caller's context, Cancel, a batch that stopped, or Stop
	TimedOut  uint64 // by the caller's deadline, ProcessTimed or WithJobTimeout
	Dropped   uint64 // by the policy DropOldest
	Rejected  uint64 // refused with ErrQueueFull; these are not in Submitted
	GaveUp    uint64 // submitters whose context or timeout ended their wait for room; not in Submitted either

	// What follows is zero without WithTelemetry.
	Telemetry  bool          // the pool has it
	OldestWait time.Duration // of the job that has waited longest; 0: none waits
	LongestRun time.Duration // of the jobs that workers run now, Ready and newWorker included, strays too; 0: none runs
	Wait       Histogram     // from the call that submitted a job until a worker started on it, or the job ended
	Run        Histogram     // from there until its handler returned, of jobs that a worker started on
}

// Stats returns a snapshot of the pool. It waits for no job, whatever the
// pool is doing. Any number of goroutines may call it at once.
func (p *Pool[In, Out]) Stats() Stats {
	p.mustBeMade()
	now := p.sched.Snapshot()
	s := Stats{
		Name:    p.cfg.name,
		State:   State(now.State),
		Paused:  now.Paused,
		Workers: now.Workers,
		Idle:    now.Idle,
		Running: now.Running,
		Queued:  now.Queued,
		Blocked: now.Blocked,
		Strays:  now.Strays,

		MaxRunning: limitOf(now.MaxRunning),
		MaxQueued:  limitOf(now.MaxQueued),

		Submitted: now.Submitted,
		Succeeded: now.Ended[sched.Succeeded],
		Failed:    now.Ended[sched.Failed],
		Panicked:  now.Ended[sched.Panicked],
		Canceled:  now.Ended[sched.Canceled],
		TimedOut:  now.Ended[sched.TimedOut],
		Dropped:   now.Ended[sched.Dropped],
		Rejected:  now.Rejected,
		GaveUp:    now.GaveUp,
	}
	if p.tel != nil {
		p.tel.stats(&s, now.Oldest)
	}
	return s
}

// limitOf is a limit as it was given.
func limitOf(n int) int {
	if n >= sched.Unlimited {
		return Unlimited
	}
	return n
}

// Running returns the jobs that run now, strays included, the longest run first. It is
// nil without telemetry. A job whose outcome was decided while its handler runs on has
// that [Outcome]; the others are Pending. It waits for no job.
func (p *Pool[In, Out]) Running() []Job {
	p.mustBeMade()
	tel := p.tel
	if tel == nil {
		return nil
	}
	var jobs []Job
	for d, w := range tel.workers() {
		stray := w.IsStray() // before the look at the desk: a stray gets no other job
		if j, busy := tel.running(d, stray); busy {
			jobs = append(jobs, j)
		}
	}
	slices.SortFunc(jobs, func(a, b Job) int { return cmp.Compare(b.Run, a.Run) })
	return jobs
}

// Failures returns the jobs of a pool with telemetry that have failed, the last first:
// at most 8 of each [Outcome], so that many of one do not displace another. It is nil
// without telemetry.
func (p *Pool[In, Out]) Failures() []Job {
	p.mustBeMade()
	tel := p.tel
	if tel == nil {
		return nil
	}
	tel.mu.Lock()
	var jobs []Job
	for _, of := range tel.failures {
		jobs = append(jobs, of...)
	}
	tel.mu.Unlock()
	slices.SortStableFunc(jobs, func(a, b Job) int { return b.ended().Compare(a.ended()) })
	return jobs
}

// ended is when the job ended.
func (j Job) ended() time.Time { return j.Submitted.Add(j.Wait + j.Run) }

// stats adds the times to a snapshot of the pool.
func (t *telemetry[In]) stats(s *Stats, oldest time.Duration) {
	var wait, run tally
	now := t.sched.Since()
	t.mu.Lock()
	wait, run = t.wait, t.run
	for d := range t.desks {
		d.mu.Lock()
		wait.merge(&d.wait)
		run.merge(&d.run)
		if d.busy {
			s.LongestRun = max(s.LongestRun, now-d.at.begun)
		}
		d.mu.Unlock()
	}
	t.mu.Unlock()
	s.Telemetry = true
	s.Wait, s.Run = wait.histogram(), run.histogram()
	if oldest > 0 {
		s.OldestWait = now - oldest
	}
}
