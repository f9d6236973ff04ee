package promdispatch_test

import (
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"example.com/dispatch"
	"example.com/dispatch/promdispatch"
)

// Register a collector once. Its metrics are then scraped with all others.
func ExampleNewCollector() {
	double := func(_ context.Context, in int) (int, error) { return 2 * in, nil }
	pool := dispatch.Must(dispatch.New(double, dispatch.WithName("doubles"), dispatch.WithWorkers(4)))
	defer pool.Close()

	registry := prometheus.NewRegistry() // most programs use prometheus.DefaultRegisterer
	registry.MustRegister(promdispatch.NewCollector(pool))
	server := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	defer server.Close()

	_, _ = pool.Map(context.Background(), []int{1, 2, 3})
	answer, err := server.Client().Get(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "dispatch_max_running") || strings.Contains(line, `outcome="success"`) {
			fmt.Print(line)
		}
	}
	// Output:
	// dispatch_jobs_ended_total{outcome="success",pool="doubles"} 3
	// dispatch_max_running_jobs{pool="doubles"} 4
}
