package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"
)

const (
	rootModule   = "example.com/dispatch"
	benchPackage = "example.com/dispatch/bench"
)

// patience is how often a row may fail to end before it is given up. Each such
// measurement costs its whole time limit.
const patience = 2

// A machine runs benchmarks, each in a process of its own, so that the goroutines,
// garbage or grown heap of one pool do not affect the next one.
type machine struct {
	program

	dir      string       // temporary folder of the program
	raw      bytes.Buffer // the results, in the Go benchmark format
	progress io.Writer
	unended  map[row]int
}

func newMachine(ctx context.Context, o options, progress io.Writer) (*machine, error) {
	dir, err := os.MkdirTemp("", "dispatch-bench-")
	if err != nil {
		return nil, err
	}
	m := &machine{dir: dir, progress: progress, unended: make(map[row]int)}
	if err := m.prepare(ctx, o); err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

// prepare builds the benchmarks and begins the results with the facts that are known
// before anything is measured.
func (m *machine) prepare(ctx context.Context, o options) error {
	fmt.Fprintln(m.progress, "report: building the benchmarks")
	bin := filepath.Join(m.dir, "bench.test")
	if _, err := command(ctx, "", nil, "go", "test", "-c", "-o", bin, benchPackage); err != nil {
		return err
	}
	var err error
	if m.program, err = newProgram(ctx, bin, o); err != nil {
		return err
	}
	if err := o.validateWorks(m.catalog.workNames()); err != nil {
		return err
	}
	catalog, err := json.Marshal(m.catalog)
	if err != nil {
		return err
	}
	peers := "go list -m -f {{.Path}}@{{.Version}} " + strings.Join(m.catalog.Modules, " ")
	for _, entry := range [][2]string{
		{"command", o.command},
		{"commit", output(ctx, "git describe --always --dirty --abbrev=12 --exclude=*")},
		{"date", time.Now().UTC().Format(time.DateOnly)},
		{"go", runtime.Version()},
		{"cpus", fmt.Sprint(runtime.NumCPU())},
		{"gomaxprocs", fmt.Sprint(runtime.GOMAXPROCS(0))},
		{"rounds", fmt.Sprint(o.rounds)},
		{"benchtime", o.time.String()},
		{"peers", output(ctx, peers)},
		{"catalog", string(catalog)},
	} {
		fmt.Fprintf(&m.raw, "%s: %s\n", entry[0], entry[1])
	}
	return nil
}

func (m *machine) close() {
	// If the folder cannot be removed it stays in the system's temporary folder.
	_ = os.RemoveAll(m.dir)
}

// measure measures all groups in each round.
func (m *machine) measure(ctx context.Context, rounds int, groups []group) error {
	for round := range rounds {
		for _, g := range groups {
			fmt.Fprintf(m.progress, "report: round %d of %d: %s\n", round+1, rounds, g[0].work)
			for _, r := range g.order(round) {
				if m.unended[r] == patience {
					continue
				}
				if err := m.attempt(ctx, r); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// attempt measures a row and adds its output to the results, or the fact that it did
// not end.
func (m *machine) attempt(ctx context.Context, r row) error {
	out, err := m.run(ctx, r)
	switch {
	case bytes.Contains(out, []byte("did not end")):
		m.unended[r]++
		fmt.Fprintf(m.progress, "report: %v did not end within %v\n", r, m.limit)
		fmt.Fprintf(&m.raw, "%v\t1\t%v %s\n", r, m.limit.Seconds(), unitNoEnd)
	case err != nil:
		return err
	case !bytes.Contains(out, []byte("\n"+r.String())):
		return fmt.Errorf("%v: no result in\n%s", r, out)
	default:
		m.raw.Write(out)
	}
	return nil
}

// A program is the compiled benchmarks.
type program struct {
	bin     string
	catalog catalog
	time    time.Duration
	limit   time.Duration // of one measurement
}

func newProgram(ctx context.Context, bin string, o options) (program, error) {
	// Package testing tries out how many jobs fill the time, and may take several times
	// as long for that. Some rows start 16,384 workers first, or queue a million jobs.
	p := program{bin: bin, time: o.time, limit: 20*time.Second + 20*o.time}
	out, err := command(ctx, filepath.Dir(bin), nil, bin, "-catalog")
	if err != nil {
		return p, err
	}
	return p, json.Unmarshal(out, &p.catalog)
}

// run runs the benchmark with the given name and returns its output.
func (p program) run(ctx context.Context, r row) ([]byte, error) {
	parts := strings.Split(r.String(), "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	return command(ctx, filepath.Dir(p.bin), nil, p.bin, "-test.run=^$", "-test.bench="+strings.Join(parts, "/"),
		fmt.Sprintf("-test.benchtime=%v", p.time), fmt.Sprintf("-limit=%v", p.limit), fmt.Sprintf("-spin=%d", p.catalog.Spin))
}

// command runs a program in a folder and returns its output, even with an error.
func command(ctx context.Context, dir string, env []string, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return out, context.Cause(ctx)
	}
	if err != nil {
		return out, fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return out, nil
}

// output returns the output of a command line as one line, for the head of a page.
func output(ctx context.Context, line string) string {
	words := strings.Fields(line)
	out, err := command(ctx, "", nil, words[0], words[1:]...)
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(out)), " ")
}

// moduleDir returns the folder of a module.
func moduleDir(ctx context.Context, module string) (string, error) {
	out, err := command(ctx, "", nil, "go", "list", "-m", "-f", "{{.Dir}}", module)
	return strings.TrimSpace(string(out)), err
}
