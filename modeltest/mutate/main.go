// Command mutate tests the tests: it breaks a copy of the pool in one place at a time,
// and expects that a test of the pool's own module or of modeltest notices.
//
//	go run ./modeltest/mutate               # all mutations
//	go run ./modeltest/mutate -only wake    # mutations whose name contains "wake"
//	go run ./modeltest/mutate -from wake    # from the first mutation whose name contains "wake"
//	go run ./modeltest/mutate -list         # only lists the mutations, and checks that they fit the source
//
// It first checks that each mutation still fits the source: its text occurs exactly
// once. It prints a table of the tests that killed each mutation, and exits with 1 if a
// mutation does not fit, does not compile, or survived. It changes nothing in the
// repository.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	only := flag.String("only", "", "apply the mutations whose name contains this")
	from := flag.String("from", "", "begin with the first mutation whose name contains this, after a run that was cut short")
	list := flag.Bool("list", false, "list the mutations, apply none")
	jobs := flag.Int("jobs", 2, "how many to test at once")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *only, *from, *list, *jobs); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only, from string, list bool, jobs int) error {
	var chosen []mutation
	begun := false
	for _, m := range mutations {
		if begun = begun || strings.Contains(m.name, from); begun && strings.Contains(m.name, only) {
			chosen = append(chosen, m)
		}
	}
	if list {
		for _, m := range chosen {
			fmt.Printf("%-60s  %-27s  %s\n", m.name, m.file, m.breaks)
		}
	}
	source, err := snapshot(ctx)
	if err != nil {
		return err
	}
	defer os.RemoveAll(source)
	if err := checkList(source, chosen); err != nil || list {
		return err
	}
	if err := checkUnbroken(ctx, source); err != nil {
		return err
	}
	fmt.Printf("%-60s  %-27s  %-8s  %6s  %s\n", "mutation", "file", "verdict", "time", "noticed by")
	return testAll(ctx, source, chosen, jobs)
}

// checkList prints the mutations that do not fit the source. They may not be skipped,
// because a test that was never run against its mutation would look like one that works.
func checkList(source string, chosen []mutation) error {
	if len(chosen) == 0 {
		return errors.New("there is no such mutation")
	}
	bad := 0
	for _, m := range chosen {
		if _, err := m.edit(source); err != nil {
			fmt.Printf("%-60s  %-27s  %-8s  %v\n", m.name, m.file, misfit, err)
			bad++
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d mutations must be brought up to date with the source", bad, len(chosen))
	}
	return nil
}

// checkUnbroken checks that the tests pass before anything is broken. Otherwise every
// mutation would seem to be killed.
func checkUnbroken(ctx context.Context, source string) error {
	r := test(ctx, source, mutation{name: "none"})
	if r.verdict != survived {
		return fmt.Errorf("the tests fail on the source as it is: %s: %s", r.verdict, r.by)
	}
	return nil
}

// testAll tests the mutations, several at once, and prints the table in order.
func testAll(ctx context.Context, source string, chosen []mutation, jobs int) error {
	next := make(chan int)
	results := make([]chan result, len(chosen))
	for i := range results {
		results[i] = make(chan result, 1)
	}
	for range max(jobs, 1) {
		go func() {
			for i := range next {
				results[i] <- test(ctx, source, chosen[i])
			}
		}()
	}
	go func() {
		defer close(next)
		for i := range chosen {
			next <- i
		}
	}()
	bad := 0
	for i, m := range chosen {
		r := <-results[i]
		if ctx.Err() != nil {
			return ctx.Err() // a run that ended early says nothing about the mutation
		}
		fmt.Printf("%-60s  %-27s  %-8s  %5.1fs  %s\n", m.name, m.file, r.verdict, r.took.Round(100*time.Millisecond).Seconds(), r.by)
		if r.verdict != killed {
			bad++
		}
	}
	fmt.Printf("%d of %d killed\n", len(chosen)-bad, len(chosen))
	if bad > 0 {
		return fmt.Errorf("%d mutations were not killed", bad)
	}
	return nil
}
