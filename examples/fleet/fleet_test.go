package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"example.com/dispatch/examples/internal/cli"
	"example.com/dispatch/examples/internal/cli/clitest"
	"example.com/dispatch/examples/internal/modcache/modcachetest"
)

func TestMain(m *testing.M) {
	if os.Getenv(workerVar) != "" {
		cli.Main("fleet worker", work)
	}
	goleak.VerifyTestMain(m)
}

// newCache makes a module cache of n zips that each take some time to hash.
func newCache(t *testing.T, n int) modcachetest.Cache {
	t.Helper()
	cache := modcachetest.New(t)
	noise := rand.New(rand.NewPCG(1, 2))
	code := make([]byte, 1<<18)
	for i := range code {
		code[i] = "0123456789abcdef"[noise.IntN(16)]
	}
	first := cache.AddFiles("example.com/m00", "v1.0.0", map[string]string{"code.go": string(code)})
	for i := 1; i < n; i++ {
		cache.AddCopy(first, fmt.Sprintf("example.com/m%02d", i), "v1.0.0")
	}
	return cache
}

// output collects what a program prints. It can be read while the program runs.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// fleetArgs runs the program as main does.
func fleetArgs(ctx context.Context, args ...string) (status int, stdout, stderr string) {
	var out, errs output
	status = cli.Run(ctx, "fleet", run, args, cli.Streams{Out: &out, Err: &errs})
	return status, out.String(), errs.String()
}

var (
	oneWorker = regexp.MustCompile(`worker-\d, process (\d+): (\d+) zips?(.*)\n`)
	twice     = regexp.MustCompile(`begun twice: (.*)\n`)
)

func TestSeveralProcessesCheckACacheTogether(t *testing.T) {
	cache := newCache(t, 12)
	cache.Add("example.com/small", "v1.0.0")
	require.NoError(t, os.Remove(modcachetest.HashFile(cache.Add("example.com/nohash", "v1.0.0"))))
	status, stdout, stderr := fleetArgs(t.Context(), "-dir", cache.Dir, "-workers", "2", "-places", "2")
	require.Equal(t, cli.Good, status, stderr)
	require.Contains(t, stdout, "14 of 14 zips done")
	require.Contains(t, stdout, "on 2 workers of 2 places: 13 good, 0 bad, 1 skipped, 0 timed out")
	require.Regexp(t, `skipped: example.com/nohash@v1.0.0: .*no .ziphash file to compare with`, stdout)
	require.Contains(t, stdout, "begun twice: nothing\nnothing was lost: 14 zips with one outcome each, no job is left on the server\n")
	done := 0
	workers := oneWorker.FindAllStringSubmatch(stdout, -1)
	require.Len(t, workers, 2)
	for _, w := range workers {
		n, err := strconv.Atoi(w[2])
		require.NoError(t, err)
		done += n
	}
	require.Equal(t, 14, done)
}

func TestAWorkerThatIsKilledLosesNothing(t *testing.T) {
	cache := newCache(t, 24)
	status, stdout, stderr := fleetArgs(t.Context(), "-dir", cache.Dir, "-workers", "2", "-places", "2", "-chaos")
	require.Equal(t, cli.Good, status, stderr)
	require.Contains(t, stdout, "24 of 24 zips done")
	require.Contains(t, stdout, "nothing was lost: 24 zips with one outcome each, no job is left on the server\n")
	require.Equal(t, 1, strings.Count(stdout, "then killed while it was at "), stdout)
	again := twice.FindStringSubmatch(stdout)
	require.NotNil(t, again)
	if again[1] == "nothing" {
		return // the worker had finished its zips when it was killed
	}
	require.LessOrEqual(t, len(strings.Split(again[1], ", ")), 2, "no more than its places held")
}

func TestBadZipIsFoundByAWorkerToo(t *testing.T) {
	cache := modcachetest.New(t)
	modcachetest.WriteZip(t, cache.Add("example.com/bad", "v1.0.0"), map[string]string{"go.mod": "module example.com/evil\n"})
	status, stdout, stderr := fleetArgs(t.Context(), "-dir", cache.Dir, "-workers", "1")
	require.Equal(t, cli.Failed, status)
	require.Equal(t, "fleet: 1 of 1 zip bad or timed out\n", stderr[strings.LastIndex(stderr, "fleet:"):])
	require.Regexp(t, `BAD: example.com/bad@v1.0.0: .*worker-1.*: its hash is h1:`, stdout)
	require.Contains(t, stdout, "nothing was lost")
}

func TestAnInterruptDrains(t *testing.T) {
	cache := newCache(t, 60)
	ctx, interrupt := context.WithCancelCause(t.Context())
	var out, errs output
	over := make(chan int, 1)
	go func() {
		args := []string{"-dir", cache.Dir, "-workers", "1", "-places", "1"}
		over <- cli.Run(ctx, "fleet", run, args, cli.Streams{Out: &out, Err: &errs})
	}()
	require.Eventually(t, func() bool { return strings.Contains(errs.String(), "checked: 6 of 60 zips") }, 20*time.Second, time.Millisecond)
	interrupt(cli.Signal{Signal: os.Interrupt})
	require.Equal(t, 130, <-over)
	require.True(t, strings.HasSuffix(errs.String(), "fleet: interrupted\n"), errs.String())

	stdout := out.String()
	worker := oneWorker.FindStringSubmatch(stdout)
	require.NotNil(t, worker, stdout)
	require.Empty(t, worker[3], "it ended by itself, and at nothing")
	require.Contains(t, stdout, "\n"+worker[2]+" of 60 zips done", "what was begun has its outcome")
	require.Contains(t, stdout, worker[2]+" good, 0 bad, 0 skipped")
	require.NotEqual(t, "60", worker[2])
}

func TestNoWorkerLeftEndsTheRun(t *testing.T) {
	var errs output
	lost := make(chan error, 1)
	c := &crew{begun: make(map[string]int), onLoss: func(err error) { lost <- err }}
	defer c.sendHome()
	// There is no server at this address.
	require.NoError(t, c.hire(orders{Name: "worker-1", URL: "nats://127.0.0.1:1", Places: 1}, &errs))
	require.ErrorContains(t, <-lost, "no worker is left: worker-1: exit status 1")
	require.Contains(t, errs.String(), "fleet worker: ")
}

func TestAnEmptyCacheStartsNothing(t *testing.T) {
	dir := t.TempDir()
	status, stdout, stderr := fleetArgs(t.Context(), "-dir", dir)
	require.Equal(t, cli.Good, status)
	require.Equal(t, "no module zips in "+dir+"\n", stdout)
	require.Empty(t, stderr)
}

func TestAnInterruptBeforeTheStart(t *testing.T) {
	ctx, interrupt := context.WithCancelCause(t.Context())
	interrupt(cli.Signal{Signal: os.Interrupt})
	status, _, _ := fleetArgs(ctx, "-dir", newCache(t, 1).Dir)
	require.Equal(t, 130, status)
}

func TestWrongFlags(t *testing.T) {
	clitest.Program(fleetArgs).RequireRefused(t, map[string]string{
		"-workers 0":        `invalid value "0" for flag -workers`,
		"-places none":      `invalid value "none" for flag -places`,
		"-chaos -workers 1": "-chaos kills a worker: -workers must be 2 or more",
		"-http 8080":        `invalid value "8080" for flag -http`,
		"extra":             `unexpected argument "extra"`,
	})
}
