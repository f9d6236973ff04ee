package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"
)

// A site is a web server as unpleasant as the web. The kind and content of a page
// depend on its number alone.
type site struct {
	*httptest.Server

	pages int

	mu    sync.Mutex
	asked map[int]int // requests per page, by its number; guarded by mu
}

func newSite(pages int) *site {
	s := &site{pages: pages, asked: make(map[int]int)}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	return s
}

// pagePath is the path of page n.
func pagePath(n int) string { return fmt.Sprintf("/page/%04d", n) }

// The kinds of pages. Most are good.
type kind int

const (
	good    kind = iota
	slow         // takes a while
	flaky        // fails twice
	broken       // ends in the middle, once
	busy         // refuses once, with Retry-After: 1
	gone         // does not exist
	endless      // never ends
)

func kindOf(n int) kind {
	switch n % 20 {
	case 3, 14:
		return slow
	case 5, 16:
		return flaky
	case 7:
		return broken
	case 11:
		return gone
	case 13:
		return endless
	}
	if n%100 == 59 {
		return busy
	}
	return good
}

func (s *site) serve(w http.ResponseWriter, r *http.Request) {
	var n int
	if _, err := fmt.Sscanf(r.URL.Path, "/page/%d", &n); err != nil || n < 0 || n >= s.pages || kindOf(n) == gone {
		http.NotFound(w, r)
		return
	}
	s.mu.Lock()
	s.asked[n]++
	asked := s.asked[n]
	s.mu.Unlock()

	text := pageText(n)
	switch k := kindOf(n); {
	case k == slow:
		select {
		case <-time.After(250 * time.Millisecond):
		case <-r.Context().Done():
			return
		}
	case k == flaky && asked <= 2:
		http.Error(w, "not now", http.StatusInternalServerError)
		return
	case k == busy && asked == 1:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many requests", http.StatusTooManyRequests)
		return
	case k == broken && asked == 1:
		_, _ = io.WriteString(w, text[:len(text)/2])
		panic(http.ErrAbortHandler) // makes net/http break the answer off
	case k == endless:
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, text); err != nil {
				return
			}
		}
		return
	}
	_, _ = io.WriteString(w, text) // an error means that the client is gone
}

// paragraph has ten words.
const paragraph = "<p>The quick brown fox jumps over the lazy dog again.</p>\n"

// paragraphs returns how many paragraphs page n has.
func paragraphs(n int) int { return 20 + n*37%180 }

// links returns how many links page n has. The text of each is one word.
func links(n int) int { return n * 7 % 11 }

// pageText returns the HTML of page n.
func pageText(n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<!DOCTYPE html><html><head><title>Page %d</title><style>p { color: red }</style></head><body>\n", n)
	for i := range links(n) {
		fmt.Fprintf(&b, "<a href=%q>on</a>\n", pagePath(n+i+1))
	}
	b.WriteString(strings.Repeat(paragraph, paragraphs(n)))
	b.WriteString("</body></html>\n")
	return b.String()
}
