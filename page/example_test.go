package page_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"example.com/dispatch"
	"example.com/dispatch/page"
)

// A page is an ordinary HTTP handler. Serve it on an address that only operators
// can reach.
func ExampleNew() {
	thumbs, err := dispatch.New(func(_ context.Context, file string) (int, error) { return len(file), nil },
		dispatch.WithName("thumbs"), dispatch.WithLabel(func(file string) string { return file }))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer thumbs.Close()
	defer thumbs.Resume()
	thumbs.Pause()
	if _, err := thumbs.Submit(context.Background(), "a.png"); err != nil {
		fmt.Println(err)
		return
	}

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
	// Output: thumbs: paused. The pool accepts jobs but starts none; 0 are running, 1 is waiting.
}
