package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"example.com/dispatch/examples/internal/cli"
	"example.com/dispatch/examples/internal/cli/clitest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// overloadArgs runs the program as main does.
var overloadArgs = clitest.New("overload", run)

// takes returns work that takes d, whatever the number of workers.
func takes(d time.Duration) func(context.Context, struct{}) (struct{}, error) {
	return func(context.Context, struct{}) (struct{}, error) {
		time.Sleep(d)
		return struct{}{}, nil
	}
}

func TestNoAnswerIsLaterThanItsQueueIsLong(t *testing.T) {
	const (
		workers = 2
		work    = 20 * time.Millisecond
	)
	l := load{requests: 360, rate: 200}
	for _, queue := range []int{0, 1, 2, 8} {
		synctest.Test(t, func(t *testing.T) {
			all, err := l.sendToPool(t.Context(), takes(work), workers, queue)
			require.NoError(t, err)
			require.Equal(t, l.requests, all.refused+len(all.answers))
			// At twice the requests that the workers can answer, about half are refused.
			require.InDelta(t, l.requests/2, all.refused, 40)
			require.GreaterOrEqual(t, all.quantile(0), work)
			require.LessOrEqual(t, all.quantile(1), work+(time.Duration(queue)*work+work)/workers)
		})
	}
}

func TestAQueueThatIsTooLongAnswersNearlyAllTooLate(t *testing.T) {
	opts := options{workers: 2, run: 20 * time.Millisecond, deadline: 60 * time.Millisecond}
	l := load{requests: 360, rate: 200}
	inTime := func(queue int) (n int) {
		synctest.Test(t, func(t *testing.T) {
			all, err := l.sendToPool(t.Context(), takes(opts.run), opts.workers, queue)
			require.NoError(t, err)
			n = all.inTime(opts.deadline)
		})
		return n
	}
	require.Equal(t, 4, opts.longestUseful())
	require.GreaterOrEqual(t, inTime(opts.longestUseful()), 170)
	require.LessOrEqual(t, inTime(2*opts.longestUseful()), 20)
}

func TestTheTimeOfAnAnswerCountsFromWhenItWasDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := 3 * time.Second // the sender starts this late
		l := load{requests: 5, rate: 10}
		all, err := l.send(t.Context(), time.Now().Add(-held), func(context.Context) error { return nil })
		require.NoError(t, err)
		require.Equal(t, []time.Duration{
			2600 * time.Millisecond, 2700 * time.Millisecond, 2800 * time.Millisecond, 2900 * time.Millisecond, held,
		}, all.answers)
	})
}

func TestRequestsAreSentWhenTheyAreDueWhateverBecameOfThoseBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		sent := make(chan time.Duration, 4)
		l := load{requests: 4, rate: 2}
		all, err := l.send(t.Context(), start, func(context.Context) error {
			sent <- time.Since(start)
			time.Sleep(time.Hour)
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, slices.Repeat([]time.Duration{time.Hour}, 4), all.answers)
		for i := range 4 {
			require.Equal(t, time.Duration(i)*time.Second/2, <-sent)
		}
	})
}

func TestAFailureIsNoAnswer(t *testing.T) {
	broken := errors.New("broken")
	all, err := load{requests: 3, rate: 1000}.send(t.Context(), time.Now(), func(context.Context) error { return broken })
	require.ErrorIs(t, err, broken)
	require.Empty(t, all.answers)
	require.Zero(t, all.refused)
}

func TestInTimeAndQuantiles(t *testing.T) {
	o := outcome{answers: []time.Duration{1, 2, 3, 3, 4, 5, 6, 7, 8, 9}}
	require.Equal(t, 4, o.inTime(3))
	require.Equal(t, 0, o.inTime(0))
	require.Equal(t, 10, o.inTime(10))
	require.EqualValues(t, 1, o.quantile(0))
	require.EqualValues(t, 5, o.quantile(0.5))
	require.EqualValues(t, 9, o.quantile(0.99))
	require.EqualValues(t, 9, o.quantile(1))
	require.Zero(t, outcome{}.quantile(0.5))
}

func TestTheTableHasALineForEachQueue(t *testing.T) {
	status, stdout, stderr := overloadArgs(t.Context(), "-queues", "0,3", "-run", "2ms", "-deadline", "8ms", "-duration", "50ms", "-workers", "2")
	require.Equal(t, cli.Good, status, stderr)
	require.Empty(t, stderr)
	require.Contains(t, stdout, "2 workers, 2ms of work a request: 1000 a second at best\n2,000 requests come in a second, for 50ms\n")
	require.Regexp(t, `(?m)^no pool +0 +\d+ +\d+ `, stdout)
	require.Regexp(t, `(?m)^      0 +\d+ +\d+ +\d+ `, stdout)
	require.Regexp(t, `(?m)^      3 +\d+ +\d+ +\d+ `, stdout)
	require.Contains(t, stdout, "(deadline / run - 1) = 6\n")
	for line := range strings.Lines(stdout) {
		require.LessOrEqual(t, len(strings.TrimSpace(line)), 55)
	}
}

func TestAnInterruptEndsTheLoad(t *testing.T) {
	ctx, interrupt := context.WithCancelCause(t.Context())
	interrupt(cli.Signal{Signal: os.Interrupt})
	status, stdout, stderr := overloadArgs(ctx)
	require.Equal(t, 130, status)
	require.NotContains(t, stdout, "no pool")
	require.Equal(t, "overload: interrupted\n", stderr)

	synctest.Test(t, func(t *testing.T) {
		ctx, interrupt := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { interrupt(cli.Signal{Signal: os.Interrupt}) })
		start := time.Now()
		_, err := load{requests: 1000, rate: 10}.send(ctx, start, func(ctx context.Context) error {
			<-ctx.Done()
			return context.Cause(ctx)
		})
		require.Equal(t, cli.Signal{Signal: os.Interrupt}, err)
		require.Equal(t, time.Second, time.Since(start))
	})
}

func TestWrongFlags(t *testing.T) {
	overloadArgs.RequireRefused(t, map[string]string{
		"-queues none":   `invalid value "none" for flag -queues`,
		"-queues -1":     `invalid value "-1" for flag -queues`,
		"-workers 0":     `invalid value "0" for flag -workers`,
		"-rate 0":        `invalid value "0" for flag -rate`,
		"-run 0s":        `invalid value "0s" for flag -run`,
		"-deadline 20ms": "-deadline 20ms: must be longer than -run, 20ms",
		"extra":          `unexpected argument "extra"`,
	})
	overloadArgs.RequireHelp(t, "overload")
}
