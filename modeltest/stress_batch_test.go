package modeltest

import (
	"context"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// TestStressBatch runs many batches at once whose readers walk away: some read to the end,
// some break off, cancel, or never read. Nobody is held up, and when the pool has ended
// nothing of the batches is left.
func TestStressBatch(t *testing.T) {
	noGoroutines(t)
	p := dispatch.Must(dispatch.New(func(ctx context.Context, f fate) (fate, error) {
		return f.meet()
	}, dispatch.WithWorkers(4), dispatch.WithPanicHandler(func(*dispatch.PanicError) {})))

	sharing(t, "reading batches", 4, rounds(10_000), func(seed int) { walkAway(t, p, rand.New(rand.NewPCG(uint64(seed), 5))) })
	within(t, time.Minute, "Close", func() { require.NoError(t, p.Close()) })
	checkEnded(t, p, nil)
}

// walkAway makes one batch, and reads it in some way or not at all.
func walkAway(t *testing.T, p *dispatch.Pool[fate, fate], random *rand.Rand) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var last dispatch.Progress
	opts := []dispatch.BatchOption{dispatch.OnProgress(func(now dispatch.Progress) {
		if now.Done < last.Done || now.Total < last.Total {
			t.Errorf("progress fell from %+v to %+v", last, now)
		}
		last = now
	})}
	switch random.IntN(6) {
	case 0:
		opts = append(opts, dispatch.StopOnError())
	case 1:
		opts = append(opts, dispatch.StopOnSuccess())
	}
	b := p.Batch(ctx, opts...)
	ins := make([]fate, random.IntN(300))
	for i := range ins {
		ins[i] = fate(max(0, random.IntN(40)-36)) % fates
	}
	half := random.IntN(len(ins) + 1)
	if err := b.Add(ins[:half]...); err != nil {
		t.Errorf("Add: %v", err)
	}
	runtime.Gosched()
	_ = b.Add(ins[half:]...) // refused if the first half has stopped the batch

	few := random.IntN(20)
	switch random.IntN(6) {
	case 0: // nobody reads: the end of ctx cancels the batch
	case 1: // reads a few results and forgets the channel
		b.Close()
		for range b.Results() {
			if few--; few < 0 {
				break
			}
		}
	case 2: // breaks off
		for r := range b.All() {
			if few--; few < 0 || r.Index > len(ins) {
				break
			}
		}
	case 3: // cancels in the midst
		results := b.Results()
		b.Cancel()
		for range results {
		}
	case 4: // reads all results
		b.Close()
		seen := map[int]bool{}
		for r := range b.Results() {
			if seen[r.Index] || r.In != ins[r.Index] {
				t.Errorf("item %d came twice (%t), or with the input %v", r.Index, seen[r.Index], r.In)
			}
			seen[r.Index] = true
		}
		if pr := b.Progress(); pr.Done != pr.Total || len(seen) != pr.Total {
			t.Errorf("%d results of %+v", len(seen), pr)
		}
	case 5: // waits
		outs, _ := b.Wait(ctx)
		if pr := b.Progress(); len(outs) != pr.Total || pr.Done != pr.Total || last.Done != last.Total {
			t.Errorf("%d outputs of %+v; told of %+v", len(outs), pr, last)
		}
	}
}
