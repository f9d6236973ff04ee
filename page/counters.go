package page

import "example.com/dispatch"

// counter is one of the counters of Stats.
type counter struct {
	name    string
	of      func(dispatch.Stats) uint64
	failure bool // counts jobs that failed
	full    bool // counts jobs for which there was no room
}

// counters lists the counters in the order in which they are shown.
var counters = []counter{
	{name: "submitted", of: func(s dispatch.Stats) uint64 { return s.Submitted }},
	{name: "succeeded", of: func(s dispatch.Stats) uint64 { return s.Succeeded }},
	{name: "failed", of: func(s dispatch.Stats) uint64 { return s.Failed }, failure: true},
	{name: "panicked", of: func(s dispatch.Stats) uint64 { return s.Panicked }, failure: true},
	{name: "timed out", of: func(s dispatch.Stats) uint64 { return s.TimedOut }, failure: true},
	{name: "canceled", of: func(s dispatch.Stats) uint64 { return s.Canceled }},
	{name: "dropped", of: func(s dispatch.Stats) uint64 { return s.Dropped }, full: true},
	{name: "refused", of: func(s dispatch.Stats) uint64 { return s.Rejected }, full: true},
	{name: "gave up", of: func(s dispatch.Stats) uint64 { return s.GaveUp }, full: true},
}
