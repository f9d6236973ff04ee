// Package sched decides which job runs when, and on which worker. It knows neither the
// types of jobs nor how they are handled, and starts no goroutine that runs a job: the
// pool above it owns the workers and the dispatcher.
//
// One mutex guards its state, so that whatever could race with something else (accept,
// claim, complete, lend, resize, stop) is one critical section. Within a critical
// section an operation only changes facts. What follows from the facts is worked out in
// one place, at the end of the critical section (see unlock). Actions that must happen
// outside (wake a worker, tell a waiter, end a context) are listed as effects, and
// performed once the mutex is free. So no operation can forget to wake somebody, no
// user code runs with the mutex held, and the locked half is a state machine that tests
// can drive without goroutines.
package sched

import (
	"context"
	"errors"
	"math"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// ErrClosed is the error of a job that is refused because the pool takes no more.
var ErrClosed = errors.New("dispatch: pool is closed")

// Config holds the parameters of a scheduler.
type Config struct {
	Limit       int // most jobs that run at once
	MinWorkers  int
	Queue       int // most jobs that wait
	MaxBlocked  int // most submitters that wait for room
	IdleTimeout time.Duration
	JobTimeout  time.Duration // 0: none
	Grace       time.Duration // with MaxStrays
	MaxStrays   int           // 0: handlers are never abandoned
	Timed       bool          // tasks keep when they were submitted

	Errors   Errors
	Owner    any // the pool
	Guard    Guard
	Timeout  func(limit time.Duration, ran bool) error // the error of a timeout
	Dispatch func()                                    // the loop of the dispatcher's goroutine
	OnStop   func(reason error)                        // called when Stop has ended all jobs and groups that it found
}

// Errors holds the errors of jobs that are refused or dropped. A pool with a name puts
// the name into them.
type Errors struct{ Closed, QueueFull, Dropped error }

// Unlimited stands for no limit: more than there can ever be, and safe to add up even
// where an int has 32 bits.
const Unlimited = 1 << 29

// Scheduler brings jobs, slots and workers together. The fields that are written for
// every job stand together, because a worker on another core has to fetch them each
// time.
type Scheduler struct {
	cfg     Config
	epoch   time.Time // the clock's start: just before the first moment, because 0 is no time
	watches watches
	// waiters holds the channels of single waits for reuse. It belongs to the pool, so
	// that a pool made in a synctest bubble uses channels of that bubble.
	waiters   sync.Pool
	strayRoom *semaphore.Weighted // a unit for each stray that is allowed; nil without grace

	// preempt asks workers that go through a group without the mutex to come back to
	// it. They read it after each item. It is written with the mutex held.
	preempt atomic.Bool

	mu    sync.Mutex // guards the fields below
	after effects    // what unlock performs

	state  State // Running -> Draining -> Stopping -> Ended; never back
	paused bool
	limit  int // slots: most jobs that run at once
	room   int // jobs that may wait for a slot

	inUse   int // slots taken, by granted work and by what runs within the limit
	over    int // runs on top of the limit: on a lent slot, or by CallerRuns
	queued  int // single jobs that wait for a slot
	granted int // single jobs that have a slot, or need none, and have no worker yet
	running int // single jobs that a worker has
	callers int // of inUse: slots of callers that run their own job
	itemsIn int // runs of groups: workers that have an item
	coming  int // slots of groups whose worker has not come yet

	submitted, rejected, gaveUp uint64
	ended                       [Kinds]uint64

	queue     queue
	immediate ring // work on top of the limit that waits for a worker
	ready     ring // groups that have slots for which no worker has come; jobs that have one: queue.granted
	groupNext bool // the next worker goes to a group in ready, not to a job
	intake    intake
	blocked   list[blockedSubmitter] // submitters that wait for room, in order
	nblocked  int
	lending   list[waitFor] // everything that jobs of this pool wait for

	groups    list[Group] // groups with items that want a slot; they take turns
	turn      bool        // it is the turn of a group, not of the queue
	busy      list[Group] // groups that workers are on
	open      list[Group] // groups that must learn of the pool's end
	openItems int         // items of all groups whose outcome has not been counted

	closingGroups list[Group] // groups that know of the pool's end

	// Idle workers. The channel has room for all of them, so nobody blocks on it.
	workers   chan *Worker
	lastIdle  *Worker         // the worker that went idle last; it is taken before those in the channel
	idleSince []time.Duration // since when this many workers have not been needed, longest first; new work removes the last
	workforce int             // workers, strays not counted
	leaving   int             // of these, how many have been told to leave
	called    int             // of these, how many have been called and have not come yet
	returning int             // of these, how many are about to find that their job has been settled
	strays    int             // handlers that were abandoned and have not returned

	dispatching bool          // the dispatcher's goroutine is alive
	asleep      bool          // the dispatcher waits for wake
	timed       bool          // and its timer is set for a worker that has been idle too long
	wake        chan struct{} // gets one token whenever asleep turns false; nil until the first sleep
	timer       *time.Timer   // the dispatcher's; nil until it needs one

	background int           // calls that the end of the pool waits for besides workers: hooks, ends of watches
	unmade     int           // workers of making that the dispatcher must still start
	making     *Making       // workers that are being made before there is a job
	quiescent  chan struct{} // closed when nothing is queued or running; nil while nobody waits for that
	stopped    Outcome       // the outcome that Halt gives, once the pool is Stopping
	unstarted  Unstarted     // the work that Stop kept from running
}

// State is a state in the life of a pool.
type State int

const (
	Running  State = iota // takes jobs
	Draining              // takes no more, runs all accepted jobs
	Stopping              // takes no more, starts no more, waits for running jobs
	Ended                 // nothing is left
)

// New returns a scheduler. It starts nothing.
func New(cfg Config) *Scheduler {
	if cfg.Errors == (Errors{}) {
		cfg.Errors = Errors{Closed: ErrClosed, QueueFull: ErrQueueFull, Dropped: ErrDropped}
	}
	s := &Scheduler{cfg: cfg, epoch: time.Now().Add(-1), limit: cfg.Limit, room: cfg.Queue}
	s.watches.guard, s.watches.owner = cfg.Guard, s
	if cfg.MaxStrays > 0 {
		s.strayRoom = semaphore.NewWeighted(int64(cfg.MaxStrays))
	}
	return s
}

// Abandons reports whether handlers that do not end within their grace are abandoned.
func (s *Scheduler) Abandons() bool { return s.cfg.MaxStrays > 0 }

// LimitsRuns reports whether every job has a time limit for its run.
func (s *Scheduler) LimitsRuns() bool { return s.cfg.JobTimeout > 0 }

func (s *Scheduler) lock() { s.mu.Lock() }

// unlock works out what follows from the changes of the critical section, releases the
// mutex, and performs the effects.
func (s *Scheduler) unlock() {
	s.fill()
	s.updateIntake()
	s.pair()
	s.updatePreempt()
	s.checkDispatcher()
	s.checkQuiescent() // last: the others remove withdrawn jobs
	if s.after.onlyWakes() {
		wake := s.after.wake
		if wake != nil {
			s.after.wake = nil
		}
		s.mu.Unlock()
		if wake != nil {
			wake <- struct{}{}
		}
		return
	}
	after := s.after
	s.after.clear()
	s.mu.Unlock()
	if after.wake != nil {
		after.wake <- struct{}{}
		for _, wake := range after.wakes {
			wake <- struct{}{}
		}
	}
	if after.dispatch {
		Go(s.cfg.Dispatch)
	}
	if after.first != nil {
		after.first.Perform()
		for _, next := range after.more {
			next.Perform()
		}
	}
}

// effects are the actions that a critical section has decided on, and leaves to be done
// without the mutex. First the pool's own goroutines and blocked submitters are woken,
// so that they do not wait for user code, which hooks and the ends of contexts may be.
// Then the rest follows, in order.
type effects struct {
	wake     chan struct{} // gets a token: it has one receiver, and room for the token
	wakes    []chan struct{}
	dispatch bool // the dispatcher's goroutine must be started
	first    Effect
	more     []Effect
}

// onlyWakes reports whether there is nothing to do but to wake one goroutine at most.
func (e *effects) onlyWakes() bool { return e.first == nil && !e.dispatch && e.wakes == nil }

// clear removes all effects. It writes no pointer that is nil already.
func (e *effects) clear() {
	if e.wake != nil {
		e.wake = nil
	}
	if e.wakes != nil {
		e.wakes = nil
	}
	if e.first != nil {
		e.first = nil
	}
	if e.more != nil {
		e.more = nil
	}
	e.dispatch = false
}

// wakeUp adds a token for c.
func (e *effects) wakeUp(c chan struct{}) {
	if e.wake == nil {
		e.wake = c
	} else {
		e.wakes = append(e.wakes, c)
	}
}

// Effect is an action that a critical section has decided on, and that is performed
// without the mutex.
type Effect interface{ Perform() }

func (e *effects) add(next Effect) {
	if e.first == nil {
		e.first = next
	} else {
		e.more = append(e.more, next)
	}
}

// token wakes the only goroutine that waits on a channel. The channel has room for the
// token.
type token chan struct{}

func (c token) Perform() { c <- struct{}{} }

// closing closes a channel.
type closing chan struct{}

func (c closing) Perform() { close(c) }

// Go calls f on a goroutine of the pool. It does not have the profiler labels of the
// goroutine that starts it.
func Go(f func()) {
	go func() {
		pprof.SetGoroutineLabels(context.Background())
		f()
	}()
}

// Preempt reports whether a worker that goes through a group must check what else
// waits.
func (s *Scheduler) Preempt() bool { return s.preempt.Load() }

// Since returns the time on the scheduler's clock.
func (s *Scheduler) Since() time.Duration { return time.Since(s.epoch) }

// Owner returns the pool.
func (s *Scheduler) Owner() any { return s.cfg.Owner }

// Time returns the wall-clock time of d, a time on the scheduler's clock.
func (s *Scheduler) Time(d time.Duration) time.Time { return s.epoch.Add(d) }

// saturate returns t + d, or the largest duration if the sum overflows.
func saturate(t, d time.Duration) time.Duration {
	if t > math.MaxInt64-d {
		return math.MaxInt64
	}
	return t + d
}

// Complete ends t from outside its handler, unless it has ended before.
func (s *Scheduler) Complete(t *Task, o *Outcome) bool {
	s.lock()
	defer s.unlock()
	return s.complete(t, o)
}

// EndBackground notes that a goroutine of the pool has done its background call.
func (s *Scheduler) EndBackground() {
	s.lock()
	s.background--
	s.unlock()
}

// unfinished reports whether something is queued or running.
func (s *Scheduler) unfinished() bool {
	if s.queued+s.granted+s.running+s.itemsIn+s.coming > 0 || !s.immediate.empty() {
		return true
	}
	s.dropExhausted()
	return !s.groups.empty()
}

// checkQuiescent wakes the callers of Wait once nothing is queued or running.
func (s *Scheduler) checkQuiescent() {
	if s.quiescent != nil && !s.unfinished() {
		s.after.add(closing(s.quiescent))
		s.quiescent = nil
	}
}

// Waiter is a channel on which one goroutine waits for one thing at a time.
type Waiter struct {
	Ch chan struct{} // gets one token when that has come
}

// GetWaiter returns a waiter that is not in use.
func (s *Scheduler) GetWaiter() *Waiter {
	if w, ok := s.waiters.Get().(*Waiter); ok {
		return w
	}
	return &Waiter{Ch: make(chan struct{}, 1)}
}

// PutWaiter takes back a waiter whose channel is empty, and to which nobody sends any
// more.
func (s *Scheduler) PutWaiter(w *Waiter) { s.waiters.Put(w) }

// piece is the most jobs or groups that one critical section deals with, however many
// must be dealt with: so nobody else waits long for the mutex.
const piece = 128

// Unstarted is the work that Stop kept from running: single jobs in the order in which
// they were accepted, groups that were halted, and runs whose item was on its way to
// its handler.
type Unstarted struct {
	Tasks  []*Task
	Groups []*Group
	Runs   []*Run
}
