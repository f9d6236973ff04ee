package main

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"example.com/dispatch"
)

// A crawl fetches pages on one pool, parses them on another, and stores them.
type crawl struct {
	fetcher  *fetcher
	fetchers int // pages fetched at once
	store    *store
	fetched  func(bytes int64) // called for each page that is fetched
	stored   func(bytes int64) // called for each page that is stored

	// The fields below may be read after run has returned.

	done     int   // pages stored
	failed   int   // pages that could not be fetched for now
	lastFail error // the last reason
	held     gauge // pages in memory: fetched and not yet stored
}

// A gauge is a number and its highest value so far.
type gauge struct {
	mu        sync.Mutex
	now, most int // guarded by mu
}

func (g *gauge) add(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now += n
	g.most = max(g.most, g.now)
}

// lookAhead returns how many pages each of the two streams has under way.
func (c *crawl) lookAhead() int { return 2 * c.fetchers }

// maxHeld returns how many pages are in memory at most. A page leaves the look-ahead
// of the first stream when the second stream takes it.
func (c *crawl) maxHeld() int { return 2 * c.lookAhead() }

// run works until all pages are stored, a page cannot be stored, or ctx ends. A page
// that could not be fetched for now does not end it.
func (c *crawl) run(ctx context.Context, paths []string) error {
	fetch, err := dispatch.New(c.fetch, dispatch.WithName("fetch"), dispatch.WithWorkers(c.fetchers))
	if err != nil {
		return err
	}
	defer fetch.Close()
	parse, err := dispatch.New(parse, dispatch.WithName("parse"), dispatch.WithWorkers(runtime.GOMAXPROCS(0)))
	if err != nil {
		return err
	}
	defer parse.Close()

	// Each stage has a goroutine, with a channel between them, so the second stage
	// goes on while the first has nothing to pass on. An error of one ends the other.
	stages, ctx := errgroup.WithContext(ctx)
	pages := make(chan page)
	stages.Go(func() error {
		defer close(pages)
		return c.fetchAll(fetch.Stream(ctx, slices.Values(paths), dispatch.Unordered(), dispatch.LookAhead(c.lookAhead())), func(p page) error {
			select {
			case pages <- p:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	})
	stages.Go(func() error {
		return c.storeAll(context.WithoutCancel(ctx), parse.StreamChan(ctx, pages, dispatch.Unordered(), dispatch.LookAhead(c.lookAhead())))
	})
	return stages.Wait()
}

// fetch is the handler of the first pool.
func (c *crawl) fetch(ctx context.Context, path string) ([]byte, error) {
	body, err := c.fetcher.fetch(ctx, path)
	if err == nil {
		c.held.add(1)
	}
	return body, err
}

// fetchAll passes the results of the first pool on. A page that can never be fetched is
// passed on with its fault, since the fault is stored in its place.
func (c *crawl) fetchAll(results iter.Seq[dispatch.Result[string, []byte]], hand func(page) error) error {
	for r := range results {
		switch {
		case r.Index < 0:
			return r.Err // the stream was cut short
		case r.Err != nil && !isPermanent(r.Err):
			c.failed++
			c.lastFail = fmt.Errorf("%s: %w", r.In, r.Err)
			continue
		}
		c.fetched(int64(len(r.Out)))
		p := page{path: r.In, body: r.Out}
		if r.Err != nil {
			p.fault = r.Err.Error()
		}
		if err := hand(p); err != nil {
			return err
		}
	}
	return nil
}

// storeAll stores the results of the second pool.
func (c *crawl) storeAll(ctx context.Context, results iter.Seq[dispatch.Result[page, facts]]) error {
	for r := range results {
		if r.Index < 0 {
			return r.Err
		}
		if r.Err != nil {
			return fmt.Errorf("%s: %w", r.In.path, r.Err)
		}
		if err := c.store.add(ctx, r.Out); err != nil {
			return fmt.Errorf("%s: %w", r.In.path, err)
		}
		c.done++
		if r.In.fault == "" {
			c.held.add(-1)
		}
		c.stored(int64(r.Out.bytes))
	}
	return nil
}
