package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"example.com/dispatch/bench"
)

const (
	benchPackage = "example.com/dispatch/bench"
	rootModule   = "example.com/dispatch"

	// patience is how long a measurement may take beside the time it is asked to
	// measure for: it starts up to 100,000 workers or queues a million jobs.
	patience = time.Minute
)

// errNoEnd is the cause of a measurement's end when it takes too long.
var errNoEnd = errors.New("did not end")

// A machine runs benchmarks, each in a process of its own: what one pool leaves
// behind, goroutines, garbage or a grown heap, must not be the next one's burden.
type machine struct {
	bin       string // the test binary, built once
	dir       string // temporary, holds bin
	spin      int
	benchtime time.Duration
	patience  time.Duration
	raw       io.Writer // the results, in the Go benchmark format
	progress  io.Writer

	// givenUp are the rows that did not end once. They are not tried again, or
	// each would cost its limit in every round.
	givenUp map[string]bool
}

func newMachine(ctx context.Context, o options, raw, progress io.Writer) (*machine, error) {
	dir, err := os.MkdirTemp("", "dispatch-bench-")
	if err != nil {
		return nil, err
	}
	m := &machine{
		bin:       filepath.Join(dir, "bench.test"),
		dir:       dir,
		benchtime: o.benchtime,
		patience:  patience,
		raw:       raw,
		progress:  progress,
		givenUp:   make(map[string]bool),
	}
	fmt.Fprintln(progress, "report: building the benchmarks")
	if out, err := exec.CommandContext(ctx, "go", "test", "-c", "-o", m.bin, benchPackage).CombinedOutput(); err != nil {
		m.close()
		return nil, fmt.Errorf("building the benchmarks: %w\n%s", err, out)
	}
	m.spin = bench.Calibrate()
	_, err = fmt.Fprintf(raw, "command: %s\ndate: %s\ngo: %s\ncpus: %d\ngomaxprocs: %d\nrounds: %d\nbenchtime: %v\nspin: %d\npeers: %s\n",
		o.command, time.Now().UTC().Format(time.DateOnly), runtime.Version(), runtime.NumCPU(), runtime.GOMAXPROCS(0),
		o.rounds, o.benchtime, m.spin, peerVersions())
	return m, err
}

func (m *machine) close() {
	// A folder that cannot be removed is in the system's temporary one.
	_ = os.RemoveAll(m.dir)
}

// measure runs a plan: round after round, and in each round group after group.
// Within a group the rows follow one another directly, as they will be compared.
func (m *machine) measure(ctx context.Context, p plan) error {
	for round := range p.rounds {
		for _, g := range p.groups {
			fmt.Fprintf(m.progress, "report: round %d of %d: %s\n", round+1, p.rounds, g.title)
			for _, row := range g.order(round) {
				out, err := m.attempt(ctx, row, m.benchtime.String())
				if err != nil {
					return err
				}
				if !m.givenUp[row] && !bytes.Contains(out, []byte("\n"+row)) {
					return fmt.Errorf("%s: no result in\n%s", row, out)
				}
			}
		}
	}
	return nil
}

// weigh runs each row once: memory does not vary as time does. A row may give no
// result, if the pool has nothing to be weighed.
func (m *machine) weigh(ctx context.Context, rows []string) error {
	fmt.Fprintln(m.progress, "report: memory")
	for _, row := range rows {
		if _, err := m.attempt(ctx, row, "1x"); err != nil {
			return err
		}
	}
	return nil
}

// attempt runs a row, unless it has been given up. One that does not end is given
// up: the results say so, and all the others are measured nevertheless.
func (m *machine) attempt(ctx context.Context, row, benchtime string) ([]byte, error) {
	if m.givenUp[row] {
		return nil, nil
	}
	out, err := m.run(ctx, row, benchtime)
	if !errors.Is(err, errNoEnd) {
		return out, err
	}
	m.givenUp[row] = true
	fmt.Fprintf(m.progress, "report: %s did not end within %v and is given up\n", row, m.limit())
	_, err = fmt.Fprintf(m.raw, "%s\t1\t%v %s\n", row, m.limit().Seconds(), unitNoEnd)
	return nil, err
}

// limit is how long a measurement may take. testing tries out how many jobs fill
// benchtime, and at the worst takes some times as long for that.
func (m *machine) limit() time.Duration {
	return m.patience + 20*m.benchtime
}

// run runs the one benchmark of that name and adds what it prints to the results.
// Its limit is kept here, by killing the process: -test.timeout is for tests, and
// does not end a benchmark.
func (m *machine) run(ctx context.Context, row, benchtime string) ([]byte, error) {
	limited, cancel := context.WithTimeoutCause(ctx, m.limit(), errNoEnd)
	defer cancel()
	cmd := exec.CommandContext(limited, m.bin,
		"-test.run=^$",
		"-test.bench="+pattern(row),
		"-test.benchtime="+benchtime,
		fmt.Sprintf("-spin=%d", m.spin),
	)
	cmd.Dir = m.dir
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		if cause := context.Cause(limited); cause != nil {
			return nil, fmt.Errorf("%s: %w", row, cause)
		}
		return nil, fmt.Errorf("%s: %w\n%s", row, err, out)
	}
	_, err = m.raw.Write(out)
	return out, err
}

// pattern matches the benchmark of that name alone.
func pattern(row string) string {
	parts := strings.Split(row, "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	return strings.Join(parts, "/")
}

// peerVersions lists what is compared with, from the modules in this program.
func peerVersions() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	modules := bench.Modules()
	var versions []string
	for _, dep := range info.Deps {
		if slices.Contains(modules, dep.Path) {
			versions = append(versions, dep.Path+"@"+dep.Version)
		}
	}
	return strings.Join(versions, " ")
}

// outDir is where the report goes: what -out says, or docs beside the library.
func outDir(ctx context.Context, o options) (string, error) {
	if o.out != "" {
		return o.out, nil
	}
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", rootModule).Output()
	if err != nil {
		return "", fmt.Errorf("finding the folder of the library: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "docs"), nil
}
