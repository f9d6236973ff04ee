// Package page shows pools on a live web page: how busy each is and why, how
// long jobs wait and run, what runs now, what failed last, and the stacks of
// handlers that do not return.
//
//	http.Handle("/debug/dispatch/", page.New(thumbs, mails))
//
// The page needs nothing but this package. It renews what it shows once a
// second without a reload, works without JavaScript as a snapshot, loads nothing
// from elsewhere, and is meant to be looked at on a phone too. Times, running
// jobs and failures are there for pools with [dispatch.WithTelemetry]; inputs are
// named only where [dispatch.WithLabel] says how.
//
// Like net/http/pprof it has no authentication of its own: it shows labels,
// errors and stacks to everybody who reaches it. Serve it on an address that
// only operators reach, or behind what authenticates them.
//
// # Queries
//
// All links are relative, so the page can stand under any path. It answers GET
// and HEAD, and these queries:
//
//	(none)                the page
//	?part                 the part of it that changes, as HTML
//	?format=json          the same facts as JSON; times in seconds
//	?format=text          the same facts as text, for a terminal
//	?stacks=2             the stacks of pool 2's goroutines, as text
//	?stacks=2&worker=5    ... of its worker 5, with those that its handler has started
//
// # Health
//
// Each pool has a word, and a sentence that says why. It is the first that
// holds of:
//
//	stuck       all workers are busy, nothing has ended for 5 s, and one has run for longer than 5 s and 4 times
//	            the p99 of runs; or a handler runs on though its job has its outcome, for 1 s in all or more
//	draining, stopping, ended, paused
//	saturated   all workers are busy and submitters wait for room; or jobs were refused or dropped, or submitters
//	            gave up, in the last minute; or a job has waited for 1 s and for 4 times the p50 of runs
//	failing     2 % of the jobs that ended in the last minute failed, panicked or timed out
//	busy        all workers are busy
//	working     some are
//	idle
//
// # The last minute
//
// Rates, lines and what is called recent come from snapshots that the page
// takes when somebody looks at it: one in 0.9 s at most, kept for a minute, and
// none while nobody looks. It has no goroutine.
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

// Pool is what a page shows: every *[dispatch.Pool], whatever its types.
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
	last  int        // the number of the pool that was added last
}

// watched is a pool that is shown.
type watched struct {
	pool    Pool
	number  int // in links; never given to another
	history history
	errors  descriptions
}

// New returns a page that shows pools, in this order.
func New(pools ...Pool) *Page {
	p := new(Page)
	p.Add(pools...)
	return p
}

// Add has the page show pools, after those that it shows already. A pool that
// is nil or shown already is left out.
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

// Remove has the page show pool no more. It does nothing if it does not.
func (p *Page) Remove(pool Pool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pools = slices.DeleteFunc(slices.Clone(p.pools), func(w *watched) bool { return same(w.pool, pool) })
}

// same tells whether a and b are one pool. Types that do not compare have no
// identity: they are never the same.
func same(a, b Pool) bool {
	return b != nil && reflect.TypeOf(b).Comparable() && a == b
}

// ServeHTTP answers with what the query asks for; see the package's
// documentation. A query that it does not know is a bad request, and a pool or
// worker that is not there is not found.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "This page is read with GET or HEAD.", http.StatusMethodNotAllowed)
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
	_, _ = w.Write(body) // a reader that has gone needs no answer
}

// failure is an answer that is none.
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
			return "", nil, badQuery("There is no query %q.", key)
		}
		if len(values) > 1 {
			return "", nil, badQuery("The query %q is given twice.", key)
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
		return "", nil, badQuery("The query %q has no meaning.", rawQuery)
	case query.Has("format"):
		switch format := query.Get("format"); format {
		case "json":
			writeJSON(&out, p.look(time.Now()))
			return "application/json", out.Bytes(), nil
		case "text":
			writeText(&out, p.look(time.Now()))
			return "text/plain; charset=utf-8", out.Bytes(), nil
		default:
			return "", nil, badQuery("There is no format %q: it is json or text.", format)
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

// watching returns the pools that are shown.
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

// look is what a page saw of its pools at one moment.
type look struct {
	at    time.Time
	pools []sight
}

// sight is what it saw of one of them.
type sight struct {
	number   int
	stats    dispatch.Stats
	running  []dispatch.Job // longest first
	failures []dispatch.Job // last first
	errors   []description  // of failures
	recent   recent
	health   health
}
