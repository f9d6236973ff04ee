package cookbook_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"example.com/dispatch"
)

// end ends a service within a time budget: first the server, which submits jobs, then
// the pool. It returns the jobs that never ran.
func end(server *http.Server, p *dispatch.Pool[string, int], budget time.Duration) (unrun []string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), budget)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		_ = server.Close() // the budget is spent: this ends the contexts of the remaining requests
	}
	err = p.Shutdown(ctx) // runs the accepted jobs, and stops the rest when the budget is spent
	unrun = p.Stop()      // nil if nothing is left
	<-p.Done()            // waits for the stopped jobs, even for those that ignore their context
	return unrun, err
}

// How do I shut down gracefully, in bounded time?
//
// Problem: after SIGTERM a service has a few seconds. It should finish the jobs that
// it has accepted, and know which ones it could not finish.
//
// Solution: a signal ends a context (signal.NotifyContext). Then shut down the
// server, so that no new requests come and the ones that wait for the pool are
// answered, and after it the pool, both within one time budget. Stop returns the
// inputs that never ran: keep them for the next start.
//
// Trap: WithContext with the signal's context is a hard stop, not a graceful one. And
// do not give jobs a context that the signal ends: that cancels them at the very
// moment when they should be finished. Leave out the wait for Done if a handler may
// hang: the end of the process then ends that handler too.
func Example_gracefulShutdown() {
	started := make(chan string, 1)
	job := func(ctx context.Context, name string) (int, error) {
		started <- name
		<-ctx.Done() // a job that takes longer than the budget
		return 0, ctx.Err()
	}
	p := dispatch.Must(dispatch.New(job, dispatch.WithWorkers(1)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = p.Submit(context.WithoutCancel(r.Context()), r.URL.Path) // goes on after the answer
		w.WriteHeader(http.StatusAccepted)
	}))
	for _, name := range []string{"/a", "/b", "/c"} {
		resp, err := http.Get(server.URL + name)
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
	}
	fmt.Println("runs:", <-started)

	// In a program:
	//
	//	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	//	<-ctx.Done()
	//	stop() // a second signal ends the program at once
	unrun, err := end(server.Config, p, 20*time.Millisecond)
	fmt.Println("keep:", unrun, err)
	server.Close()
	// Output:
	// runs: /a
	// keep: [/b /c] context deadline exceeded
}
