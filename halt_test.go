package dispatch_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// What holds while a halt is on its way: it works in pieces, and tells hooks in between.

// A Stop that met another stop of the pool on its way returned at once, with what that
// had come to by then. The rest was given back to nobody.
func TestG11AStopThatMeetsTheEndOfThePoolsContextGivesEverythingBack(t *testing.T) {
	const n = 1000 // several pieces
	for name, bring := range map[string]func(t *testing.T, p *dispatch.Pool[int, int]){
		"single jobs": func(t *testing.T, p *dispatch.Pool[int, int]) { submitted(t, p, n) },
		"batches": func(t *testing.T, p *dispatch.Pool[int, int]) {
			for i := range n {
				require.NoError(t, p.Batch(context.Background()).Add(i+1))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(context.Background())
				held := make(chan struct{}, 1)
				held <- struct{}{}
				release := make(chan struct{})
				p := openPool(t, double, dispatch.WithContext(ctx), dispatch.WithHooks(dispatch.Hooks{
					Done: func(context.Context, dispatch.Job) {
						select {
						case <-held: // the first
							<-release
						default:
						}
					},
				}))
				p.Pause()
				bring(t, p)
				cancel(errCause)
				synctest.Wait() // the end of the context is in the hook
				back := p.Stop()
				close(release)
				<-p.Done()
				require.Equal(t, inputs(n), back)
				require.Empty(t, p.Stop())
				require.Equal(t, uint64(n), p.Stats().Canceled)
			})
		})
	}
}
