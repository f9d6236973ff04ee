package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// show serves svc on the loopback interface, calls it the way impatient clients
// do, and shuts it down while requests are under way.
func show(ctx context.Context, svc *service, stdout io.Writer) error {
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
	serving, interrupt := context.WithCancel(ctx)
	defer interrupt()
	served := make(chan error, 1)
	go func() { served <- serve(serving, l, announce, svc) }()

	url := fmt.Sprintf("http://%v/tile", l.Addr())
	fmt.Fprintln(stdout, "32 requests at once:", get(ctx, 32, url))
	fmt.Fprintln(stdout, "one that takes too long:", get(ctx, 1, url+"?depth=1000000"))
	fmt.Fprintln(stdout, "one that makes no sense:", get(ctx, 1, url+"?depth=many"))

	answers := make(chan statuses)
	go func() { answers <- get(ctx, late, url+"?late") }()
	for range late {
		select {
		case <-arrived:
		case <-ctx.Done():
		}
	}
	interrupt()
	fmt.Fprintln(stdout, "under way at the shutdown:", <-answers)
	if err := <-served; err != nil {
		return err
	}
	fmt.Fprintln(stdout, svc.summary())
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// get makes n requests at once and returns the answers. When ctx ends it gives
// up those that have none.
func get(ctx context.Context, n int, url string) statuses {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		answers = make(statuses)
	)
	for range n {
		wg.Go(func() {
			status := ask(ctx, client, url)
			mu.Lock()
			defer mu.Unlock()
			answers[status]++
		})
	}
	wg.Wait()
	return answers
}

// ask makes one request and returns the status of the answer.
func ask(ctx context.Context, client *http.Client, url string) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err.Error()
	}
	resp, err := client.Do(req)
	if err != nil {
		return "no answer"
	}
	resp.Body.Close()
	return resp.Status
}

// statuses counts answers by their status.
type statuses map[string]int

func (s statuses) String() string {
	var parts []string
	for _, status := range slices.Sorted(maps.Keys(s)) {
		parts = append(parts, fmt.Sprintf("%d x %s", s[status], status))
	}
	return strings.Join(parts, ", ")
}
