package oteldispatch

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	apitrace "go.opentelemetry.io/otel/trace"

	"example.com/dispatch"
)

// tracer is a tracer provider that records the ended spans.
type tracer struct {
	*trace.TracerProvider

	ended *tracetest.SpanRecorder
}

func newTracer(t *testing.T) tracer {
	t.Helper()
	ended := tracetest.NewSpanRecorder()
	provider := trace.NewTracerProvider(trace.WithSpanProcessor(ended))
	t.Cleanup(func() { require.NoError(t, provider.Shutdown(context.Background())) })
	return tracer{provider, ended}
}

// only returns the ended span, and fails if there is not exactly one.
func (tr tracer) only(t *testing.T) trace.ReadOnlySpan {
	t.Helper()
	spans := tr.ended.Ended()
	require.Len(t, spans, 1)
	return spans[0]
}

func attributesOf(s trace.ReadOnlySpan) map[attribute.Key]any {
	values := map[attribute.Key]any{}
	for _, a := range s.Attributes() {
		values[a.Key] = a.Value.AsInterface()
	}
	return values
}

// job is a job that a worker has started on.
func job() dispatch.Job {
	return dispatch.Job{Pool: "thumbs", Worker: 3, Index: -1, Submitted: time.Now().Add(-2 * time.Second), Wait: 1500 * time.Millisecond}
}

// run calls the hooks for j as if j ran and ended with an outcome.
func run(ctx context.Context, h dispatch.Hooks, j dispatch.Job, o dispatch.Outcome, err error) {
	ctx = h.Start(ctx, j)
	j.Ran, j.Run, j.Outcome, j.Err = true, 500*time.Millisecond, o, err
	h.Done(ctx, j)
}

func TestAJobHasASpanUnderTheOneItWasSubmittedUnder(t *testing.T) {
	tr := newTracer(t)
	ctx, submitter := tr.Tracer("test").Start(t.Context(), "request")
	h, j := Hooks(tr), job()
	j.Label, j.Index = "a.png", 7

	before := time.Now()
	handlers := h.Start(ctx, j)
	inHandler := apitrace.SpanFromContext(handlers)
	require.NotEqual(t, submitter, inHandler)
	j.Ran, j.Outcome = true, dispatch.Succeeded
	h.Done(handlers, j)
	after := time.Now()

	s := tr.only(t)
	require.Equal(t, "thumbs", s.Name())
	require.Equal(t, "example.com/dispatch/oteldispatch", s.InstrumentationScope().Name)
	require.Equal(t, inHandler.SpanContext(), s.SpanContext())
	require.Equal(t, submitter.SpanContext(), s.Parent())
	require.Empty(t, s.Links())
	require.False(t, s.StartTime().Before(before) || s.EndTime().After(after))
	require.Equal(t, map[attribute.Key]any{
		"dispatch.pool.name": "thumbs", "dispatch.job.wait": 1.5, "dispatch.job.label": "a.png", "dispatch.job.index": int64(7),
		"dispatch.job.outcome": "success",
	}, attributesOf(s))
	require.Equal(t, codes.Unset, s.Status().Code)
	require.True(t, submitter.IsRecording(), "a span that is not its own stays open")
}

func TestAJobWhoseSubmitterDidNotWaitHasALinkToIt(t *testing.T) {
	tr := newTracer(t)
	ctx, submitter := tr.Tracer("test").Start(t.Context(), "request")
	submitter.End()
	run(ctx, Hooks(tr), job(), dispatch.Succeeded, nil)
	s := tr.ended.Ended()[1]
	require.False(t, s.Parent().IsValid())
	require.NotEqual(t, submitter.SpanContext().TraceID(), s.SpanContext().TraceID())
	require.Len(t, s.Links(), 1)
	require.Equal(t, submitter.SpanContext(), s.Links()[0].SpanContext)
}

func TestASubmitterElsewhereIsTheParent(t *testing.T) {
	tr := newTracer(t)
	remote := apitrace.NewSpanContext(apitrace.SpanContextConfig{TraceID: [16]byte{1}, SpanID: [8]byte{2}, TraceFlags: apitrace.FlagsSampled, Remote: true})
	run(apitrace.ContextWithSpanContext(t.Context(), remote), Hooks(tr), job(), dispatch.Succeeded, nil)
	require.Equal(t, remote, tr.only(t).Parent())
}

// faultyError is an error whose Error method panics.
type faultyError struct{}

func (faultyError) Error() string { panic("boo") }

func TestTheStatusTellsHowAJobEnded(t *testing.T) {
	for outcome, want := range map[dispatch.Outcome]struct {
		name string
		err  error
		code codes.Code
	}{
		dispatch.Succeeded: {"success", nil, codes.Unset},
		dispatch.Failed:    {"error", errors.New("bad"), codes.Error},
		dispatch.Panicked:  {"panic", &dispatch.PanicError{Value: "boo", Stack: []byte("the stack")}, codes.Error},
		dispatch.Canceled:  {"canceled", context.Canceled, codes.Unset},
		dispatch.TimedOut:  {"timeout", &dispatch.TimeoutError{Limit: time.Second}, codes.Error},
		dispatch.Dropped:   {"dropped", dispatch.ErrDropped, codes.Error},
	} {
		tr := newTracer(t)
		run(t.Context(), Hooks(tr), job(), outcome, want.err)
		s := tr.only(t)
		require.Equal(t, want.name, attributesOf(s)["dispatch.job.outcome"])
		require.Equal(t, want.code, s.Status().Code, want.name)
		if want.code != codes.Error {
			require.Empty(t, s.Events())
			continue
		}
		require.Equal(t, want.err.Error(), s.Status().Description)
		require.Len(t, s.Events(), 1)
		event := map[attribute.Key]string{}
		for _, a := range s.Events()[0].Attributes {
			event[a.Key] = a.Value.AsString()
		}
		require.Equal(t, want.err.Error(), event["exception.message"])
		if outcome == dispatch.Panicked {
			require.Equal(t, "the stack", event["exception.stacktrace"])
		}
	}
}

func TestASpanEndsAlsoWhereTheErrorPanics(t *testing.T) {
	tr := newTracer(t)
	require.Panics(t, func() { run(t.Context(), Hooks(tr), job(), dispatch.Failed, faultyError{}) }, "the pool contains it")
	require.Equal(t, trace.Status{Code: codes.Error, Description: "error"}, tr.only(t).Status())
}

func TestAJobThatNeverRanHasASpanFromItsSubmitToItsEnd(t *testing.T) {
	tr := newTracer(t)
	j := job()
	j.Worker, j.Pool, j.Outcome, j.Err = 0, "", dispatch.Dropped, dispatch.ErrDropped
	Hooks(tr).Done(t.Context(), j)
	s := tr.only(t)
	require.Equal(t, "dispatch job", s.Name())
	require.True(t, s.StartTime().Equal(j.Submitted))
	require.Equal(t, j.Wait, s.EndTime().Sub(s.StartTime()))
	require.NotContains(t, attributesOf(s), attribute.Key("dispatch.pool.name"))
	require.Equal(t, codes.Error, s.Status().Code)
}

func TestAJobThatNeverRanDoesNotEndTheSpanOfTheOneThatSubmittedIt(t *testing.T) {
	tr := newTracer(t)
	h, outer := Hooks(tr), job()
	ctx := h.Start(t.Context(), outer) // its handler submits with its own context

	inner := job()
	inner.Worker, inner.Outcome, inner.Err = 0, dispatch.Canceled, context.Canceled
	h.Done(ctx, inner)
	s := tr.only(t)
	require.Equal(t, apitrace.SpanFromContext(ctx).SpanContext(), s.Parent())
	require.True(t, apitrace.SpanFromContext(ctx).IsRecording())

	// Its own Start has failed: the context that Done gets has only the other job's span.
	inner.Ran, inner.Worker, inner.Outcome, inner.Err = true, 4, dispatch.Succeeded, nil
	h.Done(ctx, inner)
	require.Len(t, tr.ended.Ended(), 2)
	require.True(t, apitrace.SpanFromContext(ctx).IsRecording())

	outer.Ran, outer.Outcome = true, dispatch.Succeeded
	h.Done(ctx, outer)
	require.False(t, apitrace.SpanFromContext(ctx).IsRecording())
}

func TestTwoTracersDoNotMeet(t *testing.T) {
	a, b := newTracer(t), newTracer(t)
	first, second, j := Hooks(a), Hooks(b), job()
	ctx := second.Start(first.Start(t.Context(), j), j)
	j.Ran, j.Outcome = true, dispatch.Succeeded
	second.Done(ctx, j)
	first.Done(ctx, j)
	require.Equal(t, a.only(t).SpanContext(), b.only(t).Parent())
}

func TestNoProviderMeansTheGlobalOne(t *testing.T) {
	before := otel.GetTracerProvider()
	tr := newTracer(t)
	otel.SetTracerProvider(tr)
	defer otel.SetTracerProvider(before)
	run(t.Context(), Hooks(nil), job(), dispatch.Succeeded, nil)
	require.Equal(t, "thumbs", tr.only(t).Name())
}
