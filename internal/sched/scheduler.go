// Package sched decides which job runs when, and on which worker. It knows
// neither the types of jobs nor how they are handled, and starts no goroutine
// that runs them: the pool above it owns the workers and the dispatcher.
//
// One mutex guards what it knows, so that whatever could race with something else
// (accept, claim, complete, lend, resize, stop) is one critical section. Within
// one, an operation changes facts only. What follows from the facts is worked out
// in one place, at the end of each critical section (see unlock); what is then to
// be done outside (wake a worker, tell a waiter, end a context) is listed as an
// effect, and performed once the mutex is free. So no operation can forget to
// wake somebody, no user code runs with the mutex held, and the locked half is a
// state machine that tests can drive without goroutines.
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

// ErrClosed is returned for a job that was refused because the pool takes no more.
var ErrClosed = errors.New("dispatch: pool is closed")

// Config is how a pool is made.
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
	OnStop   func(reason error)                        // called when Stop has ended all that it has met
}

// Errors are what jobs are refused with, and what one that is dropped ends with; a
// pool with a name puts it into them.
type Errors struct{ Closed, QueueFull, Dropped error }

// Unlimited stands for no limit: more than there can ever be, and safe to add up,
// also where an int has 32 bits.
const Unlimited = 1 << 29

// Scheduler decides who meets whom. What is written for every job stands
// together: a worker on another core has to fetch it each time.
type Scheduler struct {
	cfg     Config
	epoch   time.Time // times are counted from here: just before the first moment, because 0 is no time
	watches watches
	// waiters gives single waits their channel. It belongs to the
	// pool, so that a pool made in a synctest bubble uses that bubble's.
	waiters   sync.Pool
	strayRoom *semaphore.Weighted // a unit for each stray that is allowed; nil without grace

	// preempt asks workers that go through a group without the mutex to come back
	// after each item. Written with the mutex held.
	preempt atomic.Bool

	mu    sync.Mutex // guards what follows
	after effects    // what unlock performs

	state  State // Running -> Draining -> Stopping -> Ended; never back
	paused bool
	limit  int // slots: most jobs that run at once
	room   int // jobs that may wait beyond those

	inUse   int // slots taken, by what has been granted one and what runs within the limit
	over    int // runs on top of the limit: on a lent slot, or by CallerRuns
	queued  int // single jobs that wait for a slot
	granted int // single jobs that have a slot, or need none, and have no worker yet
	running int // single jobs that a worker has
	callers int // of inUse: callers that run their job themselves
	itemsIn int // runs of groups: workers that have an item
	coming  int // slots of groups whose worker has not come yet

	submitted, rejected, gaveUp uint64
	ended                       [Kinds]uint64

	queue     queue
	immediate ring // what runs on top of the limit, and waits for a worker
	ready     ring // what has a slot, and waits for a worker
	intake    intake
	blocked   list[blockedSubmitter] // submitters that wait for room, in order
	nblocked  int
	lending   list[waitFor] // all that jobs of this pool wait for

	groups    list[Group] // that want a slot for something they have; they take turns
	turn      bool        // it is a group's turn, and not the queue's
	busy      list[Group] // that workers are at
	open      list[Group] // that are to know of the pool's end ...
	openItems int         // of all groups, how many items have no outcome that has been counted

	closingGroups list[Group] // ... and know of it

	// Idle workers. The channel has room for all of them, so nobody blocks on it.
	workers   chan *Worker
	lastIdle  *Worker         // the worker that went idle last; it is taken before those in the channel
	idleSince []time.Duration // since when this many workers have not been needed, longest first; work takes from the end
	workforce int             // workers, strays not counted
	leaving   int             // of these, how many have been told to leave
	called    int             // of these, how many have been called to a group and are to call the next
	returning int             // of these, how many are about to find that their job has been settled
	strays    int             // handlers that were abandoned and have not returned

	dispatching bool          // the dispatcher's goroutine lives
	asleep      bool          // ... and waits for wake
	timed       bool          // ... or for a worker to have been idle too long
	wake        chan struct{} // one token for the dispatcher whenever asleep turns false; nil until it is for the first time
	timer       *time.Timer   // of the dispatcher's; nil until it needs one

	background int           // what the end of the pool waits for besides workers: hooks, ends of watches
	unmade     int           // of making, how many workers the dispatcher is to start
	making     *Making       // workers that are being made before there is a job
	quiescent  chan struct{} // closed when nothing is queued or running; nil while nobody waits for that
	stopped    Outcome       // what a pool was halted with, once it is Stopping
	unstarted  Unstarted     // what Stop kept from running
}

// State is where a pool is in its life.
type State int

const (
	Running  State = iota // takes jobs
	Draining              // takes no more, runs all that was accepted
	Stopping              // takes no more, starts no more, waits for what runs
	Ended                 // nothing is left
)

// New returns a scheduler that has started nothing.
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

// Abandons tells whether handlers are abandoned that do not end within their grace.
func (s *Scheduler) Abandons() bool { return s.cfg.MaxStrays > 0 }

// LimitsRuns tells whether every job has a time limit for its run.
func (s *Scheduler) LimitsRuns() bool { return s.cfg.JobTimeout > 0 }

func (s *Scheduler) lock() { s.mu.Lock() }

// unlock works out what follows from what the critical section has changed,
// releases the mutex, and performs the effects.
func (s *Scheduler) unlock() {
	s.fill()
	s.updateIntake()
	s.pair()
	s.updatePreempt()
	s.checkDispatcher()
	s.checkQuiescent() // last: the others take out what has been withdrawn
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

// effects are what a critical section has decided and leaves to be done without
// the mutex: first the pool's own goroutines and blocked submitters are woken, so that
// they do not wait for user code, which hooks and the ends of contexts may be; then
// the rest, in order.
type effects struct {
	wake     chan struct{} // gets a token: whoever waits on it is the only one, and it has room
	wakes    []chan struct{}
	dispatch bool // the dispatcher's goroutine starts
	first    Effect
	more     []Effect
}

// onlyWakes tells whether nothing is to be done but to wake one, or not even that.
func (e *effects) onlyWakes() bool { return e.first == nil && !e.dispatch && e.wakes == nil }

// clear keeps nothing. It writes no pointer that is nil already.
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

// wakeUp has a token sent.
func (e *effects) wakeUp(c chan struct{}) {
	if e.wake == nil {
		e.wake = c
	} else {
		e.wakes = append(e.wakes, c)
	}
}

// Effect is something that a critical section has decided and that is performed
// without the mutex.
type Effect interface{ Perform() }

func (e *effects) add(next Effect) {
	if e.first == nil {
		e.first = next
	} else {
		e.more = append(e.more, next)
	}
}

// token wakes the one who waits on a channel with room for one token, which is
// the only one.
type token chan struct{}

func (c token) Perform() { c <- struct{}{} }

// closing closes a channel.
type closing chan struct{}

func (c closing) Perform() { close(c) }

// Go calls f on a goroutine of the pool's, which does not have the profiler labels
// of whoever has started it.
func Go(f func()) {
	go func() {
		pprof.SetGoroutineLabels(context.Background())
		f()
	}()
}

// Preempt tells whether a worker that goes through a group is to look what else
// waits.
func (s *Scheduler) Preempt() bool { return s.preempt.Load() }

// Since is the time on the scheduler's clock.
func (s *Scheduler) Since() time.Duration { return time.Since(s.epoch) }

// Owner returns the pool.
func (s *Scheduler) Owner() any { return s.cfg.Owner }

// Time is a time on the scheduler's clock.
func (s *Scheduler) Time(d time.Duration) time.Time { return s.epoch.Add(d) }

// saturate returns t + d, or the end of time where that overflows.
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

// EndBackground notes that a goroutine of the pool's has done what it was out for.
func (s *Scheduler) EndBackground() {
	s.lock()
	s.background--
	s.unlock()
}

// unfinished tells whether something is queued or running.
func (s *Scheduler) unfinished() bool {
	if s.queued+s.granted+s.running+s.itemsIn+s.coming > 0 || !s.immediate.empty() {
		return true
	}
	s.dropExhausted()
	return !s.groups.empty()
}

// checkQuiescent wakes those in Wait once nothing is queued or running.
func (s *Scheduler) checkQuiescent() {
	if s.quiescent != nil && !s.unfinished() {
		s.after.add(closing(s.quiescent))
		s.quiescent = nil
	}
}

// Waiter is what one goroutine waits on for one thing at a time.
type Waiter struct {
	Ch chan struct{} // one token: what was waited for has come
}

// GetWaiter returns a waiter that is not in use.
func (s *Scheduler) GetWaiter() *Waiter {
	if w, ok := s.waiters.Get().(*Waiter); ok {
		return w
	}
	return &Waiter{Ch: make(chan struct{}, 1)}
}

// PutWaiter takes back a waiter whose channel is empty for good.
func (s *Scheduler) PutWaiter(w *Waiter) { s.waiters.Put(w) }

// piece is how many jobs or groups one critical section deals with where all of
// them are dealt with: nobody else waits long for the mutex.
const piece = 128

// Unstarted is what Stop kept from running: single jobs in the order in which they
// were accepted, groups that were halted, and runs whose item was on its way to its
// handler.
type Unstarted struct {
	Tasks  []*Task
	Groups []*Group
	Runs   []*Run
}
