package fleet

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"example.com/dispatch"
	"github.com/nats-io/nats.go"
)

// SendOption is an option of [Client.Send].
type SendOption func(*job) error

// ID sets the job's id, which is an idempotency key, such as the number of an order:
// valid UTF-8 of 1 to 256 bytes, without control characters and without leading or
// trailing blanks. The default is a new random id.
func ID(id string) SendOption {
	return func(j *job) error {
		j.id, j.once = id, true
		return checkID(id)
	}
}

// After delays the start of the job until at least d after the server has stored it.
// Until then the job counts as taken in [Stats], but occupies no worker. The default
// is 0.
func After(d time.Duration) SendOption {
	return func(j *job) error {
		if d < 0 {
			return fmt.Errorf("fleet: After(%v): must not be negative", d)
		}
		j.after = d
		return nil
	}
}

// Send stores a job without waiting for its outcome, and returns the job's id: the
// one given by [ID], or a new one. A nil error means that the server has stored the
// job: it is started at least once if a worker ever runs. After a failure the job is
// retried, with growing pauses. When its attempts are used up it becomes a dead
// letter.
//
// If a job with that id waits or runs, or its result is still kept, Send stores
// nothing and returns nil. Nothing is stored either if the error is [ErrTooLarge],
// [dispatch.ErrQueueFull] or an error of the codec. After any other error the job may
// be stored: call Send again with the id that was returned with the error.
//
// ctx limits only the storing. While the server is away Send keeps trying until ctx
// is done, and then returns its cause.
func (c *Client[In, Out]) Send(ctx context.Context, in In, opts ...SendOption) (id string, err error) {
	j := job{id: rand.Text()}
	for _, o := range opts {
		if err := o(&j); err != nil {
			return "", err
		}
	}
	j.token = tokenOf(j.id)
	if ctx.Err() != nil {
		return j.id, context.Cause(ctx)
	}
	msg, err := c.message(ctx, in, j)
	if err != nil {
		return j.id, err
	}
	if j.once {
		if _, err := c.kept(ctx, j.token); !errors.Is(err, errNone) {
			return j.id, err
		}
	}
	return j.id, c.store(ctx, j, msg)
}

// store has the server store a sent job, unless a job with its id exists.
func (c *Client[In, Out]) store(ctx context.Context, j job, msg *nats.Msg) error {
	r, err := c.desk.post(ctx, &posting{token: j.token, msg: msg})
	if refused, ok := errors.AsType[*refusal](err); ok && refused.exists {
		return nil
	}
	if err != nil {
		return c.explain(err)
	}
	if !r.taken || !j.once {
		return nil
	}
	// The server remembers the id for some time, possibly for longer than it kept the
	// result of the job. Such a job is over, and the id is free again.
	_, err = last(ctx, c.desk.nc, c.names.jobs(), c.names.job(j.token))
	if errors.Is(err, errNone) {
		_, err = c.kept(ctx, j.token)
	}
	if !errors.Is(err, errNone) {
		return err
	}
	delete(msg.Header, headMsgID)
	_, err = c.desk.post(ctx, &posting{token: j.token, msg: msg})
	if refused, ok := errors.AsType[*refusal](err); ok && refused.exists {
		return nil
	}
	return c.explain(err)
}

// kept returns the result of a job, or errNone.
func (c *Client[In, Out]) kept(ctx context.Context, token string) (stored, error) {
	return last(ctx, c.desk.nc, c.names.results(), c.names.result(token))
}

// Result waits for the outcome of a sent job, until ctx is done. Any process may call
// it, any number of times: reading a result does not remove it, and the server keeps
// it for Settings.KeepFor. Result returns the handler's output, or its failure as a
// *[RemoteError]. It returns [ErrNotFound] for an unknown id, and the cause of ctx when
// ctx is done.
func (c *Client[In, Out]) Result(ctx context.Context, id string) (Out, error) {
	var zero Out
	if err := checkID(id); err != nil {
		return zero, err
	}
	token := tokenOf(id)
	// Workers publish results into the stream. A message seen here is only a sign to
	// look into the store: the server stores only the first result.
	signs := make(chan *nats.Msg, 16)
	sub, err := c.desk.nc.ChanSubscribe(c.names.result(token), signs)
	if err != nil {
		return zero, fmt.Errorf("fleet: kind %s: %w", c.kind.Name, err)
	}
	defer func() { _ = sub.Unsubscribe() }()

	for wait := 20 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		s, err := c.kept(ctx, token)
		if errors.Is(err, errNone) {
			s, err = c.overtaken(ctx, token)
		}
		if err == nil {
			return c.open(ctx, id, s.header, s.data)
		}
		if !errors.Is(err, errNone) {
			return zero, err
		}
		select {
		case <-signs:
			wait = 10 * time.Millisecond // the result is on its way into the store
		case <-time.After(wait):
		case <-c.desk.quit:
			return zero, dispatch.ErrClosed
		case <-ctx.Done():
			return zero, context.Cause(ctx)
		}
	}
}

// overtaken finds out what became of a job whose result was not found. It returns
// errNone if the job is still in its stream. If the job is gone, its result was
// stored before it left the stream, so overtaken looks for the result once more, and
// returns ErrNotFound if there is none.
func (c *Client[In, Out]) overtaken(ctx context.Context, token string) (stored, error) {
	_, err := last(ctx, c.desk.nc, c.names.jobs(), c.names.job(token))
	if err == nil {
		return stored{}, errNone
	}
	if !errors.Is(err, errNone) {
		return stored{}, err
	}
	s, err := c.kept(ctx, token)
	if errors.Is(err, errNone) {
		return s, ErrNotFound
	}
	return s, err
}

// Cancel ends a sent job with context.Canceled. A waiting job never runs; a running
// job has its context canceled, if the message reaches its worker. Once Cancel has
// returned nil, the outcome is decided; a job that already had an outcome keeps it.
// Cancel returns [ErrNotFound] for an unknown id, and the cause of ctx when ctx is
// done.
func (c *Client[In, Out]) Cancel(ctx context.Context, id string) error {
	if err := checkID(id); err != nil {
		return err
	}
	nc, token := c.desk.nc, tokenOf(id)
	s, err := last(ctx, nc, c.names.jobs(), c.names.job(token))
	if errors.Is(err, errNone) {
		if _, err = c.kept(ctx, token); errors.Is(err, errNone) {
			return ErrNotFound
		}
		return err
	}
	if err != nil {
		return err
	}
	f := failure{Message: context.Canceled.Error()}
	o := outcome{id: id, status: statusCanceled, body: f.body()}
	if _, err := putFirst(ctx, nc, c.names.result(token), o); err != nil {
		return err
	}
	_ = nc.Publish(c.names.cancel(token), nil)
	return erase(ctx, nc, c.names.jobs(), s.seq)
}
