package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"html"
	"image/png"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"example.com/dispatch"
	"example.com/dispatch/examples/internal/cli"
	"example.com/dispatch/examples/internal/cli/clitest"
)

// programVar is an environment variable that makes the test binary run the program.
const programVar = "SERVER_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(programVar) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

// newTestService makes a service with one worker and room for one waiting request.
func newTestService(t *testing.T, draw dispatch.Handler[tile, []byte]) *service {
	t.Helper()
	svc, err := newService(draw, 1, 1, time.Second, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() {
		svc.stop()
		<-svc.pool.Done()
	})
	return svc
}

// counts returns how many answers had each status.
func (l load) counts() map[int]int {
	counts := make(map[int]int)
	for status, m := range l {
		counts[status] = int(m.Requests)
	}
	return counts
}

// request sends svc a request and returns the answer once it is complete.
func request(ctx context.Context, svc *service, query string) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	svc.ServeHTTP(rec, httptest.NewRequestWithContext(ctx, http.MethodGet, "/tile?"+query, http.NoBody))
	return rec
}

// slowly draws nothing, and runs until its context ends.
func slowly(ctx context.Context, _ tile) ([]byte, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

func TestTileIsDrawn(t *testing.T) {
	rec := request(t.Context(), newTestService(t, drawTile), "x=-0.75&y=0.1&zoom=20&depth=50")
	require.Equal(t, http.StatusOK, rec.Code)
	require.Equal(t, "image/png", rec.Header().Get("Content-Type"))
	picture, err := png.Decode(rec.Body)
	require.NoError(t, err)
	require.Equal(t, tileSize, picture.Bounds().Dx())
}

func TestWrongRequestIsRefused(t *testing.T) {
	svc := newTestService(t, drawTile)
	for _, query := range []string{"depth=0", "depth=1000001", "depth=deep", "x=left", "zoom=", "zoom=0", "zoom=-1", "y=NaN", "x=Inf"} {
		require.Equal(t, http.StatusBadRequest, request(t.Context(), svc, query).Code, query)
	}
	require.Zero(t, svc.pool.Stats().Submitted)
}

func TestMoreThanThereIsRoomForIsTurnedAwayAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		finish := make(chan struct{})
		svc := newTestService(t, func(context.Context, tile) ([]byte, error) {
			<-finish
			return []byte("tile"), nil
		})
		accepted := make(chan *httptest.ResponseRecorder, 2)
		for range 2 { // one is drawn, one waits
			go func() { accepted <- request(t.Context(), svc, "") }()
		}
		synctest.Wait()
		rec := request(t.Context(), svc, "")
		require.Equal(t, http.StatusServiceUnavailable, rec.Code)
		require.Equal(t, "1", rec.Header().Get("Retry-After"))
		close(finish)
		for range 2 {
			require.Equal(t, http.StatusOK, (<-accepted).Code)
		}
	})
}

func TestSlowTileIsGivenUpAtTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc := newTestService(t, slowly)
		start := time.Now()
		rec := request(t.Context(), svc, "")
		require.Equal(t, http.StatusGatewayTimeout, rec.Code)
		require.Equal(t, "not drawn within 1s\n", rec.Body.String())
		require.Equal(t, time.Second, time.Since(start))
	})
}

func TestClientThatGoesAwayCancelsItsTile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("gone")
		drawn := make(chan error, 1)
		svc := newTestService(t, func(ctx context.Context, in tile) ([]byte, error) {
			_, err := slowly(ctx, in)
			drawn <- err
			return nil, err
		})
		ctx, leave := context.WithCancelCause(t.Context())
		answered := make(chan *httptest.ResponseRecorder, 1)
		go func() { answered <- request(ctx, svc, "") }()
		synctest.Wait()
		leave(gone)
		require.Empty(t, (<-answered).Body.String())
		require.ErrorIs(t, <-drawn, gone)
	})
}

func TestHandlersErrorIsAServerError(t *testing.T) {
	svc := newTestService(t, func(context.Context, tile) ([]byte, error) {
		return nil, errors.New("out of ink")
	})
	require.Equal(t, http.StatusInternalServerError, request(t.Context(), svc, "").Code)
}

func TestShutDownServiceRefuses(t *testing.T) {
	svc := newTestService(t, drawTile)
	require.NoError(t, svc.shutdown(t.Context()))
	rec := request(t.Context(), svc, "")
	require.Equal(t, http.StatusServiceUnavailable, rec.Code)
	require.Equal(t, "5", rec.Header().Get("Retry-After"))
}

func TestTheIndexShowsTilesThatCanBeAskedFor(t *testing.T) {
	for _, query := range []string{"", "?x=0.3&y=-0.02&zoom=1e6"} {
		rec := httptest.NewRecorder()
		serveIndex(rec, httptest.NewRequest(http.MethodGet, "/"+query, http.NoBody))
		require.Equal(t, http.StatusOK, rec.Code)
		tiles := regexp.MustCompile(`data-src="tile\?([^"]+)"`).FindAllStringSubmatch(rec.Body.String(), -1)
		require.Len(t, tiles, columns*rows)
		svc := newTestService(t, drawTile)
		seen := make(map[string]bool)
		for _, tile := range tiles {
			seen[tile[1]] = true
		}
		require.Len(t, seen, columns*rows, "they are different ones")
		require.Equal(t, http.StatusOK, request(t.Context(), svc, html.UnescapeString(tiles[0][1])).Code)
	}
	rec := httptest.NewRecorder()
	serveIndex(rec, httptest.NewRequest(http.MethodGet, "/?zoom=none", http.NoBody))
	require.Equal(t, http.StatusBadRequest, rec.Code)
}

func TestTilesOfThePictureLieSideBySide(t *testing.T) {
	links := newIndexView(tile{x: 1, y: 2, zoom: 3, depth: 9}).Tiles
	require.Equal(t, "tile?depth=9&x=-0.5&y=1&zoom=3", links[0].Src)
	require.Equal(t, "tile?depth=9&x=0.5&y=1&zoom=3", links[1].Src)
	require.Equal(t, "tile?depth=9&x=2.5&y=3&zoom=3", links[len(links)-1].Src)
	require.Equal(t, "?depth=9&x=-0.5&y=1&zoom=6", links[0].In)
}

func TestClientsAreToldToComeAgainWhenTheWorkThereIsWillBeDone(t *testing.T) {
	require.Equal(t, 1, retryAfter(dispatch.Stats{MaxRunning: 2}))
	// Three tiles of 2 s each, on two workers and on four.
	var times dispatch.Histogram
	require.NoError(t, json.Unmarshal([]byte(`{"count":4,"sum":8,"buckets":{"4":4}}`), &times))
	require.Equal(t, 3, retryAfter(dispatch.Stats{MaxRunning: 2, Running: 2, Queued: 1, Run: times}))
	require.Equal(t, 2, retryAfter(dispatch.Stats{MaxRunning: 4, Running: 2, Queued: 1, Run: times}))
}

func TestRequestUnderWayIsAnsweredAtTheShutdown(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	svc, err := newService(func(context.Context, tile) ([]byte, error) {
		close(begun)
		<-finish
		return []byte("tile"), nil
	}, 1, 0, time.Hour, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, interrupt := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- serve(ctx, l, svc, svc) }()
	answers := make(chan load, 1)
	go func() { answers <- send(t.Context(), 1, atOnce, "http://"+l.Addr().String()+"/tile") }()

	<-begun
	interrupt()
	close(finish)
	require.Equal(t, map[int]int{http.StatusOK: 1}, (<-answers).counts())
	require.NoError(t, <-served)
	<-svc.pool.Done()
}

// serverArgs runs the program as main does.
var serverArgs = clitest.New("server", run)

func TestShowEndsByItself(t *testing.T) {
	status, stdout, stderr := serverArgs(t.Context(), "-workers", "2", "-limit", "250ms", "-rate", "100")
	require.Equal(t, cli.Good, status, stderr)
	require.Regexp(t, `^more than it can draw: 100 requests, \d+ a second, success \d+ %
( +\d+ x \d+ .* in .*\n)+one that takes too long
    1 x 504 Gateway Timeout in \S+
one that makes no sense
    1 x 400 Bad Request in \S+
under way at the shutdown
( +\d x .*\n)+at the end: \d+ drawn, \d+ turned away, \d+ too slow, 0 given up by their clients
a tile waited `, stdout)
	require.Contains(t, stderr, `level=WARN msg=tile job.outcome="timed out"`)
	require.Contains(t, stderr, `job.label="?depth=1000000&`)
	require.Contains(t, stderr, `msg="shutting down" cause="the show is over"`)
	require.NotContains(t, stderr, "level=DEBUG")
}

func TestShowThatIsInterruptedEnds(t *testing.T) {
	ctx, interrupt := context.WithCancelCause(t.Context())
	interrupt(cli.Signal{Signal: os.Interrupt})
	status, _, _ := serverArgs(ctx)
	require.Equal(t, 130, status)
}

func TestALoadIsSentAtItsRateAndCountedByStatus(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Vegeta-Seq") == "3" {
			w.WriteHeader(http.StatusTeapot)
		}
	}))
	defer server.Close()
	start := time.Now()
	l := send(t.Context(), 21, 100, server.URL)
	require.GreaterOrEqual(t, time.Since(start), 200*time.Millisecond)
	require.Equal(t, map[int]int{http.StatusOK: 20, http.StatusTeapot: 1}, l.counts())
	require.Equal(t, 21, l.requests())
	require.InDelta(t, 20.0/21, l.success(), 1e-9)
	require.LessOrEqual(t, l.rate(), 110.0)

	server.Close()
	require.Equal(t, map[int]int{0: 2}, send(t.Context(), 2, atOnce, server.URL).counts())
}

func TestAnInterruptEndsALoad(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { interrupt() }))
	defer server.Close()
	require.Less(t, send(ctx, 1_000_000, 100, server.URL).requests(), 1000)
}

// start starts the test binary as the program at a free port, and returns the
// server's URL.
func start(t *testing.T, args ...string) (cmd *exec.Cmd, url string, stdout *bufio.Reader, stderr *bytes.Buffer) {
	t.Helper()
	cmd = exec.Command(os.Args[0], append([]string{"-addr", "127.0.0.1:0"}, args...)...)
	cmd.Env = append(os.Environ(), programVar+"=1")
	stderr = new(bytes.Buffer)
	cmd.Stderr = stderr
	pipe, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	stdout = bufio.NewReader(pipe)
	line, err := stdout.ReadString('\n')
	require.NoError(t, err)
	return cmd, strings.TrimSpace(strings.TrimPrefix(line, "serving ")), stdout, stderr
}

// fetch returns the body of an answer, whose status must be 200.
func fetch(t *testing.T, url string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode, url)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(body)
}

func TestTheServerShowsWhatItDoesUntilASignalAndEndsWell(t *testing.T) {
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		cmd, url, stdout, stderr := start(t, "-v")
		require.Contains(t, fetch(t, url+"tile?depth=10"), "PNG")
		require.Contains(t, fetch(t, url), "Mandelbrot")
		require.Contains(t, fetch(t, url+"debug/dispatch/?format=text"), "tiles: ")
		require.Contains(t, fetch(t, url+"metrics"), `dispatch_jobs_ended_total{outcome="success",pool="tiles"} 1`)
		var vars struct {
			Pool dispatch.Stats `json:"pool"`
		}
		require.NoError(t, json.Unmarshal([]byte(fetch(t, url+"debug/vars")), &vars))
		require.EqualValues(t, 1, vars.Pool.Succeeded)
		require.EqualValues(t, 1, vars.Pool.Run.Count())

		require.NoError(t, cmd.Process.Signal(signal))
		rest, err := io.ReadAll(stdout)
		require.NoError(t, err)
		require.NoError(t, cmd.Wait(), "status 0: all accepted requests were answered")
		require.Contains(t, string(rest), "at the end: 1 drawn, 0 turned away, 0 too slow, 0 given up by their clients\na tile waited ")
		require.Contains(t, stderr.String(), "level=DEBUG msg=tile job.outcome=succeeded")
		require.Contains(t, stderr.String(), `job.label="?depth=10&`)
		require.Contains(t, stderr.String(), "msg=\"shutting down\" cause="+cli.Signal{Signal: signal}.Error())
	}
}

func TestWrongFlags(t *testing.T) {
	for _, args := range []string{"-workers=0", "-queue=-1", "-limit=0s", "-rate=0", "-addr=8080", "extra"} {
		status, stdout, stderr := serverArgs(t.Context(), args)
		require.Equal(t, cli.Usage, status)
		require.Empty(t, stdout)
		require.NotEmpty(t, stderr)
	}
	serverArgs.RequireHelp(t, "server")

	status, _, stderr := serverArgs(t.Context(), "-addr", "nowhere.invalid:1")
	require.Equal(t, cli.Failed, status)
	require.Contains(t, stderr, "server: listen tcp: ")
}
