package dispatch

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"example.com/dispatch/internal/sched"
)

// ErrGoexit is the outcome of a job whose handler called runtime.Goexit, as
// testing.T.FailNow does.
var ErrGoexit = errors.New("dispatch: job called runtime.Goexit")

// PanicError is the outcome of a job whose handler panicked. What other code of
// the user's panicked with, a context's say, comes as one too.
type PanicError struct {
	Value any    // what panic was called with
	Stack []byte // of the goroutine that panicked, as debug.Stack formats it
}

// Error gives the value, without the stack.
func (e *PanicError) Error() string { return "dispatch: job panicked: " + textOf(e.Value) }

// Unwrap returns the value if it is an error, and nil otherwise.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// guard contains the panics of the user's code.
var guard sched.Guard = func(value any, stack []byte) error { return &PanicError{Value: value, Stack: stack} }

// textOf formats the value of a panic. Its methods are the user's, and may panic as
// well, or end the goroutine; fmt does not contain a panic within a panic.
func textOf(value any) string {
	if text, ok := value.(string); ok {
		return text
	}
	text := fmt.Sprintf("a %T that cannot be printed", value)
	guard.Apart(func() { text = fmt.Sprint(value) })
	return text
}

// panicked makes the panic of user code with r the outcome. It is called by the
// deferred function that has recovered r.
func (w *worker[In, Out]) panicked(r any) {
	w.caught = &PanicError{Value: r, Stack: debug.Stack()}
	w.fail(sched.Outcome{Kind: sched.Panicked, Err: w.caught})
}

// report tells of a panic, as the options say.
func (p *Pool[In, Out]) report(e *PanicError) {
	if p.cfg.panicHandler != nil {
		p.guard("the panic handler", func() { p.cfg.panicHandler(e) })
	} else {
		p.logPanic("job", e)
	}
}

// guard calls user code that nobody waits for.
func (p *Pool[In, Out]) guard(what string, f func()) {
	if err := guard.Call(f); err != nil {
		p.logPanic(what, err)
	}
}

// logPanic logs a panic of the user's code, which guard has made an error.
func (p *Pool[In, Out]) logPanic(what string, err error) {
	e := err.(*PanicError) //nolint:errorlint // it is what guard makes
	p.log("dispatch: "+what+" panicked", "panic", textOf(e.Value), "stack", string(e.Stack))
}

// log writes a line that nobody else would give. A logger that panics is none.
func (p *Pool[In, Out]) log(msg string, args ...any) {
	logger := p.cfg.logger
	if logger == nil {
		logger = slog.Default()
	}
	if p.cfg.name != "" {
		args = append(args, "pool", p.cfg.name)
	}
	_ = guard.Call(func() { logger.Error(msg, args...) })
}
