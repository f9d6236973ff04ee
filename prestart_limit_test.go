package dispatch_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

func TestPrestartMakesNoMoreWorkersThanTheLimit(t *testing.T) {
	var made atomic.Int64
	p := openWorkers(t, func(context.Context) (dispatch.Worker[int, int], error) {
		made.Add(1)
		return dispatch.Handler[int, int](double), nil
	}, dispatch.WithWorkers(4), dispatch.WithMinWorkers(3))
	require.NoError(t, p.Resize(1))
	require.NoError(t, p.Prestart(t.Context()))
	require.EqualValues(t, 1, made.Load())
}
