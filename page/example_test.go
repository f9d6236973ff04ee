package page_test

import (
	"net/http"

	"example.com/dispatch/page"
)

// A page is a handler like any other. It belongs on an address that only
// operators reach.
func ExampleNew() {
	var thumbs, mails page.Pool // two pools: a *dispatch.Pool is a page.Pool, whatever its types

	operators := http.NewServeMux()
	operators.Handle("/debug/dispatch/", page.New(thumbs, mails))
	go func() { _ = http.ListenAndServe("localhost:6060", operators) }()
}
