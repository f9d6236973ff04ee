package snippets

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
)

// A checker type-checks snippets.
type checker struct {
	fset     *token.FileSet
	importer types.Importer
	paths    map[string]string // import paths by package name, of the packages that a snippet may use
	names    *ast.File         // declarations that a snippet may use
}

// newChecker takes about a second, so the tests share one checker.
var newChecker = sync.OnceValues(func() (*checker, error) {
	c := &checker{fset: token.NewFileSet(), paths: map[string]string{}}
	f, err := parser.ParseFile(c.fset, "others/imports.go", nil, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, spec := range f.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	if c.names, err = parser.ParseFile(c.fset, "testdata/names.go", nil, 0); err != nil {
		return nil, err
	}

	// The go command knows where the compiler has stored the types of each package.
	const line = "{{.ImportPath}} {{.Name}} {{.DepOnly}} {{.Export}}"
	list := exec.Command("go", append([]string{"list", "-C=others", "-export", "-deps", "-f", line, "--"}, paths...)...)
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	compiled := map[string]string{} // file by import path
	for l := range strings.Lines(string(out)) {
		var path, name, file string
		var depOnly bool
		if _, err := fmt.Sscan(l, &path, &name, &depOnly, &file); err != nil {
			continue // unsafe has no file
		}
		compiled[path] = file
		if !depOnly {
			c.paths[name] = path
		}
	}
	c.importer = importer.ForCompiler(c.fset, "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(compiled[path])
	})
	return c, nil
})

// check returns the errors of the snippet, with the place of each in its document.
func (c *checker) check(s snippet) error {
	f, whole, err := c.parse(s)
	if err != nil {
		return err
	}
	var errs []error
	cfg := types.Config{
		Importer: c.importer,
		Error: func(err error) {
			// A fragment may end before it uses the variables it declares.
			if e, ok := errors.AsType[types.Error](err); ok && e.Soft && !whole {
				return
			}
			errs = append(errs, err)
		},
	}
	_, _ = cfg.Check("snippet", c.fset, []*ast.File{c.names, f}, nil)
	return errors.Join(errs...)
}

// parse parses the snippet as declarations if possible, and otherwise as the body of a
// function that returns an error.
func (c *checker) parse(s snippet) (f *ast.File, whole bool, err error) {
	place := fmt.Sprintf("\n//line %s:%d\n", s.file, s.line) // where it stands in its document
	for _, form := range []struct {
		whole         bool
		before, after string
	}{
		{true, place, ""},
		{false, "func _(ctx context.Context) error {" + place, "\nreturn nil\n}\n"},
	} {
		f, err = parser.ParseFile(c.fset, "", "package snippet;"+form.before+s.text+form.after, 0)
		if err == nil {
			text := "package snippet;" + c.imports(f) + form.before + s.text + form.after
			f, err = parser.ParseFile(c.fset, "", text, parser.SkipObjectResolution)
			return f, form.whole, err
		}
	}
	return nil, false, err
}

// imports returns import declarations for the packages that f names.
func (c *checker) imports(f *ast.File) string {
	var b bytes.Buffer
	seen := map[string]bool{}
	for _, id := range f.Unresolved {
		if path, ok := c.paths[id.Name]; ok && !seen[id.Name] {
			seen[id.Name] = true
			fmt.Fprintf(&b, "import %s %q;", id.Name, path)
		}
	}
	return b.String()
}
