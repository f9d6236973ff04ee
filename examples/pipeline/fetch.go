package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/time/rate"
)

const (
	maxPage  = 256 << 10        // largest page that is read, in bytes
	maxTries = 6                // for one page
	tryLimit = 10 * time.Second // for one request and its answer
)

// A page is a fetched page, or the reason why it cannot be fetched.
type page struct {
	path  string
	body  []byte
	fault string // why the page can never be fetched; empty if it was fetched
}

// A fetcher fetches pages. Several goroutines may use it at once.
type fetcher struct {
	base    string
	client  *http.Client
	limiter *rate.Limiter

	requests atomic.Int64
	retries  atomic.Int64
}

func newFetcher(base string, perSecond, atOnce int) *fetcher {
	return &fetcher{
		base: base,
		client: &http.Client{
			Transport: &http.Transport{MaxIdleConnsPerHost: atOnce},
			Timeout:   tryLimit,
		},
		limiter: rate.NewLimiter(rate.Limit(perSecond), atOnce),
	}
}

// close ends the connections that are kept for the next request.
func (f *fetcher) close() {
	f.client.CloseIdleConnections()
}

// fetch is the handler of the pool. It fetches one page, with up to maxTries tries. It
// keeps its worker during the pauses between them. A pausing worker needs no
// processor, so a few more workers make up for that at no cost.
func (f *fetcher) fetch(ctx context.Context, path string) ([]byte, error) {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval = 50 * time.Millisecond
	pauses.MaxInterval = 2 * time.Second
	return backoff.Retry(ctx, func() ([]byte, error) {
		body, err := f.try(ctx, path)
		if isPermanent(err) {
			return nil, backoff.Permanent(err)
		}
		return body, err
	},
		backoff.WithBackOff(pauses),
		backoff.WithMaxTries(maxTries),
		backoff.WithNotify(func(error, time.Duration) { f.retries.Add(1) }),
	)
}

// try makes one request once the limiter allows it.
func (f *fetcher) try(ctx context.Context, path string) ([]byte, error) {
	if err := f.limiter.Wait(ctx); err != nil {
		return nil, err
	}
	f.requests.Add(1)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.base+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusOK:
		return readPage(resp.Body)
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= http.StatusInternalServerError:
		if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
			return nil, backoff.RetryAfter(seconds)
		}
		return nil, errors.New(resp.Status)
	}
	return nil, permanent(resp.Status)
}

// readPage reads no more than maxPage bytes, however long the page is.
func readPage(r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxPage+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxPage {
		return nil, permanent(fmt.Sprintf("larger than %d KiB", maxPage>>10))
	}
	return body, nil
}

// permanent is the reason why a page cannot be fetched, now or later. It is stored in
// place of the page.
type permanent string

func (p permanent) Error() string { return string(p) }

func isPermanent(err error) bool {
	_, ok := errors.AsType[permanent](err)
	return ok
}
