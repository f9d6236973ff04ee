package dispatch_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// Each Add counted all that waited, with the mutex held.
func TestG17AddCostsTheSameHoweverManyInputsWait(t *testing.T) {
	p := openPool(t, double, dispatch.WithWorkers(2))
	p.Pause()
	ins := make([]int, 100)
	took := func(adds int) time.Duration {
		b := p.Batch(context.Background())
		defer b.Cancel()
		begin := time.Now()
		for range adds {
			require.NoError(t, b.Add(ins...))
		}
		return time.Since(begin) / time.Duration(adds)
	}
	few, many := took(1000), took(20_000)
	require.Less(t, many, 10*few+20*time.Microsecond)
}
