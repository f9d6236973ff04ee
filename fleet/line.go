package fleet

import (
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// How a worker asks for jobs. The server confirms each request once a second with a
// heartbeat. After a longer silence the request, or its server, is lost.
const (
	mostAsked   = 256 // requests at a time
	askedSilent = 3 * time.Second
	retireLimit = 2 * time.Second
	askBody     = `{"batch":1,"expires":30000000000,"idle_heartbeat":1000000000}`
)

// line is a set of places through which a worker asks for jobs. A request cannot be
// withdrawn from the server, and after a silence the server does not say which requests
// it still has. So in doubt the worker gives up the whole line: it ends the line's
// subscriptions, takes the jobs that are on their way, and only then makes a new line.
// The server never has more requests from a worker than the worker has free places.
//
// All fields are guarded by server.mu.
type line struct {
	places []*place
	idle   []*place // places without a request
	asked  int      // number of places with a request, or about to send one
}

// place asks for one job at a time. Each place has its own subscription, because a job
// that arrives does not say which request it answers.
type place struct {
	line  *line
	inbox string
	sub   *nats.Subscription // set before the place is in line.places
	asked bool
	sign  time.Time // when the server last confirmed the request
}

// free returns how many more jobs the worker may ask for. The mutex is held.
func (s *server) free() int {
	n := s.limit - len(s.held) - s.hung
	if s.line != nil {
		n -= s.line.asked
	}
	return n
}

// fill asks for a job for each free place.
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

// reserve returns a place that may ask for a job now, or nil. It counts the place as
// having asked.
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

// connect subscribes a new place. It returns false if the worker has given up the line
// meanwhile, or the connection is closed.
func (s *server) connect(p *place) bool {
	p.inbox = s.nc.NewInbox()
	sub, err := s.nc.Subscribe(p.inbox, func(m *nats.Msg) { s.take(p, m) })
	if err == nil {
		_ = sub.SetPendingLimits(-1, -1) // at most one job is pending
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

// take is called by nats.go with each message for a place: a job, or a status of its
// request.
func (s *server) take(p *place, m *nats.Msg) {
	if !strings.HasPrefix(m.Reply, "$JS.ACK.") {
		s.takeStatus(p, m.Header.Get("Status"))
		return
	}
	d, err := newDelivery(m)
	s.mu.Lock()
	s.answered(p)
	// The server delivers a job that this worker already holds once more if it has not
	// heard of the job for a lease, or was killed. Such a delivery may be ignored.
	if err != nil || s.state == dropped || s.held[d.seq] != nil {
		s.mu.Unlock()
		s.fill()
		return
	}
	s.held[d.seq] = d
	s.mu.Unlock()
	select {
	case s.next <- d: // an idle attendant takes it
	default:
		s.work.Go(func() { s.attendAll(d) })
	}
}

// attendAll is an attendant: a goroutine that handles d, and then the jobs from s.next,
// until serving ends. Attendants are kept because the stack of a goroutine then has to
// grow only once. There are never more attendants than there were jobs at a time.
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

// takeStatus handles a status of the request of p.
func (s *server) takeStatus(p *place, status string) {
	s.mu.Lock()
	switch status {
	case "100": // the request waits
		p.sign = time.Now()
	case "404", "408": // the request has expired
		s.answered(p)
	default: // no leader, no room for requests, or no such kind: ask later, and read the settings to find out
		s.answered(p)
		s.pause, s.doubt = time.Now().Add(refusedPause), true
	}
	s.mu.Unlock()
	s.fill()
}

// openLine makes a line and asks for jobs through it.
func (s *server) openLine() {
	s.mu.Lock()
	if s.state == serving && s.line == nil {
		s.line = new(line)
	}
	s.mu.Unlock()
	s.fill()
}

// renew gives up the line and makes a new one, on a separate goroutine.
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

// retire ends the line's subscriptions. When it returns, the jobs that were on their
// way have been taken, and no more will arrive.
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
		// Without a connection nothing can arrive, and Drain would wait for one.
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
		_ = p.sub.Unsubscribe() // for those whose Drain has not ended
	}
}

// lookAtLine renews the line if one of its requests was silent for too long, and asks
// for jobs again after a pause.
func (s *server) lookAtLine(now time.Time) {
	if !s.nc.IsConnected() {
		return // when the connection is back, serve renews the line
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
