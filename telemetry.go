package dispatch

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// Job describes one job of a pool with telemetry: to [Hooks], in Running and in
// Failures. An item of a Batch or a Map is a job too.
type Job struct {
	Pool      string        // its name
	Label     string        // the text from WithLabel; empty without that option
	Worker    int           // the worker that started on the job, from 1; 0: none did
	Ran       bool          // its handler was called; false in Start
	Index     int           // in its Batch or Map; -1: a single job
	Submitted time.Time     // when Submit, Process, Add or Map was called
	Wait      time.Duration // from then until a worker started on the job, or until the job ended
	Run       time.Duration // from then until its handler returned; so far, if it has not
	Outcome   Outcome
	Err       error // nil if the outcome is Pending or Succeeded
	Stray     bool  // its handler was written off (WithGrace)
}

// LogValue gives the outcome, the wait and the run, and the pool, the label, the
// index and the error where there are, so that a job can be logged as it is:
//
//	slog.Warn("job failed", "job", j)
func (j Job) LogValue() slog.Value {
	attrs := []slog.Attr{
		slog.String("outcome", j.Outcome.String()),
		slog.Duration("wait", j.Wait),
		slog.Duration("run", j.Run),
	}
	if j.Pool != "" {
		attrs = append(attrs, slog.String("pool", j.Pool))
	}
	if j.Label != "" {
		attrs = append(attrs, slog.String("label", j.Label))
	}
	if j.Index >= 0 {
		attrs = append(attrs, slog.Int("index", j.Index))
	}
	if j.Err != nil {
		attrs = append(attrs, slog.Any("error", j.Err))
	}
	return slog.GroupValue(attrs...)
}

// Outcome is the kind of a job's end. All but Pending have a counter in [Stats].
type Outcome uint8

const (
	Pending   Outcome = iota // it has none yet
	Succeeded                // returned a nil error
	Failed                   // returned an error, or called runtime.Goexit
	Panicked                 // its handler, or what made its Worker ready, panicked
	Canceled                 // by the caller's context, Cancel, a batch that stopped, or Stop
	TimedOut                 // by the caller's deadline, ProcessTimed or WithJobTimeout
	Dropped                  // by the policy DropOldest
)

var outcomeNames = [...]string{"pending", "succeeded", "failed", "panicked", "canceled", "timed out", "dropped"}

// String returns the outcome's name in lower case.
func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return fmt.Sprintf("Outcome(%d)", uint8(o))
}

// MarshalText gives the outcome's name, as String does.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads an outcome's name.
func (o *Outcome) UnmarshalText(text []byte) error {
	for i, name := range outcomeNames {
		if string(text) == name {
			*o = Outcome(i)
			return nil
		}
	}
	return fmt.Errorf("dispatch: there is no Outcome %q", text)
}

// Hooks are functions that a pool calls for each of its jobs (see WithHooks).
// Either may be nil. Several goroutines call them at once, and no lock is held.
// A panic of one is logged and harms no job. A hook holds up the job that it is
// called for; one that waits for a job of its own pool can deadlock, since it
// holds a worker.
type Hooks struct {
	// Start is called by the worker, right before the handler. It returns the
	// context that the handler gets: ctx, or one derived from it. Nil means ctx.
	Start func(ctx context.Context, j Job) context.Context

	// Done is called once for each accepted job, when its outcome is decided and
	// its handler, if it was called, has returned; that is before the return of a
	// Process, Map or Future.Wait that waits for the handler. (A caller that a
	// timeout or a cancel answers sooner has been answered.) The context is the
	// one that Start returned, or the caller's where the handler was not called.
	// Pool.Close returns after it.
	Done func(ctx context.Context, j Job)
}
