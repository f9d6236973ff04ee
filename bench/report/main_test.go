package main

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestABadFlagIsNamedWithItsValue(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{[]string{"-rounds", "0"}, []string{"-rounds 0", "at least 1"}},
		{[]string{"-rounds", "many"}, []string{"-rounds", `"many"`}},
		{[]string{"-benchtime", "-1s"}, []string{"-benchtime -1s", "negative"}},
		{[]string{"-work", "process,juggle"}, []string{`-work "juggle"`, "process-64"}},
		{[]string{"-work", "process,"}, []string{`-work ""`}},
		{[]string{"-check", "-scale"}, []string{"-check", "-scale"}},
		{[]string{"-scale", "-work", "process"}, []string{"-work", `"process"`, "-scale"}},
		{[]string{"process"}, []string{`"process"`}},
		{[]string{"-juggle"}, []string{"-juggle"}},
	} {
		_, err := parseFlags(tt.args, io.Discard)
		var usage *usageError
		require.ErrorAs(t, err, &usage, "%q", tt.args)
		for _, want := range tt.want {
			require.ErrorContains(t, err, want, "%q", tt.args)
		}
	}
	_, err := parseFlags([]string{"-h"}, io.Discard)
	require.ErrorIs(t, err, flag.ErrHelp)
}

func TestACheckIsShorterUnlessATimeIsAskedFor(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want time.Duration
	}{
		{nil, benchtime},
		{[]string{"-scale"}, benchtime},
		{[]string{"-check"}, checkBenchtime},
		{[]string{"-check", "-benchtime", "1s"}, time.Second},
	} {
		o, err := parseFlags(tt.args, io.Discard)
		require.NoError(t, err)
		require.Equal(t, tt.want, o.benchtime, "%q", tt.args)
		require.Equal(t, 10, o.rounds, "%q", tt.args)
	}
}

func TestTheCommandInTheReportHasNoPaths(t *testing.T) {
	o, err := parseFlags([]string{"-rounds", "12", "-work", "process,memory", "-out", "there", "-from", "here"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, "go run ./bench/report -rounds 12 -work process,memory", o.command)
	require.True(t, o.wants("process"))
	require.True(t, o.wants(memoryWork))
	require.False(t, o.wants("submit"))
}

func TestAMissingFileIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "none.txt")
	err := run(t.Context(), []string{"-from", file}, io.Discard, io.Discard)
	require.ErrorContains(t, err, "-from "+file)
}

func TestAReportIsWrittenWithItsChartsAndItsResults(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "results.txt")
	raw := newResults().
		add(poolRow("process", us), 10, 500).
		add(poolRow("process", "tunny"), 10, 1000)
	require.NoError(t, os.WriteFile(file, []byte(raw.String()), 0o600))

	out := filepath.Join(dir, "docs")
	require.NoError(t, run(t.Context(), []string{"-from", file, "-out", out}, io.Discard, io.Discard))
	for _, name := range []string{benchmarksFile, overviewChart, workChart("process")} {
		require.FileExists(t, filepath.Join(out, name))
	}
	written, err := os.ReadFile(filepath.Join(out, benchmarksRawFile))
	require.NoError(t, err)
	require.Equal(t, raw.String(), string(written))
}

func TestAPartIsPrintedAndNotWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "results.txt")
	raw := newResults().
		add(poolRow("process", us), 10, 500).
		add(poolRow("process", "tunny"), 10, 1000)
	require.NoError(t, os.WriteFile(file, []byte(raw.String()), 0o600))

	var stdout, stderr bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-from", file, "-work", "process"}, &stdout, &stderr))
	require.Contains(t, stdout.String(), "## process")
	require.NotContains(t, stdout.String(), ".svg")
	require.Empty(t, stderr.String())
}
