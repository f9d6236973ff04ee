package main

import (
	"bytes"
	"context"
	"errors"
	"image/png"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"example.com/dispatch"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// newTestService makes a service with one worker and room for one that waits.
func newTestService(t *testing.T, draw dispatch.Handler[tile, []byte]) *service {
	t.Helper()
	svc, err := newService(draw, 1, 1, time.Second)
	require.NoError(t, err)
	t.Cleanup(func() {
		svc.stop()
		<-svc.pool.Done()
	})
	return svc
}

// request sends svc a request and returns the answer once it is complete.
func request(ctx context.Context, svc *service, query string) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	svc.ServeHTTP(rec, httptest.NewRequestWithContext(ctx, http.MethodGet, "/tile?"+query, http.NoBody))
	return rec
}

// slowly draws nothing, for as long as it is let.
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
	for _, query := range []string{"depth=0", "depth=1000001", "depth=deep", "x=left", "zoom="} {
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
	require.Equal(t, http.StatusServiceUnavailable, request(t.Context(), svc, "").Code)
}

func TestRequestUnderWayIsAnsweredAtTheShutdown(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	svc, err := newService(func(context.Context, tile) ([]byte, error) {
		close(begun)
		<-finish
		return []byte("tile"), nil
	}, 1, 0, time.Hour)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, interrupt := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- serve(ctx, l, svc, svc) }()
	answers := make(chan statuses, 1)
	go func() { answers <- get(t.Context(), 1, "http://"+l.Addr().String()+"/tile") }()

	<-begun
	interrupt()
	close(finish)
	require.Equal(t, statuses{"200 OK": 1}, <-answers)
	require.NoError(t, <-served)
	<-svc.pool.Done()
}

func TestShowEndsByItself(t *testing.T) {
	var stdout bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-workers", "2", "-limit", "250ms"}, &stdout))
	require.Regexp(t, `one that takes too long: 1 x 504 Gateway Timeout
one that makes no sense: 1 x 400 Bad Request
under way at the shutdown: 2 x `, stdout.String())
}

func TestWrongFlags(t *testing.T) {
	require.ErrorContains(t, run(t.Context(), []string{"-workers", "0"}, new(bytes.Buffer)), "0")
	require.Error(t, run(t.Context(), []string{"-addr", "nowhere:at:all"}, new(bytes.Buffer)))
}
