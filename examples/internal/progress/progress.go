// Package progress shows how far a program has come: a bar on a terminal, plain
// lines elsewhere.
package progress

import (
	"fmt"
	"io"
	"os"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"example.com/dispatch/examples/internal/words"
)

// Work is what there is to do: a number of files, and how much is in them.
type Work struct {
	Label string // what is being done: "checked"
	Noun  string // one of the files: "zip"
	Files int
	Bytes int64
}

// Progress shows how far a Work has come. One goroutine may use it at a time.
type Progress interface {
	Add(bytes int64) // one more file is done, with so much in it
	End()            // once, after the last Add; the work may have been cut short
}

// New shows the progress at w.
func New(w io.Writer, work Work) Progress {
	if isTerminal(w) {
		return newBar(work, mpb.WithOutput(w))
	}
	return &lines{w: w, work: work}
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

// A bar grows with the bytes that are done, since files differ in size by a
// factor of thousands.
type bar struct {
	container *mpb.Progress
	bar       *mpb.Bar
}

func newBar(work Work, opts ...mpb.ContainerOption) *bar {
	container := mpb.New(opts...)
	return &bar{
		container: container,
		bar: container.AddBar(work.Bytes,
			mpb.PrependDecorators(decor.Name(work.Label), decor.CountersKiloByte(" % .1f / % .1f ")),
			mpb.AppendDecorators(decor.Percentage(decor.WC{W: 5})),
		),
	}
}

func (b *bar) Add(bytes int64) {
	b.bar.IncrInt64(bytes)
}

func (b *bar) End() {
	b.bar.Abort(false) // has no effect on a bar that is full
	b.container.Wait()
}

// lines writes one line for each tenth of the files: enough to see that the work
// goes on, and not so much that it hides the report.
type lines struct {
	w    io.Writer
	work Work
	done int
}

func (l *lines) Add(int64) {
	total := l.work.Files
	tenths := l.done * 10 / total
	l.done++
	if l.done*10/total > tenths {
		fmt.Fprintf(l.w, "%s: %s of %s\n", l.work.Label, words.Number(l.done), words.Count(total, l.work.Noun))
	}
}

func (l *lines) End() {}
