package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"example.com/dispatch"
	"example.com/dispatch/examples/internal/words"
)

// A service answers requests for tiles with pictures from a pool.
type service struct {
	pool  *dispatch.Pool[tile, []byte]
	limit time.Duration // of one request, waiting included
	log   *slog.Logger
}

func newService(draw dispatch.Handler[tile, []byte], workers, queue int, limit time.Duration, log *slog.Logger) (*service, error) {
	pool, err := dispatch.New(draw,
		dispatch.WithName("tiles"),
		dispatch.WithLabel(tile.query),
		dispatch.WithHooks(logJobs(log)),
		dispatch.WithLogger(log),
		dispatch.WithWorkers(workers),
		dispatch.WithQueue(queue),
		dispatch.WithOverflow(dispatch.Reject),
	)
	if err != nil {
		return nil, err
	}
	return &service{pool: pool, limit: limit, log: log}, nil
}

// shutdown draws the accepted tiles until ctx ends.
func (s *service) shutdown(ctx context.Context) error {
	return s.pool.Shutdown(ctx)
}

// stop ends the service at once. After a shutdown it does nothing.
func (s *service) stop() {
	s.pool.Stop()
}

// ServeHTTP answers one request. The job has the request's context, so a client that
// goes away cancels it, whether it runs or waits.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t, err := parseTile(r, wholeSet)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	picture, err := s.pool.ProcessTimed(r.Context(), t, s.limit)
	switch {
	case err == nil:
		w.Header().Set("Content-Type", "image/png")
		_, _ = w.Write(picture) // an error means that the client is gone
	case errors.Is(err, dispatch.ErrQueueFull):
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter(s.pool.Stats())))
		http.Error(w, "busy, try again", http.StatusServiceUnavailable)
	case errors.Is(err, dispatch.ErrClosed), errors.Is(err, dispatch.ErrStopped):
		w.Header().Set("Retry-After", strconv.Itoa(restartTime))
		http.Error(w, "shutting down", http.StatusServiceUnavailable)
	case errors.Is(err, dispatch.ErrTimeout):
		http.Error(w, fmt.Sprintf("not drawn within %v", s.limit), http.StatusGatewayTimeout)
	case r.Context().Err() != nil:
		// The client has gone: nobody would read an answer.
	default:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// restartTime is after how many seconds a client finds another server, or this one
// running again.
const restartTime = 5

// retryAfter estimates after how many seconds, at least one, the running and waiting
// tiles will have been drawn, if tiles go on to take as long as they did.
func retryAfter(stats dispatch.Stats) int {
	work := stats.Run.Mean() * time.Duration(stats.Running+stats.Queued)
	return max(1, int(math.Ceil(work.Seconds()/float64(stats.MaxRunning))))
}

// summary describes what the service has done.
func (s *service) summary() string {
	stats := s.pool.Stats()
	text := fmt.Sprintf("at the end: %d drawn, %d turned away, %d too slow, %d given up by their clients",
		stats.Succeeded, stats.Rejected, stats.TimedOut, stats.Canceled)
	if stats.Run.Count() > 0 {
		text += fmt.Sprintf("\na tile waited %v (p50), %v (p99), and took %v (p50), %v (p99)",
			words.Time(stats.Wait.Quantile(0.5)), words.Time(stats.Wait.Quantile(0.99)),
			words.Time(stats.Run.Quantile(0.5)), words.Time(stats.Run.Quantile(0.99)))
	}
	return text
}

// parseTile returns the tile that the query of a request describes. Values that the
// query does not give are those of t.
func parseTile(r *http.Request, t tile) (tile, error) {
	query := r.URL.Query()
	for name, value := range map[string]*float64{"x": &t.x, "y": &t.y, "zoom": &t.zoom} {
		if !query.Has(name) {
			continue
		}
		f, err := strconv.ParseFloat(query.Get(name), 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return tile{}, fmt.Errorf("%s: %q is not a number", name, query.Get(name))
		}
		*value = f
	}
	if t.zoom <= 0 {
		return tile{}, fmt.Errorf("zoom: %v is not above 0", t.zoom)
	}
	if query.Has("depth") {
		depth, err := strconv.Atoi(query.Get("depth"))
		if err != nil || depth < 1 || depth > maxDepth {
			return tile{}, fmt.Errorf("depth: %q is not a number from 1 to %d", query.Get("depth"), maxDepth)
		}
		t.depth = depth
	}
	return t, nil
}
