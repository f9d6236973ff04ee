// Package oteldispatch exports pools to OpenTelemetry: a [Producer] exports metrics,
// and [Hooks] make a span for each job.
//
//	reader := metric.NewPeriodicReader(exporter, metric.WithProducer(oteldispatch.NewProducer(thumbs, mails)))
//
//	pool, err := dispatch.New(resize, dispatch.WithHooks(oteldispatch.Hooks(nil)))
//
// # Metrics
//
// All metrics have the attribute dispatch.pool.name, the pool's name. A pool without a
// name is called "unnamed"; if several pools have the same name, the later ones get
// "#2" and so on appended.
//
//	dispatch.worker.count            {worker}     workers; dispatch.worker.state: busy, idle
//	dispatch.job.running             {job}        handlers that are running, not counting strays
//	dispatch.job.running.limit       {job}        absent if there is no limit
//	dispatch.job.stray               {job}        handlers that were written off (WithGrace) and have not returned
//	dispatch.queue.size              {job}        jobs that wait for a worker
//	dispatch.queue.capacity          {job}        absent if there is no limit
//	dispatch.submitter.blocked       {submitter}  submitters that wait for room in the queue
//	dispatch.pool.paused             1            1: the pool is paused, so it accepts jobs and starts none
//	dispatch.job.submitted           {job}
//	dispatch.job.ended               {job}        dispatch.job.outcome: success, error, panic, canceled, timeout, dropped
//	dispatch.job.rejected            {job}        refused because the queue was full
//	dispatch.submitter.gave_up       {submitter}  submitters whose context or timeout ended their wait for room
//
// Pools with [dispatch.WithTelemetry] have these metrics too:
//
//	dispatch.queue.oldest_wait       s            how long the oldest waiting job has waited
//	dispatch.job.longest_run         s            how long the longest-running handler has run
//	dispatch.job.wait.duration       s            from the submission until a worker started on the job, or the job ended
//	dispatch.job.run.duration        s            from then until its handler returned
//
// The last two are exponential histograms of scale 2. They have the same buckets as
// the pool, so the export loses no precision, and it adds no cost to a job, since the
// pool counts the durations anyway. No OpenTelemetry instrument can export such
// histograms, so views do not apply, and the temporality is always cumulative. The
// start time of a series is the time when its pool was added to the Producer: add a
// pool before its first job.
//
// # Spans
//
// A job's span has the pool's name, and lasts from the call of the handler to its
// return. The context of the handler carries the span. The parent is the span in the
// context with which the job was submitted. If that span has ended before the job
// starts (after a Submit whose caller did not wait), the job's span is the root of a
// new trace, with a link to that span. A job that never ran has a span from its
// submission to its end.
//
//	dispatch.pool.name       the pool's name, if it has one
//	dispatch.job.label       the text of the function given to WithLabel, if any
//	dispatch.job.index       the index in its Batch or Map
//	dispatch.job.wait        how long the job waited, in seconds
//	dispatch.job.outcome     success, error, panic, canceled, timeout, dropped
//
// For the outcomes error, panic, timeout and dropped the status is Error, and the
// error is recorded as an event. The event of a panic has its stack.
package oteldispatch

import (
	"go.opentelemetry.io/otel/attribute"

	"example.com/dispatch"
)

// scope is the instrumentation scope of this package.
const scope = "example.com/dispatch/oteldispatch"

const (
	poolKey    = attribute.Key("dispatch.pool.name")
	stateKey   = attribute.Key("dispatch.worker.state")
	outcomeKey = attribute.Key("dispatch.job.outcome")
	labelKey   = attribute.Key("dispatch.job.label")
	indexKey   = attribute.Key("dispatch.job.index")
	waitKey    = attribute.Key("dispatch.job.wait")
)

// outcomes has the values of the attribute outcomeKey.
var outcomes = map[dispatch.Outcome]string{
	dispatch.Succeeded: "success",
	dispatch.Failed:    "error",
	dispatch.Panicked:  "panic",
	dispatch.Canceled:  "canceled",
	dispatch.TimedOut:  "timeout",
	dispatch.Dropped:   "dropped",
}
