// Report measures dispatch and its peers in turns and writes reports.
//
//	go run ./bench/report               docs/BENCHMARKS.md and its chart
//	go run ./bench/report -scale        docs/SCALING.md, the same for how cost grows
//	go run ./bench/report -check        compares with the goals; exit status 1 if one is missed
//	go run ./bench/report -gate main    compares with the library of another revision; exit status 1 if this one is slower
//
// With -works it measures only the given works, and writes the report to standard
// output unless -out names a folder for it.
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
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	cancel()
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return
	}
	fmt.Fprintln(os.Stderr, "report:", err)
	if usage := new(usageError); errors.As(err, &usage) {
		os.Exit(2)
	}
	os.Exit(1)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	switch {
	case o.gate != "":
		return runGate(ctx, o, stdout, stderr)
	case o.check:
		return runCheck(ctx, o, stdout, stderr)
	case o.scale:
		return runScale(ctx, o, stderr)
	default:
		return runBenchmarks(ctx, o, stdout, stderr)
	}
}

func runBenchmarks(ctx context.Context, o options, stdout, stderr io.Writer) error {
	t, err := measured(ctx, o, stderr, benchmarkPlan)
	if err != nil {
		return err
	}
	if o.works != nil && o.out == "" {
		return templates.ExecuteTemplate(stdout, benchmarksTemplate, newPage(t, false))
	}
	if all := newOverview(t); all.Len() > 0 {
		chart, err := all.draw()
		if err != nil {
			return fmt.Errorf("drawing the overview: %w", err)
		}
		if err := writeReport(ctx, o, stderr, "bench-overview.svg", chart); err != nil {
			return err
		}
	}
	var page bytes.Buffer
	if err := templates.ExecuteTemplate(&page, benchmarksTemplate, newPage(t, true)); err != nil {
		return err
	}
	return writeReport(ctx, o, stderr, "BENCHMARKS.md", page.Bytes())
}

func runScale(ctx context.Context, o options, stderr io.Writer) error {
	t, err := measured(ctx, o, stderr, scalingPlan)
	if err != nil {
		return err
	}
	var page bytes.Buffer
	if err := templates.ExecuteTemplate(&page, scalingTemplate, newScalingPage(t)); err != nil {
		return err
	}
	return writeReport(ctx, o, stderr, "SCALING.md", page.Bytes())
}

// errMissed says that a goal was missed. When it is returned the list of goals has been
// printed.
var errMissed = errors.New("goals missed")

func runCheck(ctx context.Context, o options, stdout, stderr io.Writer) error {
	t, err := measured(ctx, o, stderr, checkPlan)
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
		fmt.Fprintln(stdout, r)
	}
	if misses > 0 {
		return fmt.Errorf("%d %w", misses, errMissed)
	}
	return nil
}

// measured measures a plan, or reads the results of an earlier run.
func measured(ctx context.Context, o options, stderr io.Writer, plan func(c catalog, o options) []group) (*table, error) {
	if o.results != "" {
		if raw, err := os.ReadFile(o.results); err == nil {
			fmt.Fprintf(stderr, "report: using the results in %s instead of measuring\n", o.results)
			return parseTable(bytes.NewReader(raw))
		}
	}
	m, err := newMachine(ctx, o, stderr)
	if err != nil {
		return nil, err
	}
	defer m.close()
	if err := m.measure(ctx, o.rounds, plan(m.catalog, o)); err != nil {
		return nil, err
	}
	if o.results != "" {
		if err := os.WriteFile(o.results, m.raw.Bytes(), 0o644); err != nil {
			return nil, fmt.Errorf("-results %s: %w", o.results, err)
		}
	}
	return parseTable(&m.raw)
}

// writeReport writes a file into the folder of the report.
func writeReport(ctx context.Context, o options, stderr io.Writer, name string, data []byte) error {
	dir := o.out
	if dir == "" {
		root, err := moduleDir(ctx, rootModule)
		if err != nil {
			return err
		}
		dir = filepath.Join(root, "docs")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, data, 0o644); err != nil {
		return err
	}
	_, err := fmt.Fprintf(stderr, "report: wrote %s\n", file)
	return err
}
