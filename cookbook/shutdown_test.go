package cookbook_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"example.com/dispatch"
)

// end ends a service within a budget: first what brings work, then the pool. It
// returns the jobs that never ran.
func end(server *http.Server, p *dispatch.Pool[string, int], budget time.Duration) (unrun []string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), budget)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		_ = server.Close() // the budget is spent: ends the contexts of the requests that are left
	}
	err = p.Shutdown(ctx) // runs what was accepted, and stops what is left when the budget is spent
	unrun = p.Stop()      // nil if nothing is left
	<-p.Done()            // stopped jobs have returned, which takes as long as they do not heed their context
	return unrun, err
}

// How do I end a service gracefully, in bounded time?
//
// Problem: on SIGTERM a service has some seconds. It should finish what it has
// taken, and know what it could not finish.
//
// Solution: a signal ends a context (signal.NotifyContext). Then end the server,
// so that nothing new comes and those who wait for the pool are answered, and
// then the pool, both within one budget. Stop gives back the inputs that never
// ran: keep them for the next start.
//
// Trap: WithContext(ctx) of the signal's context is a hard stop, not a graceful
// one. And do not give jobs a context that the signal ends: it cancels them at
// the very moment when they should be finished. Leave out the wait for Done where
// a handler may hang: then the process ends with it.
func Example_gracefulShutdown() {
	started := make(chan string, 1)
	job := func(ctx context.Context, name string) (int, error) {
		started <- name
		<-ctx.Done() // more work than the budget allows
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
