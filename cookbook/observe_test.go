package cookbook_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"example.com/dispatch"
	"example.com/dispatch/promdispatch"
)

// How do I get metrics and logs?
//
// Problem: is the pool saturated? Does it refuse work? Which jobs fail, and why?
//
// Solution: promdispatch exports the numbers of Stats, and Hooks.Done logs failed
// jobs. The code between the two comments below is all you need.
//
// Trap: no input is ever shown unless WithLabel says how to describe it. That text
// goes to logs and to the page, so it must not contain secrets. It does not become
// a Prometheus label, which would make a series for each input.
func Example_metricsAndLogs() {
	send := func(_ context.Context, to string) (int, error) {
		if to == "eve" {
			return 0, errors.New("mailbox is full")
		}
		return len(to), nil
	}
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTimes}))
	metrics := prometheus.NewRegistry() // or prometheus.DefaultRegisterer

	// from here ...
	logFailures := dispatch.Hooks{Done: func(ctx context.Context, j dispatch.Job) {
		if j.Err != nil {
			log.WarnContext(ctx, "job failed", "job", j)
		}
	}}
	p := dispatch.Must(dispatch.New(send, dispatch.WithName("mails"),
		dispatch.WithLabel(func(to string) string { return to }), dispatch.WithHooks(logFailures)))
	defer p.Close()
	metrics.MustRegister(promdispatch.NewCollector(p))
	scrape := promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}) // http.Handle("/metrics", scrape)
	// ... to here

	ctx := context.Background()
	for _, to := range []string{"ada", "bob", "eve"} {
		_, _ = p.Process(ctx, to)
	}
	page := httptest.NewRecorder()
	scrape.ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(page.Body.String()) {
		if strings.HasPrefix(line, "dispatch_jobs_ended_total") && !strings.HasSuffix(line, " 0\n") {
			fmt.Print(line)
		}
	}
	// Output:
	// level=WARN msg="job failed" job.outcome=failed job.pool=mails job.label=eve job.error="mailbox is full"
	// dispatch_jobs_ended_total{outcome="error",pool="mails"} 1
	// dispatch_jobs_ended_total{outcome="success",pool="mails"} 2
}

// withoutTimes removes the attributes that differ from run to run.
func withoutTimes(_ []string, a slog.Attr) slog.Attr {
	switch a.Key {
	case slog.TimeKey, "wait", "run":
		return slog.Attr{}
	}
	return a
}
