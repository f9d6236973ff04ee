package main

import (
	"bytes"
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
)

// facts has the statistics of one file.
type facts struct {
	bytes     int64
	lines     int
	broken    bool       // the file is not valid Go; the fields below are not set
	functions int        // functions and methods with a name
	longest   []function // the longest of them, the longest first
	imports   []string
}

// A function is a function that may be among the longest.
type function struct {
	name  string
	where string // file:line
	lines int
}

// A sourceParser is a worker of the pool. It runs one job at a time, so its fields
// need no lock, and buffers that one file has made grow serve the next file.
type sourceParser struct {
	dir   string
	top   int // how many functions to return
	src   bytes.Buffer
	files *token.FileSet
}

func newSourceParser(dir string, top int) *sourceParser {
	return &sourceParser{dir: dir, top: top, files: token.NewFileSet()}
}

// Process parses one file. No file takes long, so it checks ctx only at the start.
func (p *sourceParser) Process(ctx context.Context, f file) (facts, error) {
	if ctx.Err() != nil {
		return facts{}, context.Cause(ctx)
	}
	if err := p.read(f); err != nil {
		return facts{}, err
	}
	src := p.src.Bytes()
	found := facts{bytes: int64(len(src)), lines: countLines(src)}

	base := p.files.Base()
	tree, err := parser.ParseFile(p.files, f.name, src, parser.SkipObjectResolution)
	// A file set keeps the data of each file until the file is removed from it.
	defer func() { p.files.RemoveFile(p.files.File(token.Pos(base))) }()
	if err != nil {
		found.broken = true
		return found, nil
	}
	for _, spec := range tree.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return facts{}, err
		}
		found.imports = append(found.imports, path)
	}
	for _, decl := range tree.Decls {
		if decl, ok := decl.(*ast.FuncDecl); ok {
			found.functions++
			found.longest = append(found.longest, p.function(decl))
		}
	}
	found.longest = longest(found.longest, p.top)
	return found, nil
}

// read reads a file into the worker's buffer.
func (p *sourceParser) read(f file) error {
	in, err := os.Open(filepath.Join(p.dir, filepath.FromSlash(f.name)))
	if err != nil {
		return err
	}
	defer in.Close()
	p.src.Reset()
	_, err = p.src.ReadFrom(in)
	return err
}

func (p *sourceParser) function(decl *ast.FuncDecl) function {
	from, to := p.files.PositionFor(decl.Pos(), false), p.files.PositionFor(decl.End(), false)
	name := decl.Name.Name
	if decl.Recv != nil && len(decl.Recv.List) == 1 {
		name = receiver(decl.Recv.List[0].Type) + "." + name
	}
	return function{
		name:  name,
		where: from.Filename + ":" + strconv.Itoa(from.Line),
		lines: to.Line - from.Line + 1,
	}
}

// receiver returns the name of a method's type.
func receiver(t ast.Expr) string {
	switch t := t.(type) {
	case *ast.StarExpr:
		return receiver(t.X)
	case *ast.ParenExpr:
		return receiver(t.X)
	case *ast.IndexExpr:
		return receiver(t.X)
	case *ast.IndexListExpr:
		return receiver(t.X)
	case *ast.Ident:
		return t.Name
	}
	return "?"
}

// countLines returns the number of lines. It counts a last line without a newline too.
func countLines(src []byte) int {
	n := bytes.Count(src, []byte{'\n'})
	if len(src) > 0 && src[len(src)-1] != '\n' {
		n++
	}
	return n
}
