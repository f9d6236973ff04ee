// Package tracing shows, as a testable example, how one trace follows a job from
// its submitter through the pool of its caller to the pool of a worker on another
// machine: oteldispatch makes the spans, and fleet's hooks carry the trace context.
package tracing
