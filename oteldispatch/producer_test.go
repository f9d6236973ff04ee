package oteldispatch

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"example.com/dispatch"
	"example.com/dispatch/internal/fakepool"
)

// full returns a fake pool whose Stats has a different number in each field.
func full() *fakepool.Pool {
	return fakepool.New(dispatch.Stats{
		Name: "thumbs", Workers: 8, Idle: 3, Running: 4, Queued: 5, Blocked: 6, Strays: 7, MaxRunning: 16, MaxQueued: 9, Paused: true,
		Submitted: 100, Succeeded: 10, Failed: 11, Panicked: 12, Canceled: 13, TimedOut: 14, Dropped: 15, Rejected: 17, GaveUp: 18,
		Telemetry: true, OldestWait: 1500 * time.Millisecond, LongestRun: 2500 * time.Millisecond,
		Wait: fakepool.Histogram(900, 1100*time.Microsecond), Run: fakepool.Histogram(900*time.Millisecond, 3*time.Second),
	})
}

// read returns the metrics that a reader with p as its producer collects.
func read(t *testing.T, p *Producer) []metricdata.ScopeMetrics {
	t.Helper()
	reader := metric.NewManualReader(metric.WithProducer(p))
	provider := metric.NewMeterProvider(metric.WithReader(reader))
	defer func() { require.NoError(t, provider.Shutdown(context.Background())) }()
	var data metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &data))
	return data.ScopeMetrics
}

func metricsOf(t *testing.T, p *Producer) map[string]metricdata.Metrics {
	t.Helper()
	byName := map[string]metricdata.Metrics{}
	for _, s := range read(t, p) {
		for _, m := range s.Metrics {
			require.NotContains(t, byName, m.Name)
			byName[m.Name] = m
		}
	}
	return byName
}

func TestEachFactOfStatsIsAMetric(t *testing.T) {
	pool := attribute.String("dispatch.pool.name", "thumbs")
	number := func(v int64, more ...attribute.KeyValue) metricdata.DataPoint[int64] {
		return metricdata.DataPoint[int64]{Attributes: attribute.NewSet(append(more, pool)...), Value: v}
	}
	sum := func(name, description, unit string, monotonic bool, points ...metricdata.DataPoint[int64]) metricdata.Metrics {
		return metricdata.Metrics{Name: name, Description: description, Unit: unit, Data: metricdata.Sum[int64]{
			Temporality: metricdata.CumulativeTemporality, IsMonotonic: monotonic, DataPoints: points,
		}}
	}
	gauge := func(name, description, unit string, v float64) metricdata.Metrics {
		return metricdata.Metrics{Name: name, Description: description, Unit: unit, Data: metricdata.Gauge[float64]{
			DataPoints: []metricdata.DataPoint[float64]{{Attributes: attribute.NewSet(pool), Value: v}},
		}}
	}
	histogram := func(name, description string, p metricdata.ExponentialHistogramDataPoint[float64]) metricdata.Metrics {
		p.Attributes, p.Scale, p.ZeroThreshold = attribute.NewSet(pool), 2, math.Exp2(-20)
		return metricdata.Metrics{Name: name, Description: description, Unit: "s", Data: metricdata.ExponentialHistogram[float64]{
			Temporality: metricdata.CumulativeTemporality, DataPoints: []metricdata.ExponentialHistogramDataPoint[float64]{p},
		}}
	}
	outcome := func(v string) attribute.KeyValue { return attribute.String("dispatch.job.outcome", v) }
	want := metricdata.ScopeMetrics{
		Scope: instrumentation.Scope{Name: "example.com/dispatch/oteldispatch"},
		Metrics: []metricdata.Metrics{
			sum("dispatch.worker.count", "Workers, by state: busy or idle.", "{worker}", false,
				number(5, attribute.String("dispatch.worker.state", "busy")), number(3, attribute.String("dispatch.worker.state", "idle"))),
			sum("dispatch.job.running", "Handlers that are running, not counting strays.", "{job}", false, number(4)),
			sum("dispatch.job.running.limit", "Limit of jobs that run at once.", "{job}", false, number(16)),
			sum("dispatch.job.stray", "Strays: handlers that were written off and have not returned.", "{job}", false, number(7)),
			sum("dispatch.queue.size", "Accepted jobs that wait for a worker.", "{job}", false, number(5)),
			sum("dispatch.queue.capacity", "Limit of single jobs that wait, beyond those that free workers can take.", "{job}", false, number(9)),
			sum("dispatch.submitter.blocked", "Submitters that wait for room in the queue.", "{submitter}", false, number(6)),
			sum("dispatch.job.submitted", "Jobs that were accepted.", "{job}", true, number(100)),
			sum("dispatch.job.ended", "Jobs that have ended, by outcome.", "{job}", true,
				number(10, outcome("success")), number(11, outcome("error")), number(12, outcome("panic")),
				number(13, outcome("canceled")), number(14, outcome("timeout")), number(15, outcome("dropped"))),
			sum("dispatch.job.rejected", "Jobs that were refused because the queue was full.", "{job}", true, number(17)),
			sum("dispatch.submitter.gave_up", "Submitters whose context or timeout ended their wait for room.", "{submitter}", true, number(18)),
			gauge("dispatch.pool.paused", "Whether the pool is paused (1) or not (0). A paused pool accepts jobs and starts none.", "1", 1),
			gauge("dispatch.queue.oldest_wait", "Time that the oldest waiting job has waited so far.", "s", 1.5),
			gauge("dispatch.job.longest_run", "Time that the longest-running handler has run so far, strays included.", "s", 2.5),
			histogram("dispatch.job.wait.duration", "Time from the submission of a job until a worker started on it or the job ended.",
				metricdata.ExponentialHistogramDataPoint[float64]{
					Count: 2, Sum: 0.0011009, ZeroCount: 1, // 1.1 ms is above 2^-10 s and up to 2^(-39/4) s
					PositiveBucket: metricdata.ExponentialBucket{Offset: -40, Counts: []uint64{1}},
				}),
			histogram("dispatch.job.run.duration", "Time from when a worker started on a job until its handler returned.",
				metricdata.ExponentialHistogramDataPoint[float64]{
					Count: 2, Sum: 3.9, // 0.9 s is above 2^(-1/4) s and up to 2^0 s, 3 s above 2^(6/4) s and up to 2^(7/4) s
					PositiveBucket: metricdata.ExponentialBucket{Offset: -1, Counts: []uint64{1, 0, 0, 0, 0, 0, 0, 1}},
				}),
		},
	}
	got := read(t, NewProducer(full()))
	require.Len(t, got, 1)
	metricdatatest.AssertEqual(t, want, got[0], metricdatatest.IgnoreTimestamp())
}

func TestASeriesBeginsWhenItsPoolIsAdded(t *testing.T) {
	before := time.Now()
	p := NewProducer(full())
	after := time.Now()
	data, ok := metricsOf(t, p)["dispatch.job.submitted"].Data.(metricdata.Sum[int64])
	require.True(t, ok)
	require.False(t, data.DataPoints[0].StartTime.Before(before) || data.DataPoints[0].StartTime.After(after))
	require.False(t, data.DataPoints[0].Time.Before(after))
}

func TestWhatIsNotThereIsLeftOut(t *testing.T) {
	byName := metricsOf(t, NewProducer(fakepool.New(dispatch.Stats{
		MaxRunning: dispatch.Unlimited, MaxQueued: dispatch.Unlimited, OldestWait: time.Second, Run: fakepool.Histogram(time.Second),
	})))
	for _, name := range []string{
		"dispatch.job.running.limit", "dispatch.queue.capacity", "dispatch.queue.oldest_wait", "dispatch.job.longest_run",
		"dispatch.job.wait.duration", "dispatch.job.run.duration",
	} {
		require.NotContains(t, byName, name)
	}
	require.Contains(t, byName, "dispatch.job.running")
	require.Empty(t, read(t, NewProducer()))
}

func TestTheHistogramHasTheBucketsOfTheSDK(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var list []time.Duration
	for range 2000 {
		list = append(list, time.Duration(math.Exp2(11+r.Float64()*35))|1) // above the zero bucket
	}
	reader := metric.NewManualReader()
	provider := metric.NewMeterProvider(metric.WithReader(reader), metric.WithView(metric.NewView(
		metric.Instrument{Name: "theirs"},
		metric.Stream{Aggregation: metric.AggregationBase2ExponentialHistogram{MaxSize: 160, MaxScale: 2}},
	)))
	defer func() { require.NoError(t, provider.Shutdown(context.Background())) }()
	theirs, err := provider.Meter("test").Float64Histogram("theirs")
	require.NoError(t, err)
	for _, d := range list {
		theirs.Record(t.Context(), d.Seconds())
	}
	var data metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &data))
	wanted, ok := data.ScopeMetrics[0].Metrics[0].Data.(metricdata.ExponentialHistogram[float64])
	require.True(t, ok)
	want := wanted.DataPoints[0]

	got := histogram(sight{}, fakepool.Histogram(list...))
	require.Equal(t, want.Count, got.Count)
	require.InEpsilon(t, want.Sum, got.Sum, 1e-9)
	require.Equal(t, want.Scale, got.Scale)
	require.Equal(t, want.PositiveBucket, got.PositiveBucket)
}

func TestANameThatIsTakenGetsANumber(t *testing.T) {
	pool := func(name string) *fakepool.Pool { return fakepool.New(dispatch.Stats{Name: name}) }
	second := pool("a")
	p := NewProducer(pool("a"), second, pool(""), nil)
	p.Add(second)
	names := func() (names []string) {
		data, ok := metricsOf(t, p)["dispatch.job.running"].Data.(metricdata.Sum[int64])
		require.True(t, ok)
		for _, d := range data.DataPoints {
			name, _ := d.Attributes.Value("dispatch.pool.name")
			names = append(names, name.AsString())
		}
		return names
	}
	require.Equal(t, []string{"a", "a#2", "unnamed"}, names())
	p.Remove(second)
	p.Remove(second)
	require.Equal(t, []string{"a", "unnamed"}, names())
}

func TestReadersMayMeetAddAndRemove(t *testing.T) {
	p := NewProducer(full())
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 50 {
				other := full()
				p.Add(other)
				if _, err := p.Produce(t.Context()); err != nil {
					t.Error(err)
				}
				p.Remove(other)
			}
		})
	}
	readers.Wait()
}

func TestAReaderThatHasGivenUpIsTold(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := NewProducer(full()).Produce(ctx)
	require.ErrorIs(t, err, context.Canceled)
}
