package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// show serves svc on the loopback interface, sends it the requests of many impatient
// clients, and shuts it down while requests are under way.
func show(ctx context.Context, svc *service, perSecond int, stdout io.Writer) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	const late = 2 // requests that the shutdown finds under way
	arrived := make(chan struct{}, late)
	announce := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("late") {
			arrived <- struct{}{}
		}
		svc.ServeHTTP(w, r)
	})
	serving, interrupt := context.WithCancelCause(ctx)
	defer interrupt(nil)
	served := make(chan error, 1)
	go func() { served <- serve(serving, l, announce, svc) }()

	url := fmt.Sprintf("http://%v/tile", l.Addr())
	visit(ctx, stdout, url, perSecond)

	answers := make(chan load)
	go func() { answers <- send(ctx, late, atOnce, url+"?late") }()
	for range late {
		select {
		case <-arrived:
		case <-ctx.Done():
		}
	}
	interrupt(errShowOver)
	under := <-answers
	if err := <-served; err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	fmt.Fprintln(stdout, "under way at the shutdown")
	under.print(stdout)
	fmt.Fprintln(stdout, svc.summary())
	return nil
}

// errShowOver is the cause of the shutdown of the show's server.
var errShowOver = errors.New("the show is over")

// visit sends requests to url as clients do, and prints the results.
func visit(ctx context.Context, stdout io.Writer, url string, perSecond int) {
	const duration = time.Second
	for _, call := range []struct {
		text      string
		n         int
		perSecond int
		query     string
	}{
		{"more than it can draw", int(float64(perSecond) * duration.Seconds()), perSecond, ""},
		{"one that takes too long", 1, atOnce, "?depth=1000000"},
		{"one that makes no sense", 1, atOnce, "?depth=many"},
	} {
		if ctx.Err() != nil {
			return
		}
		answers := send(ctx, call.n, call.perSecond, url+call.query)
		if ctx.Err() != nil {
			return
		}
		fmt.Fprint(stdout, call.text)
		if call.n > 1 {
			fmt.Fprintf(stdout, ": %d requests, %.0f a second, success %.0f %%", answers.requests(), answers.rate(), 100*answers.success())
		}
		fmt.Fprintln(stdout)
		answers.print(stdout)
	}
}
