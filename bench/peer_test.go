package bench

import (
	"context"
	"fmt"
)

// workerLimit is the limit on jobs that run at once, for every peer, in every work that
// does not set another.
const workerLimit = 8

// defaultQueue is the length of the queue for peers that ask for one. It is the default
// of dispatch. Peers with an unbounded queue, or none, keep what they have.
const defaultQueue = 1024

// A job turns one int into another. The cheapest one adds one, so that what a
// benchmark measures is the pool; see job.go for the others.
type job func(in int) int

// config has the parameters with which a peer is opened.
type config struct {
	workers int
	queue   int             // least room for waiting jobs; 0: the default
	ctx     context.Context // for callers
	job     job
}

func (c config) room() int {
	return max(c.queue, defaultQueue)
}

// An opener starts a pool and returns the one operation that a work needs. stop ends
// the pool in the peer's own orderly way, and waits for that as far as the peer is able
// to. The pool may not be used after that.
type opener[T any] func(c config) (do T, stop func())

// The operations that a peer may have. Operations that return no error panic if the
// peer reports one, since there is no reason for errors in these works.
type (
	// caller runs one job and waits for its result. It belongs to one
	// goroutine, so that it can use one reply channel again and again.
	caller func(in int) (int, error)

	// submitter submits n jobs with the inputs 0 to n-1 without waiting for
	// any, calls queued, and then waits for all of them.
	submitter func(n int, queued func())

	// gatherer runs a job for each input and returns the sum of the results.
	gatherer func(ins []int) (sum int)

	// reader runs a job for each input, keeps a future for each, and then reads the
	// futures one after another into outs.
	reader func(ins, outs []int)

	// mapper runs a job for each input and returns the results in the order
	// of the inputs.
	mapper func(ins []int) []int
)

// A peer is one way to run jobs. A nil opener means that the peer lacks the operation.
type peer struct {
	name   string
	module string // that the peer comes from
	floor  bool   // not a pool: what the runtime itself can do

	// queues says that submitting never blocks while config.queue jobs wait,
	// even if no worker is free.
	queues bool

	// oneRun says that the pool ends with its Wait, so each submit opens a new pool,
	// which has no workers yet.
	oneRun bool

	process      opener[func() caller]
	processCtx   opener[func() caller] // also returns when config.ctx ends
	processTimed opener[func() caller] // also returns after neverPasses
	inline       opener[func() caller] // on the caller's goroutine if possible
	submit       opener[submitter]
	futures      opener[reader]
	batch        opener[gatherer] // results in any order, by the peer's own means
	mapping      opener[mapper]
	stream       opener[mapper] // inputs one after another, only a few of them in memory
}

// peers lists all peers, in the order of the tables.
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
