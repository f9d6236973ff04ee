package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// mutation is one edit of one file of the pool.
type mutation struct {
	name   string
	file   string
	old    string // occurs exactly once in the file
	new    string
	breaks string // the promise that a test should see broken
}

type verdict string

const (
	killed   verdict = "killed"
	survived verdict = "SURVIVED"
	misfit   verdict = "MISFIT" // the edit does not fit the source, or the result does not compile
)

// result is the result of a mutation.
type result struct {
	verdict verdict
	by      string // the test that failed first, or what is wrong with the mutation
	took    time.Duration
}

// test applies m to a copy of the source and runs the tests on it: those of the
// pool first, because they are faster, then those of modeltest.
func test(ctx context.Context, source string, m mutation) (r result) {
	began := time.Now()
	defer func() { r.took = time.Since(began) }()
	dir, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		return result{verdict: misfit, by: err.Error()}
	}
	defer os.RemoveAll(dir)
	if err := errors.Join(copyModule(dir, source), apply(dir, m)); err != nil {
		return result{verdict: misfit, by: err.Error()}
	}
	if out, err := command(ctx, dir, "build", "."); err != nil {
		return result{verdict: misfit, by: firstLine(out)}
	}
	for _, s := range suites {
		args := append([]string{"test", "-count=1", "-failfast", "-vet=off", "-gcflags=-N -l", "-ldflags=-s -w"}, s.args...)
		out, err := command(ctx, filepath.Join(dir, s.dir), append(args, ".")...)
		switch {
		case err == nil:
		case bytes.Contains(out, []byte("[build failed]")), bytes.Contains(out, []byte("[setup failed]")):
			return result{verdict: misfit, by: firstLine(out)}
		default:
			return result{verdict: killed, by: s.name + ": " + firstFailure(out)}
		}
	}
	return result{verdict: survived, by: m.breaks}
}

// suites are the tests that may kill a mutation, the fastest first. A test that hangs
// kills it too: the time limits are about ten times what the tests take. Most of the
// time is spent compiling the tests, so they are compiled without optimization.
var suites = []struct {
	name, dir string
	args      []string
}{
	{"sched", "internal/sched", []string{"-timeout=60s"}},
	{"pool", ".", []string{"-timeout=2m"}},
	{"modeltest", "modeltest", []string{"-short", "-timeout=30s"}},
	{"modeltest", "modeltest", []string{"-timeout=3m"}},
}

// apply makes the edit.
func apply(dir string, m mutation) error {
	if m.file == "" {
		return nil
	}
	text, err := m.edit(dir)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, m.file), text, 0o644)
}

// edit returns the file in dir with the edit made.
func (m mutation) edit(dir string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(dir, m.file))
	if err != nil {
		return nil, err
	}
	if n := bytes.Count(text, []byte(m.old)); n != 1 {
		return nil, fmt.Errorf("its text occurs %d times in %s", n, m.file)
	}
	return bytes.Replace(text, []byte(m.old), []byte(m.new), 1), nil
}

// copyModule copies the pool's module and modeltest.
func copyModule(dir, source string) error {
	return filepath.WalkDir(source, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(source, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			top, _, _ := strings.Cut(filepath.ToSlash(rel), "/")
			if top != "." && top != "internal" && top != "modeltest" && top != "testdata" {
				return filepath.SkipDir
			}
			return os.MkdirAll(filepath.Join(dir, rel), 0o755)
		}
		if strings.HasPrefix(d.Name(), "go.work") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, rel), text, 0o644)
	})
}

// snapshot copies the source once, so that all mutations are applied to the same source
// even if somebody edits it meanwhile.
func snapshot(ctx context.Context) (dir string, err error) {
	source, err := findModule(ctx)
	if err != nil {
		return "", err
	}
	if dir, err = os.MkdirTemp("", "mutate-source-"); err != nil {
		return "", err
	}
	return dir, copyModule(dir, source)
}

// findModule returns the directory of the pool's module, from anywhere in the
// repository.
func findModule(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "example.com/dispatch")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

func command(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	return cmd.CombinedOutput()
}

var failure = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)|^panic: (.*)|^fatal error: (.*)`)

// firstFailure returns the test that failed first, or the reason why the test binary
// ended.
func firstFailure(out []byte) string {
	var first string
	for _, m := range failure.FindAllSubmatch(out, -1) {
		for _, group := range m[1:] {
			if len(group) > 0 && (first == "" || strings.HasPrefix(string(group), first+"/")) {
				first = string(group)
			}
		}
	}
	if first == "" {
		return firstLine(out)
	}
	return first
}

func firstLine(out []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line
}
