package cookbook_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"example.com/dispatch"
)

// How do I show a progress bar?
//
// Problem: a batch takes a minute, and its user is waiting.
//
// Solution: the function given to OnProgress sets the bar. Its calls never overlap,
// its numbers never decrease, and the last call comes before the batch is done. A
// slow terminal delays no job.
//
// Trap: Progress.Wait waits forever for a bar that is not full, and a batch that is
// cut short never fills its bar. Always call Abort: it has no effect on a full bar.
func Example_progressBar() {
	resize := func(_ context.Context, file string) (string, error) { return "small-" + file, nil }
	p := dispatch.Must(dispatch.New(resize))
	defer p.Close()

	var screen bytes.Buffer // use os.Stderr in a program, without WithAutoRefresh
	bars := mpb.New(mpb.WithOutput(&screen), mpb.WithAutoRefresh(), mpb.WithWidth(40))
	bar := bars.AddBar(0, mpb.PrependDecorators(decor.Name("resized "), decor.CountersNoUnit("%d of %d ")))

	ctx := context.Background()
	b := p.Batch(ctx, dispatch.OnProgress(func(now dispatch.Progress) {
		bar.SetTotal(int64(now.Total), false)
		bar.SetCurrent(int64(now.Done))
	}))
	_ = b.Add("a.png", "b.png", "c.png")
	outs, err := b.Wait(ctx)
	bar.SetTotal(-1, true) // no further inputs: the total is the current count
	bar.Abort(false)
	bars.Wait()

	fmt.Println(outs, err)
	fmt.Println(strings.Contains(screen.String(), "resized 3 of 3"))
	// Output:
	// [small-a.png small-b.png small-c.png] <nil>
	// true
}
