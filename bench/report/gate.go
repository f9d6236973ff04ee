package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
)

// errSlower says that a work takes longer than the gate tolerates. When it is returned
// the table has been printed.
var errSlower = errors.New("slower than the tolerance")

// A side is one of the two libraries that the gate compares: the benchmarks of this
// tree, built with that library, and their results.
type side struct {
	program

	raw bytes.Buffer
}

// runGate measures the library of this tree, with uncommitted changes, and that of
// another revision alternately.
func runGate(ctx context.Context, o options, stdout, stderr io.Writer) error {
	root, err := moduleDir(ctx, rootModule)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "dispatch-gate-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	tree := filepath.Join(dir, "old")
	if _, err := command(ctx, root, nil, "git", "worktree", "add", "--detach", tree, o.gate); err != nil {
		return usagef("-gate %s: %v", o.gate, err)
	}
	defer func() {
		// Not with ctx: the worktree must be removed after an interrupt too.
		if _, err := command(context.WithoutCancel(ctx), root, nil, "git", "worktree", "remove", "--force", tree); err != nil {
			fmt.Fprintln(stderr, "report:", err)
		}
	}()

	fmt.Fprintln(stderr, "report: building the benchmarks with both libraries")
	newer, err := newSide(ctx, o, root, filepath.Join(dir, "newer.test"))
	if err != nil {
		return err
	}
	older, err := newSide(ctx, o, tree, filepath.Join(dir, "older.test"))
	if err != nil {
		return err
	}
	known := newer.catalog.workNames()
	if err := o.validateWorks(known); err != nil {
		return err
	}
	works := slices.DeleteFunc(known, func(name string) bool {
		if !o.wants(name) || name == memoryWork {
			return true
		}
		lacking := !slices.Contains(older.catalog.work(name).Pools, us)
		if lacking {
			fmt.Fprintf(stdout, "%s is left out: the library of %s lacks the feature\n", name, o.gate)
		}
		return lacking
	})
	if err := measureSides(ctx, o, works, older, newer, stderr); err != nil {
		return err
	}
	return judge(o, works, older, newer, stdout)
}

func newSide(ctx context.Context, o options, library, bin string) (*side, error) {
	if err := buildWith(ctx, library, bin); err != nil {
		return nil, err
	}
	p, err := newProgram(ctx, bin, o)
	return &side{program: p}, err
}

// buildWith builds the benchmarks of this tree with the library in a folder. It uses the
// build tags to leave out each file dispatch_NAME_test.go that does not compile with it.
func buildWith(ctx context.Context, library, bin string) error {
	here, err := moduleDir(ctx, benchPackage)
	if err != nil {
		return err
	}
	for from, to := range map[string]string{"go.mod": bin + ".mod", "go.sum": bin + ".sum"} {
		data, err := os.ReadFile(filepath.Join(here, from))
		if err != nil {
			return err
		}
		if err := os.WriteFile(to, data, 0o600); err != nil {
			return err
		}
	}
	env := []string{"GOWORK=off"}
	if _, err := command(ctx, here, env, "go", "mod", "edit", "-replace="+rootModule+"="+library, bin+".mod"); err != nil {
		return err
	}
	var tags []string
	for {
		out, err := command(ctx, here, env, "go", "test", "-c", "-mod=mod", "-modfile="+bin+".mod", "-tags="+strings.Join(tags, ","), "-o", bin, ".")
		if err == nil {
			return nil
		}
		more := slices.DeleteFunc(tagsWithout(out), func(tag string) bool { return slices.Contains(tags, tag) })
		if len(more) == 0 {
			return err
		}
		tags = append(tags, more...)
	}
}

var optionalFile = regexp.MustCompile(`(?m)^\./dispatch_(\w+)_test\.go:`)

// tagsWithout returns the tags that leave out the files with compile errors.
func tagsWithout(out []byte) (tags []string) {
	for _, match := range optionalFile.FindAllSubmatch(out, -1) {
		tags = append(tags, "without_"+string(match[1]))
	}
	slices.Sort(tags)
	return slices.Compact(tags)
}

// measureSides measures each work with both libraries. One goes first in even rounds,
// the other in odd ones.
func measureSides(ctx context.Context, o options, works []string, older, newer *side, progress io.Writer) error {
	newer.catalog.Spin = older.catalog.Spin // so that both do the same in cpu works
	sides := []*side{older, newer}
	for round := range o.rounds {
		fmt.Fprintf(progress, "report: round %d of %d\n", round+1, o.rounds)
		for _, work := range works {
			for _, s := range sides {
				out, err := s.run(ctx, row{work, us})
				if err != nil {
					return err
				}
				s.raw.Write(out)
			}
		}
		slices.Reverse(sides)
	}
	return nil
}

// judge prints the ratios. It returns an error if the newer library takes more time, or
// allocates more, than the tolerance allows.
func judge(o options, works []string, older, newer *side, stdout io.Writer) error {
	before, err := parseTable(&older.raw)
	if err != nil {
		return fmt.Errorf("%s: %w", o.gate, err)
	}
	after, err := parseTable(&newer.raw)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "work\t%s\tnow\tratio\tallocations\tnow\t\t\n", o.gate)
	beyond := 0
	for _, work := range works {
		at := row{work, us}
		r := compare(after.sample(at, unitTime), before.sample(at, unitTime))
		a, _ := before.summary(at, unitAllocs)
		b, _ := after.summary(at, unitAllocs)
		var said []string
		if r.Value > o.tolerance {
			said = append(said, "SLOWER")
		}
		// If there are few jobs, the runtime's own allocations may be a quarter per job.
		if b.Center > a.Center*o.tolerance+0.25 {
			said = append(said, "ALLOCATES MORE")
		}
		if said != nil {
			beyond++
		} else if r.Verdict == faster || r.Verdict == slower {
			said = append(said, string(r.Verdict))
		}
		fmt.Fprintf(w, "%s\t%s ±%s\t%s ±%s\t%.3f\t%.2f\t%.2f\t%s\t\n", work,
			formatTime(r.Theirs.Center), r.Theirs.PctRangeString(), formatTime(r.Ours.Center), r.Ours.PctRangeString(),
			r.Value, a.Center, b.Center, strings.Join(said, ", "))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if beyond > 0 {
		return fmt.Errorf("%d of the works: %w of %v", beyond, errSlower, o.tolerance)
	}
	return nil
}
