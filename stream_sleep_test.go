package dispatch

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// Drain came between the stream's look at the pool and its sleep, and nothing woke a
// StreamChan whose source was silent.
func TestAStreamThatWaitsForItsSourceDoesNotSleepOnceThePoolIsClosed(t *testing.T) {
	p := Must(New(func(_ context.Context, in int) (int, error) { return in, nil }))
	s := p.newStream(context.Background(), streamConfig{}, nil)
	p.Drain()
	require.False(t, s.sleep(true))
	require.True(t, s.sleep(false)) // for an outcome it may wait
	s.end()
	<-p.Done()
}
