package bench

import (
	"context"
	"fmt"
)

// workerLimit is the limit on jobs that run at once, for every peer and in
// every work that does not say otherwise.
const workerLimit = 8

// defaultQueue is the room of the queues that ask for a size. It is dispatch's
// own default; peers with an unbounded queue, or none, keep what they have.
const defaultQueue = 1024

// A job turns one int into another. The cheapest one adds one, so that what a
// benchmark measures is the pool; see job.go for the others.
type job func(in int) int

// config is all a peer is told when it is opened.
type config struct {
	workers int
	queue   int             // least room for waiting jobs; 0: the default
	ctx     context.Context // for callers
	job     job
}

func (c config) room() int {
	return max(c.queue, defaultQueue)
}

// An opener starts a pool and gives the one operation of it that a work needs.
// stop ends the pool in the peer's own orderly way and waits as far as the
// peer is able to. Nothing of the pool may be used after that.
type opener[T any] func(c config) (do T, stop func())

// The operations a peer may have. Those without an error panic if the peer
// reports one: in these works there is no reason for it.
type (
	// caller runs one job and waits for its result. It belongs to one
	// goroutine, so that it can use one reply channel again and again.
	caller func(in int) (int, error)

	// submitter submits n jobs with the inputs 0 to n-1 without waiting for
	// any, calls queued, and then waits for all of them.
	submitter func(n int, queued func())

	// gatherer runs a job for each input and returns the sum of the results.
	gatherer func(ins []int) (sum int)

	// reader runs a job for each input, keeps a future for each, and then reads
	// one after another into outs.
	reader func(ins, outs []int)

	// mapper runs a job for each input and returns the results in the order
	// of the inputs.
	mapper func(ins []int) []int
)

// A peer is one way to run jobs. A nil opener is something it cannot do.
type peer struct {
	name   string
	module string // where it comes from
	floor  bool   // not a pool: what the runtime itself can do

	// queues says that submitting never blocks while config.queue jobs wait,
	// even if no worker is free.
	queues bool

	// oneRun says that the pool ends when it is waited for, so that each submit
	// opens one of its own and finds no workers of the last.
	oneRun bool

	process      opener[func() caller]
	processCtx   opener[func() caller] // ends also when config.ctx does
	processTimed opener[func() caller] // ends also after neverPasses
	inline       opener[func() caller] // on the caller's goroutine where it can be
	submit       opener[submitter]
	futures      opener[reader]
	batch        opener[gatherer] // results as they come, by the peer's own means
	mapping      opener[mapper]
	stream       opener[mapper] // inputs one after another, few of them at a time
}

// peers are all that are measured, in the order of the tables.
var peers = []peer{
	dispatchPeer,
	tunnyPeer,
	antsPeer,
	antsGenericPeer,
	pondPeer,
	pondGoPeer,
	gammazeroPeer,
	grpoolPeer,
	poolV3Peer,
	mortarPeer,
	concPeer,
	errgroupPeer,
	goFloor,
	chanFloor,
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		panic(fmt.Sprintf("bench: a pool refused its work: %v", err))
	}
}
