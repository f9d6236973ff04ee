// Package live serves the live page of a program's pools.
package live

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"example.com/dispatch/page"
)

// A Server serves the page until Close.
type Server struct {
	URL string

	server *http.Server
	served chan error
}

// Serve starts to serve a page of pools at addr. When it returns the page can be opened.
func Serve(ctx context.Context, addr string, pools ...page.Pool) (*Server, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	s := &Server{
		URL:    "http://" + l.Addr().String() + "/",
		server: &http.Server{Handler: page.New(pools...), ReadHeaderTimeout: 10 * time.Second},
		served: make(chan error, 1),
	}
	go func() { s.served <- s.server.Serve(l) }()
	return s, nil
}

// Close stops the server at once. A browser that has the page open keeps showing the
// last state.
func (s *Server) Close() error {
	err := s.server.Close()
	if end := <-s.served; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	return err
}
