package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"example.com/dispatch/examples/internal/cli"
	"example.com/dispatch/examples/internal/cli/clitest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// pipelineArgs runs the program as main does.
var pipelineArgs = clitest.New("pipeline", run)

// wire is an http.RoundTripper that calls a handler without sockets, so it works in a
// synctest bubble. The client reads the answer while the handler writes it, and the
// answer ends with the request.
type wire struct{ handler http.Handler }

func (w wire) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Context().Err() != nil {
		return nil, context.Cause(req.Context())
	}
	body, in := io.Pipe()
	ctx, end := context.WithCancelCause(req.Context())
	context.AfterFunc(ctx, func() { in.CloseWithError(context.Cause(ctx)) })
	answer := &wireAnswer{header: make(http.Header), body: in, ready: make(chan int, 1)}
	go func() {
		defer end(io.EOF)
		defer func() {
			answer.WriteHeader(http.StatusOK)
			if r := recover(); r != nil {
				in.CloseWithError(io.ErrUnexpectedEOF)
			}
			in.Close()
		}()
		w.handler.ServeHTTP(answer, req.WithContext(ctx))
	}()
	select {
	case status := <-answer.ready:
		return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: answer.header, Body: body, Request: req}, nil
	case <-req.Context().Done():
		return nil, context.Cause(req.Context())
	}
}

// wireAnswer is an http.ResponseWriter.
type wireAnswer struct {
	header http.Header
	body   *io.PipeWriter
	ready  chan int
	begun  bool
}

func (a *wireAnswer) Header() http.Header { return a.header }

func (a *wireAnswer) WriteHeader(status int) {
	if !a.begun {
		a.begun = true
		a.ready <- status
	}
}

func (a *wireAnswer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

// newTestCrawl returns a crawl of the site that handler serves, into the database in a
// file.
func newTestCrawl(t *testing.T, handler http.Handler, db string, fetchers int) *crawl {
	t.Helper()
	st, err := openStore(t.Context(), db)
	require.NoError(t, err)
	f := newFetcher("http://site", 1000, fetchers)
	f.client.Transport = wire{handler}
	none := func(int64) {}
	return &crawl{fetcher: f, fetchers: fetchers, store: st, fetched: none, stored: none}
}

// handler is the site without its server.
func handler(pages int) http.Handler {
	s := &site{pages: pages, asked: make(map[int]int)}
	return http.HandlerFunc(s.serve)
}

// paths returns the paths of the first n pages.
func paths(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = pagePath(i)
	}
	return all
}

// expected returns the facts of the pages, computed from the site itself.
func expected(pages int) []facts {
	var all []facts
	for n := range pages {
		f := facts{path: pagePath(n)}
		switch kindOf(n) {
		case gone:
			f.fault = "404 Not Found"
		case endless:
			f.fault = "larger than 256 KiB"
		default:
			f.title = fmt.Sprint("Page ", n)
			f.bytes, f.words, f.links = len(pageText(n)), 10*paragraphs(n)+links(n), links(n)
		}
		all = append(all, f)
	}
	return all
}

// table returns the content of a database.
func table(t *testing.T, name string) []facts {
	t.Helper()
	st, err := openStore(t.Context(), name)
	require.NoError(t, err)
	all, err := st.all(t.Context())
	require.NoError(t, err)
	require.NoError(t, st.close())
	return all
}

func TestEveryPageIsStoredOnceAsTheSiteHasIt(t *testing.T) {
	const pages = 55
	db := filepath.Join(t.TempDir(), "my pages?.db")
	status, stdout, stderr := pipelineArgs(t.Context(), "-pages", "55", "-rate", "5000", "-db", db)
	require.Equal(t, cli.Good, status, stderr)
	require.FileExists(t, db)
	require.Equal(t, expected(pages), table(t, db))
	require.Contains(t, stdout, "49 pages stored: ")
	require.Contains(t, stdout, "3 pages: 404 Not Found\n3 pages: larger than 256 KiB\n")
	require.Contains(t, stderr, "stored: 55 of 55 pages\n")
	// Five fail twice, and three break off once.
	require.Regexp(t, `68 requests \(13 of them again\); \d+ pages? in memory at most\n$`, stdout)

	// A second run has nothing to fetch, and prints the same report.
	status, again, stderr := pipelineArgs(t.Context(), "-pages", "55", "-db", db)
	require.Equal(t, cli.Good, status, stderr)
	require.Contains(t, again, "stored already: 55 of 55 pages\n")
	require.Contains(t, again, "49 pages stored: ")
	require.Contains(t, again, " 0 requests ")
}

// A writer calls its function with what is written.
type writer func(string)

func (w writer) Write(p []byte) (int, error) {
	w(string(p))
	return len(p), nil
}

func TestAnInterruptedRunThatIsCalledAgainMakesTheSameTable(t *testing.T) {
	const pages = 55
	db := filepath.Join(t.TempDir(), "pages.db")
	ctx, interrupt := context.WithCancelCause(t.Context())
	var errs bytes.Buffer
	stderr := writer(func(text string) {
		errs.WriteString(text)
		interrupt(cli.Signal{Signal: os.Interrupt}) // once a tenth of the pages is stored
	})
	args := []string{"-pages", "55", "-rate", "5000", "-db", db}
	status := cli.Run(ctx, "pipeline", run, args, cli.Streams{Out: io.Discard, Err: stderr})
	require.Equal(t, 130, status)
	require.Regexp(t, `\npipeline: interrupted after \d+ of 55 pages; -db .*pages.db goes on from there\n$`, errs.String())
	stored := len(table(t, db))
	require.GreaterOrEqual(t, stored, 6)
	require.Less(t, stored, pages)

	status, stdout, text := pipelineArgs(t.Context(), args...)
	require.Equal(t, cli.Good, status, text)
	require.Regexp(t, `stored already: \d+ of 55 pages\n`, stdout)
	require.Equal(t, expected(pages), table(t, db))
}

func TestPagesInMemoryAreBoundedByTheLookAheadOfTheStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCrawl(t, handler(200), "", 4)
		defer c.store.close()
		c.stored = func(int64) { time.Sleep(time.Second) } // much slower than pages arrive
		require.NoError(t, c.run(t.Context(), paths(200)))
		require.Equal(t, 200, c.done)
		require.LessOrEqual(t, c.held.most, c.maxHeld())
		require.Greater(t, c.held.most, c.lookAhead(), "the bound was put to the test")
		require.Zero(t, c.held.now)
	})
}

func TestAPageThatFailsForNowIsFetchedByTheNextRun(t *testing.T) {
	db := filepath.Join(t.TempDir(), "pages.db")
	synctest.Test(t, func(t *testing.T) {
		whole := handler(4)
		down := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == pagePath(2) {
				http.Error(w, "down", http.StatusBadGateway)
				return
			}
			whole.ServeHTTP(w, r)
		})
		c := newTestCrawl(t, down, db, 2)
		require.NoError(t, c.run(t.Context(), paths(4)))
		require.NoError(t, c.store.close())
		require.Equal(t, 3, c.done)
		require.Equal(t, 1, c.failed)
		require.EqualError(t, c.lastFail, "/page/0002: Bad Gateway")
		require.EqualValues(t, 3+maxTries, c.fetcher.requests.Load())
		require.EqualValues(t, maxTries-1, c.fetcher.retries.Load())
	})
	require.Len(t, table(t, db), 3)
	status, _, stderr := pipelineArgs(t.Context(), "-pages", "4", "-db", db)
	require.Equal(t, cli.Good, status, stderr)
	require.Equal(t, expected(4), table(t, db))
}

func TestRequestsComeNoFasterThanTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCrawl(t, handler(3), "", 2)
		defer c.store.close()
		c.fetcher.limiter.SetLimit(1) // a second, with a burst of 2
		start := time.Now()
		require.NoError(t, c.run(t.Context(), []string{pagePath(0), pagePath(1), pagePath(2), pagePath(0) + "?again"}))
		require.Equal(t, 2*time.Second, time.Since(start))
	})
}

func TestAServerThatAsksForAPauseGetsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCrawl(t, handler(60), "", 1)
		defer c.store.close()
		require.Equal(t, busy, kindOf(59))
		_, err := c.fetcher.try(t.Context(), pagePath(59))
		require.Equal(t, backoff.RetryAfter(1), err)
	})
	synctest.Test(t, func(t *testing.T) {
		c := newTestCrawl(t, handler(60), "", 1)
		defer c.store.close()
		start := time.Now()
		require.NoError(t, c.run(t.Context(), []string{pagePath(59)}))
		require.Equal(t, time.Second, time.Since(start))
	})
}

func TestADatabaseThatTakesNothingEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCrawl(t, handler(100), "", 4)
		require.NoError(t, c.store.close())
		err := c.run(t.Context(), paths(100))
		require.ErrorContains(t, err, "/page/")
		require.ErrorContains(t, err, "database is closed")
		require.Zero(t, c.done)
	})
}

func TestWhatIsMarkupIsNoText(t *testing.T) {
	found, err := parse(t.Context(), page{path: "/", body: []byte(`<title> a  title </title>
<style>p {}</style><script>if (a < b) {}</script><p>one <b>two</b> &amp; <a href="/x">four</a><a>five</a><br>`)})
	require.NoError(t, err)
	require.Equal(t, facts{path: "/", title: "a title", bytes: 135, words: 5, links: 2}, found)
}

func TestAPageThatBreaksOffIsTriedAgainAndOneThatIsTooLargeIsNot(t *testing.T) {
	_, err := readPage(torn{})
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.False(t, isPermanent(err))
	_, err = readPage(strings.NewReader(strings.Repeat("x", maxPage+1)))
	require.True(t, isPermanent(err))
	body, err := readPage(strings.NewReader(strings.Repeat("x", maxPage)))
	require.NoError(t, err)
	require.Len(t, body, maxPage)
}

// torn is a reader that fails in the middle.
type torn struct{}

func (torn) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestInterruptBeforeTheStart(t *testing.T) {
	ctx, interrupt := context.WithCancelCause(t.Context())
	interrupt(cli.Signal{Signal: os.Interrupt})
	status, stdout, stderr := pipelineArgs(ctx)
	require.Equal(t, 130, status)
	require.Empty(t, stdout)
	require.Equal(t, "pipeline: interrupted\n", stderr)
}

func TestADatabaseOfOnesOwnIsRemoved(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	status, _, stderr := pipelineArgs(t.Context(), "-pages", "2")
	require.Equal(t, cli.Good, status, stderr)
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestWrongFlags(t *testing.T) {
	pipelineArgs.RequireRefused(t, map[string]string{
		"-pages 0":    `invalid value "0" for flag -pages`,
		"-fetchers 0": `invalid value "0" for flag -fetchers`,
		"-rate none":  `invalid value "none" for flag -rate`,
		"extra":       `unexpected argument "extra"`,
	})
	pipelineArgs.RequireHelp(t, "pipeline")

	status, _, stderr := pipelineArgs(t.Context(), "-db", filepath.Join(t.TempDir(), "none", "pages.db"))
	require.Equal(t, cli.Failed, status)
	require.Regexp(t, `^pipeline: .*pages.db: unable to open database file`, stderr)

	text := filepath.Join(t.TempDir(), "text")
	require.NoError(t, os.WriteFile(text, bytes.Repeat([]byte("no database "), 100), 0o644))
	status, _, stderr = pipelineArgs(t.Context(), "-db", text)
	require.Equal(t, cli.Failed, status)
	require.Contains(t, stderr, "file is not a database")
}
