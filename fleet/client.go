package fleet

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Client makes jobs of one kind: [Client.Call] for those somebody waits for,
// [Client.Send] for those nobody does. Any number of goroutines may use it at
// once. It is not for taking jobs; that is [Serve].
type Client[In, Out any] struct {
	kind  Kind[In, Out]
	names subjects
	codec codec
	desk  *desk
}

// NewClient returns a client of the kind. The connection stays the caller's own:
// Close does not close it. Connect it with nats.MaxReconnects(-1), or it gives up
// on a server that is away for two minutes.
//
// It asks the server whether the kind is provisioned, and returns an error at once
// if it is not. While the server is away it waits until ctx is done; then it
// returns the cause of ctx.
func NewClient[In, Out any](ctx context.Context, nc *nats.Conn, k Kind[In, Out]) (*Client[In, Out], error) {
	if err := k.check(); err != nil {
		return nil, err
	}
	js, err := newJetStream(nc)
	if err != nil {
		return nil, err
	}
	names := k.subjects()
	for _, stream := range []string{names.jobs(), names.results()} {
		_, err := patiently(ctx, names, lookLimit, func(ctx context.Context) (jetstream.Stream, error) { return js.Stream(ctx, stream) })
		if err != nil {
			return nil, err
		}
	}
	d, err := newDesk(nc, names)
	if err != nil {
		return nil, fmt.Errorf("fleet: kind %s: %w", k.Name, err)
	}
	return &Client[In, Out]{kind: k, names: names, codec: k.codec(), desk: d}, nil
}

// Call has a worker run the job and returns its outcome: it is a
// [dispatch.Handler], to be given to [dispatch.New]. ctx is the job's life. When
// it is done, Call returns its cause at once, a job that waits is deleted, and
// one that runs is told through its context, as far as the message gets there.
// What is left of ctx's deadline travels with the job; its values do not.
//
// A failure on the worker is a *[RemoteError]. The job was not stored if the
// error is [ErrTooLarge], [dispatch.ErrQueueFull] or the codec's. While the
// server is away Call goes on trying until ctx is done. After Close it returns
// [dispatch.ErrClosed].
func (c *Client[In, Out]) Call(ctx context.Context, in In) (Out, error) {
	var zero Out
	if ctx.Err() != nil {
		return zero, context.Cause(ctx)
	}
	j := job{id: rand.Text()}
	j.token = j.id
	j.reply = c.names.reply(c.desk.id, j.token)
	if deadline, ok := ctx.Deadline(); ok {
		j.budget = max(time.Until(deadline), time.Millisecond)
	}
	msg, err := c.message(ctx, in, j)
	if err != nil {
		return zero, err
	}
	p := &posting{key: j.token, token: j.token, msg: msg, waits: true}
	r, err := c.desk.post(ctx, p)
	if err != nil {
		return zero, c.explain(err)
	}
	return c.open(ctx, j.id, r.msg.Header, r.msg.Data)
}

// Close ends the client. Calls that still wait return [dispatch.ErrClosed], and
// their jobs are canceled; sent jobs are left alone. Nothing of the client is left
// when it returns, unless the storing of a job is under way, whose caller has
// gone: that is waited for in the background, 10 s at most. It returns nil, and
// may be called more than once.
func (c *Client[In, Out]) Close() error {
	c.desk.close()
	return nil
}

// message makes the job's message.
func (c *Client[In, Out]) message(ctx context.Context, in In, j job) (*nats.Msg, error) {
	data, err := c.codec.marshal(in)
	if err != nil {
		return nil, fmt.Errorf("fleet: kind %s: the input: %w", c.kind.Name, err)
	}
	contentType, err := c.codec.contentType()
	if err != nil {
		return nil, fmt.Errorf("fleet: kind %s: %w", c.kind.Name, err)
	}
	more, err := c.kind.Hooks.inject(ctx)
	if err != nil {
		return nil, fmt.Errorf("fleet: kind %s: %w", c.kind.Name, err)
	}
	msg := &nats.Msg{Subject: c.names.job(j.token), Header: j.header(contentType), Data: data}
	maps.Copy(msg.Header, more)
	if most, size := c.desk.nc.MaxPayload()-headroom, int64(len(data))+sizeOf(more); most > 0 && size > most {
		return nil, fmt.Errorf("%w: an input of %d bytes, the server takes %d", ErrTooLarge, size, most)
	}
	return msg, nil
}

// open turns a result into what the handler has returned, and reports it.
func (c *Client[In, Out]) open(ctx context.Context, id string, h nats.Header, body []byte) (Out, error) {
	var out Out
	o, err := parseOutcome(h, body)
	if err == nil && o.id != id {
		err = fmt.Errorf("header %s %q is of another job", headID, cut(o.id, 256))
	}
	if err != nil {
		return out, fmt.Errorf("fleet: job %s: malformed result: %w", id, err)
	}
	c.kind.Hooks.report(ctx, o)
	if o.status != statusOK {
		return out, o.asError(c.kind.Errors)
	}
	if err := c.codec.unmarshal(o.body, o.contentType, &out); err != nil {
		var zero Out
		return zero, fmt.Errorf("fleet: job %s: the output: %w", id, err)
	}
	return out, nil
}

// explain says of which kind a job was that was not stored.
func (c *Client[In, Out]) explain(err error) error {
	if refused, ok := errors.AsType[*refusal](err); ok {
		return fmt.Errorf("fleet: kind %s: %w", c.kind.Name, refused)
	}
	return err
}
