package page

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// get sends a GET request with the query to h.
func get(h http.Handler, query string) *httptest.ResponseRecorder {
	return ask(h, http.MethodGet, query)
}

func ask(h http.Handler, method, query string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, "/debug/dispatch/"+query, nil))
	return w
}
