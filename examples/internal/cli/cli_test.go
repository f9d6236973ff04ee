package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// programVar is an environment variable that makes the test binary run a program that
// waits for a signal.
const programVar = "CLI_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(programVar) != "" {
		Main("waiting", func(ctx context.Context, _ []string, std Streams) error {
			fmt.Fprintln(std.Out, "ready")
			<-ctx.Done()
			if os.Getenv(programVar) == "deaf" {
				fmt.Fprintln(std.Out, "told")
				select {}
			}
			return fmt.Errorf("the rest is left: %w", context.Cause(ctx))
		})
	}
	goleak.VerifyTestMain(m)
}

// start starts the test binary as the program and waits until it is ready.
func start(t *testing.T, kind string) (cmd *exec.Cmd, stdout io.Reader, stderr *bytes.Buffer) {
	t.Helper()
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), programVar+"="+kind)
	stderr = new(bytes.Buffer)
	cmd.Stderr = stderr
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	requireLine(t, stdout, "ready\n")
	return cmd, stdout, stderr
}

func requireLine(t *testing.T, r io.Reader, want string) {
	t.Helper()
	line := make([]byte, len(want))
	_, err := io.ReadFull(r, line)
	require.NoError(t, err)
	require.Equal(t, want, string(line))
}

func TestASignalEndsTheProgramWithItsStatus(t *testing.T) {
	for _, tt := range []struct {
		signal os.Signal
		status int
		text   string
	}{
		{os.Interrupt, 130, "waiting: the rest is left: interrupted\n"},
		{syscall.SIGTERM, 143, "waiting: the rest is left: terminated\n"},
	} {
		cmd, _, stderr := start(t, "willing")
		require.NoError(t, cmd.Process.Signal(tt.signal))
		require.Error(t, cmd.Wait())
		require.Equal(t, tt.status, cmd.ProcessState.ExitCode())
		require.Equal(t, tt.text, stderr.String())
	}
}

func TestASecondSignalEndsTheProcessAtOnce(t *testing.T) {
	cmd, stdout, _ := start(t, "deaf")
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	requireLine(t, stdout, "told\n")
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.Error(t, cmd.Wait())
	require.Equal(t, -1, cmd.ProcessState.ExitCode(), "the signal itself ended it")
}

// runFlags runs a program with one flag of each kind.
func runFlags(args ...string) (status int, stdout, stderr string, opts options) {
	opts = options{n: 3}
	var out, errs bytes.Buffer
	status = Run(context.Background(), "program", func(_ context.Context, args []string, std Streams) error {
		fs := NewFlags("program", "Usage: program [-n N]")
		fs.Count(&opts.n, 2, "n", "how `many`")
		fs.Counts(&opts.ns, 0, "ns", "how many `each`")
		fs.Time(&opts.d, "d", "how `long`")
		fs.Dir(&opts.dir, "dir", "a `folder`")
		fs.Address(&opts.addr, "http", "an `address`")
		return fs.Parse(args, std)
	}, args, Streams{Out: &out, Err: &errs})
	return status, out.String(), errs.String(), opts
}

type options struct {
	n         int
	ns        []int
	d         time.Duration
	dir, addr string
}

func TestFlagsAreRead(t *testing.T) {
	status, stdout, stderr, opts := runFlags("-n", "2", "-ns", "0, 3,5", "-d=3s", "-dir", ".", "-http", "127.0.0.1:0")
	require.Equal(t, Good, status)
	require.Empty(t, stdout+stderr)
	require.Equal(t, options{2, []int{0, 3, 5}, 3 * time.Second, ".", "127.0.0.1:0"}, opts)
}

func TestAWrongFlagIsNamedOnceWithItsValue(t *testing.T) {
	for _, tt := range []struct{ arg, want string }{
		{"-n=1", `invalid value "1" for flag -n: must be a whole number, 2 or more`},
		{"-n=many", `invalid value "many" for flag -n: must be a whole number, 2 or more`},
		{"-ns=1,,2", `invalid value "1,,2" for flag -ns: must be whole numbers separated by commas, each 0 or more`},
		{"-ns=", `invalid value "" for flag -ns: must be whole numbers separated by commas, each 0 or more`},
		{"-ns=3,-1", `invalid value "3,-1" for flag -ns: must be whole numbers separated by commas, each 0 or more`},
		{"-d=0s", `invalid value "0s" for flag -d: must be a duration above zero, such as 30s`},
		{"-d=5", `invalid value "5" for flag -d: must be a duration above zero, such as 30s`},
		{"-dir=", `invalid value "" for flag -dir: must name a folder`},
		{"-dir=cli.go", `invalid value "cli.go" for flag -dir: not a folder`},
		{"-dir=missing", `invalid value "missing" for flag -dir: stat missing: no such file or directory`},
		{"-http=8080", `invalid value "8080" for flag -http: must be host:port, such as 127.0.0.1:8080`},
		{"-x", `flag provided but not defined: -x`},
		{"extra", `unexpected argument "extra"`},
	} {
		status, stdout, stderr, _ := runFlags(tt.arg)
		require.Equal(t, Usage, status)
		require.Empty(t, stdout)
		require.Equal(t, "program: "+tt.want+"\nprogram: -help lists the flags\n", stderr)
	}
}

func TestHelpPrintsTheSynopsisAndTheFlags(t *testing.T) {
	status, stdout, stderr, _ := runFlags("-help")
	require.Equal(t, Good, status)
	require.Empty(t, stderr)
	require.Regexp(t, `^Usage: program \[-n N\]\n\nFlags:\n`, stdout)
	require.Regexp(t, `-n many\s+how many \(default 3\)`, stdout)
	require.NotContains(t, stdout, `how long (default`)
}

func TestAFailureIsPrintedOnce(t *testing.T) {
	var errs bytes.Buffer
	status := Run(t.Context(), "program", func(context.Context, []string, Streams) error {
		return errors.New("out of ink")
	}, nil, Streams{Err: &errs})
	require.Equal(t, Failed, status)
	require.Equal(t, "program: out of ink\n", errs.String())
}
