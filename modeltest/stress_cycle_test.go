package modeltest

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// TestStressCycles makes, uses and closes one pool after another: neither goroutines nor
// memory accumulate.
func TestStressCycles(t *testing.T) {
	noGoroutines(t)
	var early uint64
	cycles := 0
	for i := range rounds(1_000) {
		cycle(t, i)
		if cycles++; cycles == 10 {
			early = heap()
		}
	}
	if late := heap(); cycles > 10 && late > early+1<<20 {
		t.Errorf("the heap has grown from %d to %d bytes in %d cycles", early, late, cycles)
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC() // the first collection may have left objects of finalizers or sync.Pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// cycle makes a pool and uses it in every way, with a context that outlives the pool.
func cycle(t *testing.T, i int) {
	ctx := t.Context()
	p := dispatch.Must(dispatch.New(func(ctx context.Context, in []byte) (int, error) {
		<-ctx.Done()
		return len(in), nil
	}, dispatch.WithWorkers(4), dispatch.WithJobTimeout(20*time.Microsecond), dispatch.WithGrace(time.Hour, 1)))
	big := make([]byte, 1<<16)
	for range 4 {
		if _, err := p.Submit(ctx, big); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = p.ProcessTimed(ctx, big, 10*time.Microsecond)
	_, _ = p.Map(ctx, [][]byte{big, big})
	b := p.Batch(ctx)
	if err := b.Add(big, big, big); err != nil {
		t.Fatal(err)
	}
	_ = b.Results()
	for range p.Stream(ctx, func(yield func([]byte) bool) { yield(big) }) {
	}
	if i%2 == 0 {
		require.NoError(t, p.Close())
	} else {
		p.Stop()
		<-p.Done()
	}
	checkEnded(t, p, nil)
}
