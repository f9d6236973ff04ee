package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// texts parses an SVG and returns the text in it.
func texts(t *testing.T, svg []byte) (all []string) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		if data, ok := token.(xml.CharData); ok {
			all = append(all, string(bytes.TrimSpace(data)))
		}
	}
}

func TestTheOverviewHasALineForEachWorkThatHasAPeer(t *testing.T) {
	chart, err := newOverview(newResults().
		add("process", us, 10, 500).add("process", "tunny", 10, 1000).
		add("submit", us, 1, 500).add("submit", "pond", 1, 1500).
		add("map-1000", us, 10, 500).
		table(t)).draw()
	require.NoError(t, err)
	all := texts(t, chart)
	require.Subset(t, all, []string{"process", "0.50 × tunny", "submit", "0.33 × pond"})
	require.NotContains(t, all, "map-1000")
	require.NotContains(t, string(chart), "Inf", "one round has no interval")
	require.NotContains(t, string(chart), "NaN")
}

func TestTheOverviewReadsOnDarkGroundToo(t *testing.T) {
	chart, err := newOverview(newResults().add("process", us, 10, 500).add("process", "tunny", 10, 1000).table(t)).draw()
	require.NoError(t, err)
	require.Contains(t, string(chart), "prefers-color-scheme: dark")
	for _, s := range []string{"fill:#FAFAF8", "fill:#24292F", "stroke:#DDDFE2", "fill:#0B5FB8"} {
		require.Regexp(t, `style="[^"\]]*`+s, string(chart), "gonum writes a color so")
		require.Contains(t, string(chart), `[style*="`+s+`"]`, "and the dark style finds it there")
	}
}
