package page

import (
	"fmt"
	"strings"
	"time"

	"example.com/dispatch"
)

// health is the state of a pool: a word, and a sentence with the reason.
type health struct {
	Word   string
	Reason string
	level  level
}

// level says how urgent a word is to an operator.
type level string

const (
	bad  level = "bad"  // look now
	warn level = "warn" // look
	note level = "note" // somebody has put the pool into this state
	good level = "good" // the pool works
	calm level = "calm" // the pool has nothing to do
)

const (
	runsOn     = time.Second     // a handler whose job has its outcome counts as stuck once it has run for this long
	stuckAfter = 5 * time.Second // least time since a job has ended, and least time of the longest run
	longWait   = time.Second
	muchLonger = 4    // times as long as usual
	failing    = 0.02 // share of the jobs that ended
)

// judge returns the first word that applies.
func judge(s sight) health {
	st := s.stats
	for _, words := range []func(sight) (health, bool){judgeHung, judgeRunOn, judgeState, judgeSaturated, judgeFailing} {
		if h, ok := words(s); ok {
			return h
		}
	}
	switch {
	case allBusy(st):
		return health{"busy", allBusyWords(st) + waiting(st, " and ") + ".", good}
	case st.Running > 0 || st.Queued > 0:
		return health{"working", fmt.Sprintf("%s%s busy%s.", amount(st.Running), limitWords(st), waiting(st, " and ")), good}
	}
	return health{"idle", "No job is running or waiting.", calm}
}

// judgeHung finds pools whose workers all seem to hang.
func judgeHung(s sight) (health, bool) {
	st, quiet := s.stats, quietFor(s)
	if !allBusy(st) || quiet < stuckAfter || st.LongestRun < stuckAfter || st.LongestRun < muchLonger*st.Run.Quantile(0.99) {
		return health{}, false
	}
	return health{"stuck", fmt.Sprintf("%s%s, no job has ended for %s, and the longest has run for %s.",
		allBusyWords(st), waiting(st, ", "), duration(quiet), duration(st.LongestRun)), bad}, true
}

// quietFor returns for how long no job has ended. If s.running has a job for every
// worker, no job has ended since the last of these jobs started.
func quietFor(s sight) time.Duration {
	quiet, shown, shortest := s.recent.quiet(), 0, time.Duration(0)
	for _, j := range s.running {
		if !j.Stray {
			shown, shortest = shown+1, j.Run // longest first, so the last one is the shortest
		}
	}
	if allBusy(s.stats) && shown >= s.stats.MaxRunning {
		quiet = max(quiet, shortest)
	}
	return quiet
}

// judgeRunOn finds handlers that still run although their jobs have ended.
func judgeRunOn(s sight) (health, bool) {
	n, longest := 0, dispatch.Job{}
	for _, j := range s.running {
		if j.Outcome != dispatch.Pending && j.Run >= runsOn {
			if n++; j.Run > longest.Run {
				longest = j
			}
		}
	}
	if n == 0 {
		return health{}, false
	}
	return health{"stuck", fmt.Sprintf("%s still running although %s ended; the longest (worker %d%s) has run for %s.",
		counted(n, "handler is", "handlers are"), choose(n, "its job has", "their jobs have"), longest.Worker, labelWords(longest), duration(longest.Run)), bad}, true
}

func judgeState(s sight) (health, bool) {
	st := s.stats
	switch {
	case st.State == dispatch.Draining:
		return health{"draining", fmt.Sprintf("The pool accepts no more jobs; %s, %s.", nowRunning(st), nowWaiting(st)), note}, true
	case st.State == dispatch.Stopping:
		return health{"stopping", fmt.Sprintf("The pool accepts no more jobs and starts none; %s still running.", counted(st.Running+st.Strays, "is", "are")), note}, true
	case st.State == dispatch.Ended:
		return health{"ended", "The pool has been closed or stopped, and none of its jobs or goroutines is left.", note}, true
	case st.Paused:
		return health{"paused", fmt.Sprintf("The pool accepts jobs but starts none; %s, %s.", nowRunning(st), nowWaiting(st)), note}, true
	}
	return health{}, false
}

func nowRunning(s dispatch.Stats) string { return counted(s.Running, "is running", "are running") }

func nowWaiting(s dispatch.Stats) string { return counted(s.Queued, "is waiting", "are waiting") }

func judgeSaturated(s sight) (health, bool) {
	st := s.stats
	if allBusy(st) && st.Blocked > 0 {
		return health{"saturated", fmt.Sprintf("%s and %s for room in the queue.", allBusyWords(st), counted(st.Blocked, "submitter waits", "submitters wait")), warn}, true
	}
	var lost []string
	for _, c := range counters {
		if n := s.recent.since(c.of); n > 0 && c.full {
			lost = append(lost, amount(n)+" "+c.name)
		}
	}
	if len(lost) > 0 {
		return health{"saturated", fmt.Sprintf("The queue was full at times in %s: %s.", s.recent.words(), strings.Join(lost, ", ")), warn}, true
	}
	_, run := s.recent.times()
	if run.Count() == 0 {
		run = st.Run
	}
	if usual := run.Quantile(0.5); st.OldestWait >= longWait && st.OldestWait >= muchLonger*usual {
		why := fmt.Sprintf("A job has waited for %s", duration(st.OldestWait))
		if usual > 0 {
			why += fmt.Sprintf(", and half of the runs take %s or less", duration(usual))
		}
		return health{"saturated", why + ".", warn}, true
	}
	return health{}, false
}

func judgeFailing(s sight) (health, bool) {
	all, failed := s.recent.since(ended), uint64(0)
	for _, c := range counters {
		if c.failure {
			failed += s.recent.since(c.of)
		}
	}
	if failed == 0 || float64(failed) < failing*float64(all) {
		return health{}, false
	}
	return health{"failing", fmt.Sprintf("%s of %s that ended in %s failed, panicked or timed out (%.0f %%).",
		amount(failed), counted(all, "job", "jobs"), s.recent.words(), 100*float64(failed)/float64(all)), warn}, true
}

// words describes the time that r covers.
func (r recent) words() string {
	if r.span() >= window-2*time.Second {
		return "the last minute"
	}
	return "the last " + duration(r.seconds())
}

// allBusy reports whether no further job can start now.
func allBusy(s dispatch.Stats) bool {
	return s.MaxRunning != dispatch.Unlimited && s.Running > 0 && s.Running >= s.MaxRunning
}

func allBusyWords(s dispatch.Stats) string {
	if s.MaxRunning == 1 {
		return "The only worker is busy"
	}
	return fmt.Sprintf("All %s workers are busy", amount(s.MaxRunning))
}

func limitWords(s dispatch.Stats) string {
	switch {
	case s.MaxRunning == dispatch.Unlimited:
		return choose(s.Running, " worker is", " workers are")
	case s.Running == 1:
		return fmt.Sprintf(" of %s workers is", amount(s.MaxRunning))
	}
	return fmt.Sprintf(" of %s workers are", amount(s.MaxRunning))
}

// waiting says how many jobs wait. It returns "" if none does.
func waiting(s dispatch.Stats, and string) string {
	if s.Queued == 0 {
		return ""
	}
	return and + counted(s.Queued, "job waits", "jobs wait")
}

func labelWords(j dispatch.Job) string {
	if j.Label == "" {
		return ""
	}
	return ", " + cut(j.Label, maxLabel)
}

// counted returns n with the form of the word that fits.
func counted[N int | uint64](n N, one, many string) string {
	return amount(n) + " " + choose(n, one, many)
}

func choose[N int | uint64](n N, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
