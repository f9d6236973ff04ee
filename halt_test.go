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

// A worker whose item had failed counted as one that has an item until it left the batch:
// so an item that had succeeded counted as running again.
func TestG15WhatHasSucceededStaysSoWhileAFailureStopsItsBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fail, release := make(chan struct{}), make(chan struct{})
		p := openPool(t, func(_ context.Context, in int) (int, error) {
			switch in {
			case 0:
				<-fail
				return 0, errOdd
			case 4:
				<-release
			}
			return in, nil
		}, dispatch.WithWorkers(2), dispatch.WithHooks(dispatch.Hooks{
			Done: func(_ context.Context, j dispatch.Job) {
				if j.Index == 5 { // which the failure halts: its worker is held here
					<-release
				}
			},
		}))
		b := p.BatchOf(context.Background(), []int{0, 1, 2, 3, 4, 5}, dispatch.StopOnError())
		synctest.Wait()
		before := p.Stats()
		require.Equal(t, uint64(3), before.Succeeded)
		require.Equal(t, 2, before.Running)
		close(fail)
		synctest.Wait()
		now, progress := p.Stats(), b.Progress()
		close(release)
		<-b.Done()
		require.Equal(t, uint64(1), now.Failed)
		require.Equal(t, uint64(3), now.Succeeded)
		require.Equal(t, 1, now.Running)
		require.Equal(t, dispatch.Progress{Total: 6, Done: 5, Failed: 2}, progress)
		requireSum(t, now)
	})
}

// Of two inputs that failed at once, one stopped the batch, and the worker of the other
// could begin a further input before that.
func TestAFailureStopsItsWorkerAlsoIfAnotherStopsTheBatch(t *testing.T) {
	const n = 2
	p := openPool(t, func(context.Context, int) (int, error) { return 0, errOdd }, dispatch.WithWorkers(n))
	for range 20_000 / slow {
		b := p.BatchOf(context.Background(), make([]int, 50), dispatch.StopOnError())
		<-b.Done()
		failed := 0
		for r := range b.All() {
			if r.Err == errOdd { //nolint:errorlint // its own, and not that of a halt
				failed++
			}
		}
		require.LessOrEqual(t, failed, n, "each worker fails once")
	}
}
