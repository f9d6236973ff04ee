package main

import (
	"runtime"
	"time"

	"example.com/dispatch/examples/internal/cli"
)

const synopsis = `Usage: overload [-queues N,N,...] [-workers N] [-run TIME] [-rate N]
                [-deadline TIME] [-duration TIME]

Sends a service more requests than it can answer, and prints how many are
answered in time: without a pool, and with queues of several lengths.`

// options has the values of the command line.
type options struct {
	queues   []int         // lengths to try
	workers  int           // requests worked on at once
	run      time.Duration // of one request, while all workers are busy
	rate     int           // requests per second
	deadline time.Duration // an answer that comes later is useless
	duration time.Duration // of the load for each line of the table
}

func parseFlags(args []string, std cli.Streams) (options, error) {
	opts := options{
		queues:   []int{0, 1, 2, 8},
		workers:  runtime.GOMAXPROCS(0),
		run:      20 * time.Millisecond,
		deadline: 60 * time.Millisecond,
		duration: time.Second,
	}
	fs := cli.NewFlags("overload", synopsis)
	fs.Counts(&opts.queues, 0, "queues", "the `lengths` of the queue to try")
	fs.Count(&opts.workers, 1, "workers", "how `many` requests the pool works on at once; the default is one per processor")
	fs.Time(&opts.run, "run", "the `time` that the work of one request takes while all workers are busy")
	fs.Count(&opts.rate, 1, "rate", "how `many` requests come per second (default: twice as many as the workers can answer)")
	fs.Time(&opts.deadline, "deadline", "the `time` within which an answer is useful")
	fs.Time(&opts.duration, "duration", "how `long` requests come, for each line of the table")
	if err := fs.Parse(args, std); err != nil {
		return opts, err
	}
	if opts.deadline <= opts.run {
		return opts, cli.Wrong("-deadline %v: must be longer than -run, %v", opts.deadline, opts.run)
	}
	if opts.rate == 0 {
		opts.rate = max(1, int(2*opts.capacity()))
	}
	return opts, nil
}

// capacity returns how many requests per second the workers can answer.
func (o options) capacity() float64 {
	return float64(o.workers) / o.run.Seconds()
}

// requests returns how many requests come for each line of the table.
func (o options) requests() int {
	return max(1, int(float64(o.rate)*o.duration.Seconds()))
}

// longestUseful returns the length of the longest queue whose last request is answered
// in time. That request waits until the workers have done the requests before it, and
// then takes its own time.
func (o options) longestUseful() int {
	return int(float64(o.workers) * float64(o.deadline-o.run) / float64(o.run))
}
