package promdispatch

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// sleepy is a pool of one worker whose jobs take as long as their inputs say.
func sleepy(opts ...dispatch.Option) *dispatch.Pool[time.Duration, struct{}] {
	return dispatch.Must(dispatch.New(func(_ context.Context, d time.Duration) (struct{}, error) {
		if d < 0 {
			return struct{}{}, errors.New("negative")
		}
		time.Sleep(d)
		return struct{}{}, nil
	}, append([]dispatch.Option{dispatch.WithName("sleepy"), dispatch.WithWorkers(1), dispatch.WithTelemetry()}, opts...)...))
}

// observed returns the histogram that client_golang makes of durations.
func observed(t *testing.T, durations ...time.Duration) *dto.Histogram {
	t.Helper()
	h := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "h", Help: "What they count.", NativeHistogramBucketFactor: 1.19, NativeHistogramZeroThreshold: zeroThreshold,
	})
	for _, d := range durations {
		h.Observe(d.Seconds())
	}
	var m dto.Metric
	require.NoError(t, h.Write(&m))
	return m.GetHistogram()
}

func requireObserved(t *testing.T, got *dto.Histogram, durations ...time.Duration) {
	t.Helper()
	want, sum := observed(t, durations...), time.Duration(0)
	for _, d := range durations {
		sum += d
	}
	require.Equal(t, uint64(len(durations)), got.GetSampleCount())
	require.InDelta(t, sum.Seconds(), got.GetSampleSum(), 0, "not a nanosecond is lost")
	require.Equal(t, want.GetSchema(), got.GetSchema())
	require.Equal(t, want.GetZeroCount(), got.GetZeroCount())
	require.Equal(t, native(want), native(got))
}

func TestEachRunOfAPoolIsInItsBucketAlsoOnItsBounds(t *testing.T) {
	var runs []time.Duration
	for k := -79; k <= 40; k++ { // up to 17 min; bucket k holds durations above 2^((k-1)/4) and up to 2^(k/4) s
		end := time.Duration(math.Exp2(float64(k)/4) * 1e9)
		runs = append(runs, end-1, end, end+1)
	}
	runs = append(runs, 0, 1, 953, 954, 36*time.Hour, 1000*time.Hour)
	synctest.Test(t, func(t *testing.T) {
		p := sleepy()
		defer p.Close()
		c := NewCollector(p)
		for _, d := range runs {
			_, err := p.Process(t.Context(), d)
			require.NoError(t, err)
		}
		families := gather(t, c)
		// The pool counts all durations above 2^17 s in its last bucket.
		within := append(runs[:len(runs)-1:len(runs)-1], 36*time.Hour)
		got := families["dispatch_job_run_seconds"].GetMetric()[0].GetHistogram()
		require.Equal(t, native(observed(t, within...)), native(got))
		require.Equal(t, observed(t, runs...).GetZeroCount(), got.GetZeroCount())
		require.Equal(t, uint64(len(runs)), got.GetSampleCount())
		requireObserved(t, families["dispatch_job_wait_seconds"].GetMetric()[0].GetHistogram(), make([]time.Duration, len(runs))...)
	})
}

func TestWaitsAndRunsOfEachKindOfJobAreExported(t *testing.T) {
	const s = time.Second
	synctest.Test(t, func(t *testing.T) {
		p := sleepy(dispatch.WithQueue(1), dispatch.WithOverflow(dispatch.DropOldest))
		defer p.Close()
		c := NewCollector(p)
		_, err := p.Map(t.Context(), []time.Duration{s, 2 * s, 4 * s})
		require.NoError(t, err)
		_, err = p.BatchOf(t.Context(), []time.Duration{-1, 8 * s}).Wait(t.Context())
		require.Error(t, err)
		dispatch.Must(p.Submit(t.Context(), 3*s))
		dropped := dispatch.Must(p.Submit(t.Context(), 5*s))
		time.Sleep(s)
		dispatch.Must(p.Submit(t.Context(), 7*s))
		_, err = dropped.Wait(t.Context())
		require.ErrorIs(t, err, dispatch.ErrDropped)

		families := gather(t, c)
		value := func(name string) float64 { return families["dispatch_"+name].GetMetric()[0].GetGauge().GetValue() }
		require.InDelta(t, 1, value("longest_run_seconds"), 0)
		require.InDelta(t, 0, value("oldest_wait_seconds"), 0)
		require.InDelta(t, 1, value("queued_jobs"), 0)
		require.InDelta(t, 1, value("running_jobs"), 0)

		require.NoError(t, p.Wait(t.Context()))
		families = gather(t, c)
		histogram := func(name string) *dto.Histogram {
			return families["dispatch_job_"+name+"_seconds"].GetMetric()[0].GetHistogram()
		}
		requireObserved(t, histogram("wait"), 0, s, 3*s, 0, 0, 0, s, 2*s) // of the Map, of the batch, of the single jobs
		requireObserved(t, histogram("run"), s, 2*s, 4*s, 0, 8*s, 3*s, 7*s)
		ended := map[string]float64{}
		for _, m := range families["dispatch_jobs_ended_total"].GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "outcome" {
					ended[l.GetValue()] = m.GetCounter().GetValue()
				}
			}
		}
		require.Equal(t, map[string]float64{"success": 6, "error": 1, "dropped": 1, "panic": 0, "canceled": 0, "timeout": 0}, ended)
	})
}

// BenchmarkScrape measures one scrape of three pools of eight workers, without the
// encoding.
func BenchmarkScrape(b *testing.B) {
	c := NewCollector()
	for range 3 {
		p := sleepy(dispatch.WithWorkers(8))
		defer p.Close()
		for i := range 16 {
			dispatch.Must(p.Map(b.Context(), []time.Duration{time.Duration(1) << i, time.Duration(1) << i}))
		}
		c.Add(p)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(c)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := registry.Gather(); err != nil {
			b.Fatal(err)
		}
	}
}
