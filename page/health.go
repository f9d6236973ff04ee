package page

import (
	"fmt"
	"strings"
	"time"

	"example.com/dispatch"
)

// health is how a pool is: a word, and the sentence that says why.
type health struct {
	Word   string
	Reason string
	level  level
}

// level is how much a word asks of who reads it.
type level string

const (
	bad  level = "bad"  // look now
	warn level = "warn" // look
	note level = "note" // somebody wanted it so
	good level = "good" // it works
	calm level = "calm" // there is nothing to do
)

const (
	runsOn     = time.Second     // a handler may take this long in all, before it counts as stuck with its outcome known
	stuckAfter = 5 * time.Second // without an end, and for the longest run
	longWait   = time.Second
	muchLonger = 4    // times what is usual
	failing    = 0.02 // share of the jobs
)

// judge finds the first word that holds.
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
	return health{"idle", "Nothing runs and nothing waits.", calm}
}

// judgeHung finds pools all of whose workers hang, as far as can be told.
func judgeHung(s sight) (health, bool) {
	st, quiet := s.stats, quietFor(s)
	if !allBusy(st) || quiet < stuckAfter || st.LongestRun < stuckAfter || st.LongestRun < muchLonger*st.Run.Quantile(0.99) {
		return health{}, false
	}
	return health{"stuck", fmt.Sprintf("%s%s, nothing has ended for %s, and the longest has run for %s.",
		allBusyWords(st), waiting(st, ", "), duration(quiet), duration(st.LongestRun)), bad}, true
}

// quietFor is for how long no job has ended. If all workers are shown at their
// jobs, none of them has ended one since the last of them began.
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

// judgeRunOn finds handlers that do not heed the end of their jobs.
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
	return health{"stuck", fmt.Sprintf("%s on though %s over; the longest (worker %d%s) has run for %s.", counted(n, "handler runs", "handlers run"),
		choose(n, "its job is", "their jobs are"), longest.Worker, labelWords(longest), duration(longest.Run)), bad}, true
}

func judgeState(s sight) (health, bool) {
	st := s.stats
	switch {
	case st.State == dispatch.Draining:
		return health{"draining", fmt.Sprintf("It takes no more jobs; %s, %s.", counted(st.Running, "runs", "run"), counted(st.Queued, "waits", "wait")), note}, true
	case st.State == dispatch.Stopping:
		return health{"stopping", fmt.Sprintf("It takes no more jobs and starts none; %s still.", counted(st.Running+st.Strays, "runs", "run")), note}, true
	case st.State == dispatch.Ended:
		return health{"ended", "It has been closed or stopped, and nothing is left.", note}, true
	case st.Paused:
		return health{"paused", fmt.Sprintf("It takes jobs and starts none; %s, %s.", counted(st.Running, "runs", "run"), counted(st.Queued, "waits", "wait")), note}, true
	}
	return health{}, false
}

func judgeSaturated(s sight) (health, bool) {
	st := s.stats
	if allBusy(st) && st.Blocked > 0 {
		return health{"saturated", fmt.Sprintf("%s and %s for room.", allBusyWords(st), counted(st.Blocked, "submitter waits", "submitters wait")), warn}, true
	}
	var lost []string
	for _, c := range counters {
		if n := s.recent.since(c.of); n > 0 && c.full {
			lost = append(lost, amount(n)+" "+c.name)
		}
	}
	if len(lost) > 0 {
		return health{"saturated", fmt.Sprintf("There was no room in %s: %s.", s.recent.words(), strings.Join(lost, ", ")), warn}, true
	}
	_, run := s.recent.times()
	if run.Count() == 0 {
		run = st.Run
	}
	if usual := run.Quantile(0.5); st.OldestWait >= longWait && st.OldestWait >= muchLonger*usual {
		why := fmt.Sprintf("A job has waited for %s", duration(st.OldestWait))
		if usual > 0 {
			why += fmt.Sprintf("; half of the runs take up to %s", duration(usual))
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
	return health{"failing", fmt.Sprintf("%s of %s that ended in %s did not succeed (%.0f %%).",
		amount(failed), counted(all, "job", "jobs"), s.recent.words(), 100*float64(failed)/float64(all)), warn}, true
}

// words names the time that r covers.
func (r recent) words() string {
	if r.span() >= window-2*time.Second {
		return "the last minute"
	}
	return "the last " + duration(r.seconds())
}

// allBusy tells whether no further job can start now.
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

// waiting says how many jobs wait, if any do.
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

// counted gives n and the noun, or the verb, that fits.
func counted[N int | uint64](n N, one, many string) string {
	return amount(n) + " " + choose(n, one, many)
}

func choose[N int | uint64](n N, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
