package dispatch

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
)

// ErrGoexit is the outcome of a job whose handler called runtime.Goexit, as
// testing.T.FailNow does.
var ErrGoexit = errors.New("dispatch: job called runtime.Goexit")

// PanicError is the outcome of a job whose handler panicked.
type PanicError struct {
	Value any    // what panic was called with
	Stack []byte // of the goroutine that panicked, as debug.Stack formats it
}

// Error gives the value, without the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("dispatch: job panicked: %v", e.Value) }

// Unwrap returns the value if it is an error, and nil otherwise.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// panicked makes the panic of user code with r the outcome. It is called by the
// deferred function that has recovered r.
func (w *worker[In, Out]) panicked(r any) {
	w.caught = &PanicError{Value: r, Stack: debug.Stack()}
	w.fail(verdict{kind: panicked, err: w.caught})
}

// report tells of a panic, as the options say.
func (p *Pool[In, Out]) report(e *PanicError) {
	if p.cfg.panicHandler != nil {
		p.guard("the panic handler", func() { p.cfg.panicHandler(e) })
	} else {
		p.log("dispatch: job panicked", "panic", fmt.Sprint(e.Value), "stack", string(e.Stack))
	}
}

// guard calls user code that nobody waits for.
func (p *Pool[In, Out]) guard(what string, f func()) {
	defer func() {
		if r := recover(); r != nil {
			p.log("dispatch: "+what+" panicked", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
		}
	}()
	f()
}

// log writes a line that nobody else would give. A logger that panics is none.
func (p *Pool[In, Out]) log(msg string, args ...any) {
	defer func() { _ = recover() }()
	logger := p.cfg.logger
	if logger == nil {
		logger = slog.Default()
	}
	if p.cfg.name != "" {
		args = append(args, "pool", p.cfg.name)
	}
	logger.Error(msg, args...)
}
