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
	Bytes int64 // zero: not known; the files are counted
}

// Progress shows how far a Work has come. One goroutine may use it at a time.
type Progress interface {
	Add(bytes int64) // one more file is done, with so much in it
	End()            // once, after the last Add; the work may have been cut short
}

// New shows the progress at w.
func New(w io.Writer, work Work) Progress {
	if isTerminal(w) {
		return newBar(work, mpb.New(mpb.WithOutput(w)))
	}
	return &lines{w: w, work: work}
}

// Stages shows the progress of works that go on side by side, each of which hands
// its files to the next: a bar for each on a terminal, and lines for the last one
// elsewhere. A goroutine of its own may call each add; end is called once, after
// the last of them.
func Stages(w io.Writer, works ...Work) (add []func(bytes int64), end func()) {
	if !isTerminal(w) {
		for range works[1:] {
			add = append(add, func(int64) {})
		}
		last := &lines{w: w, work: works[len(works)-1]}
		return append(add, last.Add), last.End
	}
	container := mpb.New(mpb.WithOutput(w))
	bars := make([]*bar, len(works))
	for i, work := range works {
		bars[i] = newBar(work, container)
		add = append(add, bars[i].Add)
	}
	return add, func() {
		for _, b := range bars {
			b.bar.Abort(false)
		}
		container.Wait()
	}
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
// factor of thousands, and with their number where the bytes are not known.
type bar struct {
	container *mpb.Progress
	bar       *mpb.Bar
	byFiles   bool
}

func newBar(work Work, container *mpb.Progress) *bar {
	total, counters := work.Bytes, decor.CountersKiloByte(" % .1f / % .1f ", decor.WCSyncWidth)
	if work.Bytes == 0 {
		total, counters = int64(work.Files), decor.CountersNoUnit(" %d / %d ", decor.WCSyncWidth)
	}
	return &bar{
		container: container,
		byFiles:   work.Bytes == 0,
		bar: container.AddBar(total,
			mpb.PrependDecorators(decor.Name(work.Label, decor.WCSyncWidthR), counters),
			mpb.AppendDecorators(decor.Percentage(decor.WC{W: 5})),
		),
	}
}

func (b *bar) Add(bytes int64) {
	if b.byFiles {
		bytes = 1
	}
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
