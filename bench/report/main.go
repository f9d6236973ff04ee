// Report measures dispatch and its peers in turns and writes what it found.
//
//	go run ./bench/report           docs/BENCHMARKS.md, its charts, and the raw results
//	go run ./bench/report -scale    docs/SCALING.md, the same for how cost grows
//	go run ./bench/report -check    compares with the goals; exit status 1 if one is missed
//
// With -work only these works are measured, and the report goes to standard
// output unless -out names a folder for it. With -from the results are read from
// a file that an earlier run wrote.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"example.com/dispatch/bench"
)

// Names of the files in the folder of the report.
const (
	benchmarksFile    = "BENCHMARKS.md"
	benchmarksRawFile = "benchmarks.txt"
	scalingFile       = "SCALING.md"
	scalingRawFile    = "scaling.txt"
)

// How long one measurement takes at least if nothing else is asked for. A check is to
// end within five minutes with ten rounds, also on two processors that are not quite
// idle; a report is looked at for longer, and may take longer.
const (
	benchtime      = 200 * time.Millisecond
	checkBenchtime = 150 * time.Millisecond
)

// errMissed says that a goal was missed. The list has been printed.
var errMissed = errors.New("goals missed")

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	cancel()
	var usage *usageError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.As(err, &usage):
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

type options struct {
	rounds    int
	benchtime time.Duration
	works     []string // nil: all
	check     bool
	scale     bool
	out       string // "": docs beside the library
	from      string
	command   string // as a reader would type it
}

// A usageError names the flag and the value that are wrong.
type usageError struct{ msg string }

func (e *usageError) Error() string { return e.msg }

func parseFlags(args []string, stderr io.Writer) (options, error) {
	var o options
	var works string
	fs := flag.NewFlagSet("report", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // main prints what is wrong
	fs.IntVar(&o.rounds, "rounds", 10, "how often everything is measured; the intervals need at least 6")
	fs.DurationVar(&o.benchtime, "benchtime", 0, fmt.Sprintf("least time of one measurement; 0: %v, with -check %v", benchtime, checkBenchtime))
	fs.StringVar(&works, "work", "", "comma-separated works to measure; all if empty")
	fs.BoolVar(&o.check, "check", false, "measure what the goals need, and compare")
	fs.BoolVar(&o.scale, "scale", false, "measure how cost grows with workers, callers and queued jobs")
	fs.StringVar(&o.out, "out", "", "folder for the report; docs beside the library if empty")
	fs.StringVar(&o.from, "from", "", "read results from this file of an earlier run instead of measuring")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fs.SetOutput(stderr)
			fs.PrintDefaults()
			return o, err
		}
		return o, &usageError{err.Error()}
	}
	if fs.NArg() > 0 {
		return o, &usageError{fmt.Sprintf("unexpected argument %q", fs.Arg(0))}
	}
	if o.rounds < 1 {
		return o, &usageError{fmt.Sprintf("-rounds %d: must be at least 1", o.rounds)}
	}
	if o.benchtime < 0 {
		return o, &usageError{fmt.Sprintf("-benchtime %v: must not be negative", o.benchtime)}
	}
	if o.benchtime == 0 {
		o.benchtime = benchtime
		if o.check {
			o.benchtime = checkBenchtime
		}
	}
	if o.check && o.scale {
		return o, &usageError{"-check and -scale cannot be used together"}
	}
	if o.scale && works != "" {
		return o, &usageError{fmt.Sprintf("-work %q: cannot be used with -scale, which has works of its own", works)}
	}
	if works != "" {
		known := workNames()
		for name := range strings.SplitSeq(works, ",") {
			if !slices.Contains(known, name) {
				return o, &usageError{fmt.Sprintf("-work %q: no such work; there are %s", name, strings.Join(known, ", "))}
			}
			o.works = append(o.works, name)
		}
	}
	o.command = commandLine(fs)
	return o, nil
}

// commandLine leaves out the flags that are about files: they do not change what
// is measured.
func commandLine(fs *flag.FlagSet) string {
	line := "go run ./bench/report"
	fs.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "out", "from":
		case "check", "scale":
			line += " -" + f.Name
		default:
			line += " -" + f.Name + " " + f.Value.String()
		}
	})
	return line
}

// workNames are all that -work can name: the works, and memory, which is no
// work but can be chosen alike.
func workNames() []string {
	var names []string
	for _, w := range bench.Works() {
		names = append(names, w.Name)
	}
	return append(names, memoryWork)
}

func (o options) wants(work string) bool {
	return o.works == nil || slices.Contains(o.works, work)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	switch {
	case o.check:
		return runCheck(ctx, o, stdout, stderr)
	case o.scale:
		return runScale(ctx, o, stderr)
	default:
		return runBenchmarks(ctx, o, stdout, stderr)
	}
}

func runBenchmarks(ctx context.Context, o options, stdout, stderr io.Writer) error {
	t, raw, err := results(ctx, o, stderr, func(m *machine) error {
		if err := m.measure(ctx, benchmarkPlan(o)); err != nil {
			return err
		}
		if !o.wants(memoryWork) {
			return nil
		}
		return m.weigh(ctx, memoryRows(everyPool))
	})
	if err != nil {
		return err
	}
	if o.works != nil && o.out == "" {
		_, err := io.WriteString(stdout, renderBenchmarks(t, withoutCharts))
		return err
	}
	dir, err := outDir(ctx, o)
	if err != nil {
		return err
	}
	charts, err := benchmarkCharts(t)
	if err != nil {
		return err
	}
	return writeReport(dir, stderr, charts, map[string][]byte{
		benchmarksFile:    []byte(renderBenchmarks(t, withCharts)),
		benchmarksRawFile: raw,
	})
}

func runScale(ctx context.Context, o options, stderr io.Writer) error {
	t, raw, err := results(ctx, o, stderr, func(m *machine) error { return measureScaling(ctx, m, o.rounds) })
	if err != nil {
		return err
	}
	dir, err := outDir(ctx, o)
	if err != nil {
		return err
	}
	charts, err := scalingCharts(t)
	if err != nil {
		return err
	}
	return writeReport(dir, stderr, charts, map[string][]byte{
		scalingFile:    []byte(renderScaling(t)),
		scalingRawFile: raw,
	})
}

func runCheck(ctx context.Context, o options, stdout, stderr io.Writer) error {
	t, _, err := results(ctx, o, stderr, func(m *machine) error {
		if err := m.measure(ctx, checkPlan(o)); err != nil {
			return err
		}
		if !o.wants(memoryWork) {
			return nil
		}
		return m.weigh(ctx, memoryRows(dispatchOnly))
	})
	if err != nil {
		return err
	}
	misses := 0
	for _, g := range goals {
		if !o.wants(g.work) {
			continue
		}
		r := g.evaluate(t)
		if r.state != reached {
			misses++
		}
		fmt.Fprintln(stdout, r.line())
	}
	if misses > 0 {
		return fmt.Errorf("%d %w", misses, errMissed)
	}
	return nil
}

// results measures, or reads what has been measured, and returns it parsed and
// raw.
func results(ctx context.Context, o options, stderr io.Writer, measure func(m *machine) error) (*table, []byte, error) {
	var raw []byte
	if o.from != "" {
		var err error
		if raw, err = os.ReadFile(o.from); err != nil {
			return nil, nil, fmt.Errorf("-from %s: %w", o.from, err)
		}
	} else {
		var buf bytes.Buffer
		m, err := newMachine(ctx, o, &buf, stderr)
		if err != nil {
			return nil, nil, err
		}
		defer m.close()
		if err := measure(m); err != nil {
			return nil, nil, err
		}
		raw = buf.Bytes()
	}
	t, err := parseTable(bytes.NewReader(raw))
	return t, raw, err
}

func writeReport(dir string, stderr io.Writer, files ...map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, group := range files {
		for name, data := range group {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
				return err
			}
		}
	}
	_, err := fmt.Fprintf(stderr, "report: written to %s\n", dir)
	return err
}
