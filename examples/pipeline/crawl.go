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

	// What follows is to be read after run.

	done     int   // pages stored
	failed   int   // pages that could not be fetched for now
	lastFail error // of them
	held     gauge // pages in memory: fetched, and not stored
}

// A gauge is a number with the highest it has been.
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

// lookAhead is how many pages each of the two streams is at.
func (c *crawl) lookAhead() int { return 2 * c.fetchers }

// maxHeld is how many pages are in memory at most. A page leaves the look-ahead of
// the first stream when the second has taken it.
func (c *crawl) maxHeld() int { return 2 * c.lookAhead() }

// run works until all pages are stored, one cannot be, or ctx ends. A page that
// could not be fetched for now is none of these.
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

	// The stages have a goroutine each, and a channel between: so the second goes on
	// while the first has nothing to give. The error of one ends the other.
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

// fetchAll hands on what the first pool gives. A page that never can be fetched goes
// on with its fault, since that is what is to be stored of it.
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

// storeAll stores what the second pool gives.
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
