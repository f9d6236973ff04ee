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
// Problem: is the pool saturated, does it refuse work, which jobs fail and why?
//
// Solution: promdispatch exports what Stats tells, and Hooks.Done logs what
// failed. The lines between the two comments are all there is to it.
//
// Trap: no input is ever shown unless WithLabel says how. A label is for logs and
// for the page and must not hold secrets; it is no label of Prometheus, which
// would make a series for each input.
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

// withoutTimes leaves out what differs from run to run.
func withoutTimes(_ []string, a slog.Attr) slog.Attr {
	switch a.Key {
	case slog.TimeKey, "wait", "run":
		return slog.Attr{}
	}
	return a
}
