package browsertest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"example.com/dispatch/page"
)

// browser is the context of the browser that all tests share; nil if there is none.
var browser context.Context

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	path := browserPath()
	if path == "" {
		return m.Run() // each test says that there is no browser
	}
	data, err := os.MkdirTemp("", "browsertest")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(data)
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path),
		chromedp.UserDataDir(data),
		chromedp.NoSandbox, // it loads only our own page, and may run as root in a container
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
	)
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	defer cancel()
	var end context.CancelFunc
	browser, end = chromedp.NewContext(allocator)
	defer end()
	if err := chromedp.Do(browser); err != nil {
		panic(err)
	}
	return m.Run()
}

func browserPath() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// site serves a page, and records the requests.
type site struct {
	*httptest.Server

	mu   sync.Mutex
	asks []string
}

const path = "/debug/dispatch/"

func serve(t *testing.T, pools ...page.Pool) *site {
	t.Helper()
	if browser == nil {
		t.Skip("there is no browser: chromium or google-chrome must be on the PATH (on Debian: apt-get install chromium)")
	}
	s := new(site)
	mux := http.NewServeMux()
	mux.Handle(path, page.New(pools...))
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asks = append(s.asks, r.URL.RequestURI())
		s.mu.Unlock()
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// asked returns the requests so far.
func (s *site) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asks)
}

// tab is a tab of the browser that shows a site.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	requests []string
	troubles []string // errors that the console would show
}

// look describes the browser window: its size, its color scheme, whether scripts run.
type look struct {
	width, height int64
	dark          bool
	scriptless    bool
}

func open(t *testing.T, s *site, l look) *tab {
	t.Helper()
	ctx, end := chromedp.NewContext(browser)
	t.Cleanup(end)
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx}
	require.NoError(t, chromedp.Listen(ctx, b.note))
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	if l.width == 0 {
		l.width, l.height = 1280, 900
	}
	require.NoError(t, chromedp.Do(ctx, chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		if err != nil || !l.scriptless {
			return err
		}
		_, err = chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}), chromedp.EmulateViewport(l.width, l.height), chromedp.Navigate(s.URL+path)))
	return b
}

// note records events for the tests. The browser waits for it.
func (b *tab) note(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch ev := ev.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, ev.Request.URL)
	case *log.EventEntryAdded:
		b.troubles = append(b.troubles, ev.Entry.Text)
	case *runtime.EventConsoleAPICalled:
		b.troubles = append(b.troubles, "console."+string(ev.Type))
	case *runtime.EventExceptionThrown:
		b.troubles = append(b.troubles, ev.ExceptionDetails.Text)
	}
}

// requireQuiet fails if the console shows anything, or if the browser sent a request
// to anything but the site.
func (b *tab) requireQuiet(s *site) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Empty(b.t, b.troubles)
	require.NotEmpty(b.t, b.requests)
	for _, url := range b.requests {
		rest, ours := strings.CutPrefix(url, s.URL+path)
		require.True(b.t, ours && (rest == "" || rest == "?part") || url == "data:,", "it asked for %s", url)
	}
}

// eval returns the value of an expression in the tab.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	require.NoError(b.t, err, expression)
	return v
}

// waitFor waits until an expression holds in the tab.
func (b *tab) waitFor(expression string) {
	b.t.Helper()
	_, err := chromedp.Run(b.ctx, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(20*time.Second)))
	require.NoError(b.t, err, "%s; the page says: %s", expression, b.text())
}

func (b *tab) text() string {
	return eval[string](b, `document.body.innerText`)
}

func (b *tab) click(selector string) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, chromedp.Click(chromedp.CSS(selector))))
}
