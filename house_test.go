package dispatch_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// How many files may name each other's declarations. These are upper limits. Lower them
// when a change makes a smaller number possible.
var house = []struct {
	dir    string
	arrows int // pairs of files of which the first names a declaration of the second
	circle int // files that reach each other by arrows
}{
	{"internal/sched", 103, 11},
	{".", 70, 5},
}

func TestFilesNameEachOtherNoMoreThanTheyDid(t *testing.T) {
	m := &measure{fset: token.NewFileSet(), checked: map[string]*types.Package{}}
	for _, h := range house {
		arrows := m.arrows(t, h.dir)
		n := 0
		for _, to := range arrows {
			n += len(to)
		}
		circle := largestCircle(arrows)
		t.Logf("%s: %d files, %d arrows, a circle of %d", h.dir, len(arrows), n, len(circle))
		require.LessOrEqual(t, n, h.arrows, "arrows in %s", h.dir)
		require.LessOrEqual(t, len(circle), h.circle, "files in the largest circle of %s: %v", h.dir, circle)
	}
}

// measure finds out which files name declarations of which other files.
type measure struct {
	fset    *token.FileSet
	checked map[string]*types.Package // by path
}

// Import implements types.Importer. A package outside the module is taken as empty: no
// arrow leads there, and type-checking the standard library takes seconds.
func (m *measure) Import(path string) (*types.Package, error) {
	if m.checked[path] == nil {
		m.checked[path] = types.NewPackage(path, filepath.Base(path))
		m.checked[path].MarkComplete()
	}
	return m.checked[path], nil
}

// arrows type-checks the package in dir. It returns, for each of its files, the other files
// of which it names a declaration.
func (m *measure) arrows(t *testing.T, dir string) map[string]map[string]bool {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	var files []*ast.File
	arrows := map[string]map[string]bool{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(m.fset, name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		files = append(files, f)
		arrows[name] = map[string]bool{}
	}
	info := types.Info{Uses: map[*ast.Ident]types.Object{}}
	cfg := types.Config{Importer: m, Error: func(error) {}} // errors about packages that are taken as empty
	path := filepath.ToSlash(filepath.Join("example.com/dispatch", dir))
	pkg, _ := cfg.Check(path, m.fset, files, &info)
	m.checked[path] = pkg
	for id, obj := range info.Uses {
		if obj.Pkg() != pkg {
			continue
		}
		from, to := m.fset.Position(id.Pos()).Filename, m.fset.Position(obj.Pos()).Filename
		if from != to {
			arrows[from][to] = true
		}
	}
	return arrows
}

// largestCircle returns the largest set of files that all reach each other.
func largestCircle(arrows map[string]map[string]bool) (largest []string) {
	reached := map[string]map[string]bool{}
	for from := range arrows {
		reached[from] = map[string]bool{}
		todo := []string{from}
		for len(todo) > 0 {
			at := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			for to := range arrows[at] {
				if !reached[from][to] {
					reached[from][to] = true
					todo = append(todo, to)
				}
			}
		}
	}
	for a := range arrows {
		circle := []string{a}
		for b := range arrows {
			if b != a && reached[a][b] && reached[b][a] {
				circle = append(circle, b)
			}
		}
		if len(circle) > len(largest) {
			largest = circle
		}
	}
	return largest
}
