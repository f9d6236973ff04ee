package page

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
	"example.com/dispatch/internal/fakepool"
)

// watchedPool is a pool with telemetry, something that runs and something that failed.
func watchedPool(name string) *fakepool.Pool {
	p := fakepool.New(dispatch.Stats{
		Name: name, Workers: 2, Running: 1, Idle: 1, MaxRunning: 2, MaxQueued: 8, Submitted: 5, Succeeded: 3, Failed: 1,
		Telemetry: true, LongestRun: 2 * time.Second,
		Wait: fakepool.Histogram(time.Millisecond, 3*time.Millisecond), Run: fakepool.Histogram(time.Second, 3*time.Second),
	})
	p.Update(func(_ *dispatch.Stats, running, failures *[]dispatch.Job) {
		*running = []dispatch.Job{{Pool: name, Label: "a.png", Worker: 2, Index: -1, Submitted: time.Now(), Run: 2 * time.Second}}
		*failures = []dispatch.Job{{
			Pool: name, Label: "b.png", Worker: 1, Index: 7, Submitted: time.Now(),
			Outcome: dispatch.Failed, Err: errors.New("unexpected EOF"),
		}}
	})
	return p
}

func TestThePageAnswersGetAndHeadOnly(t *testing.T) {
	p := New(watchedPool("thumbs"))
	require.Equal(t, http.StatusOK, ask(p, http.MethodHead, "").Code)
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions, "BREW"} {
		w := ask(p, method, "")
		require.Equal(t, http.StatusMethodNotAllowed, w.Code, method)
		require.Equal(t, "GET, HEAD", w.Header().Get("Allow"))
	}
}

func TestEachQueryHasItsTypeAndAnUnknownOneIsRefused(t *testing.T) {
	p := New(watchedPool("thumbs"), fakepool.New(dispatch.Stats{}))
	for query, want := range map[string]string{
		"":             "text/html; charset=utf-8",
		"?part":        "text/html; charset=utf-8",
		"?format=json": "application/json",
		"?format=text": "text/plain; charset=utf-8",
	} {
		w := get(p, query)
		require.Equal(t, http.StatusOK, w.Code, query)
		require.Equal(t, want, w.Header().Get("Content-Type"), query)
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"), query)
		require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"), query)
	}
	for query, want := range map[string]int{
		"?x=1":                     http.StatusBadRequest,
		"?part&x":                  http.StatusBadRequest,
		"?part&format=json":        http.StatusBadRequest,
		"?part&part":               http.StatusBadRequest,
		"?format=xml":              http.StatusBadRequest,
		"?format":                  http.StatusBadRequest,
		"?%zz":                     http.StatusBadRequest,
		"?a;b":                     http.StatusBadRequest,
		"?worker=1":                http.StatusBadRequest,
		"?stacks":                  http.StatusBadRequest,
		"?stacks=x":                http.StatusBadRequest,
		"?stacks=1&worker=x":       http.StatusBadRequest,
		"?stacks=1&worker=0":       http.StatusBadRequest,
		"?stacks=1&part":           http.StatusBadRequest,
		"?stacks=0":                http.StatusNotFound,
		"?stacks=3":                http.StatusNotFound,
		"?stacks=2":                http.StatusNotFound,
		"?stacks=1&worker=1000000": http.StatusNotFound,
	} {
		w := get(p, query)
		require.Equal(t, want, w.Code, query)
		require.Equal(t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"), query)
		require.Greater(t, len(strings.Fields(w.Body.String())), 4, "an error says what is wrong: %s", query)
	}
}

func TestAPoolWithoutTelemetryHasNoStacks(t *testing.T) {
	w := get(New(fakepool.New(dispatch.Stats{})), "?stacks=1")
	require.Equal(t, http.StatusNotFound, w.Code)
	require.Contains(t, w.Body.String(), "WithTelemetry")
}

func TestOnlyTheStyleAndTheScriptOfThePageCount(t *testing.T) {
	w := get(New(watchedPool("thumbs")), "")
	body, policy := w.Body.String(), w.Header().Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'")
	require.NotContains(t, policy, "unsafe")
	for _, element := range []string{"style", "script"} {
		found := regexp.MustCompile(`(?s)<`+element+`>(.*?)</`+element+`>`).FindAllStringSubmatch(body, -1)
		require.Len(t, found, 1)
		require.Contains(t, policy, element+"-src '"+hashOf(found[0][1])+"'")
	}
	require.NotRegexp(t, `\sstyle=`, body)
	require.NotRegexp(t, `\son[a-z]+=`, body)
	require.NotContains(t, body, "http:")
	require.NotContains(t, body, "https:")
	for _, link := range regexp.MustCompile(`(?:href|src)="([^"]*)"`).FindAllStringSubmatch(body, -1) {
		require.Regexp(t, `^(\?|#|data:,$)`, link[1], "a page under any path")
	}
	require.Contains(t, body, `<noscript><meta http-equiv="refresh"`)
}

func TestAPageOfNoPoolsSaysSo(t *testing.T) {
	for _, p := range []*Page{New(), new(Page), New(nil)} {
		require.Contains(t, get(p, "").Body.String(), "This page has no pools.")
		require.Contains(t, get(p, "?format=text").Body.String(), "This page has no pools.")
		require.Contains(t, get(p, "?format=json").Body.String(), `"pools": []`)
	}
}

func TestWhatUsersBringIsEscaped(t *testing.T) {
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>'&`
	p := watchedPool(evil)
	p.Update(func(_ *dispatch.Stats, running, failures *[]dispatch.Job) {
		(*running)[0].Label = evil
		(*failures)[0].Label = evil
		(*failures)[0].Outcome, (*failures)[0].Err = dispatch.Panicked, &dispatch.PanicError{Value: evil, Stack: []byte(evil)}
	})
	for _, query := range []string{"", "?part"} {
		body := get(New(p, p), query).Body.String()
		require.NotContains(t, body, "<script>alert")
		require.NotContains(t, body, "<img")
		require.Contains(t, body, "&lt;script&gt;alert(1)")
	}
}

// faultyError is an error whose method does what it is told.
type faultyError func() string

func (e faultyError) Error() string { return e() }

func TestAnErrorWhoseMethodsMisbehaveIsShownAllTheSame(t *testing.T) {
	p := watchedPool("thumbs")
	show := func(err error) string {
		p.Update(func(_ *dispatch.Stats, _, failures *[]dispatch.Job) { (*failures)[0].Err = err })
		for _, query := range []string{"?format=json", "?format=text"} {
			require.Equal(t, http.StatusOK, get(New(p), query).Code)
		}
		return get(New(p), "?part").Body.String()
	}
	require.Contains(t, show(faultyError(func() string { panic("boo") })), "page.faultyError, whose methods panic")
	require.Contains(t, show(faultyError(func() string { runtime.Goexit(); return "" })), "page.faultyError, whose methods do not return")
	require.Contains(t, show(faultyError(func() string { return "" })), "page.faultyError without a text")
	require.Contains(t, show(faultyError(nil)), "page.faultyError, whose methods panic")
	require.Contains(t, show(errors.New(strings.Repeat("é", 5000))), "é… (8000 bytes more)")
	require.Contains(t, show(errors.New("a\xffb")), "a\uFFFDb")
}

func TestPoolsAreAddedAndRemoved(t *testing.T) {
	a, b := watchedPool("first"), watchedPool("second")
	p := New(a)
	p.Add(b, a, nil, b)
	body := get(p, "?part").Body.String()
	require.Equal(t, 1, strings.Count(body, `id="pool-1"`))
	require.Equal(t, 2, strings.Count(body, `class="pool"`))
	require.Less(t, strings.Index(body, "<h2>first"), strings.Index(body, "<h2>second"))

	p.Remove(a)
	p.Remove(a)
	body = get(p, "?part").Body.String()
	require.NotContains(t, body, "first")
	require.Contains(t, body, `id="pool-2"`, "the number of a pool stays")

	p.Add(a)
	require.Contains(t, get(p, "?part").Body.String(), `id="pool-3"`)
}

// byValue is a pool of a type that does not compare.
type byValue struct {
	*fakepool.Pool
	_ []int
}

func TestAPoolThatDoesNotCompareIsShown(t *testing.T) {
	p := New(byValue{Pool: watchedPool("a")}, byValue{Pool: watchedPool("b")})
	p.Remove(byValue{Pool: watchedPool("a")})
	require.Equal(t, 2, strings.Count(get(p, "?part").Body.String(), `class="pool"`))
}

func TestAPoolWithoutTelemetryShowsCounts(t *testing.T) {
	body := get(New(fakepool.New(dispatch.Stats{Running: 3, MaxRunning: dispatch.Unlimited, MaxQueued: dispatch.Unlimited, Succeeded: 1234})), "?part").Body.String()
	require.Contains(t, body, "<h2>pool 1</h2>")
	require.Contains(t, body, "1,234")
	require.Contains(t, body, "Counts only")
	require.NotContains(t, body, "Running now")
	require.NotContains(t, body, " of ")
}

func TestAtMostTwentyOfWhatRunsAreShown(t *testing.T) {
	p := watchedPool("thumbs")
	p.Update(func(_ *dispatch.Stats, running, _ *[]dispatch.Job) {
		*running = nil
		for i := range 64 {
			*running = append(*running, dispatch.Job{Worker: i + 1, Index: i, Run: time.Second})
		}
	})
	body := get(New(p), "?part").Body.String()
	require.Equal(t, 20, strings.Count(body, "&amp;worker="))
	require.Contains(t, body, "and 44 more")
	require.Contains(t, body, ">item 19</bdi>")
}

func TestFailuresAreFoldedAfterThreeAndAStackIsShownOnce(t *testing.T) {
	p := watchedPool("thumbs")
	p.Update(func(_ *dispatch.Stats, _, failures *[]dispatch.Job) {
		*failures = nil
		for i := range 8 {
			*failures = append(*failures,
				dispatch.Job{Label: fmt.Sprint("p", i), Worker: i, Index: -1, Outcome: dispatch.Panicked, Err: &dispatch.PanicError{
					Value: "boo", Stack: fmt.Appendf(nil, "goroutine %d [running]:\nx()\n\t/x.go:1 +0x1\npanic({0xc%d})\n\t/y.go:2 +0x%d\n", i, i, i),
				}},
				dispatch.Job{Label: fmt.Sprint("e", i), Worker: i, Index: -1, Outcome: dispatch.TimedOut, Err: &dispatch.TimeoutError{Limit: time.Second}})
		}
	})
	body := get(New(p), "?part").Body.String()
	require.Equal(t, 16, strings.Count(body, "<article"))
	require.Equal(t, 2, strings.Count(body, "<summary>5 more</summary>"))
	require.Equal(t, 1, strings.Count(body, "<summary>stack</summary>"))
	require.Equal(t, 7, strings.Count(body, "the same stack as above"))
	panicked, timedOut := strings.Index(body, "<h4>panicked</h4>"), strings.Index(body, "<h4>timed out</h4>")
	require.True(t, 0 < panicked && panicked < timedOut, "the kind that failed last comes first")
	require.Contains(t, body, "panic(…)\n\t/y.go:2</pre>")
}

func TestAnElementKeepsItsIDFromLookToLook(t *testing.T) {
	p, page := watchedPool("thumbs"), new(Page)
	page.Add(p)
	ids := func() map[string]int {
		found := map[string]int{}
		for _, m := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(get(page, "?part").Body.String(), -1) {
			found[m[1]]++
		}
		return found
	}
	first := ids()
	p.Update(func(_ *dispatch.Stats, running, failures *[]dispatch.Job) {
		(*running)[0].Run += time.Second
		*failures = append([]dispatch.Job{{Worker: 3, Index: -1, Submitted: time.Now(), Outcome: dispatch.Failed, Err: errors.New("new")}}, *failures...)
	})
	second := ids()
	require.Len(t, second, len(first)+1)
	for id, n := range second {
		require.Equal(t, 1, n, "id %s", id)
	}
	for id := range first {
		require.Contains(t, second, id)
	}
}

func TestALookTellsWhatHasComeSinceTheFirstOfTheLastMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := watchedPool("thumbs")
		page := New(p)
		first := get(page, "?part").Body.String()
		require.Contains(t, first, `<b>–</b> <small>a second</small>`)
		require.NotContains(t, first, "+")
		time.Sleep(10 * time.Second)
		p.Update(func(s *dispatch.Stats, _, _ *[]dispatch.Job) { s.Succeeded, s.Rejected = s.Succeeded+40, 2 })
		second := get(page, "?part").Body.String()
		require.Contains(t, second, "+40")
		require.Contains(t, second, `<b>4</b> <small>a second</small>`)
		require.Contains(t, second, `<div class="alarm"><dt>refused</dt>`)
		require.Contains(t, second, "There was no room in the last 10 s: 2 refused.")
		time.Sleep(61 * time.Second)
		require.NotContains(t, get(page, "?part").Body.String(), "+40")
	})
}

func TestManyMayLookAtOnce(t *testing.T) {
	a, b := watchedPool("a"), watchedPool("b")
	p := New(a)
	var viewers sync.WaitGroup
	for i := range 4 {
		viewers.Go(func() {
			for range 10 {
				for _, query := range []string{"", "?part", "?format=json", "?format=text"} {
					if w := get(p, query); w.Code != http.StatusOK {
						t.Error(w.Code, w.Body)
					}
				}
				if i == 0 {
					p.Add(b)
					p.Remove(b)
				}
				a.Update(func(s *dispatch.Stats, _, _ *[]dispatch.Job) { s.Succeeded++ })
			}
		})
	}
	viewers.Wait()
}
