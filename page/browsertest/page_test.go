package browsertest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
	"example.com/dispatch/internal/fakepool"
)

// thumbs returns a fake pool with a bit of everything. The tests change it while the
// browser shows it; a real pool would not stand still meanwhile.
func thumbs() *fakepool.Pool {
	p := fakepool.New(dispatch.Stats{
		Name: "thumbs", Workers: 4, MaxRunning: 4, MaxQueued: 100, Running: 4, Queued: 12, Blocked: 1,
		Submitted: 1000, Succeeded: 980, Failed: 2, Panicked: 2, Telemetry: true, OldestWait: time.Second, LongestRun: 3 * time.Second,
		Wait: fakepool.Histogram(time.Millisecond, 3*time.Millisecond, 40*time.Millisecond), Run: fakepool.Histogram(time.Second, 3*time.Second),
	})
	p.Update(func(_ *dispatch.Stats, running, failures *[]dispatch.Job) {
		for i := range 4 {
			*running = append(*running, dispatch.Job{
				Label: fmt.Sprintf("products/%d/a-name-without-a-space-that-is-longer-than-a-phone-is-wide.tiff", i), Worker: i + 1, Index: -1,
				Submitted: time.Now(), Run: 3 * time.Second,
			})
		}
		(*running)[0].Outcome, (*running)[0].Stray = dispatch.TimedOut, true
		for i := range 5 {
			*failures = append(*failures, failure(i))
		}
		*failures = append(*failures, dispatch.Job{
			Label: "crashed.png", Worker: 3, Index: 7, Submitted: time.Now(), Outcome: dispatch.Panicked,
			Err: &dispatch.PanicError{Value: "boo", Stack: []byte(strings.Repeat("main.f(...)\n\t/src/main.go:7 +0x1\n", 40))},
		})
	})
	return p
}

func failure(i int) dispatch.Job {
	return dispatch.Job{
		Label: fmt.Sprintf("broken-%d.png", i), Worker: 1, Index: -1, Submitted: time.Now().Add(time.Duration(i)),
		Outcome: dispatch.Failed, Err: errors.New("decode: unexpected EOF"),
	}
}

func TestThePageRenewsItselfWithoutAReload(t *testing.T) {
	p := thumbs()
	s := serve(t, p)
	b := open(t, s, look{})
	eval[bool](b, `window.sameDocument = true`)
	require.Contains(t, b.text(), "live")
	p.Update(func(s *dispatch.Stats, running, failures *[]dispatch.Job) {
		s.Succeeded = 4711
		*running = (*running)[:1]
		*failures = append([]dispatch.Job{failure(9)}, *failures...)
	})
	b.waitFor(`document.body.innerText.includes("4,711")`)
	require.Contains(t, b.text(), "broken-9.png")
	require.Equal(t, 1, eval[int](b, `document.querySelectorAll(".now tbody tr").length`))
	b.waitFor(`document.querySelector(".value small").textContent === "of 4" && [...document.querySelectorAll(".line path")].some(p => p.getAttribute("d").includes("L"))`)
	require.True(t, eval[bool](b, `window.sameDocument === true`))
	require.True(t, strings.HasPrefix(eval[string](b, `document.title`), "1 "), "the title tells the health")
	b.requireQuiet(s)
}

func TestAHandlerThatHangsIsFoundByItsStack(t *testing.T) {
	end := make(chan struct{})
	hang := func(_ context.Context, _ string) (int, error) { <-end; return 0, nil }
	p := dispatch.Must(dispatch.New(hang, dispatch.WithName("<b>hung</b>"), dispatch.WithWorkers(1),
		dispatch.WithLabel(func(file string) string { return file })))
	defer func() { require.NoError(t, p.Close()) }()
	defer close(end)
	s := serve(t, p)
	b := open(t, s, look{})
	b.waitFor(`document.body.innerText.includes("No job is running or waiting.")`)

	f := dispatch.Must(p.Submit(t.Context(), "<i>a.png</i>"))
	b.waitFor(`document.querySelector(".now bdi")?.innerText === "<i>a.png</i>"`)
	require.Contains(t, b.text(), "The only worker is busy.")
	eval[bool](b, `fetch(document.querySelector(".now td a").href).then(a => a.text()).then(text => { window.stack = text }), true`)
	b.waitFor(`window.stack?.includes("TestAHandlerThatHangsIsFoundByItsStack.func1")`)
	f.Cancel()
	b.waitFor(`document.body.innerText.includes("1 handler is still running although its job has ended; the longest (worker 1, <i>a.png</i>) has run for ")`)
	require.Contains(t, b.text(), "canceled, still running")
	require.True(t, strings.HasPrefix(eval[string](b, `document.title`), "1 stuck"))
}

func TestWhatIsOpenFocusedOrScrolledStaysSo(t *testing.T) {
	p := thumbs()
	s := serve(t, p)
	b := open(t, s, look{})
	b.click(`details[id$="-rest"] > summary`)
	b.click(`details[id$="-stack"] > summary`)
	eval[bool](b, `(() => { const pre = document.querySelector(".stack"); pre.scrollTop = 40; window.kept = pre; return true })()`)
	open := `[...document.querySelectorAll("details[open]")].map(d => d.id).join(" ")`
	before := eval[string](b, open)
	require.Len(t, strings.Fields(before), 2)
	p.Update(func(_ *dispatch.Stats, _, failures *[]dispatch.Job) {
		*failures = append([]dispatch.Job{failure(9)}, *failures...)
	})
	b.waitFor(`document.body.innerText.includes("broken-9.png")`)
	require.Equal(t, before, eval[string](b, open))
	require.InDelta(t, 40, eval[float64](b, `document.querySelector(".stack").scrollTop`), 1)
	require.True(t, eval[bool](b, `document.querySelector(".stack") === window.kept`))
	require.Equal(t, "SUMMARY", eval[string](b, `document.activeElement.tagName`))
	b.requireQuiet(s)
}

func TestAPageThatIsPausedWaits(t *testing.T) {
	p := thumbs()
	s := serve(t, p)
	b := open(t, s, look{})
	b.click(".bar button")
	require.Contains(t, b.text(), "paused")
	time.Sleep(1200 * time.Millisecond) // a request that was already sent has been answered
	asked := len(s.asked())
	p.Update(func(s *dispatch.Stats, _, _ *[]dispatch.Job) { s.Succeeded = 4711 })
	time.Sleep(2500 * time.Millisecond)
	require.Len(t, s.asked(), asked)
	require.NotContains(t, b.text(), "4,711")
	b.click(".bar button")
	b.waitFor(`document.body.innerText.includes("4,711")`)
	b.requireQuiet(s)
}

func TestSelectedTextIsNotReplaced(t *testing.T) {
	p := thumbs()
	s := serve(t, p)
	b := open(t, s, look{})
	eval[bool](b, `(() => { getSelection().selectAllChildren(document.querySelector(".health span")); return true })()`)
	p.Update(func(s *dispatch.Stats, _, _ *[]dispatch.Job) { s.Succeeded = 4711 })
	time.Sleep(2500 * time.Millisecond)
	require.NotContains(t, b.text(), "4,711")
	eval[bool](b, `(() => { getSelection().removeAllRanges(); return true })()`)
	b.waitFor(`document.body.innerText.includes("4,711")`)
}

func TestALostServerIsSaid(t *testing.T) {
	s := serve(t, thumbs())
	b := open(t, s, look{})
	b.waitFor(`document.body.innerText.includes("live")`)
	s.CloseClientConnections()
	s.Close()
	b.waitFor(`/no answer for \d+ s/.test(document.body.innerText) && document.title.startsWith("no answer")`)
}

func TestAnotherPageAtTheSameAddressIsLoadedAnew(t *testing.T) {
	s := serve(t, thumbs())
	b := open(t, s, look{})
	eval[bool](b, `(() => { window.sameDocument = true; document.getElementById("page").dataset.build = "x"; return true })()`)
	time.Sleep(1500 * time.Millisecond)
	require.True(t, eval[bool](b, `window.sameDocument === true`), "the make of the page is read once")
	b.waitFor(`document.getElementById("page").dataset.build !== "x"`)
	b.requireQuiet(s)
}

func TestWithoutScriptThePageIsASnapshotThatIsRenewed(t *testing.T) {
	s := serve(t, thumbs())
	b := open(t, s, look{scriptless: true})
	require.Equal(t, []string{path}, s.asked())
	require.Contains(t, b.text(), "thumbs")
	require.Contains(t, b.text(), "1,000")
	require.NotContains(t, b.text(), "live")
	require.Eventually(t, func() bool { return len(s.asked()) > 1 }, 15*time.Second, 100*time.Millisecond)
	for _, ask := range s.asked() {
		require.Equal(t, path, ask)
	}
}

func TestThePageCanBeReadInTheDarkAndOnAPhone(t *testing.T) {
	for name, l := range map[string]look{
		"desktop, light": {},
		"desktop, dark":  {dark: true},
		"phone, light":   {width: 360, height: 740},
		"phone, dark":    {width: 360, height: 740, dark: true},
		"small phone":    {width: 320, height: 568},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, thumbs(), fakepool.New(dispatch.Stats{Name: "counts", MaxRunning: dispatch.Unlimited, State: dispatch.Draining}),
				fakepool.New(dispatch.Stats{Name: strings.Repeat("anamewithoutaspace", 9)}))
			b := open(t, s, l)
			for range 4 {
				eval[bool](b, `(() => { for (const d of document.querySelectorAll("details")) d.open = true; return true })()`)
			}
			require.Equal(t, l.dark, eval[bool](b, `luminance(getComputedStyle(document.body).backgroundColor) < 0.2;`+luminance))
			require.LessOrEqual(t, eval[int](b, `document.documentElement.scrollWidth`), eval[int](b, `document.documentElement.clientWidth`), "nothing stands out")
			require.Empty(t, eval[[]string](b, faint))
			b.waitFor(`document.querySelector(".bar span").textContent === "live"`)
			b.requireQuiet(s)
		})
	}
}

// luminance is WCAG's relative luminance of a colour.
const luminance = `
function luminance(colour) {
  const [r, g, b] = colour.match(/[\d.]+/g).map(Number).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}`

// faint lists elements whose text has less contrast than WCAG AA requires.
const faint = `
[...document.querySelectorAll("body *")].filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())).flatMap(e => {
  if (e.closest("script")) return [];
  const style = getComputedStyle(e), ink = e.closest("svg") ? style.fill : style.color;
  let ground = e;
  while (ground.parentElement && /(, 0\)|transparent)$/.test(getComputedStyle(ground).backgroundColor)) ground = ground.parentElement;
  const [a, b] = [luminance(ink), luminance(getComputedStyle(ground).backgroundColor)].sort((x, y) => x - y);
  const contrast = (b + 0.05) / (a + 0.05);
  return contrast < 4.5 ? [e.tagName + "." + e.getAttribute("class") + " " + e.textContent.slice(0, 30) + ": " + contrast.toFixed(2)] : [];
});` + luminance
