package modcache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"example.com/dispatch"
	"example.com/dispatch/examples/internal/words"
)

// A Report counts the outcomes of checks and keeps those that a user must know about.
// One goroutine may use it at a time.
type Report struct {
	Total                        int // zips to check
	Good, Bad, Skipped, TimedOut int
	Bytes                        int64 // of the zips among these four

	remarks []remark
}

type remark struct {
	verdict, name string
	err           error
}

// Add counts the outcome of a zip's check and returns true. If the error only says that
// ctx has ended, the zip was not checked, and Add returns false.
func (r *Report) Add(ctx context.Context, z Zip, err error) bool {
	verdict := ""
	switch {
	case err == nil:
		r.Good++
	case errors.Is(err, ErrNoHash):
		r.Skipped++
		verdict = "skipped"
	case errors.Is(err, dispatch.ErrTimeout):
		r.TimedOut++
		verdict = "timed out"
	case ctx.Err() != nil && errors.Is(err, context.Cause(ctx)):
		return false
	default:
		r.Bad++
		verdict = "BAD"
	}
	r.Bytes += z.Size
	if verdict != "" {
		r.remarks = append(r.remarks, remark{verdict, z.Name, err})
	}
	return true
}

// Done returns how many zips have an outcome.
func (r *Report) Done() int {
	return r.Good + r.Bad + r.Skipped + r.TimedOut
}

// Err returns nil if no zip is bad or has timed out.
func (r *Report) Err() error {
	if n := r.Bad + r.TimedOut; n > 0 {
		return fmt.Errorf("%d of %s bad or timed out", n, words.Count(r.Total, "zip"))
	}
	return nil
}

// Print writes the remarks in the order of their names, then the counts. who names the
// workers that did the work.
func (r *Report) Print(w io.Writer, who string, elapsed time.Duration) {
	slices.SortFunc(r.remarks, func(a, b remark) int {
		return cmp.Compare(a.name, b.name)
	})
	for _, m := range r.remarks {
		fmt.Fprintf(w, "%s: %s: %v\n", m.verdict, m.name, m.err)
	}
	fmt.Fprintf(w, "%s of %s done, %s, in %v on %s: %d good, %d bad, %d skipped, %d timed out\n",
		words.Number(r.Done()), words.Count(r.Total, "zip"), words.Bytes(r.Bytes), elapsed.Round(time.Millisecond), who,
		r.Good, r.Bad, r.Skipped, r.TimedOut)
}
