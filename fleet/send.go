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

// ID gives the job an id of the sender's: an idempotency key, such as the number
// of an order. It is any text of 1 to 256 bytes without control characters and
// without a blank at an end.
func ID(id string) SendOption {
	return func(j *job) error {
		j.id, j.once = id, true
		return checkID(id)
	}
}

// After has the job begin no sooner than d after the server has stored it. Until
// then it counts as taken in [Stats], and its worker is free. The default is 0.
func After(d time.Duration) SendOption {
	return func(j *job) error {
		if d < 0 {
			return fmt.Errorf("fleet: After(%v): must not be negative", d)
		}
		j.after = d
		return nil
	}
}

// Send stores a job that nobody waits for, and returns its id: that of [ID], or a
// new one. nil says that the server has it: it is begun at least once if a worker
// is ever up. One that fails is tried again with growing pauses, and becomes a
// dead letter at last.
//
// Where a job of that id waits or runs, or its result is still kept, Send stores
// nothing and returns nil. Nothing is stored either if the error is [ErrTooLarge],
// [dispatch.ErrQueueFull] or the codec's. After any other error the job may be
// stored: Send it again with the id that came with the error.
//
// ctx is for the storing alone. While the server is away Send goes on trying until
// ctx is done, and then returns its cause.
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

// store has the server store a job that is sent, unless there is one of its id.
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
	// The server remembers the id for some time, and the job may have had its:
	// its result may have been kept for less.
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

// Result waits for the outcome of a sent job, until ctx is done. It may be asked
// by any process, as often as need be: the result stays where it is, for as long
// as Settings.KeepFor says. The outcome is what the handler returned, or a
// *[RemoteError]. It returns [ErrNotFound] for an id that is not known, and the
// cause of ctx when that is done.
func (c *Client[In, Out]) Result(ctx context.Context, id string) (Out, error) {
	var zero Out
	if err := checkID(id); err != nil {
		return zero, err
	}
	token := tokenOf(id)
	// Workers publish results into the stream. What is seen of that on the way is
	// a sign to look, no more: only the first is stored.
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
			wait = 10 * time.Millisecond // it is on its way into the store
		case <-time.After(wait):
		case <-c.desk.quit:
			return zero, dispatch.ErrClosed
		case <-ctx.Done():
			return zero, context.Cause(ctx)
		}
	}
}

// overtaken tells what has become of a job whose result was not there. It returns
// errNone if there is still such a job, and ErrNotFound if there is neither: a job
// has its result before it leaves its stream.
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

// Cancel ends a sent job with context.Canceled: one that waits never runs, one
// that runs is told through its context, as far as the message gets there. Once it
// has returned nil the outcome is decided; a job that had one keeps it. It returns
// [ErrNotFound] for an id that is not known, and the cause of ctx when that is
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
