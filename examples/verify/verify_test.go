package main

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vbauerster/mpb/v8"
	"go.uber.org/goleak"
	"golang.org/x/mod/sumdb/dirhash"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// A testCache is a module cache made for a test.
type testCache struct {
	t   *testing.T
	dir string
}

func newTestCache(t *testing.T) testCache {
	return testCache{t, t.TempDir()}
}

// add puts a module into the cache the way Go does: a zip and its hash, which
// it takes with dirhash's own function rather than the program's. It returns
// the path of the zip.
func (c testCache) add(escapedPath, version string) string {
	c.t.Helper()
	dir := filepath.Join(c.dir, "cache", "download", filepath.FromSlash(escapedPath), "@v")
	require.NoError(c.t, os.MkdirAll(dir, 0o755))
	name := filepath.Join(dir, version+".zip")
	writeZip(c.t, name, map[string]string{
		"go.mod":  "module " + escapedPath + "\n",
		"code.go": "package code\n" + strings.Repeat("// a line\n", 1000),
		"empty":   "",
	})
	hash, err := dirhash.HashZip(name, dirhash.Hash1)
	require.NoError(c.t, err)
	require.NoError(c.t, os.WriteFile(hashFileOf(name), []byte(hash), 0o644))
	return name
}

func (c testCache) archives() []archive {
	c.t.Helper()
	found, err := findArchives(c.t.Context(), c.dir)
	require.NoError(c.t, err)
	return found
}

func writeZip(t *testing.T, name string, files map[string]string) {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for name, content := range files {
		f, err := w.Create(name)
		require.NoError(t, err)
		_, err = f.Write([]byte(content))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, os.WriteFile(name, buf.Bytes(), 0o644))
}

func hashFileOf(zipName string) string {
	return archive{path: zipName}.hashFile()
}

// verifyArgs runs the program as main does.
func verifyArgs(ctx context.Context, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = run(ctx, args, &out, &errs)
	return status, out.String(), errs.String()
}

func TestGoodCachePasses(t *testing.T) {
	cache := newTestCache(t)
	cache.add("example.com/a", "v1.0.0")
	cache.add("example.com/a", "v1.1.0")
	cache.add("github.com/!burnt!sushi/toml", "v0.1.0")
	status, stdout, stderr := verifyArgs(t.Context(), "-dir", cache.dir, "-workers", "2", "-timeout", "1h")
	require.Equal(t, exitGood, status, stderr)
	require.Contains(t, stdout, "3 of 3 zips done")
	require.Contains(t, stdout, "on 2 workers: 3 good, 0 bad, 0 skipped, 0 timed out")
	require.Contains(t, stderr, "checked: 3 of 3 zips\n")
}

func TestDamagedZipIsFound(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, zip string){
		"another content": func(t *testing.T, zip string) {
			writeZip(t, zip, map[string]string{"go.mod": "module example.com/evil\n"})
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
			require.NoError(t, os.WriteFile(hashFileOf(zip), []byte("h1:AAAA="), 0o644))
		},
		"no hash in the hash file": func(t *testing.T, zip string) {
			require.NoError(t, os.Truncate(hashFileOf(zip), 0))
		},
	} {
		t.Run(name, func(t *testing.T) {
			cache := newTestCache(t)
			cache.add("example.com/good", "v1.0.0")
			damage(t, cache.add("example.com/bad", "v1.2.3"))
			status, stdout, _ := verifyArgs(t.Context(), "-dir", cache.dir)
			require.Equal(t, exitBad, status)
			require.Contains(t, stdout, "BAD: example.com/bad@v1.2.3: ")
			require.NotContains(t, stdout, "example.com/good")
			require.Contains(t, stdout, "1 good, 1 bad, 0 skipped, 0 timed out")
		})
	}
}

func TestZipWithoutHashIsSkippedNotBad(t *testing.T) {
	cache := newTestCache(t)
	cache.add("example.com/a", "v1.0.0")
	require.NoError(t, os.Remove(hashFileOf(cache.add("example.com/b", "v1.0.0"))))
	status, stdout, _ := verifyArgs(t.Context(), "-dir", cache.dir)
	require.Equal(t, exitGood, status)
	require.Contains(t, stdout, "skipped: example.com/b@v1.0.0: no .ziphash file to compare with\n")
	require.Contains(t, stdout, "1 good, 0 bad, 1 skipped, 0 timed out")
}

func TestEmptyCacheNamesTheCommandThatFillsIt(t *testing.T) {
	dir := t.TempDir()
	status, stdout, _ := verifyArgs(t.Context(), "-dir", dir)
	require.Equal(t, exitGood, status)
	require.Contains(t, stdout, "no module zips in "+dir)
	require.Contains(t, stdout, "GOMODCACHE="+dir+" go mod download")

	t.Setenv("GOMODCACHE", filepath.Join(dir, "not", "made", "yet"))
	status, stdout, _ = verifyArgs(t.Context())
	require.Equal(t, exitGood, status)
	require.Contains(t, stdout, ": go mod download\n")
}

func TestOnlyModuleZipsAreChecked(t *testing.T) {
	cache := newTestCache(t)
	zip := cache.add("example.com/a", "v1.0.0")
	for _, other := range []string{zip + "123.tmp", filepath.Join(cache.dir, "cache", "download", "stray.zip")} {
		require.NoError(t, os.WriteFile(other, []byte("not a zip"), 0o644))
	}
	require.Len(t, cache.archives(), 1)
}

func TestLargestArchiveComesFirst(t *testing.T) {
	cache := newTestCache(t)
	cache.add("example.com/small", "v1.0.0")
	writeZip(t, cache.add("example.com/zlarge", "v1.0.0"), map[string]string{strings.Repeat("name", 5000): ""})
	archives := cache.archives()
	require.Equal(t, "example.com/zlarge@v1.0.0", archives[0].name)
	require.Greater(t, archives[0].size, archives[1].size)
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
		require.Equal(t, exitUsage, status, "-%s=%s", tt.flag, tt.value)
		require.Empty(t, stdout)
		require.Regexp(t, `invalid (boolean )?value "`+tt.value+`" for (flag )?-`+tt.flag, stderr)
	}

	status, _, stderr := verifyArgs(t.Context(), "extra")
	require.Equal(t, exitUsage, status)
	require.Contains(t, stderr, `unexpected argument "extra"`)

	status, _, stderr = verifyArgs(t.Context(), "-help")
	require.Equal(t, exitGood, status)
	require.Contains(t, stderr, "-compare")
}

func TestCompareMeasuresTheSpeedUp(t *testing.T) {
	cache := newTestCache(t)
	cache.add("example.com/a", "v1.0.0")
	cache.add("example.com/b", "v1.0.0")
	status, stdout, stderr := verifyArgs(t.Context(), "-dir", cache.dir, "-workers", "2", "-compare")
	require.Equal(t, exitGood, status, stderr)
	require.Regexp(t, `speed-up over one worker: \d+\.\d\d \(\S+ with one, \S+ with 2\)`, stdout)
}

// blocked is a hash function that takes as long as its context lets it.
func blocked(ctx context.Context, _ string) (string, error) {
	<-ctx.Done()
	return "", context.Cause(ctx)
}

func TestSlowZipTimesOutAtTheLimit(t *testing.T) {
	cache := newTestCache(t)
	cache.add("example.com/fast", "v1.0.0")
	slow := cache.add("example.com/slow", "v1.0.0")
	archives := cache.archives()
	synctest.Test(t, func(t *testing.T) {
		c := checker{timeout: time.Minute, hash: func(ctx context.Context, path string) (string, error) {
			if path == slow {
				return blocked(ctx, path)
			}
			return hashZip(ctx, path)
		}}
		var stdout, stderr bytes.Buffer
		start := time.Now()
		status, err := c.check(t.Context(), 1, archives, &stdout, &stderr)
		require.NoError(t, err)
		require.Equal(t, exitBad, status)
		require.Equal(t, time.Minute, time.Since(start))
		require.Contains(t, stdout.String(), "timed out: example.com/slow@v1.0.0: ")
		require.Contains(t, stdout.String(), "1 good, 0 bad, 0 skipped, 1 timed out")
	})
}

func TestInterruptSaysHowManyWereDone(t *testing.T) {
	cache := newTestCache(t)
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		cache.add("example.com/"+name, "v1.0.0")
	}
	archives := cache.archives()
	synctest.Test(t, func(t *testing.T) {
		ctx, interrupt := context.WithCancelCause(t.Context())
		pulled := errors.New("somebody pulled the plug")
		begun := 0 // by one worker
		c := checker{hash: func(ctx context.Context, path string) (string, error) {
			if begun++; begun == 3 {
				interrupt(pulled)
				return blocked(ctx, path)
			}
			return hashZip(ctx, path)
		}}
		var stdout, stderr bytes.Buffer
		status, err := c.check(ctx, 1, archives, &stdout, &stderr)
		require.ErrorIs(t, err, pulled)
		require.Equal(t, exitInterrupted, status)
		require.Contains(t, stdout.String(), "2 of 5 zips done")
		require.Contains(t, stdout.String(), "2 good, 0 bad, 0 skipped, 0 timed out")
	})
}

func TestInterruptBeforeTheStart(t *testing.T) {
	cache := newTestCache(t)
	cache.add("example.com/a", "v1.0.0")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, args := range [][]string{nil, {"-dir", cache.dir}, {"-dir", cache.dir, "-compare"}} {
		status, stdout, stderr := verifyArgs(ctx, args...)
		require.Equal(t, exitInterrupted, status)
		require.Equal(t, "interrupted: context canceled\n", stdout)
		require.Empty(t, stderr)
	}
}

func TestHashingStopsWhenItsContextEnds(t *testing.T) {
	zip := newTestCache(t).add("example.com/a", "v1.0.0")
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	cancel(enough)
	_, err := hashZip(ctx, zip)
	require.ErrorIs(t, err, enough)
}

func TestBarIsFullWhenAllIsDone(t *testing.T) {
	archives := []archive{{size: 1000}, {size: 2000}}
	var out bytes.Buffer
	b := newBar("checked", archives, mpb.WithOutput(&out), mpb.WithAutoRefresh(), mpb.WithWidth(80))
	for _, a := range archives {
		b.add(result{In: a})
	}
	b.end()
	require.True(t, b.bar.Completed())
	require.Contains(t, out.String(), "3.0 KB / 3.0 KB")
}

func TestBarOfAnInterruptedPassEnds(t *testing.T) {
	archives := []archive{{size: 1000}, {size: 2000}}
	b := newBar("checked", archives, mpb.WithOutput(new(bytes.Buffer)), mpb.WithAutoRefresh())
	b.add(result{In: archives[0]})
	b.end()
	require.True(t, b.bar.Aborted())
}

func TestFilesAreNoTerminals(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	defer f.Close()
	require.False(t, isTerminal(f))
	require.False(t, isTerminal(new(bytes.Buffer)))
}
