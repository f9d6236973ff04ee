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

// logJobs has the pool log its jobs. A Job knows how to be logged.
func logJobs(log *slog.Logger) dispatch.Hooks {
	return dispatch.Hooks{Done: func(ctx context.Context, j dispatch.Job) {
		level := slog.LevelWarn
		if j.Outcome == dispatch.Succeeded {
			level = slog.LevelDebug
		} else if j.Outcome == dispatch.Canceled {
			level = slog.LevelInfo // the client has gone away
		}
		log.Log(ctx, level, "tile", "job", j)
	}}
}
