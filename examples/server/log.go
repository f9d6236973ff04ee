package main

import (
	"context"
	"io"
	"log/slog"

	"example.com/dispatch"
)

// newLogger returns a logger that writes to w. With verbose it logs every tile,
// otherwise only the tiles that were not drawn.
func newLogger(w io.Writer, verbose bool) *slog.Logger {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

// levelOf returns the log level of a job with the outcome o.
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

// logJobs returns hooks that log each job of the pool. A Job is a slog.LogValuer.
func logJobs(log *slog.Logger) dispatch.Hooks {
	return dispatch.Hooks{Done: func(ctx context.Context, j dispatch.Job) {
		log.Log(ctx, levelOf(j.Outcome), "tile", "job", j)
	}}
}
