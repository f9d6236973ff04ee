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
// Problem: a batch takes a minute, and somebody watches.
//
// Solution: OnProgress sets the bar. Its calls never overlap, its numbers never
// fall, and the last one comes before the batch is over. A slow terminal delays
// no job.
//
// Trap: a bar that is not full keeps Progress.Wait waiting for ever, and a batch
// that is cut short never fills it. Abort has no effect on a full bar, so call it
// always.
func Example_progressBar() {
	resize := func(_ context.Context, file string) (string, error) { return "small-" + file, nil }
	p := dispatch.Must(dispatch.New(resize))
	defer p.Close()

	var screen bytes.Buffer // os.Stderr in a program, where WithAutoRefresh is not needed
	bars := mpb.New(mpb.WithOutput(&screen), mpb.WithAutoRefresh(), mpb.WithWidth(40))
	bar := bars.AddBar(0, mpb.PrependDecorators(decor.Name("resized "), decor.CountersNoUnit("%d of %d ")))

	ctx := context.Background()
	b := p.Batch(ctx, dispatch.OnProgress(func(now dispatch.Progress) {
		bar.SetTotal(int64(now.Total), false)
		bar.SetCurrent(int64(now.Done))
	}))
	_ = b.Add("a.png", "b.png", "c.png")
	outs, err := b.Wait(ctx)
	bar.SetTotal(-1, true) // what there is now is all there is
	bar.Abort(false)
	bars.Wait()

	fmt.Println(outs, err)
	fmt.Println(strings.Contains(screen.String(), "resized 3 of 3"))
	// Output:
	// [small-a.png small-b.png small-c.png] <nil>
	// true
}
