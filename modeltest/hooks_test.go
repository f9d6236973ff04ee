package modeltest

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"example.com/dispatch"
)

// heard holds what the pool has reported through its hooks. Guarded by world.mu.
type heard struct {
	ends   [kinds]uint64 // how often Done was called with each kind
	waits  sums
	runs   sums
	logged atomic.Int64 // panics of hooks, by the pool
	panics int64        // of hooks
}

// sums is the expected content of a Histogram.
type sums struct {
	count   uint64
	sum     time.Duration
	buckets map[int]uint64
}

func (s *sums) add(d time.Duration) {
	s.count++
	s.sum += d
	s.buckets[bucketOf(d)]++
}

func (h *heard) init() {
	h.waits.buckets, h.runs.buckets = map[int]uint64{}, map[int]uint64{}
}

// told records the calls of the label function and the hooks for a job.
type told struct {
	labels int // calls of the label function
	starts int
	ends   int
	end    dispatch.Job
	hidden any // what the context of Start carried on
}

// hookKey is a key of the context that Start returns for the job of that number.
type hookKey int

var errHook = errors.New("this hook panics")

// telemetry returns the options for the program's kind of watching.
func (w *world) telemetry() []dispatch.Option {
	opts := []dispatch.Option{dispatch.WithLogger(slog.New(logCounter{&w.heard.logged}))}
	switch w.watching {
	case counts:
		return opts
	case times:
		return append(opts, dispatch.WithTelemetry())
	}
	opts = append(opts, dispatch.WithLabel(w.label))
	if w.hooked() {
		opts = append(opts, dispatch.WithHooks(dispatch.Hooks{Start: w.hookStart, Done: w.hookDone}))
	}
	return opts
}

// labeled and hooked tell what the pool is told to tell.
func (w *world) labeled() bool { return w.watching >= labels }
func (w *world) hooked() bool  { return w.watching >= hooks }

// label returns the label of the job with that number.
func (w *world) label(id int) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	j := w.jobs[id]
	if j.told.labels++; j.told.labels > 1 {
		w.failf("%v: its label was asked for a second time", j)
	}
	return strconv.Itoa(id)
}

// rename changes the expected end of j if a hook ends it: a Start hook that ends the
// goroutine has the same effect as a handler that does.
func (w *world) rename(j *job) {
	if w.watching == rudeHooks && j.id%11 == 4 && !w.inline {
		j.told.hidden = errHook
		j.body = body{manner: sleeps, finish: exits, depth: j.body.depth}
	}
}

// hookStart is the hook Start.
func (w *world) hookStart(ctx context.Context, is dispatch.Job) context.Context {
	j := w.jobOf(is, "Start")
	if j == nil {
		return ctx
	}
	rude := w.watching == rudeHooks
	if rude && j.id%5 == 0 {
		w.pool.Stats()
		w.pool.Running()
		w.pool.Failures()
	}
	w.mu.Lock()
	j.told.starts++
	if j.told.starts > 1 || j.told.ends > 0 || j.starts > 0 {
		w.failf("%v: Start was told %d times, and Done %d times; it has started %d times", j, j.told.starts, j.told.ends, j.starts)
	}
	w.checkTimes(j, is, w.now(), 0)
	if is.Ran || is.Run != 0 || is.Outcome != dispatch.Pending || is.Err != nil || is.Stray || is.Worker == 0 {
		w.failf("%v: Start was told %+v", j, is)
	}
	w.mu.Unlock()
	switch {
	case rude && j.told.hidden == errHook:
		w.leave(w.enter(ctx, j.id), true)
		runtime.Goexit()
	case rude && j.id%7 == 3:
		w.willPanic()
		panic(errHook)
	case rude && j.id%7 == 5:
		return nil // the handler gets ctx
	}
	w.mu.Lock()
	j.told.hidden = j.id
	w.mu.Unlock()
	return context.WithValue(ctx, hookKey(j.id), j.id)
}

// hookDone is the hook Done.
func (w *world) hookDone(ctx context.Context, is dispatch.Job) {
	j := w.jobOf(is, "Done")
	if j == nil {
		return
	}
	hidden, value := ctx.Value(hookKey(j.id)), ctx.Value(valueKey{})
	rude := w.watching == rudeHooks
	if rude && j.id%5 == 1 {
		w.pool.Stats()
		w.pool.Running()
	}
	w.mu.Lock()
	w.checkDone(j, is)
	if want := j.told.hidden; want != errHook && hidden != want || value != j.value {
		w.failf("%v: the context of Done carries %v and %v", j, hidden, value)
	}
	w.mu.Unlock()
	switch {
	case rude && j.id%7 == 2:
		w.willPanic()
		panic(errHook)
	case rude && j.id%11 == 6 && !w.inline:
		runtime.Goexit()
	}
}

func (w *world) willPanic() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard.panics++
}

// logCounter is a log that counts its lines: the pool logs the panics of hooks.
type logCounter struct{ lines *atomic.Int64 }

func (c logCounter) Enabled(context.Context, slog.Level) bool { return true }
func (c logCounter) WithAttrs([]slog.Attr) slog.Handler       { return c }
func (c logCounter) WithGroup(string) slog.Handler            { return c }

func (c logCounter) Handle(context.Context, slog.Record) error {
	c.lines.Add(1)
	return nil
}

// jobOf returns the job that a hook was called for.
func (w *world) jobOf(is dispatch.Job, hook string) *job {
	w.mu.Lock()
	defer w.mu.Unlock()
	id, err := strconv.Atoi(is.Label)
	if err != nil || is.Pool != "model" {
		w.failf("%s was told %+v", hook, is)
		return nil
	}
	return w.jobs[id]
}

// checkDone checks the arguments of Done, and counts the outcome. The caller holds mu.
func (w *world) checkDone(j *job, is dispatch.Job) {
	j.told.ends++
	k := kind(is.Outcome) - kind(dispatch.Succeeded)
	switch {
	case j.told.ends > 1:
		w.failf("%v: Done was told a second time: %+v", j, is)
	case j.running:
		w.failf("%v: Done was told while it runs: %+v", j, is)
	case k < 0 || k >= kinds || (k == succeeded) != (is.Err == nil):
		w.failf("%v: Done was told an impossible outcome: %+v", j, is)
		return
	case is.Ran != (j.starts > 0), is.Ran && is.Worker == 0, is.Ran && j.told.starts != 1:
		w.failf("%v: Done was told %+v, and Start %d times", j, is, j.told.starts)
	case is.Worker == 0 && is.Run != 0:
		w.failf("%v: it has run although no worker started on it: %+v", j, is)
	case is.Stray && w.strays == 0:
		w.failf("%v: a stray in a pool without: %+v", j, is)
	}
	if begin := j.startTime; is.Ran {
		w.checkTimes(j, is, begin, w.now()-begin)
	} else {
		w.checkTimes(j, is, w.now(), 0)
	}
	j.told.end = is
	w.heard.ends[k]++
	w.heard.waits.add(is.Wait)
	if is.Worker > 0 {
		w.heard.runs.add(is.Run)
	}
}

// checkTimes checks the reported times of j, which a worker started on at begin.
func (w *world) checkTimes(j *job, is dispatch.Job, begin, run time.Duration) {
	index := -1
	if j.group != nil {
		index = j.index
	}
	if is.Index != index {
		w.failf("%v: it is said to have the index %d", j, is.Index)
	}
	if is.Run != run {
		w.failf("%v: it is said to have run for %v, not %v", j, is.Run, run)
	}
	if j.timeless() {
		return
	}
	if at := is.Submitted.Sub(w.epoch); at != j.askedTime || is.Wait != begin-j.askedTime {
		w.failf("%v: it is said to have come at %v and waited for %v, not %v and %v", j, at, is.Wait, j.askedTime, begin-j.askedTime)
	}
}

// timeless reports whether the model does not know exactly when j was submitted.
func (j *job) timeless() bool {
	return j.indirect || j.group != nil && j.group.channel
}

// checkHooked checks, as j starts, that its context is the one that Start returned.
func (w *world) checkHooked(j *job, ctx context.Context) {
	if !w.hooked() || j.told.hidden == errHook {
		return
	}
	if got := ctx.Value(hookKey(j.id)); got != j.told.hidden || j.told.starts != 1 {
		w.failf("%v: its context carries %v of Start, not %v", j, got, j.told.hidden)
	}
}
