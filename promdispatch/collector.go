// Package promdispatch exports the Stats of pools to Prometheus.
//
//	prometheus.MustRegister(promdispatch.NewCollector(thumbs, mails))
//
// A scrape takes one [dispatch.Stats] of each pool. Between scrapes the collector
// costs nothing, and it adds no cost to a job. All metrics have the label pool, the
// pool's name (see [dispatch.WithName]). A pool without a name is called "unnamed"; if
// several pools have the same name, the later ones get "#2" and so on appended. Pools
// may be added and removed while they are scraped.
//
//	dispatch_workers                    gauge      workers; state: busy, idle
//	dispatch_running_jobs               gauge      handlers that are running, not counting strays
//	dispatch_queued_jobs                gauge      jobs that wait for a worker
//	dispatch_blocked_submitters         gauge      submitters that wait for room in the queue
//	dispatch_stray_jobs                 gauge      handlers that were written off (WithGrace) and have not returned
//	dispatch_max_running_jobs           gauge      absent if there is no limit
//	dispatch_max_queued_jobs            gauge      absent if there is no limit
//	dispatch_paused                     gauge      1: the pool is paused, so it accepts jobs and starts none
//	dispatch_jobs_submitted_total       counter
//	dispatch_jobs_ended_total           counter    outcome: success, error, panic, canceled, timeout, dropped
//	dispatch_jobs_rejected_total        counter    refused because the queue was full
//	dispatch_submitters_gave_up_total   counter    submitters whose context or timeout ended their wait for room
//
// Pools with [dispatch.WithTelemetry] have these metrics too:
//
//	dispatch_oldest_wait_seconds        gauge      how long the oldest waiting job has waited
//	dispatch_longest_run_seconds        gauge      how long the longest-running handler has run
//	dispatch_job_wait_seconds           histogram  from the submission until a worker started on the job, or the job ended
//	dispatch_job_run_seconds            histogram  from then until its handler returned
//
// Each histogram is both a native one (schema 2: each bucket is 19 % wider than the
// one before) and a classic one (bounds are the powers of two from 2^-16 to 2^8 s).
// Prometheus stores the kind that it is configured for. The native histograms have the
// same buckets as the pool, so the export loses no precision.
//
// The file alerts.yml in this folder has alerting rules, and dashboard.json is a
// dashboard for Grafana.
package promdispatch

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"example.com/dispatch"
)

// Pool is a pool that can be exported. Every *[dispatch.Pool] is one, whatever its
// types.
type Pool interface{ Stats() dispatch.Stats }

// Collector is a [prometheus.Collector] for pools. Its methods may be called by
// several goroutines at once.
type Collector struct{ pools pools }

var _ prometheus.Collector = (*Collector)(nil)

// NewCollector returns a collector for pools. Register it once; use Add for pools
// that are made later.
func NewCollector(pools ...Pool) *Collector {
	c := new(Collector)
	c.Add(pools...)
	return c
}

// Add adds pools to those that c exports. It ignores a pool that is nil or exported
// already.
func (c *Collector) Add(pools ...Pool) { c.pools.add(pools...) }

// Remove stops the export of pool: later scrapes do not have its series. It does
// nothing if c does not export pool.
func (c *Collector) Remove(pool Pool) { c.pools.remove(pool) }

// metric is one number of Stats.
type metric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(dispatch.Stats) (v float64, ok bool) // not ok: the pool does not have this number
	label string                                    // value of the label outcome or state, if the metric has one
}

func newDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("dispatch_"+name, help, append([]string{"pool"}, labels...), nil)
}

var (
	workersDesc = newDesc("workers", "Workers, by state: busy or idle.", "state")
	endedDesc   = newDesc("jobs_ended_total", "Jobs that have ended, by outcome.", "outcome")
	waitDesc    = newDesc("job_wait_seconds", "Time from the submission of a job until a worker started on it or the job ended.")
	runDesc     = newDesc("job_run_seconds", "Time from when a worker started on a job until its handler returned.")
)

var metrics = []metric{
	{desc: workersDesc, kind: prometheus.GaugeValue, label: "busy", value: count(func(s dispatch.Stats) int { return s.Workers - s.Idle })},
	{desc: workersDesc, kind: prometheus.GaugeValue, label: "idle", value: count(func(s dispatch.Stats) int { return s.Idle })},
	gauge("running_jobs", "Handlers that are running, not counting strays.", count(func(s dispatch.Stats) int { return s.Running })),
	gauge("queued_jobs", "Accepted jobs that wait for a worker.", count(func(s dispatch.Stats) int { return s.Queued })),
	gauge("blocked_submitters", "Submitters that wait for room in the queue.", count(func(s dispatch.Stats) int { return s.Blocked })),
	gauge("stray_jobs", "Strays: handlers that were written off and have not returned.", count(func(s dispatch.Stats) int { return s.Strays })),
	gauge("max_running_jobs", "Limit of jobs that run at once.", limit(func(s dispatch.Stats) int { return s.MaxRunning })),
	gauge("max_queued_jobs", "Limit of single jobs that wait, beyond those that free workers can take.", limit(func(s dispatch.Stats) int { return s.MaxQueued })),
	gauge("paused", "Whether the pool is paused (1) or not (0). A paused pool accepts jobs and starts none.", count(func(s dispatch.Stats) int {
		if s.Paused {
			return 1
		}
		return 0
	})),
	counter("jobs_submitted_total", "Jobs that were accepted.", func(s dispatch.Stats) uint64 { return s.Submitted }),
	ended("success", func(s dispatch.Stats) uint64 { return s.Succeeded }),
	ended("error", func(s dispatch.Stats) uint64 { return s.Failed }),
	ended("panic", func(s dispatch.Stats) uint64 { return s.Panicked }),
	ended("canceled", func(s dispatch.Stats) uint64 { return s.Canceled }),
	ended("timeout", func(s dispatch.Stats) uint64 { return s.TimedOut }),
	ended("dropped", func(s dispatch.Stats) uint64 { return s.Dropped }),
	counter("jobs_rejected_total", "Jobs that were refused because the queue was full.", func(s dispatch.Stats) uint64 { return s.Rejected }),
	counter("submitters_gave_up_total", "Submitters whose context or timeout ended their wait for room.", func(s dispatch.Stats) uint64 { return s.GaveUp }),
	gauge("oldest_wait_seconds", "Time that the oldest waiting job has waited so far.", seconds(func(s dispatch.Stats) time.Duration { return s.OldestWait })),
	gauge("longest_run_seconds", "Time that the longest-running handler has run so far, strays included.", seconds(func(s dispatch.Stats) time.Duration { return s.LongestRun })),
}

func gauge(name, help string, value func(dispatch.Stats) (float64, bool)) metric {
	return metric{desc: newDesc(name, help), kind: prometheus.GaugeValue, value: value}
}

func counter(name, help string, n func(dispatch.Stats) uint64) metric {
	return metric{desc: newDesc(name, help), kind: prometheus.CounterValue, value: total(n)}
}

func ended(outcome string, n func(dispatch.Stats) uint64) metric {
	return metric{desc: endedDesc, kind: prometheus.CounterValue, value: total(n), label: outcome}
}

func count(n func(dispatch.Stats) int) func(dispatch.Stats) (float64, bool) {
	return func(s dispatch.Stats) (float64, bool) { return float64(n(s)), true }
}

func total(n func(dispatch.Stats) uint64) func(dispatch.Stats) (float64, bool) {
	return func(s dispatch.Stats) (float64, bool) { return float64(n(s)), true }
}

func limit(n func(dispatch.Stats) int) func(dispatch.Stats) (float64, bool) {
	return func(s dispatch.Stats) (float64, bool) { return float64(n(s)), n(s) != dispatch.Unlimited }
}

func seconds(d func(dispatch.Stats) time.Duration) func(dispatch.Stats) (float64, bool) {
	return func(s dispatch.Stats) (float64, bool) { return d(s).Seconds(), s.Telemetry }
}

// Describe sends the descriptions of all metrics.
func (c *Collector) Describe(descs chan<- *prometheus.Desc) {
	for _, m := range metrics {
		descs <- m.desc
	}
	descs <- waitDesc
	descs <- runDesc
}

// Collect sends the metrics of all pools. It waits for no job.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	for _, p := range c.pools.all() {
		s := p.pool.Stats()
		for _, m := range metrics {
			if v, ok := m.value(s); ok {
				labels := []string{p.name}
				if m.label != "" {
					labels = append(labels, m.label)
				}
				out <- prometheus.MustNewConstMetric(m.desc, m.kind, v, labels...)
			}
		}
		if s.Telemetry {
			out <- newHistogram(waitDesc, s.Wait, p.name)
			out <- newHistogram(runDesc, s.Run, p.name)
		}
	}
}

// histogram is a metric that is both a native and a classic histogram. Package
// prometheus has no constructor for such a metric.
type histogram struct {
	desc   *prometheus.Desc
	labels []*dto.LabelPair
	value  *dto.Histogram
}

func (h *histogram) Desc() *prometheus.Desc { return h.desc }

func (h *histogram) Write(out *dto.Metric) error {
	out.Label, out.Histogram = h.labels, h.value
	return nil
}

const (
	schema       = 2   // bucket k ends at 2^(k/4): the pool's buckets
	lowest       = -80 // the pool's bucket for all shorter durations, exported as the zero bucket
	classicFirst = -16 // 2^-16 s is 15 µs
	classicLast  = 8   // 2^8 s is 4 min
)

var zeroThreshold = math.Exp2(-20)

func newHistogram(desc *prometheus.Desc, h dispatch.Histogram, pool string) prometheus.Metric {
	v := &dto.Histogram{
		SampleCount:   new(h.Count()),
		SampleSum:     new(h.Sum().Seconds()),
		Schema:        new(int32(schema)),
		ZeroThreshold: new(zeroThreshold),
		ZeroCount:     new(uint64(0)),
	}
	// A span is a run of adjacent buckets that are not empty. Each count is encoded
	// as the difference from the count before it.
	cumulative := make(map[int]uint64) // by the exponent of the bucket's classic upper bound
	var length *uint32                 // of the last span
	next, last := int32(0), int64(0)
	for k, n := range h.Buckets() {
		cumulative[max(classicFirst, int(math.Ceil(float64(k)/4)))] += n
		if k == lowest {
			v.ZeroCount = new(n)
			continue
		}
		if index := int32(k); length == nil || index != next {
			length = new(uint32)
			v.PositiveSpan = append(v.PositiveSpan, &dto.BucketSpan{Offset: new(index - next), Length: length})
			next = index
		}
		*length++
		v.PositiveDelta = append(v.PositiveDelta, int64(n)-last)
		next, last = next+1, int64(n)
	}
	sum := uint64(0)
	for e := classicFirst; e <= classicLast; e++ {
		sum += cumulative[e]
		v.Bucket = append(v.Bucket, &dto.Bucket{UpperBound: new(math.Exp2(float64(e))), CumulativeCount: new(sum)})
	}
	return &histogram{desc: desc, labels: prometheus.MakeLabelPairs(desc, []string{pool}), value: v}
}
