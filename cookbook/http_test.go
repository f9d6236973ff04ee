package cookbook_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"example.com/dispatch"
)

// hashHandler answers with the hash of the body, or with 504 after the time limit.
func hashHandler(p *dispatch.Pool[[]byte, string], limit time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20)) // before the submit
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			http.Error(w, "at most 1 MiB", http.StatusRequestEntityTooLarge)
			return
		}
		if err != nil {
			http.Error(w, "cannot read the body", http.StatusBadRequest)
			return
		}
		sum, err := p.ProcessTimed(r.Context(), body, limit)
		switch {
		case err == nil:
			fmt.Fprintln(w, sum)
		case errors.Is(err, dispatch.ErrQueueFull), errors.Is(err, dispatch.ErrClosed), errors.Is(err, dispatch.ErrStopped):
			w.Header().Set("Retry-After", "1")
			http.Error(w, "busy", http.StatusServiceUnavailable)
		case errors.Is(err, dispatch.ErrTimeout):
			http.Error(w, "took too long", http.StatusGatewayTimeout)
		case r.Context().Err() != nil:
			// The client has gone: nobody would read an answer.
		default:
			http.Error(w, "failed", http.StatusInternalServerError)
		}
	}
}

// How do I run HTTP requests on a pool?
//
// Problem: net/http runs any number of handlers at once. Heavy work should be
// bounded, and excess requests should be refused at once instead of waiting.
//
// Solution: read the request, call ProcessTimed with its context, and turn the
// error into a status. With the policy Reject a full queue becomes a 503.
// Example_queueLength says how long the queue should be.
//
// Trap: when the client goes away or the time is up, ProcessTimed returns, and the
// job may still be running. So the job must not hold the request, its body or the
// ResponseWriter, which net/http reuses. Read the body before you submit, and do not
// put its buffer back into a sync.Pool afterwards.
func Example_httpHandler() {
	hash := func(ctx context.Context, data []byte) (string, error) {
		switch string(data) {
		case "slow":
			<-ctx.Done()
			return "", ctx.Err()
		case "bug":
			panic("index out of range")
		}
		return fmt.Sprintf("%x", sha256.Sum256(data))[:16], nil
	}
	p := dispatch.Must(dispatch.New(hash, dispatch.WithWorkers(2), dispatch.WithQueue(2),
		dispatch.WithOverflow(dispatch.Reject), dispatch.WithPanicHandler(func(*dispatch.PanicError) {})))
	routes := http.NewServeMux()
	routes.Handle("POST /hash", hashHandler(p, time.Minute))
	routes.Handle("POST /hash/hasty", hashHandler(p, time.Millisecond))
	server := httptest.NewServer(routes)
	defer server.Close()

	post := func(path, body string) {
		resp, err := http.Post(server.URL+path, "text/plain", strings.NewReader(body))
		if err != nil {
			fmt.Println(err)
			return
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		fmt.Println(resp.StatusCode, strings.TrimSpace(string(answer)), err)
	}
	post("/hash", "hello")
	post("/hash", strings.Repeat("x", 2<<20))
	post("/hash/hasty", "slow")
	post("/hash", "bug")
	p.Pause()
	for range 4 { // two workers and a queue of two
		_, _ = p.Submit(context.Background(), []byte("other"))
	}
	post("/hash", "one too many")
	p.Resume()
	p.Close()
	post("/hash", "too late")
	// Output:
	// 200 2cf24dba5fb0a30e <nil>
	// 413 at most 1 MiB <nil>
	// 504 took too long <nil>
	// 500 failed <nil>
	// 503 busy <nil>
	// 503 busy <nil>
}
