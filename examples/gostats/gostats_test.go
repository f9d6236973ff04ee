package main

import (
	"bytes"
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"example.com/dispatch/examples/internal/cli"
	"example.com/dispatch/examples/internal/cli/clitest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// newTree writes files, given by name, to a new folder.
func newTree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	}
	return dir
}

// statsArgs runs the program as main does.
var statsArgs = clitest.New("gostats", run)

// goSource returns the folder of Go's own source.
func goSource(t *testing.T) string {
	t.Helper()
	dir, err := sourceDir(t.Context())
	require.NoError(t, err)
	return dir
}

// surveyOf parses a tree on a pool.
func surveyOf(t *testing.T, dir string, workers, top int) *survey {
	t.Helper()
	files, err := findFiles(t.Context(), dir)
	require.NoError(t, err)
	tour, err := newTour(options{dir: dir, workers: workers, top: top}, files, cli.Streams{Out: io.Discard, Err: io.Discard})
	require.NoError(t, err)
	defer tour.pool.Close()
	s, _, err := tour.pass(t.Context(), "parsed")
	require.NoError(t, err)
	return s
}

// counted has the results of a loop that uses neither a pool nor the program's code.
type counted struct {
	files, broken, functions, lines int
	bytes                           int64
	packages                        map[string]int             // lines of each
	importers                       map[string]map[string]bool // of each path
	longest                         int                        // lines
}

func countInALoop(t *testing.T, dir string) counted {
	t.Helper()
	c := counted{packages: make(map[string]int), importers: make(map[string]map[string]bool)}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !strings.HasSuffix(path, ".go") {
			return err
		}
		src, err := os.ReadFile(path)
		require.NoError(t, err)
		rel, err := filepath.Rel(dir, filepath.Dir(path))
		require.NoError(t, err)
		c.files++
		c.bytes += int64(len(src))
		for range strings.Lines(string(src)) {
			c.lines++
			c.packages[filepath.ToSlash(rel)]++
		}
		files := token.NewFileSet()
		tree, err := parser.ParseFile(files, path, src, parser.AllErrors)
		if err != nil {
			c.broken++
			return nil
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				c.functions++
				c.longest = max(c.longest, files.PositionFor(n.End(), false).Line-files.PositionFor(n.Pos(), false).Line+1)
			case *ast.ImportSpec:
				name := strings.Trim(n.Path.Value, "\"`")
				if c.importers[name] == nil {
					c.importers[name] = make(map[string]bool)
				}
				c.importers[name][filepath.ToSlash(rel)] = true
			}
			return true
		})
		return nil
	}))
	return c
}

func TestTotalsAreThoseOfALoopWithoutAPool(t *testing.T) {
	dir := filepath.Join(goSource(t), "go") // some 500 files, some of them broken
	want := countInALoop(t, dir)
	require.Positive(t, want.broken)
	require.Greater(t, want.functions, 1000)
	for _, workers := range []int{1, 2, 7} {
		s := surveyOf(t, dir, workers, 10)
		require.Equal(t, want.files, s.files)
		require.Equal(t, want.broken, s.broken)
		require.Equal(t, want.functions, s.functions)
		require.Equal(t, want.lines, s.lines)
		require.Equal(t, want.bytes, s.bytes)
		require.Equal(t, want.importers, s.importers)
		require.Equal(t, want.longest, s.longest[0].lines)
		require.Len(t, s.longest, 10)
		lines := make(map[string]int)
		for name, p := range s.packages {
			lines[name] = p.lines
		}
		require.Equal(t, want.packages, lines)
	}
}

func TestAnyNumberOfWorkersFindsTheSame(t *testing.T) {
	dir := filepath.Join(goSource(t), "encoding")
	require.Equal(t, surveyOf(t, dir, 1, 7), surveyOf(t, dir, 5, 7))
}

func TestTheReportNamesWhatStandsOut(t *testing.T) {
	dir := newTree(t, map[string]string{
		"a/a.go":       "package a\n\nimport \"fmt\"\n\nfunc f() {\n\tfmt.Println()\n}\n",
		"a/b.go":       "package a\n\nimport (\n\t\"fmt\"\n\t\"os\"\n)\n\nfunc (t *T[K]) Long() {\n\n\n\tfmt.Println(os.Args)\n}\n",
		"c/c.go":       "package c\n\nimport \"fmt\"\n\nvar _ = fmt.Sprint",
		"c/broken.go":  "package c\n\nfunc {\n",
		"c/readme.txt": "no source",
	})
	status, stdout, stderr := statsArgs(t.Context(), "-dir", dir, "-workers", "2", "-top", "2")
	require.Equal(t, cli.Good, status, stderr)
	require.Contains(t, stdout, "longest functions (lines)\n        5  T.Long  a/b.go:8\n        3  f  a/a.go:5\n\n")
	require.Contains(t, stdout, "biggest packages (lines)\n       19  a  2 files\n        8  c  2 files\n\n")
	require.Contains(t, stdout, "most imported (by packages)\n        2  fmt\n        1  os\n\n")
	require.Contains(t, stdout, "4 files in 2 packages, 2 functions, 27 lines, ")
	require.Contains(t, stdout, "not valid Go: 1 file ")
	require.Regexp(t, `on 2 workers: [\d,]+ lines and .*B a second\n`, stdout)
	require.Contains(t, stderr, "parsed: 4 of 4 files\n")
}

func TestCompareMeasuresTheSpeedUp(t *testing.T) {
	dir := newTree(t, map[string]string{"a.go": "package a\n", "b.go": "package a\n"})
	status, stdout, stderr := statsArgs(t.Context(), "-dir", dir, "-workers", "2", "-compare")
	require.Equal(t, cli.Good, status, stderr)
	require.Regexp(t, `speed-up over one worker: \d+\.\d\d \(\S+ with one, \S+ with 2\)`, stdout)
}

func TestAFileThatCannotBeReadIsAnError(t *testing.T) {
	dir := newTree(t, map[string]string{"a.go": "package a\n"})
	tour, err := newTour(options{dir: dir, workers: 1, top: 1}, []file{{name: "gone.go", size: 1}, {name: "a.go", size: 10}}, cli.Streams{Out: io.Discard, Err: io.Discard})
	require.NoError(t, err)
	defer tour.pool.Close()
	s, _, err := tour.pass(t.Context(), "parsed")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "gone.go")
	require.Equal(t, 1, s.files, "the others are read all the same")
}

func TestAWorkerForgetsTheFilesItHasParsed(t *testing.T) {
	dir := newTree(t, map[string]string{"a.go": "package a\n", "broken.go": "func"})
	p := newSourceParser(dir, 1)
	for _, name := range []string{"a.go", "broken.go", "a.go"} {
		_, err := p.Process(t.Context(), file{name: name})
		require.NoError(t, err)
	}
	p.files.Iterate(func(f *token.File) bool {
		require.Fail(t, "left", f.Name())
		return false
	})
}

// A writer calls its function with what is written.
type writer func(string)

func (w writer) Write(p []byte) (int, error) {
	w(string(p))
	return len(p), nil
}

func TestAnInterruptSaysHowManyFilesWereDone(t *testing.T) {
	ctx, interrupt := context.WithCancelCause(t.Context())
	var errs bytes.Buffer
	stderr := writer(func(text string) {
		errs.WriteString(text)
		interrupt(cli.Signal{Signal: os.Interrupt}) // once a tenth of the files is done
	})
	status := cli.Run(ctx, "gostats", run, nil, cli.Streams{Out: io.Discard, Err: stderr})
	require.Equal(t, 130, status)
	require.Regexp(t, `(?m)^gostats: interrupted after [\d,]+ of [\d,]+ files\n\z`, errs.String())

	status, stdout, _ := statsArgs(ctx)
	require.Equal(t, 130, status)
	require.Empty(t, stdout)
}

func TestThePageStaysUntilTheInterrupt(t *testing.T) {
	dir := newTree(t, map[string]string{"a.go": "package a\n"})
	ctx, interrupt := context.WithCancelCause(t.Context())
	var out bytes.Buffer
	told := make(chan struct{})
	stderr := writer(func(text string) {
		if strings.Contains(text, "the live page stays until Ctrl-C") {
			close(told)
		}
	})
	over := make(chan int, 1)
	go func() {
		over <- cli.Run(ctx, "gostats", run, []string{"-dir", dir, "-http", "127.0.0.1:0"}, cli.Streams{Out: &out, Err: stderr})
	}()
	<-told
	require.Contains(t, out.String(), "1 file in 1 package")
	url := regexp.MustCompile(`http://127\.0\.0\.1:\d+/`).FindString(out.String())
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url + "?format=text")
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Contains(t, string(text), "gostats: idle")
	interrupt(cli.Signal{Signal: os.Interrupt})
	require.Equal(t, cli.Good, <-over, "the work was done")
}

func TestWrongFlags(t *testing.T) {
	statsArgs.RequireRefused(t, map[string]string{
		"-workers 0":   `invalid value "0" for flag -workers`,
		"-top none":    `invalid value "none" for flag -top`,
		"-dir missing": `invalid value "missing" for flag -dir`,
		"-http 8080":   `invalid value "8080" for flag -http`,
		"extra":        `unexpected argument "extra"`,
	})
	statsArgs.RequireHelp(t, "gostats")

	dir := t.TempDir()
	status, stdout, _ := statsArgs(t.Context(), "-dir", dir)
	require.Equal(t, cli.Good, status)
	require.Equal(t, "no Go files in "+dir+"\n", stdout)
}
