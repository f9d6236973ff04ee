package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"example.com/dispatch"
)

// A load is a number of requests that come at a steady rate.
type load struct {
	requests int
	rate     int // per second
}

// due returns when request i is to be sent, if the first is sent at start.
func (l load) due(start time.Time, i int) time.Time {
	return start.Add(time.Duration(i) * time.Second / time.Duration(l.rate))
}

// An outcome is the result of a load.
type outcome struct {
	refused int
	answers []time.Duration // each from when its request was due; the shortest first
}

// send sends each request when it is due, on a goroutine of its own, and returns
// once all have been answered or refused. When ctx ends it returns the cause.
func (l load) send(ctx context.Context, start time.Time, serve func(context.Context) error) (outcome, error) {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		all   outcome
		fault error
	)
	for i := range l.requests {
		due := l.due(start, i)
		if !sleepUntil(ctx, due) {
			break
		}
		wg.Go(func() {
			err := serve(ctx)
			latency := time.Since(due)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				all.answers = append(all.answers, latency)
			case errors.Is(err, dispatch.ErrQueueFull):
				all.refused++
			default:
				fault = err
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return outcome{}, context.Cause(ctx)
	}
	slices.Sort(all.answers)
	return all, fault
}

// sleepUntil sleeps until t. It returns false if ctx ended before t.
func sleepUntil(ctx context.Context, t time.Time) bool {
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// inTime returns how many answers came within the deadline.
func (o outcome) inTime(deadline time.Duration) int {
	n, exact := slices.BinarySearch(o.answers, deadline)
	for exact && n < len(o.answers) && o.answers[n] == deadline {
		n++
	}
	return n
}

// quantile returns the time within which a share q of the answers came.
func (o outcome) quantile(q float64) time.Duration {
	if len(o.answers) == 0 {
		return 0
	}
	return o.answers[min(len(o.answers)-1, int(q*float64(len(o.answers))))]
}
