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
	require.Equal(t, 3, strings.Count(c.wait.String(), "M"))
	require.Equal(t, 3, strings.Count(c.run.String(), "M"))
	wait, run := numbers(t, c.wait.String()), numbers(t, c.run.String()) // x, from, to, width, from
	require.Equal(t, []float64{axisTop - barHeight/2, axisTop - barHeight, axisTop - barHeight/2}, []float64{wait[2], wait[7], wait[12]})
	require.Equal(t, []float64{axisBottom + barHeight/2, axisBottom + barHeight, axisBottom + barHeight/2}, []float64{run[2], run[7], run[12]})
	require.InDelta(t, wait[0], run[0], 0)
}

func TestARareDurationIsSeen(t *testing.T) {
	var rare fakepool.Tally
	rare.Add(time.Millisecond, 1_000_000)
	rare.Add(time.Second, 1)
	bar := numbers(t, draw(rare.Histogram(), dispatch.Histogram{}).wait.String())[5:]
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
			for _, path := range []string{c.wait.String(), c.run.String()} {
				for bar := numbers(t, path); len(bar) > 0; bar = bar[5:] {
					require.GreaterOrEqual(t, bar[0], chartSide)
					require.LessOrEqual(t, bar[0]+bar[3], chartWidth-chartSide+0.2)
					require.GreaterOrEqual(t, bar[2], 0.0)
					require.LessOrEqual(t, bar[2], chartHeight)
				}
			}
			last := 0.0
			for _, w := range words(t, c) {
				require.True(t, w.x >= chartSide-3 && w.x <= chartWidth-chartSide+3, "%v of %v", w, durations)
				if w.side == "at" {
					require.Greater(t, w.x, last+25, "ticks do not run into each other")
					last = w.x
				}
			}
		}
	}
}

// word is a word in a chart.
type word struct {
	side string
	x    float64
	text string
}

func words(t *testing.T, c *chart) (ws []word) {
	t.Helper()
	for _, m := range regexp.MustCompile(`<text class="(\w+)" x="([0-9.]+)" y="[0-9.]+">([^<]+)</text>`).FindAllStringSubmatch(c.words.String(), -1) {
		ws = append(ws, word{m[1], numbers(t, m[2])[0], m[3]})
	}
	return ws
}

func TestAMarkIsAtItsDuration(t *testing.T) {
	c := draw(fakepool.Histogram(900*time.Millisecond), dispatch.Histogram{}) // the bucket that ends at 1 s
	bar := numbers(t, c.wait.String())
	require.InDelta(t, bar[0]+bar[3]/2, numbers(t, c.p50.String())[0], 0.1)
	require.Equal(t, c.p50.String(), c.p99.String())
	for _, w := range words(t, c) {
		if w.text == "1 s" {
			require.InDelta(t, bar[0]+bar[3], w.x, 1)
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
