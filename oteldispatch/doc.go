// Package oteldispatch exports pools to OpenTelemetry:
// metrics by a [Producer], and a span for each job by [Hooks].
//
//	reader := metric.NewPeriodicReader(exporter, metric.WithProducer(oteldispatch.NewProducer(thumbs, mails)))
//
//	pool, err := dispatch.New(resize, dispatch.WithHooks(oteldispatch.Hooks(nil)))
//
// # Metrics
//
// All have the attribute dispatch.pool.name: the pool's name ("unnamed" if it
// has none; a name that is taken gets "#2" and so on).
//
//	dispatch.worker.count            {worker}     dispatch.worker.state: busy, idle
//	dispatch.job.running             {job}        handlers that run
//	dispatch.job.running.limit       {job}        left out where there is none
//	dispatch.job.stray               {job}        handlers that were written off (WithGrace) and still run
//	dispatch.queue.size              {job}        jobs that wait for a worker
//	dispatch.queue.capacity          {job}        left out where there is none
//	dispatch.submitter.blocked       {submitter}  submitters that wait for room
//	dispatch.pool.paused             1            1: the pool takes jobs and starts none
//	dispatch.job.submitted           {job}
//	dispatch.job.ended               {job}        dispatch.job.outcome: success, error, panic, canceled, timeout, dropped
//	dispatch.job.rejected            {job}        refused because the queue was full
//	dispatch.submitter.gave_up       {submitter}  their context or timeout ended the wait for room
//
// and for pools with [dispatch.WithTelemetry]:
//
//	dispatch.queue.oldest_wait       s            of the job that has waited longest
//	dispatch.job.longest_run         s            of what runs now
//	dispatch.job.wait.duration       s            from the submit until a worker started on the job
//	dispatch.job.run.duration        s            from there until its handler returned
//
// The last two are exponential histograms of scale 2, which are the pool's own
// buckets: nothing is lost on the way, and no job pays for it, since the pool has
// counted already. OpenTelemetry has no instrument for that, so views do not
// apply, and the temporality is always cumulative. The start time of a series is
// when its pool was added: add a pool before its first job.
//
// # Spans
//
// A job's span has the pool's name and reaches from the call of its handler to
// the return. The context of the handler carries it. It is a child of the span
// that the job was submitted under. If that has ended before the job starts (a
// Submit whose submitter did not wait), the job's span begins a trace of its own
// with a link to it. A job that never ran has a span from its submit to its end.
//
//	dispatch.pool.name       the pool's name, if it has one
//	dispatch.job.label       what WithLabel says, if it does
//	dispatch.job.index       in its Batch or Map
//	dispatch.job.wait        s
//	dispatch.job.outcome     success, error, panic, canceled, timeout, dropped
//
// The status is Error for error, panic, timeout and dropped, with the error
// recorded as an event; a panic's has its stack.
package oteldispatch

import (
	"go.opentelemetry.io/otel/attribute"

	"example.com/dispatch"
)

// scope names this package to OpenTelemetry.
const scope = "example.com/dispatch/oteldispatch"

const (
	poolKey    = attribute.Key("dispatch.pool.name")
	stateKey   = attribute.Key("dispatch.worker.state")
	outcomeKey = attribute.Key("dispatch.job.outcome")
	labelKey   = attribute.Key("dispatch.job.label")
	indexKey   = attribute.Key("dispatch.job.index")
	waitKey    = attribute.Key("dispatch.job.wait")
)

// outcomes are the values of the attribute.
var outcomes = map[dispatch.Outcome]string{
	dispatch.Succeeded: "success",
	dispatch.Failed:    "error",
	dispatch.Panicked:  "panic",
	dispatch.Canceled:  "canceled",
	dispatch.TimedOut:  "timeout",
	dispatch.Dropped:   "dropped",
}
