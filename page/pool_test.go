package page

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// countsOnly is a pool of which only the counts are shown.
type countsOnly struct{ pool *dispatch.Pool[int, int] }

func (c countsOnly) Stats() dispatch.Stats  { return c.pool.Stats() }
func (countsOnly) Running() []dispatch.Job  { return nil }
func (countsOnly) Failures() []dispatch.Job { return nil }

func TestARealPoolIsShownFromItsFirstJobToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool, err := dispatch.New(func(ctx context.Context, in int) (int, error) {
			time.Sleep(10 * time.Second)
			if in < 0 {
				return 0, errors.New("negative")
			}
			return in, nil
		}, dispatch.WithName("thumbs"), dispatch.WithWorkers(2), dispatch.WithQueue(4))
		require.NoError(t, err)
		p := New(countsOnly{pool})
		says := func(words ...string) {
			t.Helper()
			synctest.Wait()
			text := get(p, "?format=text").Body.String()
			for _, w := range words {
				require.Contains(t, text, w)
			}
		}
		says("thumbs: idle. Nothing runs and nothing waits.")
		for in := range 5 {
			_, err := pool.Submit(t.Context(), -in)
			require.NoError(t, err)
		}
		says("thumbs: busy. All 2 workers are busy and 3 jobs wait.", "room for 4")
		time.Sleep(10 * time.Second)
		says("thumbs: failing. 1 of 2 jobs that ended in the last 10 s did not succeed (50 %).", "0.2")
		time.Sleep(2 * time.Minute)
		says("thumbs: idle.")
		pool.Close()
		says("thumbs: ended. It has been closed or stopped, and nothing is left.")
	})
}
