package dispatch

import (
	"errors"
	"fmt"

	"example.com/dispatch/internal/sched"
)

// ErrGoexit is the outcome of a job whose handler called runtime.Goexit, as
// testing.T.FailNow does.
var ErrGoexit = errors.New("dispatch: job called runtime.Goexit")

// PanicError is the outcome of a job whose handler panicked, or other user code
// that ran for it, such as a method of its context.
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
