package oteldispatch

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	apitrace "go.opentelemetry.io/otel/trace"

	"example.com/dispatch"
)

// deed is the function that a job of these tests runs.
type deed func(ctx context.Context) error

// tracedPool returns a pool of one worker whose spans go to tr.
func tracedPool(tr tracer, opts ...dispatch.Option) *dispatch.Pool[deed, struct{}] {
	return dispatch.Must(dispatch.New(func(ctx context.Context, d deed) (struct{}, error) { return struct{}{}, d(ctx) },
		append([]dispatch.Option{
			dispatch.WithName("thumbs"), dispatch.WithWorkers(1), dispatch.WithHooks(Hooks(tr)), dispatch.WithPanicHandler(func(*dispatch.PanicError) {}),
		}, opts...)...))
}

// seen has the facts about a job that its span records.
type seen struct {
	parent, link  string // names of the spans
	outcome       any
	wait          any // in seconds
	length        time.Duration
	index         any
	code          codes.Code
	sameTraceAsIt bool // same trace as its parent or link
}

// spansOf returns the spans of a pool's jobs in the order in which they ended.
func spansOf(tr tracer) (list []seen) {
	byID := map[apitrace.SpanID]trace.ReadOnlySpan{}
	for _, s := range tr.ended.Ended() {
		byID[s.SpanContext().SpanID()] = s
	}
	for _, s := range tr.ended.Ended() {
		if s.InstrumentationScope().Name != scope {
			continue
		}
		is := attributesOf(s)
		one := seen{
			outcome: is["dispatch.job.outcome"], wait: is["dispatch.job.wait"], length: s.EndTime().Sub(s.StartTime()),
			index: is["dispatch.job.index"], code: s.Status().Code,
		}
		if p := byID[s.Parent().SpanID()]; p != nil {
			one.parent, one.sameTraceAsIt = p.Name(), p.SpanContext().TraceID() == s.SpanContext().TraceID()
		}
		for _, l := range s.Links() {
			one.link, one.sameTraceAsIt = byID[l.SpanContext.SpanID()].Name(), l.SpanContext.TraceID() == s.SpanContext().TraceID()
		}
		list = append(list, one)
	}
	return list
}

func TestEachJobOfAPoolHasASpanUnderItsSubmitters(t *testing.T) {
	const s = time.Second
	bg := context.Background()
	nap := func(context.Context) error { time.Sleep(2 * s); return nil }
	fail := func(context.Context) error { time.Sleep(s); return errors.New("bad") }
	heed := func(ctx context.Context) error { <-ctx.Done(); time.Sleep(s); return nil }
	slept := seen{"request", "", "success", 0.0, 2 * s, nil, codes.Unset, true}
	for name, row := range map[string]struct {
		opts []dispatch.Option
		run  func(ctx context.Context, p *dispatch.Pool[deed, struct{}])
		want []seen
	}{
		"waited for": {nil, func(ctx context.Context, p *dispatch.Pool[deed, struct{}]) { _, _ = p.Process(ctx, nap) }, []seen{slept}},
		"failed":     {nil, func(ctx context.Context, p *dispatch.Pool[deed, struct{}]) { _, _ = p.Process(ctx, fail) }, []seen{{"request", "", "error", 0.0, s, nil, codes.Error, true}}},
		"panicked": {nil, func(ctx context.Context, p *dispatch.Pool[deed, struct{}]) {
			_, _ = p.Process(ctx, func(context.Context) error { panic("boo") })
		}, []seen{{"request", "", "panic", 0.0, 0, nil, codes.Error, true}}},
		"submitted, and waited for": {nil, func(ctx context.Context, p *dispatch.Pool[deed, struct{}]) {
			_, _ = dispatch.Must(p.Submit(ctx, nap)).Wait(ctx)
		}, []seen{slept}},
		"the submitter has ended before it begins": {nil, func(ctx context.Context, p *dispatch.Pool[deed, struct{}]) {
			dispatch.Must(p.Submit(bg, nap)) // with no span in the context
			dispatch.Must(p.Submit(context.WithoutCancel(ctx), fail))
		}, []seen{{"", "", "success", 0.0, 2 * s, nil, codes.Unset, false}, {"", "request", "error", 2.0, s, nil, codes.Error, false}}},
		"the submitter has ended before it ends": {nil, func(ctx context.Context, p *dispatch.Pool[deed, struct{}]) {
			dispatch.Must(p.Submit(context.WithoutCancel(ctx), nap))
			synctest.Wait()
		}, []seen{slept}},
		"items": {nil, func(ctx context.Context, p *dispatch.Pool[deed, struct{}]) { _, _ = p.Map(ctx, []deed{nap, fail, nap}) }, []seen{
			{"request", "", "success", 0.0, 2 * s, int64(0), codes.Unset, true},
			{"request", "", "error", 2.0, s, int64(1), codes.Error, true},
			{"request", "", "canceled", 3.0, 3 * s, int64(2), codes.Unset, true},
		}},
		"canceled in the queue": {nil, func(ctx context.Context, p *dispatch.Pool[deed, struct{}]) {
			dispatch.Must(p.Submit(ctx, nap))
			f := dispatch.Must(p.Submit(ctx, nap))
			time.Sleep(s)
			f.Cancel()
			_ = p.Wait(ctx)
		}, []seen{{"request", "", "canceled", 1.0, s, nil, codes.Unset, true}, slept}},
		"timed out, and runs on": {[]dispatch.Option{dispatch.WithJobTimeout(s)}, func(ctx context.Context, p *dispatch.Pool[deed, struct{}]) {
			_, _ = p.Process(ctx, heed)
			_ = p.Wait(ctx)
		}, []seen{{"request", "", "timeout", 0.0, 2 * s, nil, codes.Error, true}}},
		"dropped": {[]dispatch.Option{dispatch.WithQueue(1), dispatch.WithOverflow(dispatch.DropOldest)}, func(ctx context.Context, p *dispatch.Pool[deed, struct{}]) {
			dispatch.Must(p.Submit(ctx, nap))
			dispatch.Must(p.Submit(ctx, nap))
			time.Sleep(s)
			dispatch.Must(p.Submit(ctx, fail))
			_ = p.Wait(ctx)
		}, []seen{{"request", "", "dropped", 1.0, s, nil, codes.Error, true}, slept, {"request", "", "error", 1.0, s, nil, codes.Error, true}}},
		"nested": {nil, func(ctx context.Context, p *dispatch.Pool[deed, struct{}]) {
			_, _ = p.Process(ctx, func(ctx context.Context) error { _, err := p.Process(ctx, nap); return err })
		}, []seen{{"thumbs", "", "success", 0.0, 2 * s, nil, codes.Unset, true}, slept}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTracer(t)
				p := tracedPool(tr, row.opts...)
				ctx, request := tr.Tracer("test").Start(t.Context(), "request")
				row.run(ctx, p)
				request.End()
				require.NoError(t, p.Close())
				require.Equal(t, row.want, spansOf(tr))
			})
		})
	}
}

func TestAHandlersOwnSpansAreUnderItsJobs(t *testing.T) {
	tr := newTracer(t)
	p := tracedPool(tr)
	_, err := p.Process(t.Context(), func(ctx context.Context) error {
		_, span := tr.Tracer("test").Start(ctx, "disk")
		span.End()
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, p.Close())
	spans := tr.ended.Ended()
	require.Equal(t, []string{"disk", "thumbs"}, []string{spans[0].Name(), spans[1].Name()})
	require.Equal(t, spans[1].SpanContext(), spans[0].Parent())
}

func TestWaitsAndRunsOfAPoolAreExported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := dispatch.Must(dispatch.New(func(_ context.Context, d time.Duration) (int, error) { time.Sleep(d); return 0, nil },
			dispatch.WithWorkers(1), dispatch.WithTelemetry()))
		defer p.Close()
		producer := NewProducer(p)
		_, err := p.Map(t.Context(), []time.Duration{time.Second, time.Second + 1, 953, 954})
		require.NoError(t, err)
		point := func(name string) metricdata.ExponentialHistogramDataPoint[float64] {
			data, ok := metricsOf(t, producer)["dispatch.job."+name+".duration"].Data.(metricdata.ExponentialHistogram[float64])
			require.True(t, ok)
			return data.DataPoints[0]
		}
		run := point("run")
		require.Equal(t, uint64(4), run.Count)
		require.InDelta(t, (2*time.Second + 1 + 953 + 954).Seconds(), run.Sum, 0)
		require.Equal(t, uint64(1), run.ZeroCount, "953 ns are below 2^-20 s")
		require.Equal(t, int32(-80), run.PositiveBucket.Offset, "954 ns are above")
		require.Len(t, run.PositiveBucket.Counts, 81)
		require.Equal(t, []uint64{1, 1, 1}, []uint64{run.PositiveBucket.Counts[0], run.PositiveBucket.Counts[79], run.PositiveBucket.Counts[80]},
			"a second is in the bucket that ends there, and a nanosecond more in the next")
		require.Equal(t, uint64(4), point("wait").Count)
	})
}
