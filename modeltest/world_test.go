package modeltest

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sort"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/dispatch"
)

// world is one run of one program: the pool, and everything the model knows of it. Time
// moves in phases. In each phase the program makes one call or the clock advances by one
// tick, and then the program waits until the bubble is at rest. Events within one phase
// count as simultaneous, events in different phases as ordered.
type world struct {
	setup
	pool   *dispatch.Pool[int, int]
	second *dispatch.Pool[int, int] // a pool whose jobs call the first one
	epoch  time.Time

	mu       sync.Mutex
	err      error // the first violation
	phase    int
	clock    []time.Duration // by phase: the time in it
	calm     bool            // no event has happened in this phase yet
	jobs     []*job
	groups   []*group
	contexts []*watched
	calls    map[*call]bool // calls that have not returned
	order    int            // of starts
	panicked int            // calls of the function of WithPanicHandler
	expected int            // expected number of these
	fleet    fleet
	limit    int // of workers, as set by the last Resize
	before   int // the limit when the phase began
	resized  bool
	resizes  int // in this phase

	closed    int        // the phase of the first Close, Shutdown or Stop
	stopped   int        // the phase of the first Stop, or of the end of a Shutdown's budget or of the pool's context
	ended     int        // the phase in which Done was closed
	budgets   []*watched // of Shutdowns
	waited    int        // the phase in which Wait returned that nothing was queued or running
	givenBack []int      // by Stop
	last      dispatch.Stats

	life  *watched // the context of WithContext; nil: there is none
	ends  stopper  // what stopped the pool
	pause pause
	feeds int // sources of streams that have not sent all inputs yet
	heard heard
}

func ticks(n int) time.Duration { return time.Duration(n) * tick }

// run executes p in a bubble of its own. It returns an error if the pool broke a promise.
// That the bubble ends is one of the promises.
func run(t *testing.T, p program) (err error) {
	w := &world{setup: p.setup, calls: map[*call]bool{}, clock: []time.Duration{0}}
	defer func() {
		if r := recover(); r != nil {
			err = errors.Join(w.err, fmt.Errorf("something is left behind: %v\n%s", r, w.list()))
		}
		if err != nil {
			err = fmt.Errorf("%w\nin the program\n%v", err, p)
		}
	}()
	synctest.Test(t, func(*testing.T) {
		defer func() {
			if r := recover(); r != nil {
				w.fail("the model panicked: %v\n%s", r, debug.Stack())
			}
		}()
		w.epoch = time.Now()
		w.do(w.open)
		for _, s := range p.steps {
			if s.op == opAdvance {
				w.advance(1 + int(s.a)%6)
			} else {
				w.do(func() { w.step(s) })
			}
		}
		w.finish()
	})
	return w.err
}

// failf records a violation; only the first one counts. The caller holds mu.
func (w *world) failf(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf("phase %d: "+format, append([]any{w.phase}, args...)...)
	}
}

func (w *world) fail(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failf(format, args...)
}

func (w *world) broken() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err != nil
}

// current returns the current phase.
func (w *world) current() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.phase
}

// now is the virtual time since the run began.
func (w *world) now() time.Duration { return time.Since(w.epoch) }

// phaseOf returns the first phase at time t or later; never if there was none yet.
func (w *world) phaseOf(t time.Duration) int {
	i := sort.Search(len(w.clock), func(i int) bool { return w.clock[i] >= t })
	if i == len(w.clock) {
		return never
	}
	return max(i, 1)
}

// do runs f as one phase.
func (w *world) do(f func()) {
	if w.broken() {
		return // observations after a violation mean nothing
	}
	w.begin(0)
	f()
	w.end()
}

// advance makes n phases, each a tick of the clock.
func (w *world) advance(n int) {
	for range n {
		if w.broken() {
			return
		}
		w.begin(tick)
		time.Sleep(tick)
		w.end()
	}
}

func (w *world) begin(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.phase++
	w.clock = append(w.clock, w.now()+d)
	w.before, w.calm, w.resizes = w.limit, false, 0
}

func (w *world) end() {
	synctest.Wait()
	w.poll()
	w.check()
}

// call is a call of the pool by the program, which may block.
type call struct {
	name  string
	asked int
	job   *job        // the job it submits, if it is one job
	ready func() bool // reports, with mu held, whether the call should have returned
}

// start makes a call on a goroutine of its own.
func (w *world) start(c *call, f func()) {
	w.mu.Lock()
	c.asked = w.phase
	w.calls[c] = true
	w.mu.Unlock()
	go func() {
		defer func() { // also if an inline job ends the goroutine
			w.mu.Lock()
			delete(w.calls, c)
			w.mu.Unlock()
		}()
		f()
	}()
}

// open makes the pools.
func (w *world) open() {
	w.heard.init()
	w.limit = w.setup.workers
	if w.limit == 0 {
		w.limit = dispatch.Unlimited
	}
	opts := []dispatch.Option{
		dispatch.WithName("model"),
		dispatch.WithWorkers(w.limit),
		dispatch.WithMinWorkers(w.minWorkers),
		dispatch.WithQueue(w.queue),
		dispatch.WithOverflow(w.overflow),
		dispatch.WithIdleTimeout(ticks(w.idle)),
		dispatch.WithJobTimeout(ticks(w.jobTimeout)),
		dispatch.WithPanicHandler(func(*dispatch.PanicError) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.panicked++
		}),
	}
	if w.strays > 0 {
		opts = append(opts, dispatch.WithGrace(ticks(w.grace), w.strays))
	}
	if w.inline {
		opts = append(opts, dispatch.WithInline())
	}
	if w.maxBlocked != dispatch.Unlimited {
		opts = append(opts, dispatch.WithMaxBlocked(w.maxBlocked))
	}
	if w.setup.life != forever {
		opts = append(opts, dispatch.WithContext(w.newLife().plain()))
	}
	opts = append(opts, w.telemetry()...)
	if w.stateful {
		w.pool = dispatch.Must(dispatch.NewWorkers(w.newWorker, opts...))
	} else {
		w.pool = dispatch.Must(dispatch.New(w.handle, opts...))
	}
	through := func(ctx context.Context, id int) (int, error) {
		w.mu.Lock()
		j := w.jobs[id]
		w.mu.Unlock()
		defer w.onThisGoroutine(j)()
		return w.pool.Process(ctx, id)
	}
	w.second = dispatch.Must(dispatch.New(through, dispatch.WithWorkers(1)))
}

// list describes all open calls and all jobs, for the message of a violation.
// The caller holds mu.
func (w *world) list() string {
	var b strings.Builder
	for c := range w.calls {
		fmt.Fprintf(&b, "call of %s in phase %d has not returned\n", c.name, c.asked)
	}
	for _, j := range w.jobs {
		fmt.Fprintf(&b, "%v\n", j)
	}
	return b.String()
}
