// Package cli has the code that the example programs share: it parses flags, reports
// errors, and sets the exit status.
//
// The exit status is
//
//	0    success, or -help was given
//	1    something failed
//	2    the command line is wrong
//	130  ended by Ctrl-C (SIGINT) before the work was done
//	143  ended by SIGTERM before the work was done
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// The exit statuses, except those of a [Signal].
const (
	Good   = 0
	Failed = 1
	Usage  = 2
)

// Streams are the standard streams of a program. It writes results to Out, and progress
// and errors to Err.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// A Program is a whole program. Its error says why it has failed.
type Program func(ctx context.Context, args []string, std Streams) error

// A Signal is the cause of a program's context once the user has ended it.
type Signal struct{ os.Signal }

func (s Signal) Error() string {
	if s.Signal == syscall.SIGTERM {
		return "terminated"
	}
	return "interrupted"
}

// status returns the exit status that a shell reports for a program ended by the signal.
func (s Signal) status() int {
	if s.Signal == syscall.SIGTERM {
		return 128 + int(syscall.SIGTERM)
	}
	return 128 + int(syscall.SIGINT)
}

// Main runs the program and ends the process with its status. The first Ctrl-C or
// SIGTERM ends the program's context. A second one ends the process at once.
func Main(name string, run Program) {
	ctx, end := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		s := <-signals
		signal.Stop(signals)
		end(Signal{s})
	}()
	os.Exit(Run(ctx, name, run, os.Args[1:], Streams{os.Stdin, os.Stdout, os.Stderr}))
}

// Run runs the program, prints its error, and returns the exit status.
func Run(ctx context.Context, name string, run Program, args []string, std Streams) int {
	err := run(ctx, args, std)
	if err == nil || errors.Is(err, errHelp) {
		return Good
	}
	fmt.Fprintf(std.Err, "%s: %v\n", name, err)
	if _, ok := errors.AsType[usageError](err); ok {
		fmt.Fprintf(std.Err, "%s: -help lists the flags\n", name)
		return Usage
	}
	if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		if s, ok := errors.AsType[Signal](err); ok {
			return s.status()
		}
	}
	return Failed
}

// errHelp is the error of a program that has only printed its synopsis.
var errHelp = errors.New("help was asked for")

// usageError is an error in the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Wrong returns an error about the command line. It gives a program the exit status 2.
func Wrong(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// Flags is the command line of a program.
type Flags struct {
	*flag.FlagSet

	synopsis string
}

// NewFlags returns the flags of a program. The output of -help begins with the
// synopsis.
func NewFlags(name, synopsis string) *Flags {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // Run prints the error
	return &Flags{fs, synopsis}
}

// Parse parses the command line of a program that takes flags only. For -help it
// prints the synopsis and the flags, and returns an error that Run treats as success.
func (f *Flags) Parse(args []string, std Streams) error {
	if err := f.ParseWithArgs(args, std); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return Wrong("unexpected argument %q", f.Arg(0))
	}
	return nil
}

// ParseWithArgs is Parse for a program that takes arguments after its flags.
func (f *Flags) ParseWithArgs(args []string, std Streams) error {
	switch err := f.FlagSet.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintln(std.Out, f.synopsis)
		fmt.Fprintln(std.Out, "\nFlags:")
		f.SetOutput(std.Out)
		f.PrintDefaults()
		return errHelp
	case err != nil:
		return usageError{err}
	}
	return nil
}
