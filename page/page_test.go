package page

import (
	"context"
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
)

func TestThePageAnswersGetAndHeadOnly(t *testing.T) {
	p := New()
	require.Equal(t, http.StatusOK, ask(p, http.MethodHead, "").Code)
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions, "BREW"} {
		w := ask(p, method, "")
		require.Equal(t, http.StatusMethodNotAllowed, w.Code, method)
		require.Equal(t, "GET, HEAD", w.Header().Get("Allow"))
	}
}

func TestEachQueryHasItsTypeAndAnUnknownOneIsRefused(t *testing.T) {
	thumbs, counts := newPool("thumbs"), countsOnly()
	defer stop(thumbs)
	defer counts.Close()
	p := New(thumbs, counts)
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

// countsOnly is a pool without telemetry.
func countsOnly(opts ...dispatch.Option) *dispatch.Pool[int, int] {
	return dispatch.Must(dispatch.New(func(ctx context.Context, in int) (int, error) {
		if in > 0 {
			<-ctx.Done()
		}
		return in, nil
	}, opts...))
}

func TestAPoolWithoutTelemetryHasNoStacks(t *testing.T) {
	counts := countsOnly()
	defer counts.Close()
	w := get(New(counts), "?stacks=1")
	require.Equal(t, http.StatusNotFound, w.Code)
	require.Contains(t, w.Body.String(), "WithTelemetry")
}

func TestOnlyTheStyleAndTheScriptOfThePageCount(t *testing.T) {
	inBubble(t, testPolicy)
}

func testPolicy(t *testing.T, p *taskPool) {
	w := get(New(p), "")
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
	synctest.Test(t, func(t *testing.T) {
		p := newPool(evil)
		defer stop(p)
		process(p, panicsWith(evil, evil), failsWith(evil, errors.New(evil)))
		submit(p, lasts(evil))
		synctest.Wait()
		for _, query := range []string{"", "?part"} {
			body := get(New(p), query).Body.String()
			require.NotContains(t, body, "<script>alert")
			require.NotContains(t, body, "<img")
			require.GreaterOrEqual(t, strings.Count(body, "&lt;script&gt;alert(1)"), 7, "the name thrice, three labels, two errors")
		}
	})
}

// faultyError is an error whose Error method is the function itself.
type faultyError func() string

func (e faultyError) Error() string { return e() }

func TestAnErrorWhoseMethodsMisbehaveIsShownAllTheSame(t *testing.T) {
	show := func(err error) string {
		p := newPool("thumbs")
		defer stop(p)
		process(p, failsWith("b.png", err))
		for _, query := range []string{"?format=json", "?format=text"} {
			require.Equal(t, http.StatusOK, get(New(p), query).Code)
		}
		return get(New(p), "?part").Body.String()
	}
	require.Contains(t, show(faultyError(func() string { panic("boo") })), "an error of type page.faultyError, whose methods panic")
	require.Contains(t, show(faultyError(func() string { runtime.Goexit(); return "" })), "an error of type page.faultyError, whose methods end their goroutine")
	require.Contains(t, show(faultyError(func() string { return "" })), "an error of type page.faultyError with an empty text")
	require.Contains(t, show(faultyError(nil)), "an error of type page.faultyError, whose methods panic")
	require.Contains(t, show(errors.New(strings.Repeat("é", 5000))), "é… (8000 bytes more)")
	require.Contains(t, show(errors.New("a\xffb")), "a\uFFFDb")
}

func TestPoolsAreAddedAndRemoved(t *testing.T) {
	a, b := newPool("first"), newPool("second")
	defer stop(a, b)
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

// byValue is a pool of a type that is not comparable.
type byValue struct {
	*taskPool

	_ []int
}

func TestAPoolThatDoesNotCompareIsShown(t *testing.T) {
	a, b := newPool("a"), newPool("b")
	defer stop(a, b)
	p := New(byValue{taskPool: a}, byValue{taskPool: b})
	p.Remove(byValue{taskPool: a})
	require.Equal(t, 2, strings.Count(get(p, "?part").Body.String(), `class="pool"`))
}

func TestAPoolWithoutTelemetryShowsCounts(t *testing.T) {
	p := countsOnly(dispatch.WithWorkers(dispatch.Unlimited), dispatch.WithQueue(dispatch.Unlimited))
	defer p.Close()
	defer p.Stop()
	dispatch.Must(p.Map(t.Context(), make([]int, 1234)))
	dispatch.Must(p.Submit(t.Context(), 1))
	body := get(New(p), "?part").Body.String()
	require.Contains(t, body, "<h2>pool 1</h2>")
	require.Contains(t, body, "1,234")
	require.Contains(t, body, "Counts only")
	require.NotContains(t, body, "Running now")
	require.NotContains(t, body, " of ")
}

func TestAtMostTwentyOfWhatRunsAreShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool("thumbs", dispatch.WithWorkers(64), dispatch.WithQueue(64))
		defer stop(p)
		for i := range 64 {
			submit(p, lasts(fmt.Sprintf("number %d.png", i)))
			time.Sleep(time.Millisecond)
		}
		body := get(New(p), "?part").Body.String()
		require.Equal(t, 20, strings.Count(body, "&amp;worker="))
		require.Contains(t, body, "and 44 more, which started later")
		require.Less(t, strings.Index(body, ">number 0.png</bdi>"), strings.Index(body, ">number 19.png</bdi>"), "the longest comes first")
		require.NotContains(t, body, "number 20.png")
	})
}

func TestFailuresAreFoldedAfterThreeAndAStackIsShownOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool("thumbs", dispatch.WithWorkers(1), dispatch.WithJobTimeout(time.Second))
		defer stop(p)
		for i := range 8 {
			process(p, lasts(fmt.Sprint("e", i)), panicsWith(fmt.Sprint("p", i), "boo"))
		}
		body := get(New(p), "?part").Body.String()
		require.Equal(t, 16, strings.Count(body, "<article"))
		require.Equal(t, 2, strings.Count(body, "<summary>5 more</summary>"))
		require.Equal(t, 1, strings.Count(body, "<summary>stack</summary>"))
		require.Equal(t, 7, strings.Count(body, "the same stack as above"))
		panicked, timedOut := strings.Index(body, "<h4>panicked</h4>"), strings.Index(body, "<h4>timed out</h4>")
		require.True(t, 0 < panicked && panicked < timedOut, "the kind that failed last comes first")
		require.Regexp(t, `(?s)panic\(…\)\n.*panicsWith[^\n]*\(…\)\n`, body)
	})
}

func TestAnElementKeepsItsIDFromLookToLook(t *testing.T) {
	inBubble(t, func(t *testing.T, p *taskPool) {
		page := New(p)
		ids := func() map[string]int {
			found := map[string]int{}
			for _, m := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(get(page, "?part").Body.String(), -1) {
				found[m[1]]++
			}
			return found
		}
		first := ids()
		time.Sleep(time.Second)
		process(p, failsWith("", errors.New("new")))
		second := ids()
		require.Len(t, second, len(first)+1)
		for id, n := range second {
			require.Equal(t, 1, n, "id %s", id)
		}
		for id := range first {
			require.Contains(t, second, id)
		}
	})
}

func TestALookTellsWhatHasComeSinceTheFirstOfTheLastMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool("thumbs", dispatch.WithWorkers(1), dispatch.WithQueue(0), dispatch.WithOverflow(dispatch.Reject))
		defer stop(p)
		page := New(p)
		process(p, takes("", time.Second))
		first := get(page, "?part").Body.String()
		require.Contains(t, first, `<b>–</b> <small>per second</small>`)
		require.NotContains(t, first, "+")
		for range 40 {
			process(p, takes("", time.Second/4))
		}
		submit(p, lasts(""))
		process(p, takes("", 0), takes("", 0))
		second := get(page, "?part").Body.String()
		require.Contains(t, second, "+40")
		require.Contains(t, second, `<b>4</b> <small>per second</small>`)
		require.Contains(t, second, `<div class="alarm"><dt>refused</dt>`)
		require.Contains(t, second, "The queue was full at times in the last 10 s: 2 refused.")
		time.Sleep(61 * time.Second)
		require.NotContains(t, get(page, "?part").Body.String(), "+40")
	})
}

func TestASecondLookAtOnceTellsNothingOfASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool("thumbs")
		defer stop(p)
		page := New(p)
		get(page, "?part")
		time.Sleep(time.Millisecond)
		process(p, failsWith("", errors.New("bad")), takes("", 0), takes("", 0), takes("", 0))
		body := get(page, "?part").Body.String()
		require.Contains(t, body, "1 of 4 jobs that ended in the last 1 s failed, panicked or timed out")
		require.Contains(t, body, "Lines and + cover the last 1 s")
		require.Contains(t, body, `<b>–</b> <small>per second</small>`)
	})
}

func TestManyMayLookAtOnce(t *testing.T) {
	a, b := newPool("a"), newPool("b")
	defer stop(a, b)
	p := New(a)
	var viewers sync.WaitGroup
	for i := range 4 {
		viewers.Go(func() {
			for n := range 10 {
				for _, query := range []string{"", "?part", "?format=json", "?format=text"} {
					if w := get(p, query); w.Code != http.StatusOK {
						t.Error(w.Code, w.Body)
					}
				}
				if i == 0 {
					p.Add(b)
					p.Remove(b)
				}
				process(a, takes("", 0), failsWith("", fmt.Errorf("error %d", n)), panicsWith("", "boo"))
			}
		})
	}
	viewers.Wait()
}
