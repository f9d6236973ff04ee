// Command schedules runs the tests of module modeltest, and those of the pool itself,
// under schedules that a plain go test does not produce: with the race detector, on one
// to eight processors, without preemption, with very frequent garbage collection, and
// once with the goroutine leak profile.
//
//	go run ./modeltest/schedules            # all schedules
//	go run ./modeltest/schedules -only race # schedules whose name contains "race"
//	go run ./modeltest/schedules -- -short  # with further flags for go test: all in a few minutes
//
// It prints a line for each schedule, and exits with 1 if one failed.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// schedule is one way to run the tests.
type schedule struct {
	name string
	env  []string
	args []string
}

var schedules = []schedule{
	{"plain", nil, nil},
	{"race", nil, []string{"-race"}},
	{"cpu", nil, []string{"-cpu", "1,2,4,8"}},
	{"race cpu", nil, []string{"-race", "-cpu", "1,4"}},
	{"no preemption", []string{"GODEBUG=asyncpreemptoff=1"}, []string{"-cpu", "1,2"}},
	{"collect often", []string{"GOGC=5"}, nil},
	{"leak profile", []string{"GOEXPERIMENT=goroutineleakprofile"}, nil},
}

func main() {
	only := flag.String("only", "", "run the schedules whose name contains this")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	root, err := moduleRoot(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "schedules:", err)
		os.Exit(1)
	}
	failed := false
	for _, s := range schedules {
		if !strings.Contains(s.name, *only) {
			continue
		}
		for _, module := range []string{root, filepath.Join(root, "modeltest")} {
			if ctx.Err() != nil {
				os.Exit(1)
			}
			failed = !s.run(ctx, module, flag.Args()) || failed
		}
	}
	if failed {
		os.Exit(1)
	}
}

// moduleRoot returns the directory of the pool's module, from anywhere in the
// repository.
func moduleRoot(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "example.com/dispatch")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

// run runs the tests of the module in dir and prints a line.
func (s schedule) run(ctx context.Context, dir string, more []string) (ok bool) {
	args := append([]string{"test", "-count=1", "-timeout=60m"}, s.args...)
	cmd := exec.CommandContext(ctx, "go", append(append(args, "."), more...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), s.env...)
	began := time.Now()
	out, err := cmd.CombinedOutput()
	verdict := "ok"
	if err != nil {
		verdict = "FAIL"
	}
	fmt.Printf("%-4s  %-14s  %-9s  %6.1fs  %s\n", verdict, s.name, filepath.Base(dir), time.Since(began).Seconds(),
		strings.Join(append(s.env, s.args...), " "))
	if err != nil {
		fmt.Printf("%s\n", out)
	}
	return err == nil
}
