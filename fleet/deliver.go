package fleet

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
)

// fail decides what comes of a job that has failed with err, which f describes.
func (s *server) fail(d *delivery, status string, f failure, err error) verdict {
	retry, _ := asA[*retryError](err)
	final, _ := asA[*finalError](err)
	sent := d.job.reply == ""
	s.mu.Lock()
	last := d.attempt >= s.attempts
	s.mu.Unlock()
	switch {
	case final == nil && retry != nil && !last:
		return verdict{again, retry.after}
	case !sent && retry == nil, !sent && final != nil:
		return s.deliver(d, s.failed(d, status, f))
	case final == nil && !last:
		return verdict{again, pauseAfter(d.attempt)}
	}
	f.Dead = true
	return s.buryAs(d, status, f)
}

// outcome returns what this attempt has come to.
func (s *server) outcome(d *delivery, status string, body []byte) outcome {
	return outcome{id: d.job.id, status: status, attempt: d.attempt, worker: s.name, wait: d.wait, run: d.run, body: body}
}

func (s *server) failed(d *delivery, status string, f failure) outcome {
	o := s.outcome(d, status, f.body())
	if int64(len(o.body)) > s.nc.MaxPayload()-headroom {
		o.body = f.short().body()
	}
	return o
}

// bury makes the job a dead letter, for a reason that is no error of its handler.
func (s *server) bury(d *delivery, reason string) verdict {
	return s.buryAs(d, statusError, failure{Message: reason, Dead: true})
}

// buryAs makes the job a dead letter, and then gives it its outcome: in that
// order, so that a job whose outcome says that it is dead can be found.
func (s *server) buryAs(d *delivery, status string, f failure) verdict {
	letter := &nats.Msg{Subject: s.names.dead(d.job.token), Header: deadHeader(d, f.Message, s.name), Data: d.msg.Data}
	if !s.persist(d, letter) {
		return verdict{back, s.currentLease()}
	}
	return s.deliver(d, s.failed(d, status, f))
}

// deliver brings an outcome to the caller or into the store, and only then has the
// job acknowledged.
func (s *server) deliver(d *delivery, o outcome) verdict {
	j := d.job
	if j.reply != "" && s.confirmed(j, o) {
		return verdict{kind: ack}
	}
	if !s.persist(d, outcomeMsg(s.names.result(j.token), o)) {
		return verdict{back, s.currentLease()}
	}
	if j.reply != "" { // its caller may be back
		_ = s.nc.PublishMsg(&nats.Msg{Subject: j.reply, Header: o.header(), Data: o.body})
	}
	return verdict{kind: ack}
}

// How long a worker waits for a caller, and for how long it does not wait for one
// that has kept it waiting.
const (
	confirmLimit = time.Second
	absentFor    = 10 * time.Second
)

// confirmed brings an outcome to the caller, and tells whether that has confirmed
// it. One that is half gone, without a word, would cost each of its jobs the full
// wait: it is remembered for some time.
func (s *server) confirmed(j job, o outcome) bool {
	now := time.Now()
	s.mu.Lock()
	since, absent := s.absent[j.client]
	s.mu.Unlock()
	if absent && now.Sub(since) < absentFor || !s.nc.IsConnected() {
		return false
	}
	_, err := s.nc.RequestMsg(&nats.Msg{Subject: j.reply, Header: o.header(), Data: o.body}, confirmLimit)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		if absent {
			delete(s.absent, j.client)
		}
	case errors.Is(err, nats.ErrTimeout):
		for client, since := range s.absent {
			if now.Sub(since) >= absentFor {
				delete(s.absent, client)
			}
		}
		s.absent[j.client] = now
	}
	return err == nil
}

// persist has the server store a message, and tries until it has. An outcome that
// another one has come before counts as stored. The worker extends the lease
// meanwhile and keeps the place: while the store is down or full, no job is run
// whose result would have nowhere to go. It gives up some time after the drain has
// begun, when the connection is closed, and when nobody waits any more.
func (s *server) persist(d *delivery, m *nats.Msg) bool {
	began, limit := time.Now(), confirmLimit
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		if s.nc.IsConnected() {
			try, cancel := context.WithTimeout(context.Background(), limit)
			limit = min(2*limit, drainPatience)
			err := put(try, s.nc, m)
			cancel()
			if err == nil || isTaken(err) {
				return true
			}
			if errors.Is(err, nats.ErrMaxPayload) { // the server takes less than when the job came
				m.Data = nil
			}
		}
		if d.job.budget > 0 && time.Since(d.stored)+s.clockAhead() >= d.job.budget {
			return true // for nobody
		}
		s.mu.Lock()
		hurry, since := s.state != serving, s.drained
		s.mu.Unlock()
		if began.After(since) {
			since = began
		}
		if hurry && time.Since(since) > drainPatience {
			return false
		}
		select {
		case <-time.After(pause):
		case <-s.gone:
			return false
		}
	}
}
