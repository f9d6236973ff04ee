package oteldispatch

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"example.com/dispatch"
)

// Hooks returns hooks that make a span for each job; give them to a pool with
// [dispatch.WithHooks]. A nil provider means the one that is global at the time of the
// call. The same hooks may serve several pools.
func Hooks(provider trace.TracerProvider) dispatch.Hooks {
	if provider == nil {
		provider = otel.GetTracerProvider()
	}
	t := &tracing{tracer: provider.Tracer(scope)}
	return dispatch.Hooks{Start: t.start, Done: t.done}
}

// tracing makes the spans. A *tracing is also the context key of the *begun that its
// start method has made.
type tracing struct{ tracer trace.Tracer }

// begun is a running job and its span.
type begun struct {
	span trace.Span
	job  dispatch.Job
}

// start begins the span of j.
func (t *tracing) start(ctx context.Context, j dispatch.Job) context.Context {
	ctx, span := t.tracer.Start(ctx, spanName(j), append(options(ctx), trace.WithAttributes(attributes(j)...))...)
	return context.WithValue(ctx, t, &begun{span, j})
}

// done ends the span of j. If start was not called for j, done makes a span after the
// fact. The context is then the submitter's, and may carry the span of another job,
// the one that has submitted j; done must not end that span.
func (t *tracing) done(ctx context.Context, j dispatch.Job) {
	if b, ok := ctx.Value(t).(*begun); ok && sameJob(b.job, j) {
		defer b.span.End() // even if a method of the error panics
		tell(b.span, j)
		return
	}
	_, span := t.tracer.Start(ctx, spanName(j),
		append(options(ctx), trace.WithTimestamp(j.Submitted), trace.WithAttributes(attributes(j)...))...)
	defer span.End(trace.WithTimestamp(j.Submitted.Add(j.Wait + j.Run)))
	tell(span, j)
}

// sameJob reports whether b is a, a job that a worker has started on.
func sameJob(a, b dispatch.Job) bool {
	return a.Pool == b.Pool && a.Worker == b.Worker && a.Index == b.Index && a.Submitted.Equal(b.Submitted)
}

func spanName(j dispatch.Job) string {
	if j.Pool == "" {
		return "dispatch job"
	}
	return j.Pool
}

// options makes the span in ctx the parent. If that span has ended, options starts a
// new trace with a link to it.
func options(ctx context.Context) []trace.SpanStartOption {
	parent := trace.SpanFromContext(ctx)
	ended, ok := parent.(interface{ EndTime() time.Time }) // spans of OpenTelemetry's SDK have this method
	if !ok || ended.EndTime().IsZero() {
		return nil
	}
	return []trace.SpanStartOption{trace.WithNewRoot(), trace.WithLinks(trace.Link{SpanContext: parent.SpanContext()})}
}

// attributes returns the attributes that are known when a job starts.
func attributes(j dispatch.Job) []attribute.KeyValue {
	list := []attribute.KeyValue{waitKey.Float64(j.Wait.Seconds())}
	if j.Pool != "" {
		list = append(list, poolKey.String(j.Pool))
	}
	if j.Label != "" {
		list = append(list, labelKey.String(j.Label))
	}
	if j.Index >= 0 {
		list = append(list, indexKey.Int(j.Index))
	}
	return list
}

// tell records the outcome of j on span.
func tell(span trace.Span, j dispatch.Job) {
	span.SetAttributes(outcomeKey.String(outcomes[j.Outcome]))
	if j.Outcome == dispatch.Succeeded || j.Outcome == dispatch.Canceled || j.Err == nil {
		return
	}
	span.SetStatus(codes.Error, outcomes[j.Outcome]) // in case a method of the error panics
	var event []trace.EventOption
	if p, ok := errors.AsType[*dispatch.PanicError](j.Err); ok {
		event = append(event, trace.WithAttributes(attribute.String("exception.stacktrace", string(p.Stack))))
	}
	span.RecordError(j.Err, event...)
	span.SetStatus(codes.Error, j.Err.Error())
}
