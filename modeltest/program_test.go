package modeltest

import (
	"fmt"
	"strings"
	"time"

	"example.com/dispatch"
)

// tick is the unit of virtual time: everything a program waits for is a whole
// number of them, so that nothing happens between two ticks.
const tick = time.Millisecond

// A program is one sequence of calls against one pool. It is decoded from bytes, which
// come from rapid's generator, the fuzzer or a file of the corpus. Every sequence of bytes
// is a program.
type program struct {
	setup setup
	steps []step
}

// setup is the pool that a program runs on. Times are in ticks.
type setup struct {
	workers    int // 0: Unlimited
	minWorkers int
	queue      int
	overflow   dispatch.Overflow
	idle       int
	jobTimeout int // 0: none
	grace      int
	strays     int // 0: no WithGrace
	stateful   bool
	flaky      bool // every third construction of a worker fails
	ending     op   // how the program ends its pool, if no step has
	patient    bool // lets all jobs end before that

	inline     bool
	life       lifetime
	lifeTicks  int // of a lifetime that ends by itself
	maxBlocked int // dispatch.Unlimited: none
	watching   watching
	bold       bool // its jobs and streams make calls that those of other programs do not make
}

// lifetime is the context of WithContext that a pool has.
type lifetime byte

const (
	forever  lifetime = iota // it has none
	cut                      // a step may cancel it
	expiring                 // it has a deadline
	lost                     // it is done before the pool is made
)

// watching is the kind of telemetry of a pool.
type watching byte

const (
	counts    watching = iota // no more than counters
	times                     // WithTelemetry
	labels                    // and WithLabel
	hooks                     // and WithHooks
	rudeHooks                 // the same, with hooks that call the pool, panic and call runtime.Goexit
)

// step is one call. The meaning of its bytes depends on op.
type step struct {
	op         op
	a, b, c, d byte
}

type op byte

const (
	opSubmit op = iota
	opTrySubmit
	opProcess
	opProcessTimed
	opAdvance
	opCancel
	opCancelContext
	opBatch
	opAdd
	opBatchClose
	opBatchCancel
	opBatchWait
	opBatchAll
	opBatchResults
	opMap
	opStream
	opResize
	opWait
	opShutdown
	opStop
	opClose
	opPause
	opResume
	opDrain
	opPrestart
	opEndLife
	opBatchOf
	opBatchBounded
	opBatchDone
)

var opNames = [...]string{
	"Submit", "TrySubmit", "Process", "ProcessTimed", "advance", "Cancel", "cancel context",
	"Batch", "Batch.Add", "Batch.Close", "Batch.Cancel", "Batch.Wait", "Batch.All", "Batch.Results",
	"Map", "Stream", "Resize", "Wait", "Shutdown", "Stop", "Close",
	"Pause", "Resume", "Drain", "Prestart", "end the pool's context", "BatchOf", "Batch with bounds", "Batch.Done",
}

func (o op) String() string { return opNames[o] }

// ops is how often each op occurs: the calls that end the pool are rare,
// because little can happen after them, and come late, because generators
// favour small numbers.
var ops = repeat(
	opSubmit, 7, opAdvance, 8, opProcess, 5, opTrySubmit, 4, opProcessTimed, 4, opCancel, 3,
	opBatch, 5, opAdd, 3, opCancelContext, 3, opMap, 3, opBatchResults, 2, opBatchAll, 2,
	opBatchWait, 2, opBatchClose, 1, opBatchCancel, 1, opStream, 3, opResize, 3, opWait, 1,
	opBatchOf, 2, opBatchBounded, 4, opBatchDone, 1, opPause, 2, opResume, 3, opPrestart, 2,
	opShutdown, 1, opStop, 1, opClose, 1, opDrain, 1, opEndLife, 1,
)

func repeat(pairs ...op) []op {
	var all []op
	for i := 0; i < len(pairs); i += 2 {
		for range int(pairs[i+1]) {
			all = append(all, pairs[i])
		}
	}
	return all
}

// The encoding: a header, then five bytes per step.
const (
	headerSize = 15
	stepSize   = 5
	maxSteps   = 40
)

func decode(data []byte) program {
	var header [headerSize]byte
	n := copy(header[:], data)
	p := program{setup: decodeSetup(header)}
	for data = data[n:]; len(data) >= stepSize && len(p.steps) < maxSteps; data = data[stepSize:] {
		p.steps = append(p.steps, step{ops[int(data[0])%len(ops)], data[1], data[2], data[3], data[4]})
	}
	return p
}

func decodeSetup(h [headerSize]byte) setup {
	s := setup{
		workers:    []int{1, 2, 1, 3, 4, 0}[h[0]%6],
		queue:      []int{3, 1, 0, 2, 5, 100}[h[1]%6],
		overflow:   []dispatch.Overflow{dispatch.Block, dispatch.Reject, dispatch.DropOldest, dispatch.CallerRuns}[h[2]%4],
		idle:       []int{5, 0, 20, 1}[h[3]%4],
		jobTimeout: []int{0, 0, 3, 5}[h[4]%4],
		grace:      []int{2, 0, 1, 4}[h[5]%4],
		strays:     []int{0, 0, 1, 2}[h[6]%4],
		stateful:   h[7]%3 == 1,
		flaky:      h[7]%6 == 4,
		patient:    h[8]/3%2 == 1,
		ending:     []op{opClose, opStop, opShutdown}[h[8]%3],
		inline:     h[10]%4 == 1,
		life:       []lifetime{forever, forever, forever, cut, forever, cut, expiring, lost}[h[11]%8],
		lifeTicks:  1 + int(h[11])/8,
		maxBlocked: []int{dispatch.Unlimited, dispatch.Unlimited, 0, 1, 2}[h[12]%5],
		watching:   []watching{counts, hooks, counts, labels, rudeHooks, times}[h[13]%6],
		bold:       h[14]%2 == 1,
	}
	s.minWorkers = min(int(h[9]%3), s.workers)
	if s.flaky {
		s.stateful = true
	}
	if s.overflow == dispatch.CallerRuns {
		s.stateful, s.flaky = false, false // NewWorkers refuses it
	}
	if s.inline {
		s.stateful, s.flaky = false, false // NewWorkers refuses it, and New these
		s.jobTimeout, s.strays = 0, 0
	}
	if s.overflow != dispatch.Block {
		s.maxBlocked = dispatch.Unlimited // New refuses another
	}
	if s.life == lost && h[11] < 128 {
		s.life = cut // otherwise too many programs would do nothing
	}
	return s
}

func (s setup) String() string {
	return fmt.Sprintf("workers=%d min=%d queue=%d overflow=%d idle=%d jobTimeout=%d grace=%d/%d stateful=%t flaky=%t ending=%s patient=%t inline=%t life=%d/%d maxBlocked=%d watching=%d bold=%t",
		s.workers, s.minWorkers, s.queue, s.overflow, s.idle, s.jobTimeout, s.grace, s.strays, s.stateful, s.flaky, s.ending, s.patient,
		s.inline, s.life, s.lifeTicks, s.maxBlocked, s.watching, s.bold)
}

func (s step) String() string {
	switch s.op {
	case opSubmit, opTrySubmit, opProcess, opProcessTimed, opAdd, opMap, opStream, opBatch, opBatchOf, opBatchBounded:
		return fmt.Sprintf("%v a=%d: %v", s.op, s.a, decodeBody(s.b, s.c, s.d, 0))
	default:
		return fmt.Sprintf("%v a=%d b=%d c=%d d=%d", s.op, s.a, s.b, s.c, s.d)
	}
}

func (p program) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "pool: %v\n", p.setup)
	for i, s := range p.steps {
		fmt.Fprintf(&b, "%4d  %v\n", i, s)
	}
	return b.String()
}
