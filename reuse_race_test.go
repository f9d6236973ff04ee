package dispatch_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// lateErr is a context that answers when it is let.
type lateErr struct {
	context.Context
	let chan struct{}
}

func (c lateErr) Err() error {
	<-c.let
	return nil
}

// Of use with the race detector: who looked for the loan of a job that had returned
// read what the next use of its memory wrote.
func TestACallWithTheContextOfAJobThatHasReturnedDoesNotTouchTheNext(t *testing.T) {
	var p *dispatch.Pool[int, int]
	var calls sync.WaitGroup
	let := make(chan struct{})
	p = openPool(t, func(ctx context.Context, in int) (int, error) {
		if in == 0 {
			c := lateErr{ctx, let}
			calls.Go(func() { _, _ = p.Process(c, 1) })
			time.Sleep(time.Millisecond) // it asks for the error by now
		}
		return in, nil
	}, dispatch.WithWorkers(4))
	for range 20 {
		let = make(chan struct{})
		_, err := p.Process(context.Background(), 0)
		require.NoError(t, err)
		close(let)
		time.Sleep(time.Millisecond)
		_, err = p.Process(context.Background(), 2)
		require.NoError(t, err)
	}
	calls.Wait()
}
