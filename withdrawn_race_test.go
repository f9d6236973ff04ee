package dispatch_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// Of use with the race detector: with telemetry the worker read the input of a job
// that Stop had taken from it.
func TestStopTakesAnInputThatNoWorkerReadsAnyMore(t *testing.T) {
	for range 500 {
		p := openPool(t, double, dispatch.WithWorkers(2), dispatch.WithTelemetry())
		_, err := p.Process(context.Background(), 1)
		require.NoError(t, err)
		_, err = p.Submit(context.Background(), 2)
		require.NoError(t, err)
		p.Stop()
		require.NoError(t, p.Close())
		s := p.Stats()
		require.Equal(t, s.Submitted, s.Wait.Count())
	}
}
