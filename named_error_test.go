package dispatch_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

func TestErrorsNameThePoolThatHasAName(t *testing.T) {
	bg := context.Background()
	inBubbles(t, map[string]struct {
		run  func(p *dispatch.Pool[int, int]) error
		is   error
		text string
	}{
		"the queue is full": {func(p *dispatch.Pool[int, int]) error {
			for range 2 {
				dispatch.Must(p.TrySubmit(bg, 1))
			}
			_, err := p.TrySubmit(bg, 1)
			return err
		}, dispatch.ErrQueueFull, "dispatch: thumbnails: queue is full"},
		"closed": {func(p *dispatch.Pool[int, int]) error { p.Drain(); _, err := p.Process(bg, 1); return err },
			dispatch.ErrClosed, "dispatch: thumbnails: pool is closed"},
		"a closed stream": {func(p *dispatch.Pool[int, int]) error {
			p.Drain()
			return errors.Join(streamed(bg, p, func(yield func(int) bool) { yield(1) })...)
		}, dispatch.ErrClosed, "dispatch: thumbnails: pool is closed"},
		"stopped": {func(p *dispatch.Pool[int, int]) error {
			f := dispatch.Must(p.Submit(bg, 1))
			p.Stop()
			_, err := f.Wait(bg)
			return err
		}, dispatch.ErrStopped, "dispatch: thumbnails: pool stopped"},
		"a limit": {func(p *dispatch.Pool[int, int]) error { _, err := p.ProcessTimed(bg, 1, time.Second); return err },
			dispatch.ErrTimeout, "dispatch: thumbnails: job exceeded its limit of 1s while it ran"},
	}, func(t *testing.T, row struct {
		run  func(p *dispatch.Pool[int, int]) error
		is   error
		text string
	}) {
		p := dispatch.Must(dispatch.New(untilDone, dispatch.WithName("thumbnails"), dispatch.WithWorkers(1), dispatch.WithQueue(1)))
		err := row.run(p)
		require.ErrorIs(t, err, row.is)
		require.EqualError(t, err, row.text)
		p.Stop()
		synctest.Wait()
	})
}

func TestAStackCanBeReadOnATerminal(t *testing.T) {
	panics := func(context.Context, int) (int, error) { panic("boo") }
	var log logbook
	was := slog.Default()
	slog.SetDefault(log.logger())
	defer slog.SetDefault(was)
	p := dispatch.Must(dispatch.New(panics))
	_, err := p.Process(t.Context(), 1)
	require.Error(t, err)
	require.NoError(t, p.Close())
	require.Contains(t, log.all()[0], `msg="dispatch: job panicked: boo\ngoroutine`, "the default logger has it in the message")

	p = dispatch.Must(dispatch.New(panics, dispatch.WithLogger(log.logger())))
	_, err = p.Process(t.Context(), 1)
	require.Error(t, err)
	require.NoError(t, p.Close())
	require.Contains(t, log.all()[1], `msg="dispatch: job panicked" panic=boo stack="goroutine`, "a logger of one's own has it as an attribute")
}
