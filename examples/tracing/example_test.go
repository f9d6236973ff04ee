package tracing_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"example.com/dispatch"
	"example.com/dispatch/fleet"
	"example.com/dispatch/fleet/embedded"
	"example.com/dispatch/oteldispatch"
)

var propagator = propagation.TraceContext{} // or otel.GetTextMapPropagator(), if the program has set it

// Shout is used by both sides. Its hooks carry the trace context in the headers of a
// job, and record on the caller's span where the time went.
var Shout = fleet.Kind[string, string]{
	Name: "shout",
	Hooks: fleet.Hooks{
		Inject: func(ctx context.Context, h nats.Header) {
			propagator.Inject(ctx, propagation.HeaderCarrier(h))
		},
		Extract: func(ctx context.Context, h nats.Header) context.Context {
			return propagator.Extract(ctx, propagation.HeaderCarrier(h))
		},
		Report: func(ctx context.Context, r fleet.Report) {
			trace.SpanFromContext(ctx).SetAttributes(
				attribute.String("worker", r.Worker),
				attribute.Float64("worker.wait", r.Wait.Seconds()),
				attribute.Float64("worker.run", r.Run.Seconds()),
			)
		},
	},
}

// Example prints the spans of a request that is handled on another machine. Each span
// is a child of the one above it.
func Example() {
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	defer func() { _ = provider.Shutdown(context.Background()) }()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := request(ctx, provider); err != nil {
		fmt.Println(err)
		return
	}
	printSpans(spans.Ended(), trace.SpanID{}, 0)
	// Output:
	// request
	//   caller (done by far)
	//     worker
	//       disk
}

// request runs the job whose spans go to the provider. In a real system the worker
// would run on another machine, and the server on a third.
func request(ctx context.Context, provider trace.TracerProvider) error {
	dir, err := os.MkdirTemp("", "tracing")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	server, err := embedded.Start(embedded.Options{Dir: dir})
	if err != nil {
		return err
	}
	defer server.Close()
	near, err := server.Connect()
	if err != nil {
		return err
	}
	defer near.Close()
	far, err := server.Connect(nats.Name("far"))
	if err != nil {
		return err
	}
	defer far.Close()
	if err := Shout.Provision(ctx, near, fleet.Settings{}); err != nil {
		return err
	}

	worker := dispatch.Must(dispatch.New(func(ctx context.Context, in string) (string, error) {
		_, span := provider.Tracer("example").Start(ctx, "disk")
		defer span.End()
		return strings.ToUpper(in), nil
	}, dispatch.WithName("worker"), dispatch.WithHooks(oteldispatch.Hooks(provider))))
	defer worker.Close()
	serving, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- fleet.Serve(serving, far, Shout, worker) }()
	defer func() { stop(); <-served }()

	client, err := fleet.NewClient(ctx, near, Shout)
	if err != nil {
		return err
	}
	defer client.Close()
	caller := dispatch.Must(dispatch.New(client.Call, dispatch.WithName("caller"), dispatch.WithHooks(oteldispatch.Hooks(provider))))
	defer caller.Close()

	ctx, span := provider.Tracer("example").Start(ctx, "request")
	defer span.End()
	_, err = caller.Process(ctx, "hello")
	return err
}

// printSpans prints the spans whose parent is that one.
func printSpans(spans []sdktrace.ReadOnlySpan, parent trace.SpanID, depth int) {
	for _, s := range spans {
		if s.Parent().SpanID() != parent {
			continue
		}
		fmt.Print(strings.Repeat("  ", depth), s.Name())
		for _, a := range s.Attributes() {
			if a.Key == "worker" {
				fmt.Printf(" (done by %s)", a.Value.AsString())
			}
		}
		fmt.Println()
		printSpans(spans, s.SpanContext().SpanID(), depth+1)
	}
}
