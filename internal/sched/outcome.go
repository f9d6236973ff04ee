package sched

import (
	"errors"
	"time"
)

// ErrStopped is the outcome of a job that Stop kept from running or canceled
// while it ran.
var ErrStopped = errors.New("dispatch: pool stopped")

// Kind is how a job ended. Outcomes are counted by kind.
type Kind uint8

// The kinds of outcomes.
const (
	Succeeded Kind = iota
	Failed
	Panicked
	Canceled
	TimedOut
	Dropped
	Kinds // the number of kinds
)

// By says who decided an outcome.
type By uint8

const (
	ByJob    By = iota // its handler, a timeout, a Cancel
	ByCaller           // the end of the caller's context
	ByPool             // Stop
)

// Outcome is how a job ends.
type Outcome struct {
	Err   error
	Limit time.Duration // of a job that timed out: its error is made once it is known whether the job ran
	Kind  Kind
	By    By
}
