package fleet

import (
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// How a worker asks for jobs. The server tells once a second of each request that
// it still has it: one that is silent for longer is lost, or its server is.
const (
	mostAsked   = 256 // requests at a time
	askedSilent = 3 * time.Second
	retireLimit = 2 * time.Second
	askBody     = `{"batch":1,"expires":30000000000,"idle_heartbeat":1000000000}`
)

// line is a set of places by which a worker asks for jobs. The server cannot be
// told that a request is not wanted any more, and does not say which it has after
// a silence. So a line is left as a whole when there is doubt: its subscriptions
// end, what is on its way is taken, and only then a new one is made. At no time
// has the server more requests of a worker than there are free places.
//
// All fields are guarded by server.mu.
type line struct {
	places []*place
	idle   []*place // those that have not asked
	asked  int      // how many have, or are about to
}

// place asks for one job at a time. Each has a subscription of its own, because a
// job that comes does not say which request it answers.
type place struct {
	line  *line
	inbox string
	sub   *nats.Subscription // set before the place is in line.places
	asked bool
	sign  time.Time // when the server was last heard of it
}

// free returns how many more jobs may be asked for. The mutex is held.
func (s *server) free() int {
	n := s.limit - len(s.held) - s.hung
	if s.line != nil {
		n -= s.line.asked
	}
	return n
}

// fill asks for as many jobs as there are places.
func (s *server) fill() {
	for {
		p := s.reserve()
		if p == nil {
			return
		}
		if p.sub == nil && !s.connect(p) {
			return
		}
		_ = s.nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT."+s.names.jobs()+"."+workers, p.inbox, []byte(askBody))
	}
}

// reserve returns a place that is to ask for a job now, or nil.
func (s *server) reserve() *place {
	if !s.nc.IsConnected() {
		return nil
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.line
	if s.state != serving || l == nil || now.Before(s.pause) || s.free() <= 0 || l.asked >= mostAsked {
		return nil
	}
	var p *place
	if n := len(l.idle); n > 0 {
		p, l.idle = l.idle[n-1], l.idle[:n-1]
	} else {
		p = &place{line: l}
	}
	p.asked, p.sign = true, now
	l.asked++
	return p
}

// connect subscribes a new place. It returns false if the line has been left
// meanwhile, or the connection is closed.
func (s *server) connect(p *place) bool {
	p.inbox = s.nc.NewInbox()
	sub, err := s.nc.Subscribe(p.inbox, func(m *nats.Msg) { s.take(p, m) })
	if err == nil {
		_ = sub.SetPendingLimits(-1, -1) // there is one job at most
	}
	s.mu.Lock()
	ok := err == nil && s.line == p.line
	if ok {
		p.sub = sub
		p.line.places = append(p.line.places, p)
	} else {
		p.line.asked--
	}
	s.mu.Unlock()
	if !ok && err == nil {
		_ = sub.Unsubscribe()
	}
	return ok
}

// take is called by nats.go with what comes for a place: a job, or news of its
// request.
func (s *server) take(p *place, m *nats.Msg) {
	if !strings.HasPrefix(m.Reply, "$JS.ACK.") {
		s.takeStatus(p, m.Header.Get("Status"))
		return
	}
	d, err := newDelivery(m)
	s.mu.Lock()
	s.answered(p)
	// One that this worker is at already comes again when the server has not heard
	// of it for a lease, or has been killed. It is not lost.
	if err != nil || s.state == dropped || s.held[d.seq] != nil {
		s.mu.Unlock()
		s.fill()
		return
	}
	s.held[d.seq] = d
	s.mu.Unlock()
	select {
	case s.next <- d: // there is an attendant that has nothing to do
	default:
		s.work.Go(func() { s.attendAll(d) })
	}
}

// attendAll attends to d, and then to those that come until the end of serving: the
// stack of a goroutine has to grow only once. There are no more of them than there
// have been jobs at once.
func (s *server) attendAll(d *delivery) {
	for {
		s.attend(d)
		select {
		case d = <-s.next:
		case <-s.quiet:
			return
		}
	}
}

// answered notes that the request of p is over. The mutex is held.
func (s *server) answered(p *place) {
	if p.asked {
		p.asked = false
		p.line.asked--
		p.line.idle = append(p.line.idle, p)
	}
}

// takeStatus handles news of the request of p.
func (s *server) takeStatus(p *place, status string) {
	s.mu.Lock()
	switch status {
	case "100": // it waits
		p.sign = time.Now()
	case "404", "408": // it has expired
		s.answered(p)
	default: // there is no leader, no room for requests, or no such kind: ask later, and look what it is
		s.answered(p)
		s.pause, s.doubt = time.Now().Add(refusedPause), true
	}
	s.mu.Unlock()
	s.fill()
}

// openLine makes a line and asks by it.
func (s *server) openLine() {
	s.mu.Lock()
	if s.state == serving && s.line == nil {
		s.line = new(line)
	}
	s.mu.Unlock()
	s.fill()
}

// renew leaves the line and makes a new one, on a goroutine of its own.
func (s *server) renew() {
	s.mu.Lock()
	l := s.line
	if s.state != serving || l == nil {
		s.mu.Unlock()
		return
	}
	s.line = nil
	s.mu.Unlock()
	s.work.Go(func() {
		s.retire(l)
		s.openLine()
	})
}

// retire ends the line's subscriptions. When it returns, all that was on its way
// has been taken, and nothing comes any more.
func (s *server) retire(l *line) {
	s.mu.Lock()
	places := l.places
	s.mu.Unlock()
	limit := time.NewTimer(retireLimit)
	defer limit.Stop()
	ended := make([]chan struct{}, 0, len(places))
	for _, p := range places {
		end := make(chan struct{})
		p.sub.SetClosedHandler(func(string) { close(end) })
		// Without a connection nothing can come, and Drain would wait for it.
		if !s.nc.IsConnected() || p.sub.Drain() != nil {
			_ = p.sub.Unsubscribe()
			continue
		}
		ended = append(ended, end)
	}
	for _, end := range ended {
		select {
		case <-end:
			continue
		case <-limit.C:
		case <-s.gone:
		}
		break
	}
	for _, p := range places {
		_ = p.sub.Unsubscribe() // those that have not ended
	}
}

// lookAtLine renews a line that has been silent, and asks again after a pause.
func (s *server) lookAtLine(now time.Time) {
	if !s.nc.IsConnected() {
		return // serve hears of its return
	}
	silent, asking := false, false
	s.mu.Lock()
	if s.line != nil {
		for _, p := range s.line.places {
			silent = silent || p.asked && now.Sub(p.sign) > askedSilent
		}
		asking = !s.pause.IsZero() && now.After(s.pause)
		if asking {
			s.pause = time.Time{}
		}
	}
	s.mu.Unlock()
	switch {
	case silent:
		s.renew()
	case asking:
		s.fill()
	}
}
