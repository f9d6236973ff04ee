package modeltest

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/anishathalye/porcupine"
)

// The sequential specification of how a pool accepts and starts jobs, and of its end: a
// queue in front of a number of workers, and a flag that says whether the pool still
// accepts jobs (the door). The checker checks histories against it.

const (
	linearWorkers = 2
	linearQueue   = 2
	linearJobs    = 32 // in one history
)

// places is the state: comparable, so that the checker can compare it.
type places struct {
	queue   [linearQueue + linearWorkers]int8 // numbers of the jobs that wait
	queued  int8
	running uint32 // a bit for each job
	closed  bool
}

type linearOp struct {
	kind  linearKind
	job   int8
	unrun uint32 // of a start: the jobs that Stop gave back in this history
}

type linearKind int

const (
	linearSubmit linearKind = iota // TrySubmit, which says accepted, full or closed
	linearStart                    // the handler is called; a worker claimed the job at some time since the submit
	linearFinish                   // from when the handler may return to when the outcome is known
	linearClose
	linearStop // returns the jobs that never ran; the door is closed by then
)

type linearAnswer int

const (
	accepted linearAnswer = iota
	noRoom
	closed
)

func (a linearAnswer) String() string { return [...]string{"accepted", "no room", "closed"}[a] }

var placesModel = porcupine.Model{
	Init: func() any { return places{} },
	Step: func(state, input, output any) (bool, any) {
		s, op := state.(places), input.(linearOp)
		switch op.kind {
		case linearSubmit:
			return s.submit(op.job, output.(linearAnswer))
		case linearStart:
			return s.start(op.job, op.unrun)
		case linearFinish:
			bit := uint32(1) << op.job
			was := s.running&bit != 0
			s.running &^= bit
			return was, s
		case linearClose:
			s.closed = true
			return true, s
		default:
			return s.stop(output.([]int8))
		}
	},
	DescribeOperation: func(input, output any) string {
		op := input.(linearOp)
		return fmt.Sprintf("%s(%d) -> %v", [...]string{"TrySubmit", "start", "finish", "Close", "Stop"}[op.kind], op.job, output)
	},
}

func (s places) submit(job int8, answer linearAnswer) (bool, any) {
	places := int(s.queued) + bits.OnesCount32(s.running)
	switch answer {
	case accepted:
		if s.closed || places == linearQueue+linearWorkers {
			return false, s
		}
		s.queue[s.queued] = job
		s.queued++
		return true, s
	case noRoom:
		return !s.closed && places == linearQueue+linearWorkers, s
	default:
		return s.closed, s
	}
}

// start takes the job at the head of the queue: jobs start in the order in which they
// were accepted. It may pass over only jobs that Stop returned: a worker had claimed such
// a job, and held a slot for it, but had not called its handler.
func (s places) start(job int8, unrun uint32) (bool, any) {
	at := slices.Index(s.queue[:s.queued], job)
	if at < 0 || at+bits.OnesCount32(s.running) >= linearWorkers {
		return false, s
	}
	for _, passed := range s.queue[:at] {
		if unrun&(1<<passed) == 0 {
			return false, s
		}
	}
	copy(s.queue[at:], s.queue[at+1:])
	s.queued--
	s.queue[s.queued] = 0
	s.running |= 1 << job
	return true, s
}

// stop returns back all that waits, in order.
func (s places) stop(unrun []int8) (bool, any) {
	same := slices.Equal(s.queue[:s.queued], unrun)
	clear(s.queue[:])
	s.queued = 0
	return same && s.closed, s
}
