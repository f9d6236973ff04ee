package main

import (
	"context"
	"io"
	"log/slog"

	"example.com/dispatch"
)

// newLogger writes lines to w: with verbose of each tile, else of those that were
// not drawn.
func newLogger(w io.Writer, verbose bool) *slog.Logger {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

// levelOf is how much of an event it is that a job ended so.
func levelOf(o dispatch.Outcome) slog.Level {
	switch o {
	case dispatch.Succeeded:
		return slog.LevelDebug
	case dispatch.Canceled: // the client has gone away
		return slog.LevelInfo
	default:
		return slog.LevelWarn
	}
}

// logJobs has the pool log its jobs. A Job knows how to be logged.
func logJobs(log *slog.Logger) dispatch.Hooks {
	return dispatch.Hooks{Done: func(ctx context.Context, j dispatch.Job) {
		log.Log(ctx, levelOf(j.Outcome), "tile", "job", j)
	}}
}
