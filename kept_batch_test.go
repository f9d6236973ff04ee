package dispatch_test

import (
	"context"
	"testing"
	"weak"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// A job that goes through one batch after another kept them all until it ended.
func TestG14NoBatchIsKeptByTheJobThatHasReadIt(t *testing.T) {
	for name, read := range map[string]func(ctx context.Context, b *dispatch.Batch[*payload, int]){
		"Results": func(_ context.Context, b *dispatch.Batch[*payload, int]) {
			b.Close()
			for range b.Results() {
			}
		},
		"All": func(_ context.Context, b *dispatch.Batch[*payload, int]) {
			for range b.All() {
			}
		},
		"Wait":                func(ctx context.Context, b *dispatch.Batch[*payload, int]) { _, _ = b.Wait(ctx) },
		"Results, and Cancel": func(_ context.Context, b *dispatch.Batch[*payload, int]) { _ = b.Results(); b.Cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			var p *dispatch.Pool[*payload, int]
			p = dispatch.Must(dispatch.New(func(ctx context.Context, in *payload) (int, error) {
				if in != nil {
					return 0, nil
				}
				kept := func() weak.Pointer[payload] {
					in := new(payload)
					b := p.Batch(ctx)
					_ = b.Add(in)
					read(ctx, b)
					return weak.Make(in)
				}()
				requireCollected(t, kept, "the batch")
				return 0, nil
			}, dispatch.WithWorkers(1)))
			within(t, "the job", func() {
				_, err := p.Process(context.Background(), nil)
				require.NoError(t, err)
			})
			require.NoError(t, p.Close())
		})
	}
}
