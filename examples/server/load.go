package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"example.com/dispatch/examples/internal/words"
)

// atOnce is a rate so high that all requests come at the same time.
const atOnce = 1_000_000

// A burst is the pace of n requests.
type burst struct {
	vegeta.ConstantPacer

	n int
}

func (b burst) Pace(elapsed time.Duration, hits uint64) (wait time.Duration, stop bool) {
	if hits >= uint64(b.n) {
		return 0, true
	}
	return b.ConstantPacer.Pace(elapsed, hits)
}

// A load has the results of requests: metrics for each status code. The code 0 stands
// for requests without an answer.
type load map[int]*vegeta.Metrics

// send makes n requests at a fixed rate per second, whether or not earlier ones have
// been answered, and waits for the answers. When ctx ends it makes no more requests.
func send(ctx context.Context, n, perSecond int, url string) load {
	client := &http.Client{Transport: new(http.Transport), Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	attacker := vegeta.NewAttacker(vegeta.Client(client))
	defer context.AfterFunc(ctx, func() { attacker.Stop() })()
	target := vegeta.NewStaticTargeter(vegeta.Target{Method: http.MethodGet, URL: url})
	pace := burst{vegeta.ConstantPacer{Freq: perSecond, Per: time.Second}, n}
	answers := make(load)
	for r := range attacker.Attack(target, pace, 0, "") {
		m := answers[int(r.Code)]
		if m == nil {
			m = new(vegeta.Metrics)
			answers[int(r.Code)] = m
		}
		m.Add(r)
	}
	for _, m := range answers {
		m.Close()
	}
	return answers
}

// requests returns the number of requests.
func (l load) requests() int {
	n := 0
	for _, m := range l {
		n += int(m.Requests)
	}
	return n
}

// rate returns how many requests were made per second.
func (l load) rate() float64 {
	var first, last time.Time
	for _, m := range l {
		if first.IsZero() || m.Earliest.Before(first) {
			first = m.Earliest
		}
		if m.Latest.After(last) {
			last = m.Latest
		}
	}
	// Between n requests there are n-1 pauses.
	return float64(l.requests()-1) / max(last.Sub(first), 1).Seconds()
}

// success returns the share of requests that were answered with success.
func (l load) success() float64 {
	if m := l[http.StatusOK]; m != nil {
		return float64(m.Requests) / float64(l.requests())
	}
	return 0
}

// print writes a line for each status, the most frequent first.
func (l load) print(w io.Writer) {
	statuses := slices.SortedFunc(maps.Keys(l), func(a, b int) int {
		return cmp.Or(cmp.Compare(l[b].Requests, l[a].Requests), cmp.Compare(a, b))
	})
	for _, status := range statuses {
		m := l[status]
		fmt.Fprintf(w, "%5d x %s in %v", m.Requests, statusText(status), words.Time(m.Latencies.P50))
		if m.Requests > 1 {
			fmt.Fprintf(w, " (p50), %v (p99)", words.Time(m.Latencies.P99))
		}
		fmt.Fprintln(w)
	}
}

func statusText(status int) string {
	if status == 0 {
		return "no answer"
	}
	return fmt.Sprintf("%d %s", status, http.StatusText(status))
}
