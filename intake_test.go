package dispatch_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// These tests check how many jobs wait, and where.

// Regression: the room in the queue was computed before the newly arrived jobs were
// counted.
func TestTheQueueHoldsWhatItMayWhenItsJobsAreTakenOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for queue := range 6 {
			for limit := 1; limit <= 3; limit++ {
				pass := newGated()
				p := dispatch.Must(dispatch.New(pass.handle, dispatch.WithWorkers(limit), dispatch.WithQueue(queue)))
				require.Equal(t, limit+queue, fill(t, p, 1))
				for range 4 * (queue + 1) {
					gone := min(3, limit+queue)
					for range gone {
						synctest.Wait()
						pass.let(1)
						synctest.Wait()
					}
					require.Equal(t, gone, fill(t, p, 1))
					synctest.Wait()
					s := p.Stats()
					require.Equal(t, [2]int{limit, queue}, [2]int{s.Running, s.Queued})
				}
				pass.open()
				requireSound(t, p)
			}
		}
	})
}

// The same if the queue has become empty in between, and nobody has looked at it.
func TestTheQueueHoldsWhatItMayWhenItHasRunDry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for queue := 2; queue < 6; queue++ {
			for n := 1; n < queue; n++ {
				pass := newGated()
				p := dispatch.Must(dispatch.New(pass.handle, dispatch.WithWorkers(1), dispatch.WithQueue(queue)))
				submitted(t, p, 1)
				synctest.Wait()
				submitted(t, p, 1+n) // the first in the queue, the others where a worker looks when that is empty
				for range 2 {
					pass.let(1)
					synctest.Wait()
				}
				require.Equal(t, queue-(n-1), fill(t, p, 1))
				pass.open()
				requireSound(t, p)
			}
		}
	})
}

// After a Resize the queue can hold more jobs than it has room for.
func TestAQueueThatHoldsTooManyTakesNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, less := range []int{1, 2, 3} {
			pass := newGated()
			p := dispatch.Must(dispatch.New(pass.handle, dispatch.WithWorkers(1), dispatch.WithQueue(2)))
			require.Equal(t, 3, fill(t, p, 1))
			synctest.Wait()
			require.NoError(t, p.Resize(4))
			require.Equal(t, 3, fill(t, p, 1))
			require.NoError(t, p.Resize(less))
			require.Zero(t, fill(t, p, 1))
			for range 6 {
				synctest.Wait()
				pass.let(1)
				synctest.Wait()
				if fill(t, p, 1) > 0 {
					synctest.Wait()
					require.Equal(t, 2, p.Stats().Queued)
				}
			}
			pass.open()
			requireSound(t, p)
		}
	})
}
