package main

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRatioIsOursOverTheirs(t *testing.T) {
	tab := newResults().
		add(poolRow("process", us), 10, 600).
		add(poolRow("process", "tunny"), 10, 1000).
		table(t)
	r, ok := tab.compare("process", "tunny")
	require.True(t, ok)
	require.InDelta(t, 0.6, r.value, 1e-6)
	require.Less(t, r.lo, r.value)
	require.Greater(t, r.hi, r.value)
	require.Equal(t, faster, r.verdict)
}

func TestVerdicts(t *testing.T) {
	for _, tt := range []struct {
		name   string
		theirs float64
		rounds int
		want   verdict
	}{
		{"clearly slower peer", 1200, 10, faster},
		{"clearly faster peer", 800, 10, slower},
		{"within the noise", 1000.5, 10, even},
		{"equal", 1000, 10, even},
		{"too few rounds to tell", 1200, 2, unclear},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tab := newResults().
				add(poolRow("submit", us), tt.rounds, 1000).
				add(poolRow("submit", "mortar"), tt.rounds, tt.theirs).
				table(t)
			r, ok := tab.compare("submit", "mortar")
			require.True(t, ok)
			require.Equal(t, tt.want.String(), r.verdict.String())
		})
	}
}

func TestTooFewRoundsGiveNoInterval(t *testing.T) {
	tab := newResults().
		add(poolRow("submit", us), 3, 1000).
		add(poolRow("submit", "mortar"), 3, 500).
		table(t)
	r, _ := tab.compare("submit", "mortar")
	require.InDelta(t, 2, r.value, 1e-6)
	require.True(t, math.IsNaN(r.lo))
	require.True(t, math.IsNaN(r.hi))
	require.Equal(t, "∞", spread(r.ours))
}

func TestBestIsTheFastestThatQualifies(t *testing.T) {
	tab := newResults().
		add(poolRow("process-64", us), 10, 100).
		add(poolRow("process-64", "direct"), 10, 1).
		add(poolRow("process-64", "go"), 10, 300).
		add(poolRow("process-64", "chan"), 10, 350).
		add(poolRow("process-64", "errgroup"), 10, 400).
		add(poolRow("process-64", "tunny"), 10, 500).
		add(poolRow("process-64", "ants"), 10, 600).
		table(t)
	for _, tt := range []struct {
		qualify func(string) bool
		want    string
	}{{isAny, "direct"}, {isFloor, "go"}, {isPeer, "errgroup"}, {isPeerPool, "tunny"}} {
		name, ok := tab.best("process-64", tt.qualify)
		require.True(t, ok)
		require.Equal(t, tt.want, name)
	}
	_, ok := tab.best("process", isAny)
	require.False(t, ok, "nothing was measured there")
}

func TestFormats(t *testing.T) {
	for want, got := range map[string]string{
		"1.23 ns":   formatTime(1.234e-9),
		"10.0 ns":   formatTime(9.999e-9),
		"480 ns":    formatTime(480e-9),
		"1.00 µs":   formatTime(999.7e-9),
		"50.4 µs":   formatTime(50.43e-6),
		"1.00 ms":   formatTime(1e-3),
		"2.50 s":    formatTime(2.5),
		"0.60":      formatRatio(0.6),
		"1.012":     formatRatio(1.0123),
		"26.17":     formatRatio(26.17),
		"256":       formatRatio(256.3),
		"0.003":     formatRatio(0.0034),
		"3072 B":    formatBytes(3 << 10),
		"12.0 KiB":  formatBytes(12 << 10),
		"300 MiB":   formatBytes(300 << 20),
		"1":         formatCount(1),
		"1,000":     formatCount(1000),
		"1,000,000": formatCount(1_000_000),
	} {
		require.Equal(t, want, got)
	}
}
