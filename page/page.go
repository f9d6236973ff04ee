// Package page shows pools on a live web page: how busy each pool is and why, how
// long jobs wait and run, which jobs run now, which failed last, and the stacks of
// handlers that do not return.
//
//	http.Handle("/debug/dispatch/", page.New(thumbs, mails))
//
// The page updates once a second without a reload. Without JavaScript it shows a
// snapshot, which the browser reloads every five seconds. It needs only the standard
// library, loads nothing from other servers, and fits a phone too. Times, running
// jobs and failures are shown for pools with [dispatch.WithTelemetry]. An input is
// shown only as the text that the function of [dispatch.WithLabel] returns for it.
//
// Like net/http/pprof the page has no authentication of its own: it shows labels,
// errors and stacks to everybody who can reach it. Serve it on an address that only
// operators can reach, or behind a handler that authenticates them.
//
// # Queries
//
// All links are relative, so the page can stand under any path. It answers GET
// and HEAD, and these queries:
//
//	(none)                the page
//	?part                 the part of the page that changes, as HTML
//	?format=json          the same facts as JSON; times in seconds
//	?format=text          the same facts as text, for a terminal
//	?stacks=2             the stacks of pool 2's goroutines, as text
//	?stacks=2&worker=5    the stacks of its worker 5, and of goroutines that the worker's handler has started
//
// # Health
//
// For each pool the page shows a word, and a sentence with the reason. The word is
// the first of these that applies:
//
//	stuck       all workers are busy, no job has ended for 5 s, and the longest run takes at least 5 s and 4 times
//	            the p99 of runs; or a handler that has run for at least 1 s still runs although its job has ended
//	draining, stopping, ended, paused
//	saturated   all workers are busy and submitters wait for room; or in the last minute jobs were refused or
//	            dropped or submitters gave up; or a job has waited for at least 1 s and 4 times the p50 of runs
//	failing     at least 2 % of the jobs that ended in the last minute failed, panicked or timed out
//	busy        all workers are busy
//	working     some workers are busy, or jobs wait
//	idle        no job is running or waiting
//
// # The last minute
//
// Rates, lines and recent numbers come from snapshots. The page takes them while it
// answers a request, one in 0.9 s at most, and keeps them for a minute. It starts no
// goroutine that outlives a request.
package page

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"time"

	"example.com/dispatch"
)

// Pool is a pool that a page can show. Every *[dispatch.Pool] is one, whatever its
// types.
type Pool interface {
	Stats() dispatch.Stats
	Running() []dispatch.Job
	Failures() []dispatch.Job
}

// Page is an [http.Handler] that shows pools. Its methods may be called by
// several goroutines at once. The zero Page shows no pools.
type Page struct {
	mu    sync.Mutex
	pools []*watched // in the order of Add; an element never changes, since look goes through them without the mutex
	last  int        // number of the pool that was added last
}

// watched is a pool that a page shows.
type watched struct {
	pool    Pool
	number  int // identifies the pool in links; never reused
	history history
	errors  descriptions
}

// New returns a page that shows pools in the given order.
func New(pools ...Pool) *Page {
	p := new(Page)
	p.Add(pools...)
	return p
}

// Add adds pools after those that the page shows already. It ignores a pool that
// is nil or shown already.
func (p *Page) Add(pools ...Pool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pool := range pools {
		if pool == nil || slices.ContainsFunc(p.pools, func(w *watched) bool { return same(w.pool, pool) }) {
			continue
		}
		p.last++
		p.pools = append(p.pools, &watched{pool: pool, number: p.last})
	}
}

// Remove removes pool from the page. It does nothing if the page does not show pool.
func (p *Page) Remove(pool Pool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pools = slices.DeleteFunc(slices.Clone(p.pools), func(w *watched) bool { return same(w.pool, pool) })
}

// same reports whether a and b are the same pool. Values of a type that is not
// comparable are never the same.
func same(a, b Pool) bool {
	return b != nil && reflect.TypeOf(b).Comparable() && a == b
}

// ServeHTTP serves the page, or the part of it that the query names; see the package
// documentation. An unknown query gets the status 400 (Bad Request), and a pool or
// worker that does not exist gets 404 (Not Found).
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "This page answers only GET and HEAD.", http.StatusMethodNotAllowed)
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", contentSecurityPolicy)

	kind, body, err := p.answer(r.URL.RawQuery)
	if err != nil {
		http.Error(w, err.text, err.status)
		return
	}
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // fails only if the client has gone
}

// failure is an answer to a query that cannot be served.
type failure struct {
	status int
	text   string
}

func badQuery(format string, args ...any) *failure {
	return &failure{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) *failure {
	return &failure{http.StatusNotFound, fmt.Sprintf(format, args...)}
}

// answer returns the body for a query, and its type.
func (p *Page) answer(rawQuery string) (kind string, body []byte, err *failure) {
	query, parseErr := url.ParseQuery(rawQuery)
	if parseErr != nil {
		return "", nil, badQuery("The query cannot be read: %q.", rawQuery)
	}
	for key, values := range query {
		if !slices.Contains([]string{"part", "format", "stacks", "worker"}, key) {
			return "", nil, badQuery("This page has no query parameter %q.", key)
		}
		if len(values) > 1 {
			return "", nil, badQuery("The query parameter %q is given more than once.", key)
		}
	}
	var out bytes.Buffer
	out.Grow(32 << 10)
	switch {
	case query.Has("stacks"):
		if err := p.writeStacks(&out, query); err != nil {
			return "", nil, err
		}
		return "text/plain; charset=utf-8", out.Bytes(), nil
	case query.Has("worker") || len(query) > 1:
		return "", nil, badQuery("The query %q is not one that this page answers.", rawQuery)
	case query.Has("format"):
		switch format := query.Get("format"); format {
		case "json":
			writeJSON(&out, p.look(time.Now()))
			return "application/json", out.Bytes(), nil
		case "text":
			writeText(&out, p.look(time.Now()))
			return "text/plain; charset=utf-8", out.Bytes(), nil
		default:
			return "", nil, badQuery("The format %q does not exist: use json or text.", format)
		}
	case query.Has("part"):
		writePart(&out, p.look(time.Now()))
	default:
		out.WriteString(documentHead)
		writePart(&out, p.look(time.Now()))
		out.WriteString(documentFoot)
	}
	return "text/html; charset=utf-8", out.Bytes(), nil
}

// watching returns the pools that the page shows.
func (p *Page) watching() []*watched {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pools
}

// look takes a snapshot of every pool.
func (p *Page) look(now time.Time) look {
	l := look{at: now}
	for _, w := range p.watching() {
		s := sight{number: w.number, stats: w.pool.Stats(), running: w.pool.Running(), failures: w.pool.Failures()}
		s.recent = w.history.add(now, s.stats)
		s.errors = w.errors.of(s.failures)
		s.health = judge(s)
		l.pools = append(l.pools, s)
	}
	return l
}

// look is a snapshot of all pools of a page.
type look struct {
	at    time.Time
	pools []sight
}

// sight is a look at one pool.
type sight struct {
	number   int
	stats    dispatch.Stats
	running  []dispatch.Job // longest first
	failures []dispatch.Job // newest first
	errors   []description  // of failures
	recent   recent
	health   health
}
