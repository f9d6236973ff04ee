// Package clitest runs the examples in tests as their main functions do.
package clitest

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/dispatch/examples/internal/cli"
)

// Program runs a program as main does, without a standard input.
type Program func(ctx context.Context, args ...string) (status int, stdout, stderr string)

// New returns the program of that name.
func New(name string, run cli.Program) Program {
	return func(ctx context.Context, args ...string) (status int, stdout, stderr string) {
		var out, errs bytes.Buffer
		status = cli.Run(ctx, name, run, args, cli.Streams{Out: &out, Err: &errs})
		return status, out.String(), errs.String()
	}
}

// RequireRefused asserts for each command line (arguments separated by spaces) that the
// program refuses it with the message beside it, and does nothing.
func (p Program) RequireRefused(t *testing.T, says map[string]string) {
	t.Helper()
	for args, want := range says {
		status, stdout, stderr := p(t.Context(), strings.Fields(args)...)
		require.Equal(t, cli.Usage, status)
		require.Empty(t, stdout)
		require.Contains(t, stderr, want)
	}
}

// RequireHelp asserts that -help prints how to call the program of that name.
func (p Program) RequireHelp(t *testing.T, name string) {
	t.Helper()
	status, stdout, _ := p(t.Context(), "-help")
	require.Equal(t, cli.Good, status)
	require.Contains(t, stdout, "Usage: "+name+" ")
}
