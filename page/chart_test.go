package page

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
	"example.com/dispatch/internal/fakepool"
)

// numbers returns all numbers of a path.
func numbers(t *testing.T, path string) (ns []float64) {
	t.Helper()
	for _, s := range regexp.MustCompile(`-?[0-9.]+`).FindAllString(path, -1) {
		n, err := strconv.ParseFloat(s, 64)
		require.NoError(t, err)
		ns = append(ns, n)
	}
	return ns
}

func TestTheFullestBucketHasTheTallestBar(t *testing.T) {
	h := fakepool.Histogram(time.Millisecond, 10*time.Millisecond, 10*time.Millisecond, time.Second)
	c := draw(h, h)
	require.Equal(t, 3, strings.Count(c.Wait, "M"))
	require.Equal(t, 3, strings.Count(c.Run, "M"))
	wait, run := numbers(t, c.Wait), numbers(t, c.Run) // x, from, to, width, from
	require.Equal(t, []float64{axisTop - barHeight/2, axisTop - barHeight, axisTop - barHeight/2}, []float64{wait[2], wait[7], wait[12]})
	require.Equal(t, []float64{axisBottom + barHeight/2, axisBottom + barHeight, axisBottom + barHeight/2}, []float64{run[2], run[7], run[12]})
	require.Equal(t, wait[0], run[0])
}

func TestARareDurationIsSeen(t *testing.T) {
	var rare fakepool.Tally
	rare.Add(time.Millisecond, 1_000_000)
	rare.Add(time.Second, 1)
	bar := numbers(t, draw(rare.Histogram(), dispatch.Histogram{}).Wait)[5:]
	require.InDelta(t, leastBar, bar[1]-bar[2], 1e-9)
}

func TestAChartStaysWithinItsFrame(t *testing.T) {
	for _, durations := range [][]time.Duration{
		{0}, {1}, {time.Microsecond}, {time.Second}, {math.MaxInt64}, {0, math.MaxInt64}, {time.Millisecond, time.Hour}, {time.Minute, time.Minute},
	} {
		for _, h := range [][2]dispatch.Histogram{
			{fakepool.Histogram(durations...)}, {{}, fakepool.Histogram(durations...)}, {fakepool.Histogram(durations...), fakepool.Histogram(time.Second)},
		} {
			c := draw(h[0], h[1])
			for _, path := range []string{c.Wait, c.Run} {
				for bar := numbers(t, path); len(bar) > 0; bar = bar[5:] {
					require.GreaterOrEqual(t, bar[0], chartSide)
					require.LessOrEqual(t, bar[0]+bar[3], chartWidth-chartSide+0.2)
					require.GreaterOrEqual(t, bar[2], 0.0)
					require.LessOrEqual(t, bar[2], chartHeight)
				}
			}
			last := 0.0
			for _, w := range c.Words {
				x := numbers(t, w.X)[0]
				require.True(t, x >= chartSide-3 && x <= chartWidth-chartSide+3, "%v of %v", x, durations)
				if w.Side == "" {
					require.Greater(t, x, last+25, "ticks do not run into each other")
					last = x
				}
			}
		}
	}
}

func TestAMarkIsAtItsDuration(t *testing.T) {
	c := draw(fakepool.Histogram(900*time.Millisecond), dispatch.Histogram{}) // the bucket that ends at 1 s
	bar := numbers(t, c.Wait)
	require.InDelta(t, bar[0]+bar[3]/2, numbers(t, c.P50)[0], 0.1)
	require.Equal(t, c.P50, c.P99)
	for _, w := range c.Words {
		if w.Text == "1 s" {
			require.InDelta(t, bar[0]+bar[3], numbers(t, w.X)[0], 1)
		}
	}
}

func TestALineGoesFromLeftToRightAndBreaksWhereNobodyLooked(t *testing.T) {
	start := time.Now()
	var h history
	at := func(second, running int) recent {
		return h.add(start.Add(time.Duration(second)*time.Second), dispatch.Stats{Running: running})
	}
	running := func(_ *snapshot, s snapshot) (float64, bool) { return float64(s.stats.Running), true }
	require.Equal(t, "M240 40h0", line(at(0, 0), 4, running))
	require.Equal(t, "M236 40L240 3", line(at(1, 4), 4, running))
	at(2, 4)
	at(3, 4)
	require.Equal(t, "M224 40L228 3L240 3", line(at(4, 4), 4, running), "what is level is one stroke")
	require.Equal(t, "M144 40L148 22L160 22M240 3h0", line(at(24, 8), 4, running), "it is scaled to the greatest")
}
