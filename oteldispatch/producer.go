package oteldispatch

import (
	"context"
	"math"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"example.com/dispatch"
)

// Pool is a pool that can be exported. Every *[dispatch.Pool] is one, whatever its
// types.
type Pool interface{ Stats() dispatch.Stats }

// Producer is a [metric.Producer] for pools: give it to a reader with
// [metric.WithProducer]. Its methods may be called by several goroutines at once.
type Producer struct{ pools pools }

var _ metric.Producer = (*Producer)(nil)

// NewProducer returns a producer for pools. Use Add for pools that are made later.
func NewProducer(pools ...Pool) *Producer {
	p := new(Producer)
	p.Add(pools...)
	return p
}

// Add adds pools to those that p exports. It ignores a pool that is nil or exported
// already.
func (p *Producer) Add(pools ...Pool) { p.pools.add(pools...) }

// Remove stops the export of pool. It does nothing if p does not export pool.
func (p *Producer) Remove(pool Pool) { p.pools.remove(pool) }

// Produce takes one Stats of each pool and returns the metrics. It waits for no job.
func (p *Producer) Produce(ctx context.Context) ([]metricdata.ScopeMetrics, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	now := time.Now()
	var seen []sight
	for _, n := range p.pools.all() {
		seen = append(seen, sight{named: n, stats: n.pool.Stats(), at: now})
	}
	metrics := sums(seen)
	metrics = append(metrics, gauges(seen)...)
	metrics = append(metrics, histograms(seen)...)
	if len(metrics) == 0 {
		return nil, nil
	}
	return []metricdata.ScopeMetrics{{Scope: instrumentation.Scope{Name: scope}, Metrics: metrics}}, nil
}

// sight is the Stats of a pool at one moment.
type sight struct {
	named

	stats dispatch.Stats
	at    time.Time
}

func (s sight) attributes(more ...attribute.KeyValue) attribute.Set {
	return attribute.NewSet(append(more, poolKey.String(s.name))...)
}

// point is a number of one pool.
type point struct {
	value      func(dispatch.Stats) uint64
	attributes []attribute.KeyValue
}

// sum is a metric that adds up over pools.
type sum struct {
	name, description, unit string
	monotonic               bool // a counter
	limit                   bool // a pool without this limit has no point
	points                  []point
}

func one(value func(dispatch.Stats) uint64) []point { return []point{{value: value}} }

func ended(o dispatch.Outcome, value func(dispatch.Stats) uint64) point {
	return point{value: value, attributes: []attribute.KeyValue{outcomeKey.String(outcomes[o])}}
}

var allSums = []sum{
	{name: "dispatch.worker.count", description: "Workers, by state: busy or idle.", unit: "{worker}", points: []point{
		{func(s dispatch.Stats) uint64 { return uint64(max(0, s.Workers-s.Idle)) }, []attribute.KeyValue{stateKey.String("busy")}},
		{func(s dispatch.Stats) uint64 { return uint64(s.Idle) }, []attribute.KeyValue{stateKey.String("idle")}},
	}},
	{
		name: "dispatch.job.running", description: "Handlers that are running, not counting strays.", unit: "{job}",
		points: one(func(s dispatch.Stats) uint64 { return uint64(s.Running) }),
	},
	{
		name: "dispatch.job.running.limit", description: "Limit of jobs that run at once.", unit: "{job}", limit: true,
		points: one(func(s dispatch.Stats) uint64 { return uint64(s.MaxRunning) }),
	},
	{
		name: "dispatch.job.stray", description: "Strays: handlers that were written off and have not returned.", unit: "{job}",
		points: one(func(s dispatch.Stats) uint64 { return uint64(s.Strays) }),
	},
	{
		name: "dispatch.queue.size", description: "Accepted jobs that wait for a worker.", unit: "{job}",
		points: one(func(s dispatch.Stats) uint64 { return uint64(s.Queued) }),
	},
	{
		name: "dispatch.queue.capacity", description: "Limit of single jobs that wait, beyond those that free workers can take.", unit: "{job}", limit: true,
		points: one(func(s dispatch.Stats) uint64 { return uint64(s.MaxQueued) }),
	},
	{
		name: "dispatch.submitter.blocked", description: "Submitters that wait for room in the queue.", unit: "{submitter}",
		points: one(func(s dispatch.Stats) uint64 { return uint64(s.Blocked) }),
	},
	{
		name: "dispatch.job.submitted", description: "Jobs that were accepted.", unit: "{job}", monotonic: true,
		points: one(func(s dispatch.Stats) uint64 { return s.Submitted }),
	},
	{name: "dispatch.job.ended", description: "Jobs that have ended, by outcome.", unit: "{job}", monotonic: true, points: []point{
		ended(dispatch.Succeeded, func(s dispatch.Stats) uint64 { return s.Succeeded }),
		ended(dispatch.Failed, func(s dispatch.Stats) uint64 { return s.Failed }),
		ended(dispatch.Panicked, func(s dispatch.Stats) uint64 { return s.Panicked }),
		ended(dispatch.Canceled, func(s dispatch.Stats) uint64 { return s.Canceled }),
		ended(dispatch.TimedOut, func(s dispatch.Stats) uint64 { return s.TimedOut }),
		ended(dispatch.Dropped, func(s dispatch.Stats) uint64 { return s.Dropped }),
	}},
	{
		name: "dispatch.job.rejected", description: "Jobs that were refused because the queue was full.", unit: "{job}", monotonic: true,
		points: one(func(s dispatch.Stats) uint64 { return s.Rejected }),
	},
	{
		name: "dispatch.submitter.gave_up", description: "Submitters whose context or timeout ended their wait for room.", unit: "{submitter}", monotonic: true,
		points: one(func(s dispatch.Stats) uint64 { return s.GaveUp }),
	},
}

func sums(seen []sight) (metrics []metricdata.Metrics) {
	for _, m := range allSums {
		data := metricdata.Sum[int64]{Temporality: metricdata.CumulativeTemporality, IsMonotonic: m.monotonic}
		for _, s := range seen {
			for _, p := range m.points {
				v := p.value(s.stats)
				if m.limit && v == dispatch.Unlimited {
					continue
				}
				data.DataPoints = append(data.DataPoints, metricdata.DataPoint[int64]{
					Attributes: s.attributes(p.attributes...), StartTime: s.added, Time: s.at, Value: int64(min(v, math.MaxInt64)),
				})
			}
		}
		if len(data.DataPoints) > 0 {
			metrics = append(metrics, metricdata.Metrics{Name: m.name, Description: m.description, Unit: m.unit, Data: data})
		}
	}
	return metrics
}

func gauges(seen []sight) (metrics []metricdata.Metrics) {
	for _, m := range []struct {
		name, description, unit string
		value                   func(dispatch.Stats) (float64, bool)
	}{
		{"dispatch.pool.paused", "Whether the pool is paused (1) or not (0). A paused pool accepts jobs and starts none.", "1", func(s dispatch.Stats) (float64, bool) {
			if s.Paused {
				return 1, true
			}
			return 0, true
		}},
		{"dispatch.queue.oldest_wait", "Time that the oldest waiting job has waited so far.", "s", func(s dispatch.Stats) (float64, bool) {
			return s.OldestWait.Seconds(), s.Telemetry
		}},
		{"dispatch.job.longest_run", "Time that the longest-running handler has run so far, strays included.", "s", func(s dispatch.Stats) (float64, bool) {
			return s.LongestRun.Seconds(), s.Telemetry
		}},
	} {
		var data metricdata.Gauge[float64]
		for _, s := range seen {
			if v, ok := m.value(s.stats); ok {
				data.DataPoints = append(data.DataPoints, metricdata.DataPoint[float64]{Attributes: s.attributes(), StartTime: s.added, Time: s.at, Value: v})
			}
		}
		if len(data.DataPoints) > 0 {
			metrics = append(metrics, metricdata.Metrics{Name: m.name, Description: m.description, Unit: m.unit, Data: data})
		}
	}
	return metrics
}

func histograms(seen []sight) (metrics []metricdata.Metrics) {
	for _, m := range []struct {
		name, description string
		of                func(dispatch.Stats) dispatch.Histogram
	}{
		{"dispatch.job.wait.duration", "Time from the submission of a job until a worker started on it or the job ended.", func(s dispatch.Stats) dispatch.Histogram { return s.Wait }},
		{"dispatch.job.run.duration", "Time from when a worker started on a job until its handler returned.", func(s dispatch.Stats) dispatch.Histogram { return s.Run }},
	} {
		data := metricdata.ExponentialHistogram[float64]{Temporality: metricdata.CumulativeTemporality}
		for _, s := range seen {
			if s.stats.Telemetry {
				data.DataPoints = append(data.DataPoints, histogram(s, m.of(s.stats)))
			}
		}
		if len(data.DataPoints) > 0 {
			metrics = append(metrics, metricdata.Metrics{Name: m.name, Description: m.description, Unit: "s", Data: data})
		}
	}
	return metrics
}

const (
	scale  = 2   // bucket k ends at 2^(k/4): the pool's buckets
	lowest = -80 // the pool's bucket for all shorter durations, exported as the zero bucket
)

// histogram returns h as a data point. Bucket k of h has the index k-1 there.
func histogram(s sight, h dispatch.Histogram) metricdata.ExponentialHistogramDataPoint[float64] {
	p := metricdata.ExponentialHistogramDataPoint[float64]{
		Attributes: s.attributes(), StartTime: s.added, Time: s.at,
		Count: h.Count(), Sum: h.Sum().Seconds(), Scale: scale, ZeroThreshold: math.Exp2(-20),
	}
	for k, n := range h.Buckets() {
		if k == lowest {
			p.ZeroCount = n
			continue
		}
		b := &p.PositiveBucket
		if len(b.Counts) == 0 {
			b.Offset = int32(k - 1)
		}
		for len(b.Counts) < k-1-int(b.Offset) {
			b.Counts = append(b.Counts, 0)
		}
		b.Counts = append(b.Counts, n)
	}
	return p
}
