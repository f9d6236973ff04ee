package dispatch_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// manyDurations gives n durations of all magnitudes, from nanoseconds to days.
func manyDurations(n int) []time.Duration {
	r := rand.New(rand.NewPCG(1, 2))
	durations := make([]time.Duration, n)
	for i := range durations {
		durations[i] = time.Duration(math.Exp2(r.Float64() * 48))
	}
	return durations
}

func TestTheZeroHistogramIsEmpty(t *testing.T) {
	var h dispatch.Histogram
	require.Zero(t, h.Count())
	require.Zero(t, h.Sum())
	require.Zero(t, h.Mean())
	require.Zero(t, h.Quantile(0.5))
	require.Empty(t, maps.Collect(h.Buckets()))
	require.Equal(t, "count 0", h.String())
	require.Equal(t, h, new(dispatch.Tally).Histogram())
	require.Equal(t, h, h.Sub(dispatch.HistogramOf(time.Second)))
	require.JSONEq(t, `{"count":0,"sum":0,"p50":0,"p90":0,"p99":0,"buckets":{}}`, string(dispatch.Must(json.Marshal(h))))
}

func TestADurationIsInTheBucketWhoseBoundsAreAroundIt(t *testing.T) {
	for _, d := range manyDurations(20_000) {
		k := dispatch.BucketOf(d)
		if k > dispatch.MinBucket {
			require.Greater(t, d.Seconds(), math.Exp2(float64(k-1)/4), "%v in bucket %d", d, k)
		}
		if k < dispatch.MaxBucket {
			require.LessOrEqual(t, d.Seconds(), math.Exp2(float64(k)/4), "%v in bucket %d", d, k)
		}
	}
}

func TestTheUpperBoundOfABucketBelongsToIt(t *testing.T) {
	for exp := -9; exp <= 16; exp++ { // 2^-9 s is the least that is a whole number of nanoseconds
		bound := time.Duration(math.Ldexp(1e9, exp))
		require.Equal(t, 4*exp, dispatch.BucketOf(bound), "%v", bound)
		require.Equal(t, 4*exp+1, dispatch.BucketOf(bound+1), "%v and 1 ns", bound)
		require.Equal(t, 4*exp, dispatch.BucketOf(bound-1), "%v less 1 ns", bound)
	}
}

func TestTheOuterBucketsHoldWhatIsShorterAndLonger(t *testing.T) {
	for d, k := range map[time.Duration]int{
		-time.Second: -80, 0: -80, 1: -80, 953: -80, 954: -79, 1000: -79,
		131072 * time.Second: 68, 131073 * time.Second: 68, math.MaxInt64: 68,
	} {
		require.Equal(t, map[int]uint64{k: 1}, maps.Collect(dispatch.HistogramOf(d).Buckets()), "%v", d)
	}
	require.Zero(t, dispatch.HistogramOf(-time.Second).Sum())
}

func TestAQuantileIsWithinNinePercent(t *testing.T) {
	durations := slices.DeleteFunc(manyDurations(5000), func(d time.Duration) bool { return d < time.Microsecond || d > 36*time.Hour })
	h := dispatch.HistogramOf(durations...)
	slices.Sort(durations)
	for _, q := range []float64{-1, 0, 0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 1, 2} {
		rank := max(1, int(math.Ceil(min(max(q, 0), 1)*float64(len(durations)))))
		require.InEpsilon(t, durations[rank-1], h.Quantile(q), 0.091, "quantile %v", q)
	}
	require.Equal(t, h.Quantile(0), h.Quantile(math.NaN()))
	require.Zero(t, dispatch.HistogramOf(900, 900, time.Second).Quantile(0.5))
}

func TestSumCountAndMeanAreExact(t *testing.T) {
	h := dispatch.HistogramOf(time.Second, 2*time.Second, 6*time.Second)
	require.Equal(t, uint64(3), h.Count())
	require.Equal(t, 9*time.Second, h.Sum())
	require.Equal(t, 3*time.Second, h.Mean())
}

func TestASumThatIsTooLongStaysAtTheEndOfTime(t *testing.T) {
	var a, b dispatch.Tally
	a.Add(math.MaxInt64)
	b.Add(math.MaxInt64)
	b.Add(1)
	a.Merge(&b)
	require.Equal(t, time.Duration(math.MaxInt64), a.Histogram().Sum())
	require.Equal(t, uint64(3), a.Histogram().Count())
}

func TestBucketsComeInRisingOrderAndMayBeLeft(t *testing.T) {
	h := dispatch.HistogramOf(time.Hour, time.Millisecond, time.Second, time.Second)
	var ks []int
	for k, c := range h.Buckets() {
		require.NotZero(t, c)
		ks = append(ks, k)
	}
	require.Equal(t, []int{-39, 0, 48}, ks)
	for k, c := range h.Buckets() {
		require.Equal(t, [2]int{-39, 1}, [2]int{k, int(c)})
		break
	}
}

func TestHistogramsWithTheSameContentsAreEqual(t *testing.T) {
	var a, b dispatch.Tally
	for i, d := range manyDurations(1000) {
		if i%3 == 0 {
			a.Add(d)
		} else {
			b.Add(d)
		}
	}
	a.Merge(&b)
	whole := dispatch.HistogramOf(manyDurations(1000)...)
	require.Len(t, map[dispatch.Histogram]bool{whole: true, a.Histogram(): true}, 1)
	require.Len(t, map[dispatch.Histogram]bool{whole: true, dispatch.HistogramOf(manyDurations(999)...): true}, 2)
}

func TestAHistogramDoesNotChangeWithTheTallyItCameFrom(t *testing.T) {
	var tl dispatch.Tally
	tl.Add(time.Second)
	h := tl.Histogram()
	tl.Add(time.Second)
	require.Equal(t, uint64(1), h.Count())
}

func TestSubLeavesWhatHasComeSince(t *testing.T) {
	durations := manyDurations(1000)
	earlier, later := dispatch.HistogramOf(durations[:400]...), dispatch.HistogramOf(durations...)
	require.Equal(t, dispatch.HistogramOf(durations[400:]...), later.Sub(earlier))
	require.Equal(t, dispatch.HistogramOf(time.Second), dispatch.HistogramOf(time.Second, time.Hour).Sub(dispatch.HistogramOf(time.Hour)))
	require.Equal(t, dispatch.Histogram{}, later.Sub(later))
	require.Equal(t, dispatch.Histogram{}, earlier.Sub(later))
}

func TestAHistogramSurvivesTheWayThroughJSON(t *testing.T) {
	for _, h := range []dispatch.Histogram{{}, dispatch.HistogramOf(0), dispatch.HistogramOf(manyDurations(1000)...), dispatch.HistogramOf(math.MaxInt64, 1)} {
		var read dispatch.Histogram
		require.NoError(t, json.Unmarshal(dispatch.Must(json.Marshal(h)), &read))
		require.Equal(t, h, read)
	}
}

func TestJSONThatIsNoHistogramIsAnError(t *testing.T) {
	for in, want := range map[string]string{
		`[]`:                              "dispatch: Histogram: json: cannot unmarshal array",
		`{"count":1}`:                     "dispatch: Histogram: the buckets hold 0, and the count is 1",
		`{"count":1,"buckets":{"69":1}}`:  "dispatch: Histogram: there is no bucket 69 (they go from -80 to 68)",
		`{"count":1,"buckets":{"-81":1}}`: "dispatch: Histogram: there is no bucket -81",
		`{"sum":-1}`:                      "dispatch: Histogram: the sum -1 must not be negative",
	} {
		h := dispatch.HistogramOf(time.Second)
		require.ErrorContains(t, json.Unmarshal([]byte(in), &h), want)
		require.Equal(t, dispatch.HistogramOf(time.Second), h, "an error leaves it as it was")
	}
}

func TestAHistogramIsPrintedInOneLine(t *testing.T) {
	h := dispatch.HistogramOf(time.Millisecond, 3*time.Second, 3*time.Second)
	require.Equal(t, "count 3, mean 2s, p50 3.08s, p90 3.08s, p99 3.08s", h.String())
	require.Contains(t, fmt.Sprintf("%+v", dispatch.Stats{Run: h}), "Run:count 3, mean 2s")
}

func BenchmarkTallyAdd(b *testing.B) {
	durations := manyDurations(1024)
	var t dispatch.Tally
	i := 0
	for b.Loop() {
		t.Add(durations[i%1024])
		i++
	}
}

func BenchmarkTallyHistogram(b *testing.B) {
	var t dispatch.Tally
	for _, d := range manyDurations(10_000) {
		t.Add(d)
	}
	b.ReportAllocs()
	for b.Loop() {
		_ = t.Histogram()
	}
}
