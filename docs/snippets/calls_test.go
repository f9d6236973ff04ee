package snippets

import (
	"fmt"
	"go/types"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// others lists the packages of other pools that the guides are about.
var others = map[string][]string{
	"tunny":                {"github.com/Jeffail/tunny"},
	"ants":                 {"github.com/panjf2000/ants/v2"},
	"pond":                 {"github.com/alitto/pond/v2"},
	"errgroup":             {"golang.org/x/sync/errgroup"},
	"conc":                 {"github.com/sourcegraph/conc/pool", "github.com/sourcegraph/conc/stream", "github.com/sourcegraph/conc/iter", "github.com/sourcegraph/conc/panics"},
	"gammazero/workerpool": {"github.com/gammazero/workerpool"},
	"go-playground/pool":   {"gopkg.in/go-playground/pool.v3"},
	"grpool":               {"github.com/ivpusic/grpool"},
	"mortar":               {"github.com/wazsmwazsm/mortar"},
}

// api returns the exported names of packages: declarations, methods and fields.
func (c *checker) api(t *testing.T, paths ...string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	add := func(obj types.Object) {
		if obj.Exported() {
			names[obj.Name()] = true
		}
	}
	for _, path := range paths {
		pkg, err := c.importer.Import(path)
		require.NoError(t, err)
		for _, name := range pkg.Scope().Names() {
			obj := pkg.Scope().Lookup(name)
			add(obj)
			if _, ok := obj.(*types.TypeName); !ok || !obj.Exported() {
				continue
			}
			for m := range types.NewMethodSet(types.NewPointer(obj.Type())).Methods() {
				add(m.Obj())
			}
			switch u := obj.Type().Underlying().(type) {
			case *types.Interface:
				for m := range u.Methods() {
					add(m)
				}
			case *types.Struct:
				for f := range u.Fields() {
					add(f)
				}
			}
		}
	}
	return names
}

var (
	codeSpan = regexp.MustCompile("`[^`]+`")
	exported = regexp.MustCompile(`(?:\b([a-z]\w*)\.)?\b([A-Z]\w+)`) // longer than a type parameter
)

// unknown returns the exported names in the code of a cell that known does not have,
// other than those of the packages.
func unknown(cell string, known map[string]bool, packages ...string) (names []string) {
	for _, code := range codeSpan.FindAllString(cell, -1) {
		for _, m := range exported.FindAllStringSubmatch(code, -1) {
			if qualifier, name := m[1], m[2]; !known[name] && !slices.Contains(packages, qualifier) {
				names = append(names, name)
			}
		}
	}
	return names
}

func TestEachCallInATableIsThere(t *testing.T) {
	c, err := newChecker()
	require.NoError(t, err)
	here := c.api(t, "example.com/dispatch")
	for _, hook := range []string{"Ready", "Interrupt"} {
		here[hook] = true // optional methods of a Worker
	}
	var missing []string
	for _, file := range []string{"README.md", "docs/MIGRATING.md"} {
		var there map[string]bool // nil: the guide is about a package that is not Go, or that no module here requires
		guide, line, rows := "", 0, 0
		for l := range strings.Lines(read(t, file)) {
			line++
			if heading, ok := strings.CutPrefix(strings.TrimSpace(l), "## "); ok {
				guide, there = heading, nil
				if others[guide] != nil {
					there = c.api(t, others[guide]...)
				}
			}
			cells := strings.Split(l, "|")
			if len(cells) != 4 {
				continue
			}
			rows++
			for _, name := range unknown(cells[2], here, "context", "errors", "runtime", "slices", "slog") {
				missing = append(missing, fmt.Sprintf("%s:%d: dispatch has no %s", file, line, name))
			}
			if there == nil {
				continue
			}
			for _, name := range unknown(cells[1], there) {
				missing = append(missing, fmt.Sprintf("%s:%d: %s has no %s", file, line, guide, name))
			}
		}
		require.NotZero(t, rows, file)
	}
	require.Empty(t, missing)
}
