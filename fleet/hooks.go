package fleet

import (
	"context"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Hooks let a program follow its jobs from one machine to another. All may be
// nil; several goroutines call them at once. What they hold up is the job.
//
// A trace goes along with the propagator of OpenTelemetry, whose carrier of
// headers takes those of NATS as they are:
//
//	Inject: func(ctx context.Context, h nats.Header) {
//		propagator.Inject(ctx, propagation.HeaderCarrier(h))
//	},
//	Extract: func(ctx context.Context, h nats.Header) context.Context {
//		return propagator.Extract(ctx, propagation.HeaderCarrier(h))
//	},
type Hooks struct {
	// Inject is called by Call and Send with their context. The headers that it
	// sets travel with the job, but for Content-Type and those that begin with
	// Fleet- or Nats-. They count for the size of the input. If it panics, the job
	// is not stored, and the error says so.
	Inject func(ctx context.Context, h nats.Header)

	// Extract is called by Serve before a job is begun, with Serve's context and
	// the headers that came with the job. They come from outside, as the input
	// does. It returns the context of which the handler's is made; nil means ctx.
	// A job for which it panics fails, as one that cannot be decoded.
	Extract func(ctx context.Context, h nats.Header) context.Context

	// Report is called by Call and Result with their context, before they return
	// an outcome that a worker has made. A panic in it is one of Call's.
	Report func(ctx context.Context, r Report)
}

// Report is what an outcome tells of how it was made. Beside the run of the
// caller's own pool, which is the whole call, it tells where the time went.
type Report struct {
	ID      string
	Worker  string        // the name of its connection
	Attempt int           // the one that made the outcome
	Wait    time.Duration // from when the server stored the job until the worker gave it to its pool, as far as their clocks agree
	Run     time.Duration // in the worker's pool, decoding and encoding included; 0, as Wait, if the job was not begun in this attempt
}

// inject returns the headers that are to travel with a job.
func (h Hooks) inject(ctx context.Context) (nats.Header, error) {
	if h.Inject == nil {
		return nil, nil
	}
	set := nats.Header{}
	err := protect("Hooks.Inject", func() error {
		h.Inject(ctx, set)
		return nil
	})
	return passengers(set), err
}

// extract returns the context of a job.
func (h Hooks) extract(ctx context.Context, came nats.Header) (context.Context, error) {
	if h.Extract == nil {
		return ctx, nil
	}
	made := ctx
	err := protect("Hooks.Extract", func() error {
		if c := h.Extract(ctx, passengers(came)); c != nil {
			made = c
		}
		return nil
	})
	return made, err
}

// report tells of an outcome.
func (h Hooks) report(ctx context.Context, o outcome) {
	if h.Report != nil && o.worker != "" {
		h.Report(ctx, Report{ID: o.id, Worker: o.worker, Attempt: o.attempt, Wait: o.wait, Run: o.run})
	}
}

// passengers returns those headers that are neither of the wire format nor of the
// server.
func passengers(all nats.Header) nats.Header {
	h := make(nats.Header, len(all))
	for key, values := range all {
		lower := strings.ToLower(key)
		if lower != "content-type" && !strings.HasPrefix(lower, "fleet-") && !strings.HasPrefix(lower, "nats-") {
			h[key] = values
		}
	}
	return h
}

// sizeOf returns how many bytes headers take in a message.
func sizeOf(h nats.Header) (n int64) {
	for key, values := range h {
		for _, v := range values {
			n += int64(len(key) + len(": ") + len(v) + len("\r\n"))
		}
	}
	return n
}
