package page

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
	"example.com/dispatch/internal/fakepool"
)

func TestJSONHasTheSameFactsInSeconds(t *testing.T) {
	var doc struct {
		Time  time.Time `json:"time"`
		Pools []struct {
			Name   string `json:"name"`
			Health struct {
				Word string `json:"word"`
			} `json:"health"`
			State      dispatch.State `json:"state"`
			MaxRunning *int           `json:"maxRunning"`
			MaxQueued  *int           `json:"maxQueued"`
			Succeeded  uint64         `json:"succeeded"`
			Telemetry  *struct {
				LongestRun float64            `json:"longestRun"`
				Run        dispatch.Histogram `json:"run"`
				Running    []map[string]any   `json:"running"`
				Failures   []map[string]any   `json:"failures"`
			} `json:"telemetry"`
		} `json:"pools"`
	}
	synctest.Test(t, func(t *testing.T) {
		thumbs := usedPool("thumbs")
		defer stop(thumbs)
		counts := countsOnly(dispatch.WithWorkers(dispatch.Unlimited), dispatch.WithQueue(5))
		require.NoError(t, counts.Close())
		require.NoError(t, json.Unmarshal(get(New(thumbs, counts), "?format=json").Body.Bytes(), &doc))
		require.True(t, doc.Time.Equal(time.Now()))
		require.Len(t, doc.Pools, 2)

		first := doc.Pools[0]
		require.Equal(t, "thumbs", first.Name)
		require.Equal(t, "working", first.Health.Word)
		require.Equal(t, uint64(1), first.Succeeded)
		require.Equal(t, 2, *first.MaxRunning)
		require.InDelta(t, 2, first.Telemetry.LongestRun, 1e-9)
		require.Equal(t, thumbs.Stats().Run, first.Telemetry.Run)
		require.Equal(t, "a.png", first.Telemetry.Running[0]["label"])
		require.Nil(t, first.Telemetry.Running[0]["index"])
		require.InDelta(t, 2, first.Telemetry.Running[0]["run"], 1e-9)
		require.Equal(t, "failed", first.Telemetry.Failures[0]["outcome"])
		require.Equal(t, "unexpected EOF", first.Telemetry.Failures[0]["error"])
		require.InDelta(t, 0, first.Telemetry.Failures[0]["index"], 1e-9)

		second := doc.Pools[1]
		require.Equal(t, dispatch.Ended, second.State)
		require.Nil(t, second.MaxRunning)
		require.Equal(t, 5, *second.MaxQueued)
		require.Nil(t, second.Telemetry)
	})
}

func TestTextIsForATerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mails, p := usedPool("mails"), usedPool("thu\x1bmbs")
		defer stop(mails, p)
		text := get(New(p, mails), "?format=text").Body.String()
		require.Contains(t, text, "thu\uFFFDmbs: working. 1 of 2 workers is busy.\n")
		require.Regexp(t, `longest run +2 s`, text)
		require.Regexp(t, `run +total +2 +2 s +917 ms +3\.\d+ s`, text)
		require.Regexp(t, `2 s +a\.png +0 +\d`, text)
		require.Contains(t, text, "failed 2 s ago: b.png (item 0): unexpected EOF\n")
		require.Contains(t, text, "\n\nmails: working.")

		process(p, failsWith("a\nb", errors.New("one\ntwo")))
		require.Contains(t, get(New(p), "?format=text").Body.String(), "failed just now: a b: one two\n")
	})
}

// longSeen is a pool whose waits and runs have many magnitudes. A real pool could not
// have them within the time of a test.
type longSeen struct{ *taskPool }

func (p longSeen) Stats() dispatch.Stats {
	s := p.taskPool.Stats()
	s.Wait, s.Run = manyMagnitudes, manyMagnitudes
	return s
}

var manyMagnitudes = func() dispatch.Histogram {
	var t fakepool.Tally
	for i := range 40 {
		t.Add(time.Microsecond<<(i/2)+time.Duration(i)*1000, uint64(i+1))
	}
	return t.Histogram()
}()

// crowd returns a page of three pools that has been viewed for a minute. Each pool has
// 16 running jobs and 24 failures, a third of them panics.
func crowd(tb testing.TB) *Page {
	tb.Helper()
	page := New()
	for n := range 3 {
		p := newPool(fmt.Sprintf("pool number %d", n), dispatch.WithWorkers(16), dispatch.WithQueue(16))
		tb.Cleanup(func() { stop(p) })
		for i := range 8 {
			label := fmt.Sprintf("products/%d/front.tiff", i)
			process(p, failsWith(label, fmt.Errorf("resize %s: decode: unexpected EOF", label)), panicsWith(label, "boo"))
			_, err := p.ProcessTimed(context.Background(), lasts(label), time.Nanosecond)
			require.ErrorIs(tb, err, dispatch.ErrTimeout)
		}
		for i := range 16 {
			submit(p, lasts(fmt.Sprintf("products/%d/front.tiff", i)))
		}
		require.Eventually(tb, func() bool { return len(p.Running()) == 16 && len(p.Failures()) == 24 }, time.Minute, time.Millisecond)
		page.Add(longSeen{p})
	}
	for second := range 60 {
		page.look(time.Now().Add(time.Duration(second-60) * time.Second))
	}
	return page
}

func TestARefreshOfThreePoolsIsSmall(t *testing.T) {
	require.Less(t, get(crowd(t), "?part").Body.Len(), 45_000)
}

func BenchmarkRefreshOfThreePools(b *testing.B) {
	page := crowd(b)
	b.ReportAllocs()
	size := 0
	for b.Loop() {
		_, body, err := page.answer("part")
		require.Nil(b, err)
		size = len(body)
	}
	b.ReportMetric(float64(size), "B/refresh")
}
