package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"example.com/dispatch"
	"example.com/dispatch/examples/internal/modcache"
	"example.com/dispatch/examples/internal/words"
)

// A report counts results and remembers those that a person must hear of.
type report struct {
	total                        int // zips to check
	good, bad, skipped, timedOut int
	bytes                        int64 // of the zips among these four
	remarks                      []remark
}

type remark struct {
	verdict, name string
	err           error
}

// add counts r and reports whether it did: a result that is only the end of ctx
// is a zip that was not done.
func (rep *report) add(ctx context.Context, r result) bool {
	verdict := ""
	switch {
	case r.Err == nil:
		rep.good++
	case errors.Is(r.Err, modcache.ErrNoHash):
		rep.skipped++
		verdict = "skipped"
	case errors.Is(r.Err, dispatch.ErrTimeout):
		rep.timedOut++
		verdict = "timed out"
	case ctx.Err() != nil && errors.Is(r.Err, context.Cause(ctx)):
		return false
	default:
		rep.bad++
		verdict = "BAD"
	}
	rep.bytes += r.In.Size
	if verdict != "" {
		rep.remarks = append(rep.remarks, remark{verdict, r.In.Name, r.Err})
	}
	return true
}

// done is how many archives have been dealt with.
func (rep *report) done() int {
	return rep.good + rep.bad + rep.skipped + rep.timedOut
}

// print writes the remarks in the order of their names, then the counts.
func (rep *report) print(w io.Writer, workers int, elapsed time.Duration) {
	slices.SortFunc(rep.remarks, func(a, b remark) int {
		return cmp.Compare(a.name, b.name)
	})
	for _, r := range rep.remarks {
		fmt.Fprintf(w, "%s: %s: %v\n", r.verdict, r.name, r.err)
	}
	fmt.Fprintf(w, "%d of %s done, %s, in %v on %s: %d good, %d bad, %d skipped, %d timed out\n",
		rep.done(), words.Count(rep.total, "zip"), words.Bytes(rep.bytes), elapsed.Round(time.Millisecond), words.Count(workers, "worker"),
		rep.good, rep.bad, rep.skipped, rep.timedOut)
}
