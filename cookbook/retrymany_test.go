package cookbook_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"example.com/dispatch"
)

// upload is an input that knows how often it has failed.
type upload struct {
	file   string
	pauses *backoff.ExponentialBackOff // nil before the first failure
	failed int
}

// How do I retry some of a million inputs?
//
// Problem: backoff.Retry takes a goroutine for each input that pauses, and all
// outcomes should come over one channel.
//
// Solution: an input that fails goes back into its batch, by a timer. The loop
// over the results is the one place that decides, so it needs no mutex. A pause
// costs a timer: no worker and no goroutine.
//
// Trap: the batch may be closed only when no input is left that may come back, so
// the loop counts them. A batch that is closed after the first round refuses
// the second with ErrSealed.
func Example_retryMany() {
	var tries atomic.Int32
	send := func(_ context.Context, u upload) (string, error) {
		switch {
		case u.file == "b.txt" && tries.Add(1) < 3:
			return "", errNoRoom
		case u.file == "c.txt":
			return "", errNoRoom // however often
		}
		return "saved", nil
	}
	p := dispatch.Must(dispatch.New(send, dispatch.WithWorkers(2)))
	defer p.Close()

	b := p.Batch(context.Background())
	defer b.Cancel()
	files := []string{"a.txt", "b.txt", "c.txt"}
	for _, file := range files {
		_ = b.Add(upload{file: file})
	}
	left := len(files)
	for r := range b.Results() {
		if again := r.In; r.Err != nil && again.failed < 3 {
			again.failed++
			if again.pauses == nil {
				again.pauses = backoff.NewExponentialBackOff()
				again.pauses.InitialInterval = time.Millisecond
			}
			time.AfterFunc(again.pauses.NextBackOff(), func() { _ = b.Add(again) })
			continue
		}
		fmt.Println(r.In.file, r.Out, r.Err)
		if left--; left == 0 {
			b.Close() // ends the loop
		}
	}
	if left > 0 { // the context or the pool has ended, and with it the batch
		fmt.Println(left, "were cut short")
	}
	// Unordered output:
	// a.txt saved <nil>
	// b.txt saved <nil>
	// c.txt  no room at the server
}
