package dispatch

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"strconv"
	"time"
)

// Histogram tells how many durations of each magnitude there were. It is a
// value that does not change, equal (==) to every other with the same contents;
// the zero Histogram is empty. [Stats] has one of waits and one of runs.
//
// Bucket k counts durations above 2^((k-1)/4) seconds and up to 2^(k/4) seconds,
// so four buckets double the duration. There are 149, from k = -80, which holds
// everything up to 2^-20 s (953 ns), to k = 68, which also holds what is longer
// than 2^17 s (36 h). These are the buckets of schema 2 of Prometheus' native
// histograms, and of scale 2 of OpenTelemetry's exponential ones (which number a
// bucket by its lower bound, k-1), so exporters lose nothing.
type Histogram struct {
	sum    time.Duration
	first  int    // the bucket of the first count; 0 if there are none
	counts string // 8 bytes a bucket, in order, without empty ones at either end: a string compares by its contents, and cannot change
}

const (
	minBucket = -80
	maxBucket = 68
	buckets   = maxBucket - minBucket + 1
)

// Count returns the number of durations.
func (h Histogram) Count() uint64 {
	n := uint64(0)
	for _, c := range h.Buckets() {
		n += c
	}
	return n
}

// Sum returns the sum of the durations, exactly, or the longest
// [time.Duration] (292 years) where it is more than that.
func (h Histogram) Sum() time.Duration { return h.sum }

// Mean returns the mean of the durations, and 0 if there are none.
func (h Histogram) Mean() time.Duration {
	n := h.Count()
	if n == 0 {
		return 0
	}
	// As floats: n need not fit into a Duration.
	return time.Duration(float64(h.sum) / float64(n))
}

// Quantile returns the duration that a share q of all durations does not
// exceed: 0.99 gives the 99th percentile by nearest rank. A q below 0 counts as
// 0, one above 1 as 1. The result is the geometric middle of a bucket, so it is
// within 9.1 % of the exact one between 1 µs and 36 h. It is 0 where that is
// below 1 µs, and if there are no durations.
func (h Histogram) Quantile(q float64) time.Duration {
	rank := uint64(1)
	if q > 0 { // which NaN is not
		rank = max(1, uint64(math.Ceil(min(q, 1)*float64(h.Count()))))
	}
	// The bucket of that rank; or the last one, where a count above 2^53 has been rounded up to
	// a rank that is not there.
	last := minBucket
	for k, c := range h.Buckets() {
		last = k
		if c >= rank {
			break
		}
		rank -= c
	}
	if last == minBucket { // which has no lower bound, and so no geometric middle
		return 0
	}
	return time.Duration(math.Exp2((float64(last)-0.5)/4) * float64(time.Second))
}

// Buckets yields the number k of each bucket that is not empty, in rising order,
// with its count.
func (h Histogram) Buckets() iter.Seq2[int, uint64] {
	return func(yield func(int, uint64) bool) {
		for i := 0; i < len(h.counts); i += 8 {
			c := binary.LittleEndian.Uint64([]byte(h.counts[i : i+8]))
			if c > 0 && !yield(h.first+i/8, c) {
				return
			}
		}
	}
}

// Sub returns what has come since earlier, an older Histogram of the same pool.
// What earlier has more of counts as nothing: so one of another pool, or of a time before
// a restart, gives no number that has wrapped around.
func (h Histogram) Sub(earlier Histogram) Histogram {
	var since, before tally
	h.addTo(&since)
	earlier.addTo(&before)
	for i, c := range before.counts {
		since.counts[i] -= min(c, since.counts[i])
	}
	since.sum -= min(before.sum, since.sum)
	return since.histogram()
}

// addTo adds the contents of h to t.
func (h Histogram) addTo(t *tally) {
	for k, c := range h.Buckets() {
		t.counts[k-minBucket] += c
	}
	t.addSum(h.sum)
}

// String gives the count, the mean and three quantiles, for people.
func (h Histogram) String() string {
	n := h.Count()
	if n == 0 {
		return "count 0"
	}
	return fmt.Sprintf("count %d, mean %v, p50 %v, p90 %v, p99 %v", n, threeDigits(h.Mean()),
		threeDigits(h.Quantile(0.5)), threeDigits(h.Quantile(0.9)), threeDigits(h.Quantile(0.99)))
}

// threeDigits rounds d to three digits.
func threeDigits(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit)
}

// MarshalJSON gives an object with count, sum, p50, p90 and p99, in seconds, and
// buckets: an object that has the counts by k, without empty ones. It is written by hand
// so that the buckets rise: encoding/json would sort a map by the text of its keys.
func (h Histogram) MarshalJSON() ([]byte, error) {
	seconds := func(b []byte, d time.Duration) []byte { return strconv.AppendFloat(b, d.Seconds(), 'g', -1, 64) }
	b := strconv.AppendUint([]byte(`{"count":`), h.Count(), 10)
	b = seconds(append(b, `,"sum":`...), h.sum)
	b = seconds(append(b, `,"p50":`...), h.Quantile(0.5))
	b = seconds(append(b, `,"p90":`...), h.Quantile(0.9))
	b = seconds(append(b, `,"p99":`...), h.Quantile(0.99))
	b = append(b, `,"buckets":{`...)
	for k, c := range h.Buckets() {
		if b[len(b)-1] != '{' { // not the first
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, '"'), int64(k), 10)
		b = strconv.AppendUint(append(b, `":`...), c, 10)
	}
	return append(b, "}}"...), nil
}

// UnmarshalJSON reads what MarshalJSON gives. The sum may be off by rounding to
// a float64, by less than 1 ns below 100 days. It is an error if the buckets do
// not add up to the count, or if there is no such bucket; h is as it was then. Quantiles
// are not read: the buckets give them.
func (h *Histogram) UnmarshalJSON(data []byte) error {
	var in struct {
		Count   uint64         `json:"count"`
		Sum     float64        `json:"sum"`
		Buckets map[int]uint64 `json:"buckets"`
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return fmt.Errorf("dispatch: Histogram: %w", err)
	}
	var t tally
	for k, c := range in.Buckets {
		if k < minBucket || k > maxBucket {
			return fmt.Errorf("dispatch: Histogram: there is no bucket %d (they go from %d to %d)", k, minBucket, maxBucket)
		}
		t.counts[k-minBucket] = c
	}
	// A sum at the end of time has been rounded up to more than a Duration can hold.
	switch ns := math.Round(in.Sum * float64(time.Second)); {
	case ns < 0:
		return fmt.Errorf("dispatch: Histogram: the sum %v must not be negative", in.Sum)
	case ns >= math.MaxInt64:
		t.sum = math.MaxInt64
	default:
		t.sum = time.Duration(ns)
	}
	read := t.histogram()
	if n := read.Count(); n != in.Count {
		return fmt.Errorf("dispatch: Histogram: the buckets hold %d, and the count is %d", n, in.Count)
	}
	*h = read
	return nil
}

// tally is a Histogram that is being made. Whoever owns it guards it; the zero
// tally is empty. It is an array, so that to count a job is to add one to a number: only
// who asks for Stats pays for packing it.
type tally struct {
	counts [buckets]uint64 // of bucket minBucket+i
	sum    time.Duration
}

// add counts d; one below zero counts as zero, so that no two readings of the clock can
// make the sum fall.
func (t *tally) add(d time.Duration) {
	d = max(d, 0)
	t.counts[bucketOf(d)-minBucket]++
	t.addSum(d)
}

// merge adds what other has counted.
func (t *tally) merge(other *tally) {
	for i, c := range other.counts {
		t.counts[i] += c
	}
	t.addSum(other.sum)
}

// addSum adds d, which is not negative, and stays at the end of time.
func (t *tally) addSum(d time.Duration) {
	t.sum += d
	if t.sum < 0 {
		t.sum = math.MaxInt64
	}
}

// histogram returns what has been counted so far. Empty buckets at both ends are left out:
// so equal contents have equal strings, and a Histogram of few magnitudes is small.
func (t *tally) histogram() Histogram {
	first, end := 0, buckets
	for first < end && t.counts[first] == 0 {
		first++
	}
	if first == end {
		return Histogram{sum: t.sum}
	}
	for t.counts[end-1] == 0 {
		end--
	}
	var packed [8 * buckets]byte
	for i, c := range t.counts[first:end] {
		binary.LittleEndian.PutUint64(packed[8*i:], c)
	}
	return Histogram{sum: t.sum, first: minBucket + first, counts: string(packed[:8*(end-first)])}
}

// bucketOf returns the k of the bucket that d belongs to. It compares with the
// bounds themselves, as client_golang does, and takes no logarithm, whose
// rounding could miss them.
func bucketOf(d time.Duration) int {
	if d <= 0 {
		return minBucket
	}
	// d is frac * 2^exp seconds, and frac is in [1/2, 1): math.Frexp of a number that is
	// positive and normal, at a third of the cost.
	// half is the exponent of 1/2 as it stands in the bits: with it the mantissa is frac.
	const mantissa, half = 1<<52 - 1, 1022
	x := math.Float64bits(float64(d) / 1e9)
	exp, frac := int(x>>52)-half, math.Float64frombits(x&mantissa|half<<52)
	k := 4 * exp
	switch {
	case frac <= 0.5:
		k -= 4
	case frac <= 0.5946035575013605: // 2^(-3/4)
		k -= 3
	case frac <= 0.7071067811865475: // 2^(-2/4)
		k -= 2
	case frac <= 0.8408964152537144: // 2^(-1/4)
		k--
	}
	return min(max(k, minBucket), maxBucket)
}
