package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"example.com/dispatch"
)

// A service answers requests for tiles with pictures from a pool.
type service struct {
	pool  *dispatch.Pool[tile, []byte]
	limit time.Duration // on one request, waiting included
}

func newService(draw dispatch.Handler[tile, []byte], workers, queue int, limit time.Duration) (*service, error) {
	pool, err := dispatch.New(draw,
		dispatch.WithName("tiles"),
		dispatch.WithWorkers(workers),
		dispatch.WithQueue(queue),
		dispatch.WithOverflow(dispatch.Reject),
	)
	if err != nil {
		return nil, err
	}
	return &service{pool: pool, limit: limit}, nil
}

// shutdown draws what has been accepted, within the budget that ctx is.
func (s *service) shutdown(ctx context.Context) error {
	return s.pool.Shutdown(ctx)
}

// stop ends the service at once. After a shutdown it does nothing.
func (s *service) stop() {
	s.pool.Stop()
}

// ServeHTTP answers one request. Its context is the job's: a client that goes
// away cancels the drawing, or its wait for it.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t, err := parseTile(r)
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
		w.Header().Set("Retry-After", "1")
		http.Error(w, "busy, try again", http.StatusServiceUnavailable)
	case errors.Is(err, dispatch.ErrClosed), errors.Is(err, dispatch.ErrStopped):
		http.Error(w, "shutting down", http.StatusServiceUnavailable)
	case errors.Is(err, dispatch.ErrTimeout):
		http.Error(w, fmt.Sprintf("not drawn within %v", s.limit), http.StatusGatewayTimeout)
	case r.Context().Err() != nil:
		// Nobody is there to read an answer.
	default:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// parseTile reads the tile that a request asks for; what it does not say is as
// in wholeSet.
func parseTile(r *http.Request) (tile, error) {
	t := wholeSet
	query := r.URL.Query()
	for name, value := range map[string]*float64{"x": &t.x, "y": &t.y, "zoom": &t.zoom} {
		if !query.Has(name) {
			continue
		}
		f, err := strconv.ParseFloat(query.Get(name), 64)
		if err != nil {
			return tile{}, fmt.Errorf("%s: %w", name, err)
		}
		*value = f
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
