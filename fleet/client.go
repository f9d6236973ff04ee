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

// Client submits jobs of one kind. [Client.Call] waits for the outcome, [Client.Send]
// does not. Any number of goroutines may use a Client at once. [Serve] runs the jobs.
type Client[In, Out any] struct {
	kind  Kind[In, Out]
	names subjects
	codec codec
	desk  *desk
}

// NewClient returns a client of the kind. The connection remains the caller's:
// Close does not close it. Connect it with nats.MaxReconnects(-1), or it gives up
// on a server that is away for two minutes.
//
// NewClient asks the server whether the kind is provisioned, and returns an error at
// once if it is not. While the server is away NewClient waits until ctx is done, and
// then returns the cause of ctx.
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

// Call has a worker run the job, and returns the outcome. It is a [dispatch.Handler]
// to pass to [dispatch.New]. ctx bounds the life of the job. When ctx is done, Call
// returns its cause at once. A waiting job is then deleted; a running job has its
// context canceled, if the message reaches its worker. The time left until ctx's
// deadline travels with the job; its values do not.
//
// A failure on the worker is a *[RemoteError]. The job was not stored if the
// error is [ErrTooLarge], [dispatch.ErrQueueFull] or an error of the codec. While the
// server is away Call keeps trying until ctx is done. After Close it returns
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
// their jobs are canceled. Jobs that were sent are not affected. When Close returns,
// the client has no goroutine or subscription left, with one exception: if the caller
// of a job has left while the job was being stored, the client waits for the server's
// answer in the background, for at most 10 s. Close returns nil, and may be called
// more than once.
func (c *Client[In, Out]) Close() error {
	c.desk.close()
	return nil
}

// message returns the message that stores the job.
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
		return nil, fmt.Errorf("%w: an input of %d bytes; the server takes at most %d", ErrTooLarge, size, most)
	}
	return msg, nil
}

// open turns a result into the handler's output or error, and calls Hooks.Report.
func (c *Client[In, Out]) open(ctx context.Context, id string, h nats.Header, body []byte) (Out, error) {
	var out Out
	o, err := parseOutcome(h, body)
	if err == nil && o.id != id {
		err = fmt.Errorf("header %s %q belongs to another job", headID, cut(o.id, 256))
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

// explain adds the name of the kind to the error of a job that was refused.
func (c *Client[In, Out]) explain(err error) error {
	if refused, ok := errors.AsType[*refusal](err); ok {
		return fmt.Errorf("fleet: kind %s: %w", c.kind.Name, refused)
	}
	return err
}
