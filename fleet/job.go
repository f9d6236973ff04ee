package fleet

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"example.com/dispatch"
	"github.com/nats-io/nats.go"
)

// JobInfo is information about a job for its handler.
type JobInfo struct {
	ID      string    // use it as the key of an effect that must not happen twice
	Attempt int       // from 1; a run that was handed back does not count
	Stored  time.Time // when the server stored the job, by its clock
}

type infoKey struct{}

// Info returns information about the job that a handler runs, from the handler's
// context. It returns false if the job does not come from Serve.
func Info(ctx context.Context) (JobInfo, bool) {
	info, ok := ctx.Value(infoKey{}).(JobInfo)
	return info, ok
}

// retryError is an error after which the job is retried.
type retryError struct {
	error
	after time.Duration
}

func (e *retryError) Unwrap() error { return e.error }

// Retry marks a handler's error: the job, called or sent, is retried after a pause of
// at least after, unless its attempts are used up. A negative pause counts as 0. Retry
// returns nil if err is nil.
func Retry(err error, after time.Duration) error {
	if err == nil {
		return nil
	}
	return &retryError{err, max(after, 0)}
}

// finalError is an error after which the job is not retried.
type finalError struct{ error }

func (e *finalError) Unwrap() error { return e.error }

// NoRetry marks a handler's error: a sent job becomes a dead letter at once. It changes
// nothing for a called job, because the first failure of a call is its answer anyway.
// NoRetry returns nil if err is nil.
func NoRetry(err error) error {
	if err == nil {
		return nil
	}
	return &finalError{err}
}

// pauseAfter returns the pause after the n-th attempt of a sent job: 1 s, 16 s,
// 81 s and so on, at most an hour.
func pauseAfter(n int) time.Duration {
	if n > 7 { // 8^4 s is more than an hour
		return time.Hour
	}
	return time.Duration(n*n*n*n) * time.Second
}

var (
	errCanceled = errors.New("fleet: the job was canceled")
	errDeadline = errors.New("fleet: the caller's deadline has passed")
)

// delivery is a job that this worker holds. One attendant goroutine handles it;
// canceled and cancel are guarded by server.mu.
type delivery struct {
	msg        *nats.Msg
	seq        uint64 // in the stream
	stored     time.Time
	deliveries int // so far, by the server's count
	job        job
	attempt    int // deliveries without those that do not count as attempts

	wait, run time.Duration // of this attempt; 0 before it has ended

	canceled bool
	cancel   context.CancelCauseFunc // nil before it begins
}

func newDelivery(m *nats.Msg) (*delivery, error) {
	meta, err := m.Metadata()
	if err != nil {
		return nil, err
	}
	token := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
	n := int(min(max(meta.NumDelivered, 1), 1<<30))
	return &delivery{
		msg: m, seq: meta.Sequence.Stream, stored: meta.Timestamp, deliveries: n, attempt: n,
		job: job{id: token, token: token},
	}, nil
}

// verdict says what to do with a job's message.
type verdict struct {
	kind  verdictKind
	after time.Duration
}

type verdictKind int

const (
	nothing verdictKind = iota // say nothing: the server notices by itself
	ack                        // the job is done
	again                      // deliver the job again for another attempt
	back                       // deliver the job again; this delivery does not count as an attempt
)

// result is the result of a run.
type result struct {
	contentType string
	body        []byte
	broken      error // the input cannot be decoded
	unfit       error // the output cannot be encoded
}

// runner returns the typed part of Serve: decode, run, encode. The error of the
// returned function comes from the pool.
func runner[In, Out any](c codec, p *dispatch.Pool[In, Out]) func(context.Context, string, []byte) (result, error) {
	return func(ctx context.Context, contentType string, data []byte) (r result, _ error) {
		var in In
		if r.broken = c.unmarshal(data, contentType, &in); r.broken != nil {
			return r, nil //nolint:nilerr // the error is in r: it is not the pool's
		}
		out, err := p.Process(ctx, in)
		if err != nil {
			return r, err
		}
		if r.body, r.unfit = c.marshal(out); r.unfit == nil {
			r.contentType, r.unfit = c.contentType()
		}
		return r, nil
	}
}

// attend handles a job from its arrival to its acknowledgment.
func (s *server) attend(d *delivery) {
	v := verdict{again, s.currentLease()} // stays if a codec ends this goroutine by runtime.Goexit
	defer func() { s.conclude(d, v) }()
	if stop, early := s.look(d); early {
		v = stop
		return
	}
	v = s.process(d)
}

func (s *server) currentLease() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lease
}

// conclude sends the verdict to the server and asks for the next job, in the same
// message if possible.
func (s *server) conclude(d *delivery, v verdict) {
	if v.kind == back {
		s.note(d)
	}
	s.mu.Lock()
	delete(s.held, d.seq)
	s.mu.Unlock()
	switch v.kind {
	case ack:
		if p := s.reserve(); p != nil && (p.sub != nil || s.connect(p)) {
			_ = s.nc.PublishRequest(d.msg.Reply, p.inbox, []byte("+NXT "+askBody))
		} else {
			_ = s.nc.Publish(d.msg.Reply, []byte("+ACK"))
		}
	case nothing:
	case again, back:
		body := "-NAK"
		if v.after > 0 {
			body += ` {"delay":` + strconv.FormatInt(int64(v.after), 10) + `}`
		}
		_ = s.nc.Publish(d.msg.Reply, []byte(body))
	}
	s.fill()
}

// note stores that this delivery was handed back, so that it does not count as an
// attempt. The note is not worth a long wait.
func (s *server) note(d *delivery) {
	if !s.nc.IsConnected() {
		return
	}
	try, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = put(try, s.nc, &nats.Msg{Subject: s.names.back(d.job.token, strconv.Itoa(d.deliveries))})
}

// look decides whether to start a job. If not, it returns true and the verdict.
func (s *server) look(d *delivery) (verdict, bool) {
	s.mu.Lock()
	lease, attempts, draining := s.lease, s.attempts, s.state != serving
	s.mu.Unlock()
	if draining {
		return verdict{kind: back}, true
	}
	h := d.msg.Header
	version := h.Get(headVersion)
	j, malformed := parseJob(s.names, d.job.token, h)
	s.mu.Lock()
	d.job = j
	// An id that the sender has chosen may be used again after a cancel; for such a job
	// the stored outcome decides, below.
	_, canceled := s.canceled[j.token]
	canceled = canceled && !j.once
	s.mu.Unlock()
	if canceled {
		return verdict{kind: ack}, true
	}

	if d.deliveries > 1 || j.once || s.mayBeForgotten(d) {
		done, backs, err := s.history(d)
		switch {
		case err != nil:
			return verdict{back, lease}, true
		case done: // another worker has done it, or an earlier job with that id has an outcome
			return verdict{kind: ack}, true
		}
		d.attempt -= backs
		if j.after > 0 {
			d.attempt-- // the first delivery of a delayed job is no attempt
		}
		d.attempt = max(d.attempt, 1)
	}
	if d.attempt > attempts {
		return s.bury(d, fmt.Sprintf("the worker died or lost the job, %d times in all", attempts)), true
	}
	if version != wireVersion {
		reason := fmt.Sprintf("header %s %q: this worker understands %s", headVersion, cut(version, 64), wireVersion)
		if d.attempt >= attempts {
			return s.bury(d, reason), true
		}
		return verdict{again, time.Second}, true // a newer worker may take it
	}
	if malformed != nil {
		return s.bury(d, malformed.Error()), true
	}
	age := max(time.Since(d.stored)+s.clockAhead(), 0)
	if j.after > 0 {
		rest := max(j.after-age, 0)
		if d.deliveries == 1 {
			return verdict{again, rest}, true
		}
		if rest > 0 {
			return verdict{back, rest}, true
		}
	}
	if j.budget > 0 && age >= j.budget {
		return verdict{kind: ack}, true // the caller waits no more
	}
	return verdict{}, false
}

// mayBeForgotten reports whether the server may have forgotten that it delivered the
// job before. A server that was killed forgets its last deliveries, and then does not
// understand their acknowledgments either.
func (s *server) mayBeForgotten(d *delivery) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.back.IsZero() && d.stored.Before(s.back.Add(s.ahead))
}

// clockAhead returns how far the server's clock is ahead of this machine's.
func (s *server) clockAhead() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ahead
}

// history asks the server whether a job has its outcome, and how often the job was
// handed back.
func (s *server) history(d *delivery) (done bool, backs int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), drainPatience)
	defer cancel()
	n, err := s.count(ctx, s.names.result(d.job.token))
	if err != nil || n > 0 || d.deliveries == 1 {
		return n > 0, 0, err
	}
	backs, err = s.count(ctx, s.names.back(d.job.token, "*"))
	return false, backs, err
}

// count returns how many subjects in the stream of results match. A worker has no
// right to learn more about the results of others.
func (s *server) count(ctx context.Context, filter string) (int, error) {
	return ask(ctx, s.nc, "$JS.API.STREAM.INFO."+s.names.results(), `{"subjects_filter":`+strconv.Quote(filter)+`}`, parseCount)
}

// process runs a job in the pool and delivers its outcome.
func (s *server) process(d *delivery) verdict {
	j := d.job
	ctx, err := s.hooks.extract(s.base, d.msg.Header)
	if err != nil {
		return s.fail(d, statusCodec, failure{Message: "the headers: " + cut(err.Error(), mostText)}, &finalError{err})
	}
	ctx = context.WithValue(ctx, infoKey{}, JobInfo{ID: j.id, Attempt: d.attempt, Stored: d.stored})
	if j.budget > 0 {
		var stop context.CancelFunc
		left := j.budget - max(time.Since(d.stored)+s.clockAhead(), 0)
		ctx, stop = context.WithTimeoutCause(ctx, left, errDeadline)
		defer stop()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.mu.Lock()
	d.cancel = cancel
	begin, canceled := s.state == serving, d.canceled
	s.mu.Unlock()
	if !begin {
		return verdict{kind: back}
	}
	if canceled {
		return verdict{kind: ack}
	}

	began := time.Now()
	d.wait = max(began.Sub(d.stored)+s.clockAhead(), 0)
	r, err := s.run(ctx, d.msg.Header.Get(headContentType), d.msg.Data)
	d.run = time.Since(began)

	if ctx.Err() != nil || isPools(err, dispatch.ErrTimeout) {
		s.survey() // the handler may still run and keep the job's place
	}
	switch {
	case r.broken != nil:
		return s.fail(d, statusCodec, failure{Message: "the input: " + cut(textOf(r.broken), mostText)}, &finalError{r.broken})
	case r.unfit != nil:
		return s.fail(d, statusCodec, failure{Message: "the output: " + cut(textOf(r.unfit), mostText)}, &finalError{r.unfit})
	case err == nil:
		o := s.outcome(d, statusOK, r.body)
		o.contentType = r.contentType
		if most := s.nc.MaxPayload() - headroom; int64(len(r.body)) > most {
			err := fmt.Errorf("%w: an output of %d bytes; the server takes at most %d", ErrTooLarge, len(r.body), most)
			return s.fail(d, statusTooLarge, failure{Message: err.Error()}, &finalError{err})
		}
		return s.deliver(d, o)
	case ctx.Err() != nil:
		// At a deadline, the caller's own clock has given it the answer. At a cancel,
		// the caller has returned, or Client.Cancel has stored the outcome. Nobody
		// waits for an outcome of this worker.
		if cause := context.Cause(ctx); errors.Is(cause, errDeadline) || errors.Is(cause, errCanceled) {
			return verdict{kind: ack}
		}
		return verdict{kind: nothing} // the connection is closed
	}
	switch {
	case s.isOver(err):
		s.poolEnded()
		return verdict{kind: back}
	case isPools(err, dispatch.ErrQueueFull) || isPools(err, dispatch.ErrDropped):
		err = Retry(err, time.Second) // others keep the pool busy
	}
	status, f := describe(err, s.known)
	return s.fail(d, status, f, err)
}

// isOver reports whether err means that the pool accepts no more jobs, or was stopped.
func (s *server) isOver(err error) bool {
	return (isPools(err, dispatch.ErrClosed) || isPools(err, dispatch.ErrStopped)) && s.stats().State != dispatch.Running
}

// isPools reports whether err is the pool's own target, and not an error of a handler
// that wraps it. It does not call errors.Is, because an Is method is user code.
func isPools(err, target error) bool {
	if _, ok := err.(*dispatch.TimeoutError); ok { //nolint:errorlint // just that
		return target == dispatch.ErrTimeout //nolint:errorlint // a sentinel
	}
	return err == target //nolint:errorlint // just that
}
