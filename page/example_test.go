package page_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"example.com/dispatch"
	"example.com/dispatch/internal/fakepool"
	"example.com/dispatch/page"
)

// A page is a handler like any other. It belongs on an address that only
// operators reach.
func ExampleNew() {
	// A *dispatch.Pool, whatever its types; this one stands still.
	thumbs := fakepool.New(dispatch.Stats{Name: "thumbs", Running: 8, MaxRunning: 8, Queued: 30, MaxQueued: 1024})

	operators := http.NewServeMux()
	operators.Handle("/debug/dispatch/", page.New(thumbs))
	server := httptest.NewServer(operators) // in a program: http.ListenAndServe("localhost:6060", operators)
	defer server.Close()

	answer, err := http.Get(server.URL + "/debug/dispatch/?format=text")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	first, _, _ := strings.Cut(string(text), "\n")
	fmt.Println(first)
	// Output: thumbs: busy. All 8 workers are busy and 30 jobs wait.
}
