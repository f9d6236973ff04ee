package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVerdictsNeedBothTheTestAndTheIntervals(t *testing.T) {
	for _, tt := range []struct {
		name             string
		theirs, distance float64
		rounds           int
		want             verdict
	}{
		{"a clearly slower peer", 1200, 0.001, 10, faster},
		{"a clearly faster peer", 800, 0.001, 10, slower},
		{"within the noise", 1000.5, 0.001, 10, even},
		{"equal", 1000, 0.001, 10, even},
		{"the test finds a difference and the intervals meet", 1300, 0.05, 10, unclear},
		{"too few rounds to tell", 1200, 0.001, 3, unknown},
	} {
		tab := newResults().
			spread("submit", us, tt.rounds, 1000, tt.distance).
			spread("submit", "mortar", tt.rounds, tt.theirs, tt.distance).
			table(t)
		r := tab.versusBest("submit", known.isPeer)
		require.NotNil(t, r, tt.name)
		require.Equal(t, tt.want, r.Verdict, tt.name)
		require.InDelta(t, 1000/tt.theirs, r.Value, 1e-6, tt.name)
	}
}

func TestTheBestIsTheFastestThatQualifies(t *testing.T) {
	tab := newResults().
		add("process-64", us, 10, 100).
		add("process-64", "go", 10, 300).
		add("process-64", "errgroup", 10, 400).
		add("process-64", "tunny", 10, 500).
		add("process-64", "ants", 10, 600).
		table(t)
	for want, qualify := range map[string]func(string) bool{
		"go": known.isFloor, "errgroup": known.isPeer, "tunny": known.isPeerPool,
	} {
		require.Equal(t, want, tab.versusBest("process-64", qualify).Other)
	}
	require.Nil(t, tab.versusBest("process", known.isPeer), "nothing was measured there")
}

func TestFormats(t *testing.T) {
	for want, got := range map[string]string{
		"480.0ns": formatTime(480e-9),
		"50.43µs": formatTime(50.43e-6),
		"0.60":    formatRatio(0.6),
		"1.012":   formatRatio(1.0123),
		"26.17":   formatRatio(26.17),
		"0.003":   formatRatio(0.0034),
	} {
		require.Equal(t, want, got)
	}
}
