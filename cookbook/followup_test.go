package cookbook_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"example.com/dispatch"
)

// crawler visits each page once. Each visit submits the pages that its page links to.
type crawler struct {
	pool  *dispatch.Pool[string, struct{}]
	links map[string][]string // stands in for the web

	mu   sync.Mutex
	seen map[string]bool
}

// visit is the handler.
func (c *crawler) visit(ctx context.Context, page string) error {
	for _, link := range c.links[page] {
		if err := c.add(context.WithoutCancel(ctx), link); err != nil {
			return fmt.Errorf("%s: %w", link, err)
		}
	}
	return nil
}

func (c *crawler) add(ctx context.Context, page string) error {
	c.mu.Lock()
	known := c.seen[page]
	c.seen[page] = true
	c.mu.Unlock()
	if known {
		return nil
	}
	_, err := c.pool.Submit(ctx, page)
	return err
}

// How does a job start other jobs without waiting for them?
//
// Problem: a crawler's job finds links, and each link is another job. The job should
// not wait for them.
//
// Solution: the job submits the links with context.WithoutCancel(ctx), because its
// own context ends when it returns and would cancel them. The new context keeps the
// values of ctx, by which the pool recognises that one of its own jobs submits, and
// so a full queue cannot deadlock. With context.Background() the only worker below
// would wait for itself. Pool.Wait returns when the last follow-up job is done.
//
// Trap: call Wait before Close. A pool that is closing refuses follow-up jobs with
// ErrClosed. WithoutCancel also takes away the deadline: give the pool
// WithJobTimeout, or a follow-up job a limit of its own.
func Example_followUpJobs() {
	c := &crawler{seen: map[string]bool{}, links: map[string][]string{
		"/":     {"/doc", "/pkg"},
		"/doc":  {"/", "/spec"},
		"/pkg":  {"/doc", "/io", "/net"},
		"/spec": {"/doc"},
	}}
	// The queue has room for one job: submits from within jobs block, but do not deadlock.
	c.pool = dispatch.Must(dispatch.New(dispatch.Do(c.visit), dispatch.WithWorkers(1), dispatch.WithQueue(1),
		dispatch.WithJobTimeout(time.Minute)))

	ctx := context.Background()
	_ = c.add(ctx, "/")
	_ = c.pool.Wait(ctx)
	_ = c.pool.Close()

	s := c.pool.Stats()
	fmt.Println(s.Succeeded, "of", s.Submitted, "succeeded")
	visited := make([]string, 0, len(c.seen))
	for page := range c.seen {
		visited = append(visited, page)
	}
	slices.Sort(visited)
	fmt.Println(visited)
	// Output:
	// 6 of 6 succeeded
	// [/ /doc /io /net /pkg /spec]
}
