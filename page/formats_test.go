package page

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
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
	thumbs := watchedPool("thumbs")
	counts := fakepool.New(dispatch.Stats{MaxRunning: dispatch.Unlimited, MaxQueued: 5, State: dispatch.Ended})
	require.NoError(t, json.Unmarshal(get(New(thumbs, counts), "?format=json").Body.Bytes(), &doc))
	require.WithinDuration(t, time.Now(), doc.Time, time.Minute)
	require.Len(t, doc.Pools, 2)

	first := doc.Pools[0]
	require.Equal(t, "thumbs", first.Name)
	require.Equal(t, "working", first.Health.Word)
	require.Equal(t, uint64(3), first.Succeeded)
	require.Equal(t, 2, *first.MaxRunning)
	require.InDelta(t, 2, first.Telemetry.LongestRun, 1e-9)
	require.Equal(t, thumbs.Stats().Run, first.Telemetry.Run)
	require.Equal(t, "a.png", first.Telemetry.Running[0]["label"])
	require.Nil(t, first.Telemetry.Running[0]["index"])
	require.InDelta(t, 2, first.Telemetry.Running[0]["run"], 1e-9)
	require.Equal(t, "failed", first.Telemetry.Failures[0]["outcome"])
	require.Equal(t, "unexpected EOF", first.Telemetry.Failures[0]["error"])
	require.InDelta(t, 7, first.Telemetry.Failures[0]["index"], 1e-9)

	second := doc.Pools[1]
	require.Equal(t, dispatch.Ended, second.State)
	require.Nil(t, second.MaxRunning)
	require.Equal(t, 5, *second.MaxQueued)
	require.Nil(t, second.Telemetry)
}

func TestTextIsForATerminal(t *testing.T) {
	p := watchedPool("thu\x1bmbs")
	p.Update(func(_ *dispatch.Stats, running, failures *[]dispatch.Job) {
		(*running)[0].Label = "a\nb"
		(*failures)[0].Err = errors.New("one\ntwo")
	})
	text := get(New(p, watchedPool("mails")), "?format=text").Body.String()
	require.Contains(t, text, "thu\uFFFDmbs: working. 1 of 2 workers is busy.\n")
	require.Regexp(t, `longest run +2 s`, text)
	require.Regexp(t, `run +in all +2 +2 s +917 ms +3\.\d+ s`, text)
	require.Regexp(t, `2 s +a b +0 +2`, text)
	require.Contains(t, text, "failed just now: b.png (item 7): one two\n")
	require.Contains(t, text, "\n\nmails: working.")
}

// crowd is a page of three pools, with 24 failures each, a third of them panics.
func crowd() *Page {
	page := New()
	start := time.Now()
	for n := range 3 {
		p := watchedPool(fmt.Sprintf("pool number %d", n))
		p.Update(func(s *dispatch.Stats, running, failures *[]dispatch.Job) {
			*running, *failures = nil, nil
			var t fakepool.Tally
			for i := range 40 {
				t.Add(time.Microsecond<<(i/2)+time.Duration(i)*1000, uint64(i+1))
			}
			s.Wait, s.Run, s.MaxRunning, s.Running = t.Histogram(), t.Histogram(), 16, 16
			for i := range 16 {
				*running = append(*running, dispatch.Job{Label: fmt.Sprintf("products/%d/front.tiff", i), Worker: i + 1, Index: -1, Submitted: start, Run: time.Second})
			}
			for i := range 8 {
				job := dispatch.Job{Label: fmt.Sprintf("products/%d/front.tiff", i), Worker: i + 1, Index: -1, Submitted: start.Add(time.Duration(i))}
				job.Outcome, job.Err = dispatch.Failed, fmt.Errorf("resize products/%d/front.tiff: decode: unexpected EOF", i)
				*failures = append(*failures, job)
				job.Outcome, job.Err = dispatch.TimedOut, &dispatch.TimeoutError{Limit: time.Second, Ran: true}
				*failures = append(*failures, job)
				job.Outcome, job.Err = dispatch.Panicked, &dispatch.PanicError{Value: "boo", Stack: []byte(
					"goroutine 7 [running]:\npanic({0x7d1e40?, 0xc000014150?})\n\t/usr/local/go/src/runtime/panic.go:792 +0x132\n" +
						strings.Repeat("example.com/shop/thumbs.Resize({0x8a1b20, 0xc00007c0f0}, {0xc0000a4030, 0x1b})\n\t/src/shop/thumbs/resize.go:41 +0x3f1\n", 10))}
				*failures = append(*failures, job)
			}
		})
		page.Add(p)
	}
	for second := range 60 {
		page.look(start.Add(time.Duration(second-60) * time.Second))
	}
	return page
}

func TestARefreshOfThreePoolsIsSmall(t *testing.T) {
	require.Less(t, get(crowd(), "?part").Body.Len(), 45_000)
}

func BenchmarkRefreshOfThreePools(b *testing.B) {
	page := crowd()
	b.ReportAllocs()
	size := 0
	for b.Loop() {
		_, body, err := page.answer("part")
		require.Nil(b, err)
		size = len(body)
	}
	b.ReportMetric(float64(size), "B/refresh")
}
