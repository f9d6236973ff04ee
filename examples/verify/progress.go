package main

import (
	"fmt"
	"io"
	"os"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// A progress shows how far a pass over the archives has come.
type progress interface {
	add(r result)
	end() // once, after the last add; the pass may have been cut short
}

// newProgress shows a bar where w is a terminal, and plain lines elsewhere.
func newProgress(w io.Writer, label string, archives []archive) progress {
	if isTerminal(w) {
		return newBar(label, archives, mpb.WithOutput(w))
	}
	return &lines{w: w, label: label, total: len(archives)}
}

// isTerminal asks for the width as well: a terminal that has none, as some
// recorders and build systems make them, has no room for a bar.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	return err == nil && width > 0
}

// A bar grows with the bytes that are done, since zips differ in size by a
// factor of thousands.
type bar struct {
	container *mpb.Progress
	bar       *mpb.Bar
}

func newBar(label string, archives []archive, opts ...mpb.ContainerOption) *bar {
	var total int64
	for _, a := range archives {
		total += a.size
	}
	container := mpb.New(opts...)
	return &bar{
		container: container,
		bar: container.AddBar(total,
			mpb.PrependDecorators(decor.Name(label), decor.CountersKiloByte(" % .1f / % .1f ")),
			mpb.AppendDecorators(decor.Percentage(decor.WC{W: 5})),
		),
	}
}

func (b *bar) add(r result) {
	b.bar.IncrInt64(r.In.size)
}

func (b *bar) end() {
	b.bar.Abort(false) // has no effect on a bar that is full
	b.container.Wait()
}

// lines writes one line for each tenth of the archives: enough to see that the
// pass goes on, and not so much that it hides the report.
type lines struct {
	w           io.Writer
	label       string
	done, total int
}

func (l *lines) add(result) {
	tenths := l.done * 10 / l.total
	l.done++
	if l.done*10/l.total > tenths {
		fmt.Fprintf(l.w, "%s: %d of %s\n", l.label, l.done, plural(l.total, "zip"))
	}
}

func (l *lines) end() {}
