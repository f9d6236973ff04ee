package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

type options struct {
	rounds    int
	time      time.Duration
	works     []string // nil: all
	check     bool
	scale     bool
	gate      string // a revision to compare with
	tolerance float64
	out       string // "": docs beside the library
	results   string // a file
	command   string // the command line, as a reader would type it
}

// A usageError is an error in the command line. It names the flag and the value.
type usageError struct{ msg string }

func (e *usageError) Error() string { return e.msg }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

func parseFlags(args []string, stderr io.Writer) (options, error) {
	var o options
	var works string
	fs := flag.NewFlagSet("report", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // main prints the error
	fs.IntVar(&o.rounds, "rounds", 10, "how often everything is measured; the intervals need at least 6")
	fs.DurationVar(&o.time, "time", 50*time.Millisecond, "least time of one measurement")
	fs.StringVar(&works, "works", "", "comma-separated works to measure; all if empty")
	fs.BoolVar(&o.check, "check", false, "measure only what the goals need, and compare with the goals")
	fs.BoolVar(&o.scale, "scale", false, "measure how cost grows with workers, callers and queued jobs")
	fs.StringVar(&o.gate, "gate", "", "measure this library and that of a `revision` alternately, and compare")
	fs.Float64Var(&o.tolerance, "tolerance", 1.05, "the ratio of medians above which -gate fails")
	fs.StringVar(&o.out, "out", "", "`folder` for the report; docs beside the library if empty")
	fs.StringVar(&o.results, "results", "", "save the results to this `file`, or read them from it if it exists")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fs.SetOutput(stderr)
			fs.PrintDefaults()
			return o, err
		}
		return o, &usageError{err.Error()}
	}
	if works != "" {
		o.works = strings.Split(works, ",")
	}
	o.command = commandLine(fs)
	return o, o.validate(fs.Args())
}

func (o options) validate(args []string) error {
	modes := 0
	for _, on := range []bool{o.check, o.scale, o.gate != ""} {
		if on {
			modes++
		}
	}
	switch {
	case len(args) > 0:
		return usagef("unexpected argument %q", args[0])
	case o.rounds < 1:
		return usagef("-rounds %d: must be at least 1", o.rounds)
	case o.time <= 0:
		return usagef("-time %v: must be positive", o.time)
	case o.tolerance < 1:
		return usagef("-tolerance %v: must be at least 1", o.tolerance)
	case modes > 1:
		return usagef("only one of -check, -scale and -gate can be used at a time")
	case o.scale && o.works != nil:
		return usagef("-works %s: cannot be used with -scale, which has works of its own", strings.Join(o.works, ","))
	case o.gate != "" && o.results != "":
		return usagef("-results %s: cannot be used with -gate, which has two sets of results", o.results)
	}
	return nil
}

// validateWorks checks -works. It is called when the names of all works are known.
func (o options) validateWorks(known []string) error {
	for _, name := range o.works {
		if !slices.Contains(known, name) {
			return usagef("-works %q: no such work; there are %s", name, strings.Join(known, ", "))
		}
	}
	return nil
}

func (o options) wants(work string) bool {
	return o.works == nil || slices.Contains(o.works, work)
}

// commandLine returns the command line without the flags that name files, which do not
// change what is measured.
func commandLine(fs *flag.FlagSet) string {
	line := "go run ./bench/report"
	fs.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "out", "results":
		case "check", "scale":
			line += " -" + f.Name
		default:
			line += " -" + f.Name + " " + f.Value.String()
		}
	})
	return line
}
