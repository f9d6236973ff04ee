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

// How long a worker waits for things.
const (
	pollsEvery    = 500 * time.Millisecond // the pool's limit and state
	readsEvery    = 30 * time.Second       // the kind's settings
	refusedPause  = time.Second            // before it asks again a server that gives no jobs
	drainPatience = 5 * time.Second        // for a server that is away
)

// missingLimit is how often the server must say that there is no such kind before
// a worker believes it: servers of a cluster may not know yet.
const missingLimit = 3

// Serve has the pool run the kind's jobs, as an ordinary submitter does, until
// ctx ends. It asks the server for as many jobs as the pool has places, so that no
// job waits here while a worker elsewhere is free, and follows Resize. The pool
// may have other submitters, but one Serve only. The connection stays the
// caller's; its name is the worker's.
//
// When ctx ends Serve begins nothing new, gives back at once what was on its way,
// lets the handlers that run end, stores what they return, and returns nil: as
// soon as the last one has ended, or some 5 s later if the server is away. The
// pool stays open. When the pool takes no more, what it had not begun and what
// Stop has interrupted goes to other workers at once, and Serve returns
// [dispatch.ErrClosed]. When the connection is closed it cancels what runs and
// returns [nats.ErrConnectionClosed]. It returns an error at once if the kind is
// not provisioned; a server that is away is waited for.
//
// The handler's context carries the values of ctx and [Info], and it ends with the
// job: at its caller's deadline or cancel, not with ctx.
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

// workerName returns what results and dead letters say about who made them.
func workerName(nc *nats.Conn) string {
	if name := headerText(nc.Opts.Name, 128); name != "" {
		return name
	}
	host, _ := os.Hostname()
	return headerText(host+":"+strconv.Itoa(os.Getpid()), 128)
}

// server is the untyped part of Serve. Its goroutines are that of serve, which
// sees to all that is due at a time; the callbacks of the line's subscriptions,
// which take what comes; attendants, one for each job that is held and some that are
// idle; and now and then one that makes a new line or reads the settings.
//
// Places: len(held) + hung + line.asked <= limit, unless limit has just been
// lowered. A job is held from the moment it comes, so that what has been asked for
// always finds a place.
type server struct {
	nc    *nats.Conn
	js    jetstream.JetStream
	names subjects
	name  string
	known []error
	hooks Hooks
	run   func(ctx context.Context, contentType string, data []byte) (result, error)
	stats func() dispatch.Stats
	base  context.Context // of all jobs

	work  sync.WaitGroup // all goroutines but serve's
	next  chan *delivery // to an attendant that is idle
	quiet chan struct{}  // closed by hush: idle attendants end
	hush  func()         // when serving ends; any number of times
	gone  chan struct{}  // closed by drop: what is held cannot be answered any more
	ended chan struct{}  // closed by poolEnded

	mu      sync.Mutex
	limit   int                  // places, as the pool's Stats say
	hung    int                  // places of handlers that outlive their jobs
	held    map[uint64]*delivery // by their sequence in the stream
	line    *line                // nil while there is none to ask by
	pause   time.Time            // nothing is asked for before
	doubt   bool                 // the server has refused a request or was away: the settings are to be read
	left    uint64               // the first job of the stream, if it was acknowledged when the settings were last read
	missing int                  // times that the server did not know the kind, in a row
	back    time.Time            // when the connection was last made anew; zero: never
	state   lifeState
	drained time.Time // when draining began

	lease    time.Duration
	attempts int
	ahead    time.Duration        // of the server's clock, before ours
	absent   map[string]time.Time // clients that did not confirm, and when
	canceled map[string]time.Time // tokens of jobs that were canceled a moment ago, and when
}

// lifeState only ever grows.
type lifeState int

const (
	serving  lifeState = iota
	draining           // nothing new is begun: ctx or the pool has ended
	dropped            // nothing that comes is taken: the connection is closed
)

// serve reads the settings, and then looks after all that comes until it ends.
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

// duties are what serve does from time to time.
type duties struct {
	*server
	lease                 time.Duration // as it was at the last tick
	ticks                 *time.Ticker
	beat, polled, settled time.Time // when it was done last
}

func (s *server) newDuties() *duties {
	now := time.Now()
	lease := s.currentLease()
	return &duties{server: s, lease: lease, ticks: time.NewTicker(tickOf(lease)), beat: now, polled: now, settled: now}
}

func tickOf(lease time.Duration) time.Duration { return min(lease/3, 100*time.Millisecond) }

// do does what is due. An error is the end of serving.
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

// heartbeat extends the lease of all that is held, three times in each.
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

// survey asks the pool for its limit and for handlers that outlive their jobs,
// and adapts to both. It returns the pool's state.
//
// Such a handler is seen in the counters: each job that was accepted is queued,
// running or counted under its outcome; the job of such a handler is both.
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
		s.renew() // what has been asked for cannot be taken back one by one
	} else {
		s.fill()
	}
	return st.State
}

// readSettings reads what the server's settings are for workers, and its clock. It
// returns all that the server says of the consumer.
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

// aheadOf returns by how much another clock is ahead at least, that read theirs at
// some time between two readings of ours. Clocks that may agree do.
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

// cancelKept is for how long a cancel is remembered. The job may be on its way
// here, and come after it.
const cancelKept = 5 * time.Second

// takeCancel is called by nats.go with each cancel of a job of the kind, whoever
// has the job.
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

// poolEnded is called by a job that the pool has refused or stopped. What it held
// goes back at once, and would come here again.
func (s *server) poolEnded() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == serving {
		s.state, s.drained = draining, time.Now()
		close(s.ended)
	}
}

// drain ends serving: what is on its way goes back, what runs ends. It returns err
// when nothing is held any more.
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

// drop ends serving where nothing that is held can be answered any more.
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
