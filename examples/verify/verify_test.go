package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"example.com/dispatch/examples/internal/cli"
	"example.com/dispatch/examples/internal/cli/clitest"
	"example.com/dispatch/examples/internal/modcache"
	"example.com/dispatch/examples/internal/modcache/modcachetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// verifyArgs runs the program as main does.
var verifyArgs = clitest.New("verify", run)

func TestGoodCachePasses(t *testing.T) {
	cache := modcachetest.New(t)
	cache.Add("example.com/a", "v1.0.0")
	cache.Add("example.com/a", "v1.1.0")
	cache.Add("github.com/!burnt!sushi/toml", "v0.1.0")
	status, stdout, stderr := verifyArgs(t.Context(), "-dir", cache.Dir, "-workers", "2", "-timeout", "1h")
	require.Equal(t, cli.Good, status, stderr)
	require.Contains(t, stdout, "3 of 3 zips done")
	require.Contains(t, stdout, "on 2 workers: 3 good, 0 bad, 0 skipped, 0 timed out")
	require.Contains(t, stderr, "checked: 3 of 3 zips\n")
}

func TestDamagedZipIsFound(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, zip string){
		"another content": func(t *testing.T, zip string) {
			modcachetest.WriteZip(t, zip, map[string]string{"go.mod": "module example.com/evil\n"})
		},
		"one flipped bit": func(t *testing.T, zip string) {
			data, err := os.ReadFile(zip)
			require.NoError(t, err)
			data[bytes.Index(data, []byte("code.go"))+len("code.go")+3] ^= 1 // within the packed content
			require.NoError(t, os.WriteFile(zip, data, 0o644))
		},
		"truncated": func(t *testing.T, zip string) {
			info, err := os.Stat(zip)
			require.NoError(t, err)
			require.NoError(t, os.Truncate(zip, info.Size()/2))
		},
		"empty": func(t *testing.T, zip string) {
			require.NoError(t, os.Truncate(zip, 0))
		},
		"another hash": func(t *testing.T, zip string) {
			require.NoError(t, os.WriteFile(modcachetest.HashFile(zip), []byte("h1:AAAA="), 0o644))
		},
		"no hash in the hash file": func(t *testing.T, zip string) {
			require.NoError(t, os.Truncate(modcachetest.HashFile(zip), 0))
		},
	} {
		t.Run(name, func(t *testing.T) {
			cache := modcachetest.New(t)
			cache.Add("example.com/good", "v1.0.0")
			damage(t, cache.Add("example.com/bad", "v1.2.3"))
			status, stdout, _ := verifyArgs(t.Context(), "-dir", cache.Dir)
			require.Equal(t, cli.Failed, status)
			require.Contains(t, stdout, "BAD: example.com/bad@v1.2.3: ")
			require.NotContains(t, stdout, "example.com/good")
			require.Contains(t, stdout, "1 good, 1 bad, 0 skipped, 0 timed out")
		})
	}
}

func TestZipWithoutHashIsSkippedNotBad(t *testing.T) {
	cache := modcachetest.New(t)
	cache.Add("example.com/a", "v1.0.0")
	require.NoError(t, os.Remove(modcachetest.HashFile(cache.Add("example.com/b", "v1.0.0"))))
	status, stdout, _ := verifyArgs(t.Context(), "-dir", cache.Dir)
	require.Equal(t, cli.Good, status)
	require.Contains(t, stdout, "skipped: example.com/b@v1.0.0: no .ziphash file to compare with\n")
	require.Contains(t, stdout, "1 good, 0 bad, 1 skipped, 0 timed out")
}

func TestEmptyCacheNamesTheCommandThatFillsIt(t *testing.T) {
	dir := t.TempDir()
	status, stdout, _ := verifyArgs(t.Context(), "-dir", dir)
	require.Equal(t, cli.Good, status)
	require.Contains(t, stdout, "no module zips in "+dir)
	require.Contains(t, stdout, "GOMODCACHE="+dir+" go mod download")

	t.Setenv("GOMODCACHE", filepath.Join(dir, "not", "made", "yet"))
	status, stdout, _ = verifyArgs(t.Context())
	require.Equal(t, cli.Good, status)
	require.Contains(t, stdout, ": go mod download\n")
}

func TestWrongFlagIsNamedWithItsValue(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	for _, tt := range []struct{ flag, value string }{
		{"workers", "0"},
		{"workers", "-3"},
		{"workers", "many"},
		{"timeout", "0s"},
		{"timeout", "-1s"},
		{"timeout", "5"},
		{"dir", ""},
		{"dir", file},
		{"dir", file + "-missing"},
		{"compare", "perhaps"},
	} {
		status, stdout, stderr := verifyArgs(t.Context(), "-"+tt.flag+"="+tt.value)
		require.Equal(t, cli.Usage, status, "-%s=%s", tt.flag, tt.value)
		require.Empty(t, stdout)
		require.Regexp(t, `invalid (boolean )?value "`+tt.value+`" for (flag )?-`+tt.flag, stderr)
	}

	status, _, stderr := verifyArgs(t.Context(), "extra")
	require.Equal(t, cli.Usage, status)
	require.Contains(t, stderr, `unexpected argument "extra"`)

	status, stdout, stderr := verifyArgs(t.Context(), "-help")
	require.Equal(t, cli.Good, status)
	require.Contains(t, stdout, "Usage: verify ")
	require.Contains(t, stdout, "-compare")
	require.Empty(t, stderr)
}

func TestCompareMeasuresTheSpeedUp(t *testing.T) {
	cache := modcachetest.New(t)
	cache.Add("example.com/a", "v1.0.0")
	cache.Add("example.com/b", "v1.0.0")
	status, stdout, stderr := verifyArgs(t.Context(), "-dir", cache.Dir, "-workers", "2", "-compare")
	require.Equal(t, cli.Good, status, stderr)
	require.Regexp(t, `speed-up over one worker: \d+\.\d\d \(\S+ with one, \S+ with 2\)`, stdout)
}

// blocked is a check that runs until its context ends.
func blocked(ctx context.Context, _ modcache.Zip) (string, error) {
	<-ctx.Done()
	return "", context.Cause(ctx)
}

func TestSlowZipTimesOutAtTheLimit(t *testing.T) {
	cache := modcachetest.New(t)
	cache.Add("example.com/fast", "v1.0.0")
	cache.Add("example.com/slow", "v1.0.0")
	zips := cache.Zips()
	synctest.Test(t, func(t *testing.T) {
		c := checker{timeout: time.Minute, check: func(ctx context.Context, z modcache.Zip) (string, error) {
			if z.Name == "example.com/slow@v1.0.0" {
				return blocked(ctx, z)
			}
			return modcache.Check(ctx, z)
		}}
		var stdout bytes.Buffer
		start := time.Now()
		err := c.report(t.Context(), 1, zips, cli.Streams{Out: &stdout, Err: io.Discard})
		require.EqualError(t, err, "1 of 2 zips bad or timed out")
		require.Equal(t, time.Minute, time.Since(start))
		require.Contains(t, stdout.String(), "timed out: example.com/slow@v1.0.0: ")
		require.Contains(t, stdout.String(), "1 good, 0 bad, 0 skipped, 1 timed out")
	})
}

func TestInterruptSaysHowManyWereDone(t *testing.T) {
	cache := modcachetest.New(t)
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		cache.Add("example.com/"+name, "v1.0.0")
	}
	zips := cache.Zips()
	synctest.Test(t, func(t *testing.T) {
		ctx, interrupt := context.WithCancelCause(t.Context())
		pulled := errors.New("somebody pulled the plug")
		begun := 0 // by one worker
		c := checker{check: func(ctx context.Context, z modcache.Zip) (string, error) {
			if begun++; begun == 3 {
				interrupt(pulled)
				return blocked(ctx, z)
			}
			return modcache.Check(ctx, z)
		}}
		var stdout bytes.Buffer
		err := c.report(ctx, 1, zips, cli.Streams{Out: &stdout, Err: io.Discard})
		require.ErrorIs(t, err, pulled)
		require.Contains(t, stdout.String(), "2 of 5 zips done")
		require.Contains(t, stdout.String(), "2 good, 0 bad, 0 skipped, 0 timed out")
	})
}

func TestInterruptBeforeTheStart(t *testing.T) {
	cache := modcachetest.New(t)
	cache.Add("example.com/a", "v1.0.0")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cli.Signal{Signal: os.Interrupt})
	for _, args := range [][]string{nil, {"-dir", cache.Dir}, {"-dir", cache.Dir, "-compare"}} {
		status, stdout, stderr := verifyArgs(ctx, args...)
		require.Equal(t, 130, status)
		require.Empty(t, stdout)
		require.Equal(t, "verify: interrupted\n", stderr)
	}
}
