package dispatch_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// If items of batches and Maps, and single jobs, want the same workers, they take turns.

// second is a handler that takes a second, and records its inputs.
type second struct {
	mu  sync.Mutex
	ins []int
}

func (s *second) handle(_ context.Context, in int) (int, error) {
	s.mu.Lock()
	s.ins = append(s.ins, in)
	s.mu.Unlock()
	time.Sleep(time.Second)
	return in, nil
}

func (s *second) entered() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]int(nil), s.ins...)
}

// groups are the groups that a single job may have to wait beside.
var groups = map[string]func(p *dispatch.Pool[int, int], n int){
	"a batch": func(p *dispatch.Pool[int, int], n int) { _ = p.Batch(context.Background()).Add(make([]int, n)...) },
	"a Map": func(p *dispatch.Pool[int, int], n int) {
		go func() { _, _ = p.Map(context.Background(), make([]int, n)) }()
	},
}

func TestAJobDoesNotWaitForAWholeBatchOrMap(t *testing.T) {
	type row struct {
		group string
		queue int
		call  func(p *dispatch.Pool[int, int]) error
	}
	rows := map[string]row{}
	process := func(p *dispatch.Pool[int, int]) error { _, err := p.Process(context.Background(), 1); return err }
	submit := func(p *dispatch.Pool[int, int]) error {
		f, err := p.Submit(context.Background(), 1)
		if err == nil {
			_, err = f.Wait(context.Background())
		}
		return err
	}
	for group := range groups {
		rows["Process beside "+group] = row{group, 10, process}
		rows["Submit beside "+group] = row{group, 10, submit}
		rows["Process without a queue beside "+group] = row{group, 0, process}
		rows["Submit without a queue beside "+group] = row{group, 0, submit}
	}
	inBubbles(t, rows, func(t *testing.T, r row) {
		p := dispatch.Must(dispatch.New(new(second).handle, dispatch.WithWorkers(1), dispatch.WithQueue(r.queue)))
		groups[r.group](p, 1000)
		time.Sleep(time.Second / 2)
		for range 3 {
			begin := time.Now()
			require.NoError(t, r.call(p))
			require.LessOrEqual(t, time.Since(begin), 4*time.Second)
		}
		p.Stop()
		requireSound(t, p)
	})
}

// Regression: jobs that had been left in the intake while all workers were busy stayed
// there.
func TestJobsThatCameBeforeABatchOrMapAndAfterItTakeTurnsWithIt(t *testing.T) {
	inBubbles(t, groups, func(t *testing.T, group func(p *dispatch.Pool[int, int], n int)) {
		p := dispatch.Must(dispatch.New(new(second).handle, dispatch.WithWorkers(1)))
		submitted(t, p, 4) // one runs, the others wait
		time.Sleep(time.Second / 2)
		submitted(t, p, 3)
		group(p, 1000)
		synctest.Wait()
		fs := submitted(t, p, 3)
		time.Sleep(25 * time.Second)
		for i, f := range fs {
			require.True(t, isClosed(f.Done()), "job %d", i)
		}
		p.Stop()
		requireSound(t, p)
	})
}

// Regression: a job was handed to the idle worker for which an item was waiting.
func TestAnItemIsNotOvertakenByAJobOnItsWayToAnIdleWorker(t *testing.T) {
	oneProcessor(t)
	var s second
	synctest.Test(t, func(t *testing.T) {
		p := dispatch.Must(dispatch.New(s.handle, dispatch.WithWorkers(1)))
		submitted(t, p, 2) // the second waits for its turn: the next turn is a batch's
		require.NoError(t, p.Wait(t.Context()))
		require.NoError(t, p.Batch(t.Context()).Add(3, 4))
		_, err := p.Submit(t.Context(), 5)
		require.NoError(t, err)
		require.NoError(t, p.Wait(t.Context()))
		require.Equal(t, []int{1, 2, 3, 5, 4}, s.entered())
		requireSound(t, p)
	})
}

func TestWorkersThatGoThroughABatchOrMapHearOfAResize(t *testing.T) {
	inBubbles(t, groups, func(t *testing.T, group func(p *dispatch.Pool[int, int], n int)) {
		p := dispatch.Must(dispatch.New(new(second).handle, dispatch.WithWorkers(4)))
		group(p, 1000)
		time.Sleep(time.Second / 2)
		require.Equal(t, 4, p.Stats().Running)
		require.NoError(t, p.Resize(1))
		time.Sleep(2 * time.Second)
		require.Equal(t, 1, p.Stats().Running)
		require.NoError(t, p.Resize(3))
		time.Sleep(2 * time.Second)
		require.Equal(t, 3, p.Stats().Running)
		p.Stop()
		requireSound(t, p)
	})
}
