package promdispatch

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

// series returns the names that a query may use.
func series(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for name, family := range gather(t, NewCollector(full())) {
		names[name] = true
		if family.GetType() == dto.MetricType_HISTOGRAM {
			names[name+"_bucket"] = true // of the classic histogram
		}
	}
	return names
}

var metricNames = regexp.MustCompile(`\bdispatch_\w+`)

// requireKnown fails if a query names a metric or an outcome that is not exported.
// It returns the names of the metrics.
func requireKnown(t *testing.T, query string, known map[string]bool) []string {
	t.Helper()
	names := metricNames.FindAllString(query, -1)
	require.NotEmpty(t, names, query)
	for _, name := range names {
		require.True(t, known[name], "%s in %s", name, query)
	}
	for _, outcomes := range regexp.MustCompile(`outcome=~?"([^"]*)"`).FindAllStringSubmatch(query, -1) {
		for outcome := range strings.SplitSeq(outcomes[1], "|") {
			require.Contains(t, []string{"success", "error", "panic", "canceled", "timeout", "dropped"}, outcome)
		}
	}
	return names
}

func TestTheAlertsAskForMetricsThatThereAre(t *testing.T) {
	data, err := os.ReadFile("alerts.yml")
	require.NoError(t, err)
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert       string            `yaml:"alert"`
				Expr        string            `yaml:"expr"`
				Annotations map[string]string `yaml:"annotations"`
			} `yaml:"rules"`
		} `yaml:"groups"`
	}
	require.NoError(t, yaml.Unmarshal(data, &file))
	require.Len(t, file.Groups, 1)
	require.NotEmpty(t, file.Groups[0].Rules)
	known := series(t)
	for _, rule := range file.Groups[0].Rules {
		requireKnown(t, rule.Expr, known)
		require.NotEmpty(t, rule.Alert)
		require.Contains(t, rule.Annotations["summary"], "$labels.pool")
	}
}

func TestTheDashboardAsksForMetricsThatThereAre(t *testing.T) {
	data, err := os.ReadFile("dashboard.json")
	require.NoError(t, err)
	var board struct {
		Panels []struct {
			ID          int    `json:"id"`
			Title       string `json:"title"`
			Description string `json:"description"`
			Targets     []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
		Templating struct {
			List []struct {
				Query any `json:"query"`
			} `json:"list"`
		} `json:"templating"`
	}
	require.NoError(t, json.Unmarshal(data, &board))
	known, shown, ids := series(t), map[string]bool{}, map[int]bool{}
	for _, panel := range board.Panels {
		require.NotEmpty(t, panel.Title)
		require.NotEmpty(t, panel.Description)
		require.False(t, ids[panel.ID])
		ids[panel.ID] = true
		require.NotEmpty(t, panel.Targets)
		for _, target := range panel.Targets {
			for _, name := range requireKnown(t, target.Expr, known) {
				shown[name] = true
			}
		}
	}
	require.Len(t, board.Templating.List, 2)
	query, ok := board.Templating.List[1].Query.(map[string]any)
	require.True(t, ok)
	requireKnown(t, query["query"].(string), known)
	for name := range known {
		if !strings.HasSuffix(name, "_bucket") && name != "dispatch_paused" && name != "dispatch_max_queued_jobs" && name != "dispatch_jobs_submitted_total" {
			require.True(t, shown[name], "%s is on no panel", name)
		}
	}
}
