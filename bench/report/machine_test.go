package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMachineMeasuresRoundAfterRound(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a test binary")
	}
	var raw bytes.Buffer
	m, err := newMachine(t.Context(), options{rounds: 2, benchtime: time.Millisecond, command: "a command"}, &raw, io.Discard)
	require.NoError(t, err)
	defer m.close()

	rows := []string{poolRow("process", us), poolRow("process", "direct")}
	require.NoError(t, m.measure(t.Context(), plan{rounds: 2, groups: []group{{title: "process", rows: rows}}}))

	var order []string
	for line := range strings.Lines(raw.String()) {
		for _, row := range rows {
			if strings.HasPrefix(line, row) {
				order = append(order, row)
			}
		}
	}
	require.Equal(t, []string{rows[0], rows[1], rows[1], rows[0]}, order)

	tab, err := parseTable(&raw)
	require.NoError(t, err)
	require.Equal(t, "a command", tab.config["command"])
	require.Contains(t, tab.config["peers"], "github.com/Jeffail/tunny@v0.1.4")
	for _, row := range rows {
		for _, unit := range []string{unitTime, unitBytes, unitAllocs} {
			require.Len(t, tab.rows[row][unit].Values, 2, "%s %s", row, unit)
		}
	}

	missing := plan{rounds: 1, groups: []group{{title: "none", rows: []string{poolRow("process", "none")}}}}
	require.ErrorContains(t, m.measure(t.Context(), missing), "no result")
}
