package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"time"

	"example.com/dispatch/examples/internal/words"
)

// A survey has the statistics of a tree. One goroutine may use it at a time.
type survey struct {
	files, broken    int
	lines, functions int
	bytes            int64
	longest          []function
	packages         map[string]*folder         // by path from the root
	importers        map[string]map[string]bool // of an import path: packages
}

// A folder is a folder with Go files in it.
type folder struct {
	files, lines int
}

func newSurvey() *survey {
	return &survey{packages: make(map[string]*folder), importers: make(map[string]map[string]bool)}
}

// add adds the facts of one file. The lists get no longer than top needs.
func (s *survey) add(f file, found facts, top int) {
	s.files++
	s.lines += found.lines
	s.bytes += found.bytes
	dir := path.Dir(f.name)
	p := s.packages[dir]
	if p == nil {
		p = new(folder)
		s.packages[dir] = p
	}
	p.files++
	p.lines += found.lines
	if found.broken {
		s.broken++
		return
	}
	s.functions += found.functions
	s.longest = longest(append(s.longest, found.longest...), top)
	for _, name := range found.imports {
		if s.importers[name] == nil {
			s.importers[name] = make(map[string]bool)
		}
		s.importers[name][dir] = true
	}
}

// longest returns at most n functions, the longest first. Functions of equal length
// are in the order of their places. It reorders its argument.
func longest(functions []function, n int) []function {
	slices.SortFunc(functions, func(a, b function) int {
		return cmp.Or(cmp.Compare(b.lines, a.lines), cmp.Compare(a.where, b.where))
	})
	return functions[:min(n, len(functions))]
}

// biggest returns the paths of at most n packages, those with the most lines first.
func (s *survey) biggest(n int) []string {
	return first(s.packages, n, func(p *folder) int { return p.lines })
}

// mostImported returns at most n import paths, those that the most packages import
// first.
func (s *survey) mostImported(n int) []string {
	return first(s.importers, n, func(by map[string]bool) int { return len(by) })
}

// first returns at most n keys of all, in decreasing order of the size of their
// values. Keys whose values have equal sizes are in alphabetical order.
func first[V any](all map[string]V, n int, size func(V) int) []string {
	names := slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		return cmp.Or(cmp.Compare(size(all[b]), size(all[a])), cmp.Compare(a, b))
	})
	return names[:min(n, len(names))]
}

// print writes the lists, of top lines each, and then the totals. They come last so
// that a user sees them at the end of the output.
func (s *survey) print(w io.Writer, top int) {
	fmt.Fprintln(w, "\nlongest functions (lines)")
	for _, f := range s.longest {
		fmt.Fprintf(w, "%9s  %s  %s\n", words.Number(f.lines), f.name, f.where)
	}
	fmt.Fprintln(w, "\nbiggest packages (lines)")
	for _, name := range s.biggest(top) {
		p := s.packages[name]
		fmt.Fprintf(w, "%9s  %s  %s\n", words.Number(p.lines), name, words.Count(p.files, "file"))
	}
	fmt.Fprintln(w, "\nmost imported (by packages)")
	for _, name := range s.mostImported(top) {
		fmt.Fprintf(w, "%9s  %s\n", words.Number(len(s.importers[name])), name)
	}
	fmt.Fprintf(w, "\n%s in %s, %s, %s, %s\n", words.Count(s.files, "file"), words.Count(len(s.packages), "package"),
		words.Count(s.functions, "function"), words.Count(s.lines, "line"), words.Bytes(s.bytes))
	if s.broken > 0 {
		fmt.Fprintf(w, "not valid Go: %s (tests of compilers have such files)\n", words.Count(s.broken, "file"))
	}
}

// printSpeed writes how fast the tree was read.
func (s *survey) printSpeed(w io.Writer, workers int, elapsed time.Duration) {
	seconds := elapsed.Seconds()
	fmt.Fprintf(w, "%v on %s: %s lines and %s a second\n", words.Time(elapsed), words.Count(workers, "worker"),
		words.Number(int(float64(s.lines)/seconds)), words.Bytes(int64(float64(s.bytes)/seconds)))
}
