package cookbook_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"example.com/dispatch"
)

// upload is an input, and how often its job has failed.
type upload struct {
	file   string
	pauses *backoff.ExponentialBackOff // nil before the first failure
	failed int
}

// How do I retry some of a million inputs?
//
// Problem: backoff.Retry needs a goroutine for each input that pauses, and all
// outcomes should arrive on one channel.
//
// Solution: when an input has failed, a timer adds it to its batch again. Only the
// loop over the results decides what to retry, so it needs no mutex. A pause costs a
// timer, but no worker and no goroutine.
//
// Trap: do not close the batch while an input may still be added again; that is why
// the loop counts the inputs. If the batch is closed after the first round, Add
// refuses the retries with ErrSealed.
func Example_retryMany() {
	var tries atomic.Int32
	send := func(_ context.Context, u upload) (string, error) {
		switch {
		case u.file == "b.txt" && tries.Add(1) < 3:
			return "", errNoRoom
		case u.file == "c.txt":
			return "", errNoRoom // at every attempt
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
	if left > 0 { // the batch has ended early, because the context or the pool has ended
		fmt.Println(left, "were cut short")
	}
	// Unordered output:
	// a.txt saved <nil>
	// b.txt saved <nil>
	// c.txt  no room at the server
}
