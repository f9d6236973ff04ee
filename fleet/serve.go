package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"example.com/dispatch"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The intervals and limits of a worker.
const (
	pollsEvery    = 500 * time.Millisecond // between looks at the pool's limit and state
	readsEvery    = 30 * time.Second       // between readings of the kind's settings
	refusedPause  = time.Second            // before the next request to a server that has refused one
	drainPatience = 5 * time.Second        // for a server that is away
)

// missingLimit is how often in a row the server must say that the kind does not exist
// before a worker believes it: a server of a cluster may not know the kind yet.
const missingLimit = 3

// Serve takes jobs of the kind from the server and submits them to the pool, until ctx
// ends. It asks the server for only as many jobs as the pool has free places, so that
// no job waits here while a worker elsewhere is free, and follows Resize. The pool may
// have other submitters, but only one Serve. The connection remains the caller's; its
// name is the name of the worker.
//
// When ctx ends, Serve starts nothing new, returns jobs on their way to it to the
// server at once, lets the running handlers end, and delivers their results. Then it
// returns nil: when the last handler has ended, or about 5 s later if the server is
// away. The pool stays open.
//
// When the pool accepts no more jobs, the jobs that it had not started, and those that
// Stop has interrupted, go to other workers at once, and Serve returns
// [dispatch.ErrClosed]. When the connection is closed, Serve cancels the running jobs
// and returns [nats.ErrConnectionClosed]. It returns an error at once if the kind is
// not provisioned. While the server is away it waits.
//
// The handler's context carries the values of ctx and [Info]. It ends with the job, at
// the caller's deadline or cancel, not with ctx.
func Serve[In, Out any](ctx context.Context, nc *nats.Conn, k Kind[In, Out], p *dispatch.Pool[In, Out]) error {
	if err := k.check(); err != nil {
		return err
	}
	if p == nil {
		return fmt.Errorf("fleet: kind %s: the pool is nil", k.Name)
	}
	js, err := newJetStream(nc)
	if err != nil {
		return err
	}
	s := &server{
		nc: nc, js: js, names: k.subjects(), name: workerName(nc), known: k.Errors, hooks: k.Hooks,
		run: runner(k.codec(), p), stats: p.Stats,
		base:   context.WithoutCancel(ctx),
		held:   make(map[uint64]*delivery),
		absent: make(map[string]time.Time), canceled: make(map[string]time.Time),
		next: make(chan *delivery),
		gone: make(chan struct{}), ended: make(chan struct{}), quiet: make(chan struct{}),
	}
	s.hush = sync.OnceFunc(func() { close(s.quiet) })
	return s.serve(ctx)
}

// workerName returns the name by which results and dead letters identify the worker:
// that of the connection, or else host:pid.
func workerName(nc *nats.Conn) string {
	if name := headerText(nc.Opts.Name, 128); name != "" {
		return name
	}
	host, _ := os.Hostname()
	return headerText(host+":"+strconv.Itoa(os.Getpid()), 128)
}

// server is the untyped part of Serve. These goroutines work for it: the one of serve
// does the periodic work; nats.go's goroutines call take with each message for the
// line's subscriptions; an attendant handles each held job, and some attendants are
// idle; from time to time one more goroutine makes a new line or reads the settings.
//
// Places: len(held) + hung + line.asked <= limit, unless limit has just been
// lowered. A job is held from the moment it arrives, so a job that was asked for always
// finds a place.
type server struct {
	nc    *nats.Conn
	js    jetstream.JetStream
	names subjects
	name  string
	known []error
	hooks Hooks
	run   func(ctx context.Context, contentType string, data []byte) (result, error)
	stats func() dispatch.Stats
	base  context.Context // the parent of all jobs' contexts

	work  sync.WaitGroup // all goroutines except serve's
	next  chan *delivery // hands a job to an idle attendant
	quiet chan struct{}  // closed by hush: idle attendants end
	hush  func()         // called when serving ends; may be called more than once
	gone  chan struct{}  // closed by drop: held jobs cannot be answered any more
	ended chan struct{}  // closed by poolEnded

	mu      sync.Mutex
	limit   int                  // number of places, from the pool's Stats
	hung    int                  // places of handlers that still run after their job has ended
	held    map[uint64]*delivery // by sequence in the stream
	line    *line                // nil while one line is retired and the next is not made
	pause   time.Time            // no job is asked for before this time
	doubt   bool                 // the server has refused a request or was away: the settings must be read
	left    uint64               // the first job of the stream, if it was acknowledged when the settings were last read
	missing int                  // how often in a row the server did not know the kind
	back    time.Time            // when the connection was last made again; zero: never
	state   lifeState
	drained time.Time // when draining began

	lease    time.Duration
	attempts int
	ahead    time.Duration        // how far the server's clock is ahead of ours
	absent   map[string]time.Time // clients that did not confirm a result, and when
	canceled map[string]time.Time // tokens of jobs that were canceled a moment ago, and when
}

// lifeState only increases.
type lifeState int

const (
	serving  lifeState = iota
	draining           // ctx or the pool has ended: no job is started
	dropped            // the connection is closed: no job is taken
)

// serve reads the settings, opens a line, and does the periodic work until serving
// ends.
func (s *server) serve(ctx context.Context) error {
	if _, err := s.readSettings(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	cancels, err := s.nc.Subscribe(s.names.cancel("*"), s.takeCancel)
	if err != nil {
		return fmt.Errorf("fleet: kind %s: %w", string(s.names), err)
	}
	defer func() { _ = cancels.Unsubscribe() }()
	status := s.nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer s.nc.RemoveStatusListener(status)

	s.mu.Lock()
	s.limit = s.stats().MaxRunning
	s.mu.Unlock()
	s.openLine()

	d := s.newDuties()
	defer d.ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return s.drain(d, nil)
		case <-s.ended:
			return s.drain(d, dispatch.ErrClosed)
		case st := <-status:
			if st == nats.CLOSED {
				return s.drop(nats.ErrConnectionClosed)
			}
			s.mu.Lock()
			s.back, s.doubt = time.Now(), true
			s.mu.Unlock()
			s.renew()
		case now := <-d.ticks.C:
			if err := d.do(now); err != nil {
				if errors.Is(err, nats.ErrConnectionClosed) {
					return s.drop(err)
				}
				return s.drain(d, err)
			}
		}
	}
}

// duties is the periodic work of serve.
type duties struct {
	*server
	lease                 time.Duration // at the last tick
	ticks                 *time.Ticker
	beat, polled, settled time.Time // when leases were last extended, the pool looked at, the settings read
}

func (s *server) newDuties() *duties {
	now := time.Now()
	lease := s.currentLease()
	return &duties{server: s, lease: lease, ticks: time.NewTicker(tickOf(lease)), beat: now, polled: now, settled: now}
}

func tickOf(lease time.Duration) time.Duration { return min(lease/3, 100*time.Millisecond) }

// do does the work that is due. An error ends serving.
func (d *duties) do(now time.Time) error {
	s := d.server
	if s.nc.IsClosed() {
		return nats.ErrConnectionClosed
	}
	s.mu.Lock()
	hung, missing, doubt := s.hung, s.missing, s.doubt
	s.mu.Unlock()

	d.heartbeat(now)
	if hung > 0 || now.Sub(d.polled) >= pollsEvery {
		d.polled = now
		if s.survey() != dispatch.Running {
			return dispatch.ErrClosed
		}
	}
	if missing >= missingLimit {
		return unprovisioned(s.names, jetstream.ErrConsumerNotFound)
	}
	if since := now.Sub(d.settled); since >= readsEvery || (doubt || missing > 0) && since >= refusedPause {
		d.settled = now
		s.mu.Lock()
		s.doubt = false
		s.mu.Unlock()
		s.work.Go(func() {
			try, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			if c, err := s.readSettings(try); err == nil {
				s.sweep(try, c)
			}
		})
	}
	s.lookAtLine(now)
	return nil
}

// heartbeat extends the leases of all held jobs, three times in each lease.
func (d *duties) heartbeat(now time.Time) {
	s := d.server
	if lease := s.currentLease(); lease != d.lease {
		d.lease = lease
		d.ticks.Reset(tickOf(lease))
	}
	if now.Sub(d.beat) < d.lease/3-time.Millisecond || !s.nc.IsConnected() {
		return
	}
	d.beat = now
	s.mu.Lock()
	replies := make([]string, 0, len(s.held))
	for _, d := range s.held {
		replies = append(replies, d.msg.Reply)
	}
	s.mu.Unlock()
	for _, reply := range replies {
		_ = s.nc.Publish(reply, []byte("+WPI"))
	}
}

// survey reads from the pool's Stats its limit and the number of handlers that still
// run after their job has ended, and adapts to both. It returns the pool's state.
//
// The counters show such a handler: each accepted job is either queued, or running, or
// counted under its outcome, but the job of such a handler is counted as both running
// and ended.
func (s *server) survey() dispatch.State {
	st := s.stats()
	ended := st.Succeeded + st.Failed + st.Panicked + st.Canceled + st.TimedOut + st.Dropped
	s.mu.Lock()
	for token, at := range s.canceled {
		if time.Since(at) > cancelKept {
			delete(s.canceled, token)
		}
	}
	s.limit, s.hung = st.MaxRunning, max(int(ended)+st.Queued+st.Running-int(st.Submitted), 0)
	surplus := s.line != nil && s.line.asked > 0 && s.free() < 0
	s.mu.Unlock()
	if surplus {
		s.renew() // a single request cannot be taken back
	} else {
		s.fill()
	}
	return st.State
}

// readSettings reads the lease, the attempts and the clock from the server. It returns
// the server's whole description of the consumer.
func (s *server) readSettings(ctx context.Context) (*jetstream.ConsumerInfo, error) {
	var began time.Time
	c, err := patiently(ctx, s.names, lookLimit, func(ctx context.Context) (jetstream.Consumer, error) {
		began = time.Now()
		return s.js.Consumer(ctx, s.names.jobs(), workers)
	})
	if err != nil {
		if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
			s.mu.Lock()
			s.missing++
			s.mu.Unlock()
		}
		return nil, err
	}
	info := c.CachedInfo()
	attempts, err := strconv.Atoi(info.Config.Metadata[metaAttempts])
	if err != nil || attempts < 1 || info.Config.AckWait <= 0 {
		return nil, unprovisioned(s.names, fmt.Errorf("its consumer has no %s", metaAttempts))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.missing = 0
	s.lease, s.attempts = info.Config.AckWait, attempts
	s.ahead = aheadOf(info.TimeStamp, began, time.Now())
	return info, nil
}

// aheadOf returns the least amount by which another clock is ahead of ours, negative if
// it is behind. The other clock read theirs at some time between our readings before
// and after. If the clocks may agree, the result is 0.
func aheadOf(theirs, before, after time.Time) time.Duration {
	switch {
	case theirs.IsZero():
		return 0
	case theirs.Before(before):
		return theirs.Sub(before)
	case theirs.After(after):
		return theirs.Sub(after)
	}
	return 0
}

// cancelKept is how long a cancel is remembered. The job may be on its way here, and
// arrive after its cancel.
const cancelKept = 5 * time.Second

// takeCancel is called by nats.go with each cancel of a job of the kind, whichever
// worker has the job.
func (s *server) takeCancel(m *nats.Msg) {
	token := m.Subject[len(s.names.cancel("")):]
	s.mu.Lock()
	s.canceled[token] = time.Now()
	var all []context.CancelCauseFunc
	for _, d := range s.held {
		if d.job.token == token {
			d.canceled = true
			if d.cancel != nil {
				all = append(all, d.cancel)
			}
		}
	}
	s.mu.Unlock()
	for _, cancel := range all {
		cancel(errCanceled)
	}
}

// poolEnded is called by the attendant of a job that the pool has refused or stopped.
// It starts draining at once: the job goes back to the server, which must not deliver
// it here again.
func (s *server) poolEnded() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == serving {
		s.state, s.drained = draining, time.Now()
		close(s.ended)
	}
}

// drain ends serving: jobs on their way here go back, running jobs end. It returns err
// when no job is held any more.
func (s *server) drain(d *duties, err error) error {
	s.hush()
	s.mu.Lock()
	if s.state == serving {
		s.state, s.drained = draining, time.Now()
	}
	l := s.line
	s.line = nil
	s.mu.Unlock()
	if l != nil {
		s.work.Go(func() { s.retire(l) })
	}
	idle := make(chan struct{})
	go func() {
		defer close(idle)
		s.work.Wait()
	}()
	for {
		select {
		case <-idle:
			if s.nc.IsConnected() {
				_ = s.nc.FlushTimeout(drainPatience) // the last acknowledgments
			}
			return err
		case now := <-d.ticks.C:
			if s.nc.IsClosed() {
				return s.drop(nats.ErrConnectionClosed)
			}
			d.heartbeat(now)
		}
	}
}

// drop ends serving when the connection is closed: held jobs cannot be answered any
// more, so it cancels them and waits for their handlers.
func (s *server) drop(err error) error {
	close(s.gone)
	s.hush()
	s.mu.Lock()
	s.state = dropped
	s.line = nil
	var all []context.CancelCauseFunc
	for _, d := range s.held {
		if d.cancel != nil {
			all = append(all, d.cancel)
		}
	}
	s.mu.Unlock()
	for _, cancel := range all {
		cancel(err)
	}
	s.work.Wait()
	return err
}
