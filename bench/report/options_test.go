package main

import (
	"flag"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestABadFlagIsNamedWithItsValue(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{[]string{"-rounds", "0"}, []string{"-rounds 0", "at least 1"}},
		{[]string{"-rounds", "many"}, []string{"-rounds", `"many"`}},
		{[]string{"-time", "-1s"}, []string{"-time -1s", "positive"}},
		{[]string{"-tolerance", "0.9"}, []string{"-tolerance 0.9", "at least 1"}},
		{[]string{"-check", "-scale"}, []string{"-check", "-scale", "-gate"}},
		{[]string{"-check", "-gate", "main"}, []string{"-check", "-scale", "-gate"}},
		{[]string{"-scale", "-works", "process"}, []string{"-works process", "-scale"}},
		{[]string{"-gate", "main", "-results", "there"}, []string{"-results there", "-gate"}},
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

func TestAWorkThatIsNotThereIsNamedBesideThoseThatAre(t *testing.T) {
	for _, works := range []string{"process,juggle", "process,", "submit-1"} {
		o, err := parseFlags([]string{"-works", works}, io.Discard)
		require.NoError(t, err)
		err = o.validateWorks(known.workNames())
		require.ErrorContains(t, err, "no such work", works)
		require.ErrorContains(t, err, "process-64, submit, map-1000, memory", works)
	}
}

func TestTheCommandInTheReportHasNoPaths(t *testing.T) {
	o, err := parseFlags([]string{"-check", "-rounds", "12", "-works", "process,memory", "-out", "there", "-results", "here"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, "go run ./bench/report -check -rounds 12 -works process,memory", o.command)
}
