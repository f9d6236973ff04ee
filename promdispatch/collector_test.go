package promdispatch

import (
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"example.com/dispatch"
	"example.com/dispatch/internal/fakepool"
)

// full returns a fake pool whose Stats has a different number in each field.
func full() *fakepool.Pool {
	return fakepool.New(dispatch.Stats{
		Name: "thumbs", Workers: 8, Idle: 3, Running: 4, Queued: 5, Blocked: 6, Strays: 7, MaxRunning: 16, MaxQueued: 9, Paused: true,
		Submitted: 100, Succeeded: 10, Failed: 11, Panicked: 12, Canceled: 13, TimedOut: 14, Dropped: 15, Rejected: 17, GaveUp: 18,
		Telemetry: true, OldestWait: 1500 * time.Millisecond, LongestRun: 2500 * time.Millisecond,
		Wait: fakepool.Histogram(time.Microsecond/2, time.Millisecond), Run: fakepool.Histogram(time.Second, 3*time.Second, 20*time.Hour),
	})
}

// gather registers c with a pedantic registry, and returns the gathered metric
// families by name.
func gather(t *testing.T, c *Collector) map[string]*dto.MetricFamily {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(c))
	families, err := registry.Gather()
	require.NoError(t, err)
	byName := map[string]*dto.MetricFamily{}
	for _, f := range families {
		byName[f.GetName()] = f
	}
	return byName
}

func TestEachFactOfStatsIsExportedUnderItsName(t *testing.T) {
	const want = `
# HELP dispatch_blocked_submitters Submitters that wait for room in the queue.
# TYPE dispatch_blocked_submitters gauge
dispatch_blocked_submitters{pool="thumbs"} 6
# HELP dispatch_jobs_ended_total Jobs that have ended, by outcome.
# TYPE dispatch_jobs_ended_total counter
dispatch_jobs_ended_total{outcome="canceled",pool="thumbs"} 13
dispatch_jobs_ended_total{outcome="dropped",pool="thumbs"} 15
dispatch_jobs_ended_total{outcome="error",pool="thumbs"} 11
dispatch_jobs_ended_total{outcome="panic",pool="thumbs"} 12
dispatch_jobs_ended_total{outcome="success",pool="thumbs"} 10
dispatch_jobs_ended_total{outcome="timeout",pool="thumbs"} 14
# HELP dispatch_jobs_rejected_total Jobs that were refused because the queue was full.
# TYPE dispatch_jobs_rejected_total counter
dispatch_jobs_rejected_total{pool="thumbs"} 17
# HELP dispatch_jobs_submitted_total Jobs that were accepted.
# TYPE dispatch_jobs_submitted_total counter
dispatch_jobs_submitted_total{pool="thumbs"} 100
# HELP dispatch_longest_run_seconds Time that the longest-running handler has run so far, strays included.
# TYPE dispatch_longest_run_seconds gauge
dispatch_longest_run_seconds{pool="thumbs"} 2.5
# HELP dispatch_max_queued_jobs Limit of single jobs that wait, beyond those that free workers can take.
# TYPE dispatch_max_queued_jobs gauge
dispatch_max_queued_jobs{pool="thumbs"} 9
# HELP dispatch_max_running_jobs Limit of jobs that run at once.
# TYPE dispatch_max_running_jobs gauge
dispatch_max_running_jobs{pool="thumbs"} 16
# HELP dispatch_oldest_wait_seconds Time that the oldest waiting job has waited so far.
# TYPE dispatch_oldest_wait_seconds gauge
dispatch_oldest_wait_seconds{pool="thumbs"} 1.5
# HELP dispatch_paused Whether the pool is paused (1) or not (0). A paused pool accepts jobs and starts none.
# TYPE dispatch_paused gauge
dispatch_paused{pool="thumbs"} 1
# HELP dispatch_queued_jobs Accepted jobs that wait for a worker.
# TYPE dispatch_queued_jobs gauge
dispatch_queued_jobs{pool="thumbs"} 5
# HELP dispatch_running_jobs Handlers that are running, not counting strays.
# TYPE dispatch_running_jobs gauge
dispatch_running_jobs{pool="thumbs"} 4
# HELP dispatch_stray_jobs Strays: handlers that were written off and have not returned.
# TYPE dispatch_stray_jobs gauge
dispatch_stray_jobs{pool="thumbs"} 7
# HELP dispatch_submitters_gave_up_total Submitters whose context or timeout ended their wait for room.
# TYPE dispatch_submitters_gave_up_total counter
dispatch_submitters_gave_up_total{pool="thumbs"} 18
# HELP dispatch_workers Workers, by state: busy or idle.
# TYPE dispatch_workers gauge
dispatch_workers{pool="thumbs",state="busy"} 5
dispatch_workers{pool="thumbs",state="idle"} 3
`
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(NewCollector(full()))
	families := gather(t, NewCollector(full()))
	var names []string
	for name := range families {
		if !strings.HasPrefix(name, "dispatch_job_") {
			names = append(names, name)
		}
	}
	require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(want), names...))
	require.Len(t, families, len(names)+2)
}

func TestTheNamesAreCleanForPromlint(t *testing.T) {
	problems, err := testutil.CollectAndLint(NewCollector(full()))
	require.NoError(t, err)
	require.Empty(t, problems)
}

func TestWhatIsNotThereIsLeftOut(t *testing.T) {
	families := gather(t, NewCollector(fakepool.New(dispatch.Stats{
		MaxRunning: dispatch.Unlimited, MaxQueued: dispatch.Unlimited, OldestWait: time.Second, Run: fakepool.Histogram(time.Second),
	})))
	for _, name := range []string{"max_running_jobs", "max_queued_jobs", "oldest_wait_seconds", "longest_run_seconds", "job_wait_seconds", "job_run_seconds"} {
		require.NotContains(t, families, "dispatch_"+name)
	}
	require.Contains(t, families, "dispatch_running_jobs")
}

// durations returns n durations of all magnitudes, none of them on a bucket's bound.
func durations(n int) []time.Duration {
	r := rand.New(rand.NewPCG(1, 2))
	list := make([]time.Duration, n)
	for i := range list {
		list[i] = time.Duration(math.Exp2(r.Float64()*46)) | 1
	}
	return list
}

// native returns the buckets of a native histogram by their number.
func native(h *dto.Histogram) map[int32]int64 {
	buckets, at, n, delta := map[int32]int64{}, int32(0), int64(0), 0
	for _, span := range h.GetPositiveSpan() {
		at += span.GetOffset()
		for range span.GetLength() {
			n += h.GetPositiveDelta()[delta]
			if n != 0 {
				buckets[at] = n
			}
			at++
			delta++
		}
	}
	return buckets
}

func TestTheHistogramsAreThoseThatClientGolangWouldHave(t *testing.T) {
	for name, list := range map[string][]time.Duration{
		"none": nil, "one": {time.Second + 1}, "short ones": {0, 1, 500}, "with gaps": {time.Microsecond * 3, time.Millisecond + 7, time.Hour + 1}, "many": durations(3000),
	} {
		t.Run(name, func(t *testing.T) {
			var classic []float64
			for e := classicFirst; e <= classicLast; e++ {
				classic = append(classic, math.Exp2(float64(e)))
			}
			theirs := prometheus.NewHistogram(prometheus.HistogramOpts{
				Name: "h", Help: "What they count.", Buckets: classic, NativeHistogramBucketFactor: 1.19, NativeHistogramZeroThreshold: zeroThreshold,
			})
			for _, d := range list {
				theirs.Observe(d.Seconds())
			}
			var wantMetric dto.Metric
			require.NoError(t, theirs.Write(&wantMetric))
			want := wantMetric.GetHistogram()

			pool := fakepool.New(dispatch.Stats{Name: "a", Telemetry: true, Run: fakepool.Histogram(list...)})
			got := gather(t, NewCollector(pool))["dispatch_job_run_seconds"].GetMetric()[0].GetHistogram()
			require.Equal(t, want.GetSampleCount(), got.GetSampleCount())
			require.InEpsilon(t, want.GetSampleSum()+1, got.GetSampleSum()+1, 1e-9)
			require.Equal(t, want.GetSchema(), got.GetSchema())
			require.InDelta(t, want.GetZeroThreshold(), got.GetZeroThreshold(), 0)
			require.Equal(t, want.GetZeroCount(), got.GetZeroCount())
			require.Equal(t, native(want), native(got))
			require.Len(t, got.GetBucket(), len(want.GetBucket()))
			for i, b := range want.GetBucket() {
				require.InDelta(t, b.GetUpperBound(), got.GetBucket()[i].GetUpperBound(), 0)
				require.Equal(t, b.GetCumulativeCount(), got.GetBucket()[i].GetCumulativeCount(), "up to %v s", b.GetUpperBound())
			}
			require.Nil(t, got.GetCreatedTimestamp())
		})
	}
}

func TestANameThatIsTakenGetsANumber(t *testing.T) {
	pool := func(name string) *fakepool.Pool { return fakepool.New(dispatch.Stats{Name: name}) }
	second := pool("a")
	c := NewCollector(pool("a"), second, pool("a"), pool(""), pool(""), pool("a#2"), pool("b\xff"), nil)
	c.Add(second)
	names := func() (names []string) {
		for _, m := range gather(t, c)["dispatch_running_jobs"].GetMetric() {
			names = append(names, m.GetLabel()[0].GetValue())
		}
		return names
	}
	require.ElementsMatch(t, []string{"a", "a#2", "a#3", "unnamed", "unnamed#2", "a#2#2", "b\uFFFD"}, names())
	c.Remove(second)
	c.Remove(second)
	require.ElementsMatch(t, []string{"a", "a#3", "unnamed", "unnamed#2", "a#2#2", "b\uFFFD"}, names())
	c.Add(second)
	require.Contains(t, names(), "a#2")
}

// byValue is a pool of a type that is not comparable.
type byValue struct {
	*fakepool.Pool
	_ []int
}

func TestAPoolThatDoesNotCompareIsExported(t *testing.T) {
	c := NewCollector(byValue{Pool: full()})
	c.Remove(byValue{Pool: full()})
	require.Len(t, gather(t, c)["dispatch_running_jobs"].GetMetric(), 1)
}

func TestACollectorOfNoPoolsIsFine(t *testing.T) {
	require.Empty(t, gather(t, NewCollector()))
}

func TestScrapesMayMeetAddAndRemove(t *testing.T) {
	c := NewCollector(full())
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	handler := promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
	var scrapers sync.WaitGroup
	for _, accept := range []string{
		"text/plain", "application/openmetrics-text; version=1.0.0",
		"application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
	} {
		scrapers.Go(func() {
			for range 20 {
				other := full()
				c.Add(other)
				w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/metrics", nil)
				r.Header.Set("Accept", accept)
				handler.ServeHTTP(w, r)
				if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "dispatch_job_run_seconds") {
					t.Error(accept, w.Code, w.Body)
				}
				c.Remove(other)
			}
		})
	}
	scrapers.Wait()
}
