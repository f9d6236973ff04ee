package fleet

import (
	"context"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Hooks let a program follow its jobs from one machine to another. Each may be nil.
// Several goroutines call them at once. A hook that blocks delays its job.
//
// To propagate a trace, use OpenTelemetry's propagator. Its HeaderCarrier works on
// NATS headers without conversion:
//
//	Inject: func(ctx context.Context, h nats.Header) {
//		propagator.Inject(ctx, propagation.HeaderCarrier(h))
//	},
//	Extract: func(ctx context.Context, h nats.Header) context.Context {
//		return propagator.Extract(ctx, propagation.HeaderCarrier(h))
//	},
type Hooks struct {
	// Call and Send call Inject with their context. The headers that it sets travel
	// with the job, except for Content-Type and those that begin with Fleet- or Nats-.
	// They count towards the size of the input. If Inject panics, the job is not
	// stored, and the error says so.
	Inject func(ctx context.Context, h nats.Header)

	// Serve calls Extract before it starts a job, with Serve's context and the headers
	// that came with the job. Like the input, the headers come from outside. Extract
	// returns the parent of the handler's context; nil means ctx. If Extract panics,
	// the job fails like one that cannot be decoded.
	Extract func(ctx context.Context, h nats.Header) context.Context

	// Call and Result call Report with their context, before they return an outcome
	// made by a worker. A panic in Report is a panic of Call or Result.
	Report func(ctx context.Context, r Report)
}

// Report says how an outcome was made. The caller's own pool measures the whole call
// as its run; Report shows where that time went.
type Report struct {
	ID      string
	Worker  string        // the name of the worker's connection
	Attempt int           // the attempt that made the outcome
	Wait    time.Duration // from the server's storing of the job until the worker gave it to its pool, as far as their clocks agree
	Run     time.Duration // in the worker's pool, with decoding and encoding; Wait and Run are 0 if this attempt did not start the job
}

// inject returns the headers from Inject that travel with a job.
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

// extract returns the parent context of a job, made by Extract from ctx.
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

// report calls Report for an outcome that a worker made.
func (h Hooks) report(ctx context.Context, o outcome) {
	if h.Report != nil && o.worker != "" {
		h.Report(ctx, Report{ID: o.id, Worker: o.worker, Attempt: o.attempt, Wait: o.wait, Run: o.run})
	}
}

// passengers returns the headers that belong neither to the wire format nor to the
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

// sizeOf returns the number of bytes that headers take in a message.
func sizeOf(h nats.Header) (n int64) {
	for key, values := range h {
		for _, v := range values {
			n += int64(len(key) + len(": ") + len(v) + len("\r\n"))
		}
	}
	return n
}
