package cookbook_test

import (
	"context"
	"fmt"

	"example.com/dispatch"
)

// How do several pools share one limit, each with a limit of its own?
//
// Problem: a database allows ten connections. Reports may use at most two of them,
// imports at most five, and queries that users wait for may use all ten.
//
// Solution: pools within a pool. The Process method of the big pool is the handler of
// the small ones, which have their own queues, Stats and lifetimes. A running job of
// a small pool is also a job of the big one. For a limit per tenant, make a small pool
// for each tenant.
//
// Trap: close the small pools first, since their jobs get ErrClosed from a big pool
// that is closed. And pools may call each other in one direction only: two pools whose
// jobs wait for each other can deadlock.
func Example_sharedLimit() {
	started, free := make(chan string, 201), make(chan struct{})
	query := func(_ context.Context, sql string) (int, error) {
		started <- sql
		<-free
		return len(sql), nil
	}
	database := dispatch.Must(dispatch.New(query, dispatch.WithWorkers(10)))
	reports := dispatch.Must(dispatch.New(database.Process, dispatch.WithWorkers(2)))
	imports := dispatch.Must(dispatch.New(database.Process, dispatch.WithWorkers(5)))
	defer database.Close()
	defer imports.Close()
	defer reports.Close()

	ctx := context.Background()
	for range 100 {
		_, _ = reports.Submit(ctx, "SELECT sum(x) FROM t")
		_, _ = imports.Submit(ctx, "INSERT INTO t VALUES (1)")
	}
	answer, _ := database.Submit(ctx, "SELECT 1") // does not wait behind the two hundred jobs
	for range 2 + 5 + 1 {
		<-started
	}
	fmt.Println("beyond the limits:", len(started))
	close(free)
	fmt.Println(answer.Wait(ctx))
	// Output:
	// beyond the limits: 0
	// 8 <nil>
}
