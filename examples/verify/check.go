package main

import (
	"context"
	"time"

	"example.com/dispatch"
	"example.com/dispatch/examples/internal/modcache"
)

// A result is a zip with its hash, or with an error that says why it is not good.
type result = dispatch.Result[modcache.Zip, string]

// A checker checks zips on a pool.
type checker struct {
	check   dispatch.Handler[modcache.Zip, string]
	timeout time.Duration // limit for one zip; zero for none
}

// all checks the zips on a new pool and calls each with every result, one call after
// another, in the order of completion. When ctx ends, the zips that are not done get
// its cause as their error. No goroutine is left when all returns.
func (c checker) all(ctx context.Context, workers int, zips []modcache.Zip, each func(result)) error {
	pool, err := dispatch.New(c.check,
		dispatch.WithName("verify"),
		dispatch.WithWorkers(workers),
		dispatch.WithJobTimeout(c.timeout),
	)
	if err != nil {
		return err
	}
	defer pool.Close()

	for r := range pool.BatchOf(ctx, zips).Results() {
		each(r)
	}
	return nil
}
