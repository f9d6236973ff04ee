package fleet

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
)

// fail decides what happens to a job that has failed with err, which f describes: a
// retry, an answer to the caller, or a dead letter.
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

// outcome returns the outcome of this attempt.
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

// bury makes the job a dead letter, for a reason that is not an error of its handler.
func (s *server) bury(d *delivery, reason string) verdict {
	return s.buryAs(d, statusError, failure{Message: reason, Dead: true})
}

// buryAs stores the job as a dead letter and then delivers its outcome. In that order,
// the letter of a job whose outcome is ErrDead can always be found.
func (s *server) buryAs(d *delivery, status string, f failure) verdict {
	letter := &nats.Msg{Subject: s.names.dead(d.job.token), Header: deadHeader(d, f.Message, s.name), Data: d.msg.Data}
	if !s.persist(d, letter) {
		return verdict{back, s.currentLease()}
	}
	return s.deliver(d, s.failed(d, status, f))
}

// deliver brings an outcome to the caller or into the store, and only then returns the
// verdict that acknowledges the job.
func (s *server) deliver(d *delivery, o outcome) verdict {
	j := d.job
	if j.reply != "" && s.confirmed(j, o) {
		return verdict{kind: ack}
	}
	if !s.persist(d, outcomeMsg(s.names.result(j.token), o)) {
		return verdict{back, s.currentLease()}
	}
	if j.reply != "" { // the caller may be back
		_ = s.nc.PublishMsg(&nats.Msg{Subject: j.reply, Header: o.header(), Data: o.body})
	}
	return verdict{kind: ack}
}

// How long a worker waits for a caller's confirmation, and how long it then does not
// wait for a client that did not confirm.
const (
	confirmLimit = time.Second
	absentFor    = 10 * time.Second
)

// confirmed sends an outcome to the caller, and reports whether the caller has confirmed
// it. Each job of a client that is silently disconnected would cost the full wait, so
// the worker remembers such a client for some time.
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

// persist tries to store a message on the server until it succeeds. If another outcome
// of the job is stored already, that counts as success. Meanwhile the worker extends the
// job's lease and keeps its place: while the store is down or full, no job runs whose
// result could not be stored. persist returns false some time after draining began, and
// when the connection is closed. It returns true without storing when the caller's
// deadline has passed.
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
			if errors.Is(err, nats.ErrMaxPayload) { // the server's limit is lower than when the job arrived
				m.Data = nil
			}
		}
		if d.job.budget > 0 && time.Since(d.stored)+s.clockAhead() >= d.job.budget {
			return true // nobody waits for it any more
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
