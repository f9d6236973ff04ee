package dispatch_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// A new pool accepted a job for a place that an item of a batch was going to have.
func TestItemsHaveTheFreePlacesFromTheMomentTheyAreAdded(t *testing.T) {
	for name, add := range map[string]func(p *dispatch.Pool[int, int]){
		"Batch": func(p *dispatch.Pool[int, int]) { _ = p.Batch(context.Background()).Add(1, 2, 3) },
	} {
		for _, warm := range []bool{false, true} {
			t.Run(name+map[bool]string{false: ", cold", true: ", warm"}[warm], func(t *testing.T) {
				oneProcessor(t)
				g := newGated()
				p := dispatch.Must(dispatch.New(g.handle, dispatch.WithWorkers(2), dispatch.WithQueue(0)))
				if warm {
					_, err := p.Process(t.Context(), 0)
					require.NoError(t, err)
				}
				add(p)
				_, err := p.TrySubmit(t.Context(), 4)
				require.Equal(t, dispatch.ErrQueueFull, err, "an item is for every place")
				g.open()
				requireSound(t, p)
			})
		}
	}
}
