// Package progress shows the progress of a program: as a bar on a terminal, as plain
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

// Work is the work to do: a number of files, and their total size.
type Work struct {
	Label string // what is being done: "checked"
	Noun  string // for one of the files: "zip"
	Files int
	Bytes int64 // total size; zero if not known, then progress counts files
}

// Progress shows the progress of a Work. One goroutine may use it at a time.
type Progress interface {
	Add(bytes int64) // adds a finished file of that size
	End()            // called once, after the last Add, even if the work was cut short
}

// New shows the progress at w.
func New(w io.Writer, work Work) Progress {
	if isTerminal(w) {
		return newBar(work, mpb.New(mpb.WithOutput(w)))
	}
	return &lines{w: w, work: work}
}

// Stages shows the progress of concurrent stages, each of which passes its files on to
// the next: a bar for each on a terminal, and lines for the last stage elsewhere. Each
// add may be called by a different goroutine. Call end once, after the last add.
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

// isTerminal checks the width as well: the terminals of some recorders and build
// systems have a width of zero, and so no room for a bar.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	return err == nil && width > 0
}

// A bar grows with the bytes that are done, since files differ in size by a factor of
// thousands. If the sizes are not known it grows with the number of files.
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

// lines writes one line for each tenth of the files: enough to see that the work goes
// on, but not so many that they hide the report.
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
