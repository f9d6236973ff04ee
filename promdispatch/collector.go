// Package promdispatch exports the Stats of pools to Prometheus.
//
//	prometheus.MustRegister(promdispatch.NewCollector(thumbs, mails))
//
// A scrape calls Stats once for each pool; between scrapes it costs nothing, and
// no job becomes slower. All metrics have the label pool, the name of the pool
// (see dispatch.WithName; "unnamed" if it has none, and a name that is taken gets
// "#2" and so on). Pools may be added and removed while they are scraped.
//
//	dispatch_workers                    gauge      goroutines that run jobs or wait for one; state: busy, idle
//	dispatch_running_jobs               gauge      handlers that run
//	dispatch_queued_jobs                gauge      jobs that wait for a worker
//	dispatch_blocked_submitters         gauge      submitters that wait for room
//	dispatch_stray_jobs                 gauge      handlers that were written off (WithGrace) and still run
//	dispatch_max_running_jobs           gauge      left out where there is no limit
//	dispatch_max_queued_jobs            gauge      left out where there is no limit
//	dispatch_paused                     gauge      1: the pool takes jobs and starts none
//	dispatch_jobs_submitted_total       counter
//	dispatch_jobs_ended_total           counter    outcome: success, error, panic, canceled, timeout, dropped
//	dispatch_jobs_rejected_total        counter    refused because the queue was full
//	dispatch_submitters_gave_up_total   counter    their context or timeout ended the wait for room
//
// and for pools with [dispatch.WithTelemetry]:
//
//	dispatch_oldest_wait_seconds        gauge      of the job that has waited longest
//	dispatch_longest_run_seconds        gauge      of what runs now
//	dispatch_job_wait_seconds           histogram  from the submit until a worker started on the job
//	dispatch_job_run_seconds            histogram  from there until its handler returned
//
// The histograms are native ones (schema 2, a bucket is 19 % wide) and classic
// ones (bounds from 2^-16 to 2^8 s, each twice the one before) at once: Prometheus
// takes the kind that it is configured for. The native ones have the pool's own
// buckets, so no precision is lost.
//
// The files alerts.yml and dashboard.json in this folder are alerting rules and
// a dashboard for Grafana.
package promdispatch

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"example.com/dispatch"
)

// Pool is what is exported: every *[dispatch.Pool], whatever its types.
type Pool interface{ Stats() dispatch.Stats }

// Collector is a [prometheus.Collector] for pools. Its methods may be called by
// several goroutines at once.
type Collector struct{ pools pools }

var _ prometheus.Collector = (*Collector)(nil)

// NewCollector returns a collector for pools. Register it once; pools that come
// later are added to it.
func NewCollector(pools ...Pool) *Collector {
	c := new(Collector)
	c.Add(pools...)
	return c
}

// Add exports pools too. One that is nil or exported already is left out.
func (c *Collector) Add(pools ...Pool) { c.pools.add(pools...) }

// Remove exports pool no more. Its series end with the last scrape before. It
// does nothing if pool is not exported.
func (c *Collector) Remove(pool Pool) { c.pools.remove(pool) }

// metric is one number of Stats.
type metric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(dispatch.Stats) (v float64, ok bool) // not ok: the pool has none
	label string                                    // the value of the metric's own label, if it has one
}

func newDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("dispatch_"+name, help, append([]string{"pool"}, labels...), nil)
}

var (
	workersDesc = newDesc("workers", "Goroutines that run jobs or wait for one, by state.", "state")
	endedDesc   = newDesc("jobs_ended_total", "Jobs that have ended, by outcome.", "outcome")
	waitDesc    = newDesc("job_wait_seconds", "Time from the submit of a job until a worker turned to it, or it ended.")
	runDesc     = newDesc("job_run_seconds", "Time from when a worker turned to a job until its handler returned.")
)

var metrics = []metric{
	{desc: workersDesc, kind: prometheus.GaugeValue, label: "busy", value: count(func(s dispatch.Stats) int { return s.Workers - s.Idle })},
	{desc: workersDesc, kind: prometheus.GaugeValue, label: "idle", value: count(func(s dispatch.Stats) int { return s.Idle })},
	gauge("running_jobs", "Handlers that run now, without strays.", count(func(s dispatch.Stats) int { return s.Running })),
	gauge("queued_jobs", "Jobs that were accepted and wait for a worker.", count(func(s dispatch.Stats) int { return s.Queued })),
	gauge("blocked_submitters", "Submitters that wait for room in the queue.", count(func(s dispatch.Stats) int { return s.Blocked })),
	gauge("stray_jobs", "Handlers that were written off and have not returned.", count(func(s dispatch.Stats) int { return s.Strays })),
	gauge("max_running_jobs", "Most jobs that run at once.", limit(func(s dispatch.Stats) int { return s.MaxRunning })),
	gauge("max_queued_jobs", "Most single jobs that wait beyond those that a worker can take.", limit(func(s dispatch.Stats) int { return s.MaxQueued })),
	gauge("paused", "Whether the pool is paused: 1 if it takes jobs and starts none.", count(func(s dispatch.Stats) int {
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
	gauge("oldest_wait_seconds", "Wait so far of the job that waits and came first.", seconds(func(s dispatch.Stats) time.Duration { return s.OldestWait })),
	gauge("longest_run_seconds", "Run so far of the handler that has run for longest, strays included.", seconds(func(s dispatch.Stats) time.Duration { return s.LongestRun })),
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

// histogram is a metric that is a native and a classic histogram at once. There
// is no constructor for that in package prometheus.
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
	lowest       = -80 // the pool's bucket for all that is shorter, which is the zero bucket here
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
	// Spans are runs of buckets that are not empty; each count is told as the
	// difference to the one before.
	cumulative := make(map[int]uint64) // by the exponent of the first classic bound that is not below
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
